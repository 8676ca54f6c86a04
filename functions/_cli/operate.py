"""Operating: ``reconcile``, and the commands of ``up``, ``ledger``, ``key``, ``token``, ``deploy`` and ``doctor``."""

import argparse

from functions._cli import deploy, doctor, key, ledger, options, platform, token
from functions._cli.failures import YES
from functions._cli.output import result


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    for part in (platform, ledger, key, token, deploy, doctor):
        part.add(subparsers)
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
