"""Drafts: what an asset will be once it is sealed, and what its step has to say of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from functions._domain.assets import RECORD_SCHEMA, Kind


@dataclass(frozen=True)
class Sealed:
    """What an asset's bytes came to: number and bytes of its files, and digests.

    ``record_digest`` and ``signature``, the digest of its model signature, are known once these were written.
    """

    inventory_digest: str
    files: int
    size: int
    record_digest: str = ""
    signature: str | None = None

    @property
    def outputs(self) -> Mapping[str, object]:
        """What a statement says of the digests; ``signature`` is None for assets that carry none."""
        return {"inventory": self.inventory_digest, "record": self.record_digest, "signature": self.signature}


@dataclass(frozen=True)
class Draft:
    """An asset about to be sealed: all that its record will say, apart from its inventory."""

    id: UUID
    kind: Kind
    name: str
    owner: str
    tenant: str
    requested: str
    parents: tuple[UUID, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def made_from(
        cls, parent: Mapping[str, Any], asset: UUID, kind: Kind, requested: str, fields: Mapping[str, object]
    ) -> "Draft":
        """What a step makes of a sealed asset: its only parent, whose name, owner and tenant it keeps."""
        name, owner, tenant = parent["name"], parent["owner"], parent["tenant"]
        return cls(asset, kind, name, owner, tenant, requested, (UUID(parent["id"]),), fields)

    def record(self, sealed: Sealed) -> dict[str, object]:
        """The record."""
        return {
            "schema": RECORD_SCHEMA,
            "id": str(self.id),
            "kind": self.kind.value,
            "name": self.name,
            "owner": self.owner,
            "tenant": self.tenant,
            "requested": self.requested,
            "parents": [str(parent) for parent in self.parents],
            "inventory": {"digest": sealed.inventory_digest, "files": sealed.files, "bytes": sealed.size},
            **self.fields,
        }


@dataclass(frozen=True)
class Attestation:
    """What the sealing step states: its claim, what it says, and the verdict, a key of ``authorizations.VERDICTS``."""

    claim: str
    predicate: Callable[[Sealed], Mapping[str, object]]
    verdict: str = "passed"
