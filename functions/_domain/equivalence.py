"""Equivalence: a translation measured once more, by whoever verifies, with other seeds than the translator drew.

Source and translation are staged from the bucket, each byte held against the ledger's inventories, and the translator's
child loads both and measures, without exporting. Its schema is ``docs/predicates/equivalence.v1.schema.json``.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from functions._domain import records
from functions._domain.errors import RejectedContent
from functions._domain.intake import Request
from functions._domain.ports import Ports
from functions._domain.translation import stage

SCHEMA = "polyglot/equivalence/v1"
VERDICTS = {"equal": "passed", "within-tolerance": "within-tolerance"}


def equivalence(ports: Ports, request: Request) -> dict[str, object]:
    """The predicate of a request's measuring.

    Raises:
        RejectedContent: the model cannot be measured, with the reason.
    """
    record = records.required(ports.storage, request.asset)
    source, asked_of = UUID(record["source"]), record["from"]
    options = {"measure": True, "seed": seed_of(request), "accelerator": request.body.get("accelerator", "none")}
    report: Mapping[str, Any] | None = None
    with tempfile.TemporaryDirectory(prefix="polyglot-") as folder:
        inside, outside = Path(folder, "source"), Path(folder, "target")
        inside.mkdir()
        outside.mkdir()
        try:
            stage(ports.storage, source, inside, ports.ledger)
            stage(ports.storage, request.asset, outside, ports.ledger)
        except RejectedContent as error:  # what is stored is not what was registered: that is a finding
            return _predicate(ports, request, source, None, "failed", [str(error)])
        report = ports.translator.translate(asked_of["framework"], inside, outside, options)
    verdict = VERDICTS.get(str(report["verdict"]), "failed")
    return _predicate(ports, request, source, report, verdict, _findings(report, record))


def seed_of(request: Request) -> int:
    """The seed of a request's measuring: another one for each request, and never the translator's."""
    return 1 + request.id.int % (2**31 - 1)


def _findings(report: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    far = [_far(name, one) for name, one in sorted(report["figures"].items())]
    before = f"the translator measured {record['verdict']}, with seed {record['equivalence']['seed']}"
    return [f"{report['verdict']}: {report['cases']} cases with seed {report['seed']}", *far, before]


def _far(name: str, figures: Mapping[str, Any]) -> str:
    if figures["problem"]:
        return f"{name}: {figures['problem']}"
    return f"{name}: largest error {figures['max_abs']:.3g} absolute, {figures['max_rel']:.3g} relative"


def _predicate(
    ports: Ports,
    request: Request,
    source: UUID,
    report: Mapping[str, Any] | None,
    verdict: str,
    findings: list[str],
) -> dict[str, object]:
    contract = ports.ledger.find(source)
    return {
        "schema": SCHEMA,
        "asset": str(request.asset),
        "claim": "equivalence",
        "verdict": verdict,
        "findings": findings,
        "source": {"asset": str(source), "inventory": contract.inventory_digest if contract else None},
        "report": report,
        "request": str(request.id),
        "ledger": {"address": ports.ledger.address, "chainId": str(ports.ledger.chain_id)},
    }
