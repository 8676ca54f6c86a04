"""Claims and translations on request: ``verify``, ``translate``."""

import argparse
from typing import Any

from functions._cli import options
from functions._cli.failures import NO, YES
from functions._cli.output import result, say

LEVELS = ("integrity", "provenance", "equivalence", "reproduction", "all")
NOT_APPLICABLE = "not applicable"


def add(subparsers: "options.Subparsers[argparse.ArgumentParser]") -> None:
    """Add these commands."""
    parser = options.command(
        subparsers,
        "translate",
        "translate a trained model to ONNX; prints the translation's UUID",
        translate,
        ["polyglot translate $MODEL --opset 18 --wait"],
    )
    parser.add_argument(
        "asset", metavar="UUID", type=options.asset, help="a trained model; a model means its trained model"
    )
    parser.add_argument("--opset", type=int, metavar="N", help="the ONNX operator set (default: the translator's)")
    parser.add_argument(
        "--accelerator", choices=["none", "nvidia"], default="none", help="where to translate (default: none)"
    )
    parser.add_argument("--wait", action="store_true", help="wait until it is translated, measured and on the ledger")
    parser = options.command(
        subparsers,
        "verify",
        "have claims about an asset verified, and wait for verdict and ledger entry",
        verify,
        [
            "polyglot verify $DATASET",
            "polyglot verify $MODEL --level all",
            "polyglot verify $MODEL --level reproduction",
            "polyglot verify $DATASET --path images/7.png",
        ],
    )
    parser.add_argument("asset", metavar="UUID", type=options.asset, help="an asset's UUID")
    parser.add_argument(
        "--level",
        choices=LEVELS,
        default="integrity",
        help="which claims (default: integrity); reproduction trains a model once more, and so does all, which is each "
        "claim that applies",
    )
    parser.add_argument("--path", metavar="P", help="only this file")


def translate(args: argparse.Namespace) -> int:
    """Ask for a translation; with ``--wait``, wait for it."""
    from functions._cli.receipts import confirm, warn_where_unequal
    from functions._cli.wait import chain_completed

    body = {"asset": args.asset, "accelerator": args.accelerator} | ({"opset": args.opset} if args.opset else {})
    client = options.connect(args)
    accepted = client.post("/v1/translations", body)
    asset, document = accepted["asset"], {"id": accepted["asset"], "request": accepted["id"], "kind": "translation"}
    if not args.wait:
        say(f"submitted {asset}; `polyglot status {asset} --watch` follows it")
        result(args, asset, document | {"status": "submitted"})
        return YES
    chain_completed(client, accepted["id"])
    receipt = confirm(client, asset, None)
    warn_where_unequal(client.get(f"/v1/assets/{asset}"))
    result(args, asset, document | {"status": "complete", "receipt": receipt})
    return YES


def verify(args: argparse.Namespace) -> int:
    """Have claims verified; exit status 1 where one failed."""
    from functions._cli.wait import chain_failure, request_ended

    body = {"asset": args.asset, "level": args.level} | ({"path": args.path} if args.path else {})
    client = options.connect(args)
    accepted = client.post("/v1/verifications", body)
    # "all" has as many claims as the platform knows: only it can say that no further one is coming.
    answer = request_ended(client, accepted["id"], None if args.level == "all" else is_settled)
    claims = answer.get("claims", [])
    failed = any(claim["verdict"] == "failed" for claim in claims)
    if not claims or (not failed and not is_settled(answer)):
        known = [claim for claim in claims if claim["verdict"]]
        say(claims_text(known)) if known else None
        raise chain_failure(client, answer)
    result(args, claims_text(claims), {"id": args.asset, "request": accepted["id"], "claims": claims})
    return NO if failed else YES


def is_settled(answer: dict[str, Any]) -> bool:
    """Whether every claim has a verdict that is on the ledger, or does not apply."""
    claims = answer.get("claims", [])
    return bool(claims) and all(
        claim["verdict"] == NOT_APPLICABLE or (claim["verdict"] and claim["recorded"]) for claim in claims
    )


def claims_text(claims: list[dict[str, Any]]) -> str:
    """Claims for a person: verdict, a reproduction's class, where it is recorded, what was found."""
    lines = []
    for claim in claims:
        findings = claim.get("findings", [])
        if claim["verdict"] == NOT_APPLICABLE:
            lines.append(f"{claim['claim']}: {NOT_APPLICABLE}: {'; '.join(findings)}")
            continue
        class_ = claim.get("detail", {}).get("class")
        where = f"  on the ledger as {claim['statement_digest']}" if claim.get("recorded") else ""
        lines.append(f"{claim['claim']}: {claim['verdict']}{f'  {class_}' if class_ else ''}{where}")
        lines += [f"  {finding}" for finding in findings]
    return "\n".join(lines)
