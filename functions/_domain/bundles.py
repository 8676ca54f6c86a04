"""The offline bundle: the shapes of its parts, strict in every field, since each is checked and none may be idle.

``LedgerProof`` is its ledger part: what ``eth_getProof`` (https://eips.ethereum.org/EIPS/eip-1186) says of the tenant's
contracts at one block, with the header of that block and the code of the contracts. Made by
``functions._backends.proofs.making``, checked by ``functions._backends.proofs.proven``. The other parts are documents
as they are stored, made by ``functions._domain.evidence``, checked by ``functions._cli.check``.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, Strict
from pydantic.alias_generators import to_camel

Bytes = Annotated[str, Field(pattern=r"^0x([0-9a-f]{2})*$")]
"""Bytes of any length, as lower-case hex digits after ``0x``."""

Word = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
"""Its capitals (https://eips.ethereum.org/EIPS/eip-55) are checked with the proofs."""

AssetId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Number = Annotated[int, Field(ge=0, lt=2**64)]
KindName = Literal["dataset", "model", "trained-model", "translation"]


class Part(BaseModel):
    """A part of a bundle: unknown fields and values of another type are refused; names are in camel case."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, defer_build=True, hide_input_in_errors=True
    )


class SlotProof(Part):
    """One storage slot, and the trie nodes from the account's storage root down to it, or to where it would be."""

    slot: Word
    proof: Annotated[tuple[Bytes, ...], Strict(False)]


class AccountProof(Part):
    """A contract: its code, the trie nodes from the state root down to it, and slots, in order."""

    address: Address
    code: Bytes
    proof: Annotated[tuple[Bytes, ...], Strict(False)]
    storage: Annotated[tuple[SlotProof, ...], Strict(False)]


class BlockProof(Part):
    """A block; ``header`` is the RLP whose Keccak-256 is ``hash``."""

    number: Number
    hash: Word
    header: Bytes


class LedgerProof(Part):
    """What the ledger says at one block of some assets, evidence and signing keys.

    ``evidence_log`` is null where no evidence was asked for, ``implementations`` are those of the kinds that ``assets``
    has; an asset that is proven not to be registered has a slot, and no entry in ``assets``.
    """

    chain_id: Number
    block: BlockProof
    asset_ledger: AccountProof
    evidence_log: AccountProof | None
    implementations: dict[KindName, AccountProof]
    assets: dict[AssetId, AccountProof]


class EvidencePart(Part):
    """A statement in its envelope, as stored: the ledger has the digest of its canonical JSON under this claim."""

    claim: Annotated[str, Field(pattern=r"^[a-z]{1,32}$")]
    envelope: dict[str, JsonValue]


class AssetPart(Part):
    """What is known of one asset.

    Attributes:
        record: the ledger has the digest of its canonical JSON.
        inventory: the text of ``inventory.jsonl``, whose digest the ledger has.
        authorizations: those by which the ledger has the asset, its statements, and its revocation.
        evidence: the sealing step's statement first, then verifications.
        revocation: why it was revoked, whose digest is in the authorization of that; null where it was not.
        model_signature: the key's signature in ``signatures/model.sig``, in Base64; the rest of it follows from
            inventory and key. Null where the asset carries none.
        imported_signature: the text of ``signatures/imported.sig``, whose digest the record has.
    """

    id: AssetId
    record: dict[str, JsonValue]
    inventory: str
    authorizations: Annotated[tuple[dict[str, JsonValue], ...], Strict(False)]
    evidence: Annotated[tuple[EvidencePart, ...], Field(min_length=1), Strict(False)]
    revocation: dict[str, JsonValue] | None
    model_signature: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$")] | None
    imported_signature: str | None


SCHEMA = "polyglot/bundle/v1"


class Bundle(Part):
    """All that is needed to check an asset: itself and its ancestors, parents first, and the ledger's proof."""

    schema_: Annotated[Literal["polyglot/bundle/v1"], Field(alias="schema")]
    subject: AssetId
    assets: Annotated[tuple[AssetPart, ...], Field(min_length=1, max_length=1000), Strict(False)]
    ledger: LedgerProof
