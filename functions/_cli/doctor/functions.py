"""The functions over HTTP, as any client meets them."""

import argparse
from collections.abc import Iterator

from functions._cli import options
from functions._cli.doctor.checks import Check, fine


def looks(args: argparse.Namespace) -> Iterator[Check]:
    """Ask for a read that looks at little, and for a sweep of what is open."""
    client = options.connect(args)
    client.get("/v1/assets", query={"name": "doctor"})
    yield fine("functions", "retrieve answers, and takes the token")
    swept = client.post("/v1/reconcile")
    late = len(swept["announced"])
    yield fine("open chains", f"{swept['looked_at']} looked at, {late} stood still and were announced")
