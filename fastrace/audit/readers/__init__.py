"""What reads an image: the built-in features, a small network trained here, backbones and functions from elsewhere; embeddings.

``rings`` and ``sweep`` are the built-in features, ``networks`` what networks share, ``small`` and ``backbone`` make them,
``function`` is one of the user; ``tables`` passes over the images once and keeps the features of patients on disk. ``embeddings``
were computed elsewhere: ``vector_files`` opens their file, ``vectors`` reads it, ``owners`` finds whose its rows are, ``joining``
makes a reader of it. Adding a reader: a file here, and its line
in `fastrace.audit.run`.
"""
