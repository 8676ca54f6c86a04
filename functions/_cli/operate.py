"""Operating: ``reconcile``, and what starts and prepares a platform (``functions._cli.platform``)."""

import argparse
import importlib
import importlib.util

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import result

PLATFORM = "functions._cli.platform"


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    # By name, since the client alone is of use without the parts that a platform is made of.
    if importlib.util.find_spec(PLATFORM):
        importlib.import_module(PLATFORM).add(subparsers)
    parser = options.command(
        subparsers, "reconcile", "find missing steps and drive them on", reconcile, ["polyglot reconcile --all"]
    )
    parser.add_argument("--all", action="store_true", help="look at every asset, not only at what is open")


def reconcile(args: argparse.Namespace) -> int:
    """Sweep now."""
    answer = options.connect(args).post("/v1/reconcile", query={"all": "true"} if args.all else None)
    announced = [f"  {what}" for what in answer["announced"]]
    text = "\n".join([f"looked at {answer['looked_at']}, announced {len(announced)}", *announced])
    result(args, text, answer)
    return YES
