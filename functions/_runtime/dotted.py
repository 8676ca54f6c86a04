"""Dotted strings of the declaration, and what they name."""

from functools import cache
from importlib import import_module
from typing import Any


@cache
def load(dotted: str) -> Any:
    """What ``package.module:name`` names; its module is imported now."""
    module, _, name = dotted.partition(":")
    return getattr(import_module(module), name)
