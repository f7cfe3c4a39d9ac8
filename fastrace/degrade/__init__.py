"""What is taken from an image before a model sees it: ``grammar`` says what, ``parser`` reads it, ``operations`` do it."""

from fastrace.degrade.grammar import CLEAN, Degradation, Variant
from fastrace.degrade.operations import NetworkInput, apply, display
from fastrace.degrade.parser import parse

__all__ = ["CLEAN", "Degradation", "NetworkInput", "Variant", "apply", "display", "parse"]
