"""A user's own layers, functions and fills, brought in from Python code, never from a config."""

from modelzoo.catalog import register_function as function
from modelzoo.catalog import register_layer as layer
from modelzoo.fills import register_fill as fill

__all__ = ["fill", "function", "layer"]
