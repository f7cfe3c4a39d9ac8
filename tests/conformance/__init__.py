"""Every clause of PS3.3 that decides how an image is displayed, as a small file, read by four programs.

``python -m tests.conformance`` makes ``docs/conformance.md``; ``test_conformance.py`` compares it.
"""
