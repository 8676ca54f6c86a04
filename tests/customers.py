"""A client that asks for a whole chain, and what must be found of one that ended well, whatever happened on the way."""

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import urllib3

from functions._backends.ethereum import EthereumLedger, Rpc, topic
from functions._domain.identity import trained_model_id, translation_id
from functions._runtime.local import chain

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
CHAIN = Counter(
    {
        "assets/dataset/files/model.pt2": 1,
        "assets/trained-model/files/model.pt2": 1,
        "assets/translation/files/model.onnx": 1,
        "assets/trained-model/evidence/training.trained-model.json": 1,
        "assets/translation/evidence/translation.translation.json": 1,
        "assets/trained-model/journal/train.1.started.json": 1,
        "assets/translation/journal/translate.1.started.json": 1,
        **{f"assets/{kind}/record.json": 1 for kind in ("dataset", "model", "trained-model", "translation")},
        **{f"assets/{kind}/inventory.jsonl": 1 for kind in ("dataset", "model", "trained-model", "translation")},
        **{f"assets/{kind}/authorizations/#.json": 2 for kind in ("dataset", "model", "trained-model", "translation")},
        **{f"assets/{kind}/evidence/registration.{kind}.json": 1 for kind in ("dataset", "model")},
        **{f"assets/{kind}/signatures/model.sig": 1 for kind in ("trained-model", "translation")},
    }
)
"""What a chain that went well leaves of its four assets, whatever happened on the way."""


MORE = {"trained-model": ("reproduction",), "translation": ("equivalence",)}
PASSED = {
    kind: dict.fromkeys(("integrity", "provenance", *MORE.get(kind, ())), "passed")
    for kind in ("dataset", "model", "trained-model", "translation")
}
"""The verdicts of all claims about the four assets of a chain that went well, by kind."""


