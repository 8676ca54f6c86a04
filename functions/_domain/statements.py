"""Statements: in-toto Statement v1 documents (https://github.com/in-toto/attestation), signed into DSSE envelopes.

What each statement says is data; signing is a port. Predicate types are ours, versioned, and listed in ``PREDICATES``.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from functions._domain import schemas
from functions._domain.authorizations import VERDICTS
from functions._domain.digests import digest_of, hex_of
from functions._domain.errors import RejectedContent

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATES = {
    "registration": "https://polyglot-model-sharing.dev/predicates/registration/v1",
    "training": "https://slsa.dev/provenance/v1",
    "translation": "https://polyglot-model-sharing.dev/predicates/translation/v1",
    "integrity": "https://polyglot-model-sharing.dev/predicates/verification/v1",
    "provenance": "https://polyglot-model-sharing.dev/predicates/verification/v1",
    "reproduction": "https://polyglot-model-sharing.dev/predicates/reproduction/v1",
    "equivalence": "https://polyglot-model-sharing.dev/predicates/equivalence/v1",
}
ROLES = {
    "registration": "registrar",
    "training": "trainer",
    "translation": "translator",
    "integrity": "verifier",
    "provenance": "verifier",
    "reproduction": "verifier",
    "equivalence": "verifier",
}
"""Who makes a claim; the ledger's EvidenceLog insists on it."""
BUILD_TYPE = "https://polyglot-model-sharing.dev/build-types/training/v1"


def statement(claim: str, asset: UUID, inventory_digest: str, predicate: Mapping[str, object]) -> dict[str, object]:
    """A statement about an asset, whose one subject is its inventory."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": f"{asset}/inventory.jsonl", "digest": {"sha256": hex_of(inventory_digest)}}],
        "predicateType": PREDICATES[claim],
        "predicate": dict(predicate),
    }


@dataclass(frozen=True)
class Evidence:
    """A stored envelope, opened. ``digest`` is what the ledger records: the SHA-256 of the stored bytes."""

    envelope: bytes
    document: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest of the envelope as stored."""
        return digest_of(self.envelope)

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What the statement says."""
        found: Mapping[str, Any] = self.document["predicate"]
        return found

    @property
    def signer(self) -> Mapping[str, Any]:
        """Who says that they signed: ``role``, ``account`` and ``publicKey``."""
        found = self.predicate.get("signer")
        return found if isinstance(found, dict) else {}

    @property
    def subject_name(self) -> str:
        """What the statement calls its subject."""
        return str(self.document["subject"][0].get("name"))

    @property
    def subject_digest(self) -> str:
        """The inventory digest that the statement is about."""
        return f"sha256:{self.document['subject'][0]['digest']['sha256']}"


def opened(envelope: bytes) -> Evidence:
    """The statement in an envelope; its signature is not checked here.

    Raises:
        RejectedContent: not an envelope with an in-toto statement.
        UnavailableNewer: a newer platform's statement.
    """
    try:
        outer = json.loads(envelope)
        if outer["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payload type {outer['payloadType']!r}")
        document = json.loads(base64.b64decode(outer["payload"], validate=True))
        evidence = Evidence(envelope, document)
        if document["_type"] != STATEMENT or not isinstance(document["predicate"], dict):
            raise ValueError("not an in-toto Statement v1")
        predicate = document.get("predicateType")
        if any(schemas.is_newer(predicate, known) for known in PREDICATES.values()):
            raise schemas.newer("the statement", str(predicate))
        evidence.subject_digest  # noqa: B018 - a KeyError now, not later
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RejectedContent(f"not a signed statement: {error}") from error
    return evidence


def verdict_of(claim: str, predicate: Mapping[str, Any]) -> int:
    """The verdict that the ledger must have beside a statement, as its number; 0 where the statement has none."""
    if claim in ("registration", "training"):
        return VERDICTS["passed"]
    if claim == "translation":
        said = {"equal": "passed", "within-tolerance": "within-tolerance", "not-equal": "failed"}
        report = predicate.get("report")
        return VERDICTS.get(said.get(str(report.get("verdict")) if isinstance(report, dict) else "", ""), 0)
    return VERDICTS.get(str(predicate.get("verdict")), 0)
