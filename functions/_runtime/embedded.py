"""What the embedded platform of ``polyglot up`` is made of: ledger, keys, the first token, the functions, the sweep."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from functions._domain import tokens
from functions._domain.errors import Unavailable
from functions._domain.ports import ROLES
from functions._runtime import settings
from functions.declaration import FUNCTIONS, by_name

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from functions._runtime.local.platform import Addresses

ISSUER = tuple(name for name in settings.MEANING if "_OIDC_" in name)
"""What is said of an issuer, whose tokens the embedded platform takes too."""

MAIN = Path(__file__).with_name("main.py")


class EmbeddedHooks:
    """The side of the platform that knows what it serves.

    Args:
        data: the platform's folder.
        processes: whether each function runs as a process of its own.
        tenant: its name.
        environ: what the shell says of the store's credentials, the engine, an issuer.
    """

    def __init__(
        self, data: Path, processes: bool = False, tenant: str = "local", environ: Mapping[str, str] = os.environ
    ) -> None:
        self._data, self._processes, self._tenant = data.absolute(), processes, tenant
        self._environ = environ
        self._settings: Mapping[str, str] = {}

    def prepare(self, addresses: Addresses) -> Mapping[str, str]:
        """Deploy the ledger, make keys and the first token; done already is success."""
        from functions._backends import keys
        from functions._backends.ethereum_admin import LedgerAdmin

        folder = self._data / "keys"
        admin = LedgerAdmin(addresses.rpc_url, keys.create_admin(folder))
        contracts = admin.initialize()
        for role in ROLES:
            keys.create(role, folder)
            pair = keys.RoleKeys(role, folder, contracts.chain_id, contracts.ledger, contracts.evidence_log)
            admin.appoint(contracts.ledger, role, pair.account, pair.signing_key_digest, again=False)
        self._settings = {
            **{name: value for name, value in self._environ.items() if name.startswith("AWS_") or name in ISSUER},
            **addresses.settings,
            "POLYGLOT_TENANT": self._tenant,
            "POLYGLOT_CHAIN_ID": str(contracts.chain_id),
            "POLYGLOT_LEDGER": contracts.ledger,
            "POLYGLOT_EVIDENCE_LOG": contracts.evidence_log,
            "POLYGLOT_KEYS": str(folder),
            "POLYGLOT_ENGINE": self._environ.get("POLYGLOT_ENGINE", "process"),
            "POLYGLOT_FORWARD": f"{addresses.bucket}={self._tenant}@{addresses.broker_url}",
            "POLYGLOT_TRAINING_DISK": self._environ.get("POLYGLOT_TRAINING_DISK", ""),
            "POLYGLOT_TRANSLATOR_MEMORY": self._environ.get("POLYGLOT_TRANSLATOR_MEMORY", ""),
            "POLYGLOT_DATA": str(self._data),
            "POLYGLOT_PLATFORM_PID": str(os.getpid()),
        }
        if "localhost" in addresses.s3_url or "127.0.0.1" in addresses.s3_url:  # the embedded store checks no signature
            self._settings = {"AWS_ACCESS_KEY_ID": "polyglot", "AWS_SECRET_ACCESS_KEY": "polyglot", **self._settings}
        self._settings["POLYGLOT_TOKEN"] = self._first_token()
        return self._settings

    def _first_token(self) -> str:
        """The operator's token, which never expires: made at the first start, kept in ``DIR/token`` with mode 0600."""
        from functions._backends.s3 import S3Storage

        path = self._data / "token"
        if not path.exists():
            draft = path.with_name("token.draft")  # there whole or not at all: an empty one would stay for ever
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(tokens.new())
            draft.replace(path)
        token = path.read_text().strip()
        tokens.keep(S3Storage.from_settings(self._settings), token, "admin", "operator", datetime.now(UTC))
        return token

    def make_apps(self, values: Mapping[str, str]) -> Mapping[str, WSGIApplication]:
        """Every Service as a functions-framework application, or as a process that runs one."""
        if self._processes:
            from functions._runtime.local.processes import Processes

            return Processes(MAIN, self._environment, self._data / "logs")
        from functions_framework import create_app

        services = [service for function in FUNCTIONS for service in function.services]
        with settings.bound(values):
            return {service: create_app(target=service, source=str(MAIN)) for service in services}

    def _environment(self, service: str) -> Mapping[str, str]:
        """What one Service's process sees: the keys of its own role only."""
        hidden = {"POLYGLOT_TOKEN"}
        values = {name: value for name, value in self._settings.items() if name not in hidden}
        # How a process logs and what it exports is its own affair; in one process, the platform's.
        told = ("OTEL_", "POLYGLOT_LOG_FORMAT", "POLYGLOT_LOG_LEVEL")
        values |= {name: value for name, value in self._environ.items() if name.startswith(told)}
        role = by_name(service).role
        values["POLYGLOT_KEYS"] = str(self._role_folder(role)) if role else "/nonexistent"
        return values

    def _role_folder(self, role: str) -> Path:
        folder = self._data / "keys" / "roles" / role
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (f"{role}.ledger.key", f"{role}.statement.pem"):
            if not (folder / name).exists():
                (folder / name).symlink_to(self._data / "keys" / name)
        return folder

    def recover(self) -> None:
        """Announce whatever an earlier life left undone, whatever its age."""
        self._reconcile("?all=1")

    def sweep(self) -> None:
        """Announce what has stood still."""
        self._reconcile("")

    def _reconcile(self, query: str) -> None:
        import urllib3

        headers = {"Authorization": f"Bearer {self._settings['POLYGLOT_TOKEN']}"}
        url = f"{self._settings['POLYGLOT_URL']}/v1/reconcile{query}"
        answer = urllib3.request("POST", url, headers=headers, timeout=600, retries=False)
        if answer.status != 200:
            raise Unavailable(
                f"reconcile answered {answer.status}: {json.loads(answer.data or b'{}').get('detail', '')}"
            )
