"""Evidence for others: ``evidence`` writes a bundle, ``check`` decides from one, with no platform and no network."""

import argparse
import json
import sys
from pathlib import Path

from functions._cli import options
from functions._cli.failures import NO, YES
from functions._cli.output import result, say
from functions._domain.errors import RejectedRequest


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    parser = options.command(
        subparsers,
        "evidence",
        "write all that somebody needs who checks an asset without this platform",
        evidence,
        [
            "polyglot evidence $MODEL -o bundle.json",
            "polyglot evidence $MODEL -o bundle.json --unpack parts    also model.sig, statements, … as files",
        ],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help="an asset; a model means its trained model")
    parser.add_argument("-o", dest="output", required=True, type=Path, metavar="FILE", help="the bundle")
    parser.add_argument(
        "--unpack", type=Path, metavar="DIR", help="also write its parts as files, for the tools of others"
    )
    parser = options.command(
        subparsers,
        "check",
        "check a bundle, and files, offline; exit status 0 where all is consistent",
        check,
        [
            "polyglot check bundle.json",
            "polyglot check bundle.json --files ./model --trust trust.json",
        ],
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="what `polyglot evidence` wrote")
    parser.add_argument("--files", type=Path, metavar="DIR", help="the asset's files, as `polyglot pull` writes them")
    parser.add_argument(
        "--trust",
        type=Path,
        metavar="FILE",
        help="what `polyglot ledger trust` wrote; without it the bundle's own block",
    )


def evidence(args: argparse.Namespace) -> int:
    """Write a bundle."""
    from functions._cli.download import inventory_text
    from functions._domain.bundles import SCHEMA

    client = options.connect(args)
    answer = client.get(f"/v1/assets/{args.asset}/evidence")
    for one in answer["assets"]:
        one["inventory"] = inventory_text(client, one["id"], one["record"]["inventory"]["digest"])
    bundle = {"schema": SCHEMA, **answer}
    args.output.write_text(json.dumps(bundle, indent=1, ensure_ascii=False) + "\n")
    if args.unpack:
        from functions._cli.check.unpack import unpack

        say(f"unpacked {len(list(unpack(bundle, args.unpack)))} files below {args.unpack}")
    count, block = len(bundle["assets"]), bundle["ledger"]["block"]["number"]
    assets = f"{count} asset{'' if count == 1 else 's'}"
    say(f"{assets} as of block {block}; `polyglot check {args.output}` needs no platform")
    document = {"id": bundle["subject"], "bundle": str(args.output), "assets": count, "block": block}
    result(args, str(args.output), document)
    return YES


def check(args: argparse.Namespace) -> int:
    """Check a bundle; exit status 1 where it is not consistent."""
    sys.setswitchinterval(0.001)  # threads digest large files; they should not wait long for an import
    # `securesystemslib` looks for boto3, to sign with keys of AWS: a third of all that is imported, and nothing here.
    sys.modules.setdefault("boto3", None)  # type: ignore[arg-type]
    from functions._cli.check import report, verdict
    from functions._domain.trust import load

    for path in (args.bundle, args.trust):
        if path and not path.is_file():
            raise RejectedRequest(f"there is no file {path}: `polyglot check --help` shows what to give")
    trust = load(args.trust.read_bytes()) if args.trust else None
    checked = verdict.check(args.bundle, args.files, trust)
    result(args, report.text(checked), report.document(checked))
    return YES if checked.is_consistent else NO
