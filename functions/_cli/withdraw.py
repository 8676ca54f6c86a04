"""Taking back: ``revoke``, ``erase``, ``gc``."""

import argparse
from typing import Any

from functions._cli import options
from functions._cli.client import Client
from functions._cli.failures import YES
from functions._cli.output import counted, result, say


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    parser = options.command(
        subparsers,
        "revoke",
        "mark an asset on the ledger, for ever, as no longer to be used, and say why",
        revoke,
        [
            'polyglot revoke $DATASET --reason "two subjects withdrew their consent"',
            'polyglot revoke $MODEL --reason "wrong labels" && polyglot erase $MODEL',
        ],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help="an asset of your own")
    parser.add_argument("--reason", metavar="T", required=True, help="one line of text, public and for ever")
    parser = options.command(
        subparsers,
        "erase",
        "remove the files of a revoked asset for good; its record and evidence stay",
        erase,
        ["polyglot erase $DATASET"],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help="a revoked asset of your own")
    options.command(
        subparsers,
        "gc",
        "remove uploads that were given up, and the copies that finished runs staged",
        clear_away,
        ["polyglot gc", "polyglot gc --json"],
    )


def revoke(args: argparse.Namespace) -> int:
    """Revoke an asset, and wait until the ledger says so."""
    from functions._cli.wait import chain_completed

    client = options.connect(args)
    accepted = client.post(f"/v1/assets/{args.asset}/revoke", {"reason": args.reason})
    chain_completed(client, accepted["id"])
    _tell_what_stays(client, args.asset)
    said = client.get(f"/v1/assets/{args.asset}/status")["revoked"]
    text = f"revoked {args.asset} on {said['time'][:10]}: {said['reason']}"
    result(args, text, {"id": args.asset, "request": accepted["id"], "revoked": said})
    return YES


def _tell_what_stays(client: Client, asset: str) -> None:
    """What was made of an asset is another one, and is not revoked with it."""
    nodes = client.get(f"/v1/assets/{asset}/lineage")["nodes"]
    for node in nodes:
        if asset in node["parents"] and not node["revoked"]:
            say(f"note: the {node['kind']} {node['id']} was made of it and is not revoked")


def erase(args: argparse.Namespace) -> int:
    """Erase a revoked asset's files, and wait until they are gone."""
    from functions._cli.wait import chain_completed

    client = options.connect(args)
    accepted = client.post(f"/v1/assets/{args.asset}/erase")
    chain_completed(client, accepted["id"])
    when = client.get(f"/v1/assets/{args.asset}/status")["erased"]
    text = f"erased the files of {args.asset} on {when[:10]}; its record and evidence stay"
    result(args, text, {"id": args.asset, "request": accepted["id"], "erased": when})
    return YES


def clear_away(args: argparse.Namespace) -> int:
    """Clear away what nothing needs, and wait until it is gone."""
    from functions._cli.wait import chain_completed

    client, found = options.connect(args), list[dict[str, Any]]()
    while not found or found[-1]["next"]:
        found.append(client.post("/v1/gc", query={"after": found[-1]["next"]} if found else None))
        chain_completed(client, found[-1]["id"])
    total = {name: sum(one[name] for one in found) for name in ("uploads", "runs", "files", "size")}
    text = (
        f"removed {_number(total['uploads'], 'abandoned upload')} and the staged copies of "
        f"{_number(total['runs'], 'asset')}: {counted(total['files'], total['size'])}"
    )
    result(args, text, {**total, "requests": [one["id"] for one in found]})
    return YES


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
