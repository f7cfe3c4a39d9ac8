"""The audit: is the attribute readable, and where in frequency, with controls that test the audit itself.

``request`` holds the options and ``run`` is the sequence. ``experiments`` are data; ``readers/`` look at images,
``engines/`` turn their features into scores, ``cells`` answers one experiment, ``correction`` and ``simultaneous`` look at all of
them, ``locate`` finds the band; ``controls/`` test the audit; ``questions/`` answer in words; ``document`` is the
result. Names are imported from these modules, not from here: reading an audit needs no torch.
"""