def verdicts(claims: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The verdict of each claim that the ledger has; one that holds within its tolerance has passed here."""
    return {
        one["claim"]: {"within-tolerance": "passed"}.get(one["verdict"], one["verdict"])
        for one in claims
        if one["recorded"]
    }


class Died(Exception):
    """The platform is gone; its exit status."""


@dataclass
class Customer:
    """A client that asks for a chain over HTTP until it is complete, patiently: it repeats whatever got no answer."""

    model: Path
    image: Path
    settings: dict[str, str] = field(default_factory=dict)
    dataset: str = ""
    asked: str = ""
    attempt: int = 1
    key: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    _answers: dict[str, Any] = field(default_factory=dict)

    @property
    def assets(self) -> dict[str, UUID]:
        """The chain's assets by kind, in order; their UUIDs follow from the model's."""
        trained = trained_model_id(UUID(self.asked), self.attempt)
        made = {"model": UUID(self.asked), "trained-model": trained, "translation": translation_id(trained)}
        return {"dataset": UUID(self.dataset), **made}

    def call(self, method: str, path: str, body: object = None, key: str = "", also: tuple[int, ...] = ()) -> Any:
        """One request. Raises Died where nobody answers."""
        headers = {
            "Authorization": f"Bearer {self.settings['POLYGLOT_TOKEN']}",
            "Idempotency-Key": key or self.key + path,
            **self.headers,
        }
        data = None if body is None else json.dumps(body).encode()
        url = self.settings["POLYGLOT_URL"] + path
        try:
            answer = urllib3.request(method, url, body=data, headers=headers, retries=False, timeout=60)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Died(path) from error
        if answer.status == 503:  # its store was on the way to be killed
            raise Died(path)
        assert answer.status < 300 or answer.status in also, f"{method} {path}: {answer.status} {answer.data.decode()}"
        return json.loads(answer.data)

    def register(self) -> None:
        """Ask for dataset and model; what was answered in an earlier life is not asked again."""
        self.dataset = self.open()["id"]
        page = {"page": 0, "files": [described(self.model, self.model.name)]}
        self._send(self._once(f"/v1/uploads/{self.dataset}/files", page)["files"], self.model.parent)
        self._once("/v1/datasets", {"upload": self.dataset, "name": "killed"})
        files = [described(path, path.name) for path in sorted(self.image.iterdir())]
        pushed = self._once("/v1/images", {"files": files})
        self._send(pushed["files"], self.image)
        body = {"datasets": {"train": self.dataset}, "image": pushed["digest"], "name": "killed"}
        self.asked = self._once("/v1/models", body)["asset"]

    def open(self) -> Any:
        """Open the dataset's upload."""
        return self._once("/v1/uploads", {"kind": "dataset"})

    def _once(self, path: str, body: object) -> Any:
        if path not in self._answers:
            self._answers[path] = self.call("POST", path, body)
        return self._answers[path]

    def _send(self, files: list[dict[str, Any]], folder: Path) -> None:
        for one in files:
            if one["present"] or one["put"]["url"] in self._answers:
                continue
            put, data = one["put"], (folder / one["path"]).read_bytes()
            try:
                answer = urllib3.request("PUT", put["url"], body=data, headers=put["headers"], retries=False)
            except urllib3.exceptions.HTTPError as error:
                raise Died(one["path"]) from error
            assert answer.status in (200, 412), answer.data
            self._answers[put["url"]] = answer.status

    def state(self, asset: UUID) -> str:
        """What ``status`` says of an asset; empty where nobody knows it yet."""
        answer = self.call("GET", f"/v1/assets/{asset}/status", also=(404,))
        return str(answer.get("state", ""))

    def wait(self, look: Callable[[], None] = lambda: None, seconds: float = 90, until: str = "complete") -> None:
        """Wait until the chain is complete; ``look`` is called each time before."""
        end = time.monotonic() + seconds
        while True:
            look()
            answer = self.call("GET", f"/v1/assets/{self.asked}/status")
            if answer["state"] == until:
                return
            assert answer["state"] in ("waiting", "running"), answer
            assert time.monotonic() < end, answer
            time.sleep(0.1)

    def wait_for(self, asset: UUID, seconds: float = 30) -> None:
        """Wait until one asset is complete."""
        end = time.monotonic() + seconds
        while (state := self.state(asset)) != "complete":
            assert time.monotonic() < end, f"{asset} is {state}"
            time.sleep(0.05)

    def verify(self, asset: UUID, seconds: float = 60, level: str = "all", key: str = "") -> dict[str, str]:
        """The verdicts of all claims that apply, once the ledger has them."""
        body = {"asset": str(asset), "level": level}
        asked = self.call("POST", "/v1/verifications", body, key=key or f"verify-{asset}")
        end = time.monotonic() + seconds
        while (answer := self.call("GET", f"/v1/requests/{asked['id']}"))["state"] != "complete":
            assert time.monotonic() < end, answer
            time.sleep(0.1)
        return verdicts(answer["claims"])


def described(path: Path, name: str) -> dict[str, object]:
    """A file as ``POST /uploads/{id}/files`` takes it."""
    data = path.read_bytes()
    return {"path": name, "size": len(data), "sha256": f"sha256:{hashlib.sha256(data).hexdigest()}"}


@dataclass(frozen=True)
class Books:
    """What the ledger's own logs tell."""

    rpc: Rpc
    ledger: EthereumLedger

    @classmethod
    def of(cls, settings: Mapping[str, str], evidence_log: str | None = None) -> "Books":
        """The ledger that a platform's settings name."""
        url, address = settings["POLYGLOT_RPC_URL"], settings["POLYGLOT_LEDGER"]
        number = int(str(chain.ask(url, "eth_chainId")), 16)
        return cls(Rpc(url), EthereumLedger(url, number, address, evidence_log or address))

    def registered(self) -> Counter[UUID]:
        """How often each asset was registered."""
        return Counter(UUID(log["topics"][1][2:34]) for log in self._logs("AssetLedger", "AssetRegistered"))

    def recorded(self) -> Counter[tuple[str, ...]]:
        """How often each statement was recorded."""
        return Counter((*log["topics"][1:], log["data"]) for log in self._logs("EvidenceLog", "EvidenceRecorded"))

    def revoked(self) -> Counter[UUID]:
        """How often each asset was revoked."""
        return Counter(UUID(log["topics"][1][2:34]) for log in self._logs("AssetLedger", "AssetRevoked"))

    def _logs(self, contract: str, event: str) -> list[dict[str, Any]]:
        query = {"fromBlock": "0x0", "toBlock": "latest", "topics": [topic(contract, event)]}
        found: list[dict[str, Any]] = self.rpc("eth_getLogs", query)
        return found


def keys(bucket: Path, prefix: str = "") -> list[str]:
    """The keys in a bucket's folder that begin with a prefix."""
    found = (path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file())
    return sorted(key for key in found if key.startswith(prefix))


def shape(bucket: Path, assets: Mapping[str, UUID]) -> Counter[str]:
    """The objects of a chain's assets, without what is random in their keys: two chains that went well look alike."""
    return shape_of((key for asset in assets.values() for key in keys(bucket, f"assets/{asset}/")), assets)


def shape_of(found: Iterable[str], assets: Mapping[str, UUID]) -> Counter[str]:
    """The same, of the keys of a chain's assets."""
    names = {str(asset): kind for kind, asset in assets.items()}
    named = (_UUID.sub(lambda match: names.get(match[0], "*"), key) for key in found)
    return Counter(re.sub(r"[0-9a-f]{64}", "#", key) for key in named)
