"""What is taken from an image before a model sees it: ``grammar`` says what, ``parser`` reads it, ``operations`` do it.

Names are imported from these modules, not from here: reading a degradation needs no torch, doing it does.
"""
