"""The file that functions-framework loads; its target is a Service of the declaration: ``--target translate-torch``."""

from functions._runtime.entry import service as __getattr__  # noqa: F401 - the framework asks for its target by name
