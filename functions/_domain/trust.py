"""The trust file: what an auditor trusts when checking evidence, written by ``polyglot ledger trust``.

It comes to the auditor on another way than the evidence, best from a node of the auditor's own: the ledger's address
and the digest of its code, who was appointed to which role until one block, and that block.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from functions._domain import schemas
from functions._domain.bundles import Address, Number, Word
from functions._domain.errors import RejectedContent
from functions._domain.ports import Grant, Role
from functions._domain.requests import Digest, readable

SCHEMA = "polyglot/trust/v1"


class _Part(BaseModel):
    """Unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True, hide_input_in_errors=True)


class TrustedContract(_Part):
    """A contract: its address, and the Keccak-256 of its code."""

    address: Address
    code_hash: Word


class TrustedBlock(_Part):
    """A block of the chain."""

    number: Number
    hash: Word
    state_root: Word


class TrustedGrant(_Part):
    """An appointment, with the digest of the key for statements, or a dismissal, without."""

    role: Role
    account: Address
    appointed: bool
    block: Number
    time: Number
    signing_key_digest: Digest | None

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        if self.appointed == (self.signing_key_digest is None):
            raise ValueError("an appointment has a signing key digest, and a dismissal has none")
        return self


class Trust(_Part):
    """What is trusted.

    Attributes:
        source: whose node was asked: the platform's own, or another. Files that do not say so are of the platform.
        evidence_log: where it was asked for too.
        roles: appointments and dismissals until the block, oldest first.
    """

    schema_: Annotated[Literal["polyglot/trust/v1"], Field(alias="schema")]
    source: Literal["platform", "node"] = "platform"
    chain_id: Number
    ledger: TrustedContract
    evidence_log: TrustedContract | None = None
    block: TrustedBlock
    roles: Annotated[tuple[TrustedGrant, ...], Strict(False)]

    @model_validator(mode="after")
    def _is_until_its_block(self) -> Self:
        blocks = [grant.block for grant in self.roles]
        if blocks != sorted(blocks) or (blocks and blocks[-1] > self.block.number):
            raise ValueError("roles are not in the order of their blocks, or later than the block")
        return self

    def grants(self) -> Sequence[Grant]:
        """The history of role keys until the block, oldest first."""
        return [Grant(**grant.model_dump()) for grant in self.roles]


def load(data: bytes) -> Trust:
    """The trust in a file.

    Raises:
        RejectedContent: it is no trust file; the message says how to get one.
        UnavailableNewer: a newer platform wrote it.
    """
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("expected a JSON object")
        schemas.require(document.get("schema"), SCHEMA, "the trust file")
        return Trust.model_validate(document)
    except (RecursionError, ValueError) as error:
        what = readable(error) if isinstance(error, ValidationError) else str(error)
        raise RejectedContent(f"not a trust file: {what}; `polyglot ledger trust -o trust.json` writes one") from error
