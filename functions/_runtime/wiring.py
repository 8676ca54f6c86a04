"""Wiring: the one place where settings choose the production side of each port. Each is imported on first use."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from functions._domain.issuers import ClaimNames
from functions._domain.ports import (
    Broker,
    Engine,
    Issuer,
    Ledger,
    Recipient,
    Role,
    Signatures,
    Signer,
    Storage,
    Translator,
)
from functions._runtime.settings import MissingSetting, required
from functions.declaration import Function

if TYPE_CHECKING:
    from functions._backends.keys import RoleKeys


class WiredPorts:
    """The ports of one function."""

    def __init__(self, function: Function, values: Mapping[str, str]) -> None:
        self._function, self._values = function, values

    def _setting(self, name: str) -> str:
        return required(self._values, name)

    @property
    def tenant(self) -> str:
        """The tenant's name."""
        return self._values.get("POLYGLOT_TENANT") or "local"

    @cached_property
    def storage(self) -> Storage:
        """The tenant's bucket."""
        from functions._backends.s3 import S3Storage

        return S3Storage.from_settings(self._values)

    @cached_property
    def ledger(self) -> Ledger:
        """The tenant's ledger contracts."""
        from functions._backends.ethereum import EthereumLedger

        return EthereumLedger(
            self._setting("POLYGLOT_RPC_URL"),
            int(self._setting("POLYGLOT_CHAIN_ID")),
            self._setting("POLYGLOT_LEDGER"),
            self._setting("POLYGLOT_EVIDENCE_LOG"),
        )

    @property
    def engine_kind(self) -> Literal["process", "argo"]:
        """Which engine trains."""
        kind = self._values.get("POLYGLOT_ENGINE", "process")
        if kind not in ("process", "argo"):
            raise MissingSetting(f"POLYGLOT_ENGINE is {kind!r}: expected process or argo")
        return cast(Literal["process", "argo"], kind)

    @cached_property
    def engine(self) -> Engine:
        """What trains."""
        disk = int(self._values.get("POLYGLOT_TRAINING_DISK") or 10 << 30)
        if self.engine_kind == "argo":
            from functions._backends import tracecontext
            from functions._backends.argo import ArgoEngine

            return ArgoEngine(self.storage, disk=disk, trace=tracecontext.current_traceparent)
        from functions._backends.process import ProcessEngine

        settings = {**self._values, "POLYGLOT_TENANT": self.tenant}
        return ProcessEngine(Path(self._setting("POLYGLOT_DATA")), settings, disk)

    @cached_property
    def translator(self) -> Translator:
        """What starts translators."""
        from functions._backends.translator import ChildTranslator, Limits

        limits = Limits(memory=int(self._values.get("POLYGLOT_TRANSLATOR_MEMORY") or Limits.memory))
        private = [self._values[name] for name in ("POLYGLOT_DATA", "POLYGLOT_KEYS") if self._values.get(name)]
        return ChildTranslator(limits, [Path(folder) for folder in private if Path(folder).is_dir()])

    @cached_property
    def issuer(self) -> Issuer | None:
        """Who says who people are."""
        address = self._values.get("POLYGLOT_OIDC_ISSUER")
        if not address:
            return None
        from functions._backends.issuer_keys import IssuerKeys
        from functions._backends.oidc import OidcIssuer

        names = ClaimNames(
            self._values.get("POLYGLOT_OIDC_SUBJECT_CLAIM") or ClaimNames.subject,
            self._values.get("POLYGLOT_OIDC_ROLES_CLAIM") or ClaimNames.roles,
            self._values.get("POLYGLOT_OIDC_ROLE_PREFIX", ""),
        )
        return OidcIssuer(IssuerKeys(address), self._setting("POLYGLOT_OIDC_AUDIENCE"), names)

    @cached_property
    def broker(self) -> Broker:
        """Where events are announced."""
        from functions._backends.broker import HttpBroker

        return HttpBroker(self._setting("POLYGLOT_BROKER_URL"), self.tenant, self._function.name)

    @cached_property
    def recipients(self) -> Mapping[str, Recipient]:
        """Whom ``forward`` tells of uploads, by bucket; with little patience, since the store has none."""
        from functions._backends.broker import HttpBroker
        from functions._domain.forwarding import destinations

        return {
            one.bucket: Recipient(one.tenant, HttpBroker(one.broker_url, one.tenant, self._function.name, 2.0, 0))
            for one in destinations(self._setting("POLYGLOT_FORWARD"))
        }

    @cached_property
    def signer(self) -> Signer:
        """The keys of this function's role."""
        if self._function.role is None:
            raise MissingSetting(f"{self._function.name} has no role, so it signs nothing")
        return self._role_keys(cast(Role, self._function.role))

    def _role_keys(self, role: Role) -> "RoleKeys":
        from functions._backends.keys import RoleKeys

        return RoleKeys(
            role,
            Path(self._setting("POLYGLOT_KEYS")),
            int(self._setting("POLYGLOT_CHAIN_ID")),
            self._setting("POLYGLOT_LEDGER"),
            self._setting("POLYGLOT_EVIDENCE_LOG"),
        )

    @cached_property
    def signatures(self) -> Signatures:
        """Verifies signatures of others."""
        from functions._backends.signatures import KeySignatures

        return KeySignatures()

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def measure(self, name: str, value: float, unit: str, **attributes: str) -> None:
        """Leave a number with the step that this thread is at."""
        from functions._runtime.telemetry.steps import Measured, measure

        measure(Measured(name, value, unit, attributes))
