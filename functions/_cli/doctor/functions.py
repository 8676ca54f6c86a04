"""The functions over HTTP, as any client meets them."""

import argparse
from collections.abc import Iterator

from functions._cli import options
from functions._cli.doctor.checks import Check, fine


def looks(args: argparse.Namespace) -> Iterator[Check]:
    """Ask each kind of function once: a read, and a sweep of what is open."""
    client = options.connect(args)
    listed = client.get("/v1/openapi.json")
    yield fine("functions", f"{len(listed['paths'])} paths answer")
    swept = client.post("/v1/reconcile")
    late = len(swept["announced"])
    yield fine("open chains", f"{swept['looked_at']} looked at, {late} stood still and were announced")
