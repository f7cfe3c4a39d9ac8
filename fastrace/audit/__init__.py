"""The audit: is the attribute readable, and where in frequency, with controls that show whether to believe it.

``request`` holds the options and ``run`` is the sequence. ``experiments`` are data; ``readers/`` look at images,
``engines/`` turn their features into scores, ``cells`` answers one experiment, ``correction`` and ``simultaneous`` look at all of
them, ``locate`` says where; ``controls/`` test the audit itself; ``questions/`` put it into words; ``document`` is the
result. Names are imported from these modules, not from here: reading an audit needs no torch.
"""
