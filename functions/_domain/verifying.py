"""Verifying: what is found now of each claim, as the predicate of a statement."""

from collections.abc import Callable, Mapping

from functions._domain import claims, equivalence, reproduction, verification
from functions._domain.intake import Request
from functions._domain.ports import Ports
from functions._domain.provenance import provenance


def predicate(ports: Ports, request: Request, claim: str) -> Mapping[str, object]:
    """What a claim's statement says, decided from bytes and ledger as they are now.

    Raises:
        RejectedContent: nothing can be found, with the reason.
    """
    return _SAID[claim](ports, request)


def _integrity(ports: Ports, request: Request) -> Mapping[str, object]:
    path = request.body["path"]
    finding = verification.integrity(ports.storage, ports.ledger, request.asset, path)
    return verification.statement_predicate("integrity", finding, request.asset, ports.ledger, request.id, path)


def _provenance(ports: Ports, request: Request) -> Mapping[str, object]:
    finding = provenance(ports.storage, ports.ledger, request.asset, ports.signatures)
    path = request.body["path"]
    return verification.statement_predicate("provenance", finding, request.asset, ports.ledger, request.id, path)


_SAID: Mapping[str, Callable[[Ports, Request], Mapping[str, object]]] = {
    "integrity": _integrity,
    "provenance": _provenance,
    claims.REPRODUCTION: reproduction.reproduced,
    claims.EQUIVALENCE: equivalence.equivalence,
}
