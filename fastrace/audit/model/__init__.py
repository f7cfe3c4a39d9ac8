"""Models that others made, as the audit calls them. Today: a Python function of a batch of images (``function``).

What is loaded here is what the user named, and nothing else: no file is unpickled, nothing is fetched.
"""
