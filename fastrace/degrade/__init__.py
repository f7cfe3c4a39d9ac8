"""What is taken from an image before a model sees it: ``grammar`` says what, ``parser`` reads it, ``operations`` do it."""

from fastrace.degrade.grammar import CLEAN, Degradation
from fastrace.degrade.operations import apply
from fastrace.degrade.parser import parse

__all__ = ["CLEAN", "Degradation", "apply", "parse"]
