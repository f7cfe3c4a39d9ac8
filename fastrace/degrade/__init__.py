"""What is taken from an image before a model sees it: ``grammar`` reads and prints it (no torch), ``operations`` do it."""

from fastrace.degrade.grammar import CLEAN, Degradation, parse
from fastrace.degrade.operations import apply

__all__ = ["CLEAN", "Degradation", "apply", "parse"]
