"""What reads an image: the built-in features, a small network trained here, backbones trained elsewhere.

``rings`` and ``sweep`` are the built-in features, ``networks`` what networks share, ``small`` and ``backbone`` make them,
``tables`` passes over the images once and keeps the features of patients on disk. Adding a reader: a file here, and its line
in `fastrace.audit.run`.
"""
