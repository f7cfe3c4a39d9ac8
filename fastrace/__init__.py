"""Audit whether deep models can read a patient attribute from medical images, and where in the image it lives.

The library is complete without its command line. Importing it is cheap: torch is loaded by the modules that need it.
"""

__version__ = "0.1.0"
