"""Reading: ``list``, ``show``, ``lineage``, ``pull``."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from functions._cli import options
from functions._cli.failures import YES
from functions._cli.output import result, short
from functions._domain.assets import Kind


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    uuid = "an asset's UUID"
    example = "polyglot list --kind model"
    parser = options.command(subparsers, "list", "list assets, oldest first", list_assets, [example])
    parser.add_argument("--kind", choices=[kind.value for kind in Kind], help="only this kind")
    parser.add_argument("--name", help="only this name")
    parser = options.command(
        subparsers,
        "show",
        "show an asset's record and contract",
        show,
        ["polyglot show $MODEL", "polyglot show $MODEL --json"],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help=uuid)
    parser = options.command(
        subparsers,
        "lineage",
        "show what an asset was made from and what was made from it",
        lineage,
        ["polyglot lineage $MODEL", "polyglot lineage $MODEL --format dot | dot -Tsvg > lineage.svg"],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help=uuid)
    parser.add_argument("--format", choices=["text", "json", "dot"], default="text", help="default: text")
    _add_pull(subparsers)


def _add_pull(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    parser = options.command(
        subparsers,
        "pull",
        "download an asset's files, each checked against the ledger before it gets its name",
        pull_files,
        ["polyglot pull $MODEL ./model", "polyglot pull $TRANSLATION ./onnx --accept-unequal"],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help="an asset; a model means its trained model")
    parser.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder, or one to complete")
    parser.add_argument(
        "--accept-unequal", action="store_true", help="also a translation that does not compute the same as its model"
    )


def list_assets(args: argparse.Namespace) -> int:
    """List assets."""
    query = {key: value for key, value in (("kind", args.kind), ("name", args.name)) if value}
    assets = options.connect(args).get("/v1/assets", query)["assets"]
    rows = [(asset["id"], asset["kind"], asset["status"], asset["name"]) for asset in assets]
    if rows or args.json:
        result(args, "\n".join(f"{id_}  {kind:<13}  {status:<10}  {name}" for id_, kind, status, name in rows), assets)
    return YES


def show(args: argparse.Namespace) -> int:
    """Show an asset; a model with its trained model."""
    client = options.connect(args)
    answer = client.get(f"/v1/assets/{args.asset}")
    text = "\n".join(_fields(answer))
    trained = answer.get("trained_model")
    if trained and trained != answer["id"] and not args.json:
        text += "\n\n" + "\n".join(_fields(client.get(f"/v1/assets/{trained}")))
    result(args, text, answer)
    return YES


def _fields(document: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in document.items():
        label = f"{indent}{key.replace('_', ' ')}"
        if isinstance(value, dict) and value:
            yield label
            yield from _fields(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value, 1):
                yield f"{label} {number}"
                yield from _fields(item, indent + "  ")
        elif value not in (None, "", [], {}):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield f"{label:<20} {shown}"


def lineage(args: argparse.Namespace) -> int:
    """Show a lineage as a tree, JSON or a Graphviz document."""
    from functions._cli.lineage import dot, tree

    answer = options.connect(args).get(f"/v1/assets/{args.asset}/lineage")
    args.json = args.json or args.format == "json"
    result(args, dot(answer) if args.format == "dot" else tree(answer), answer)
    return YES


def pull_files(args: argparse.Namespace) -> int:
    """Download an asset, checked."""
    from functions._cli.download import pull

    pulled = pull(options.connect(args), args.asset, args.folder, accept_unequal=args.accept_unequal)
    text = f"{pulled.kind} {short(pulled.id)}: {pulled.files} files, {pulled.inventory_digest} as the ledger has it"
    document = asdict(pulled)
    result(args, text, document)
    return YES
