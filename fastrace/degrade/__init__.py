"""What is taken from an image before a model sees it: ``grammar`` defines the operations, ``parser`` reads them,
``operations`` applies them.

Names are imported from these modules, not from here: reading a degradation needs no torch, doing it does.
"""
