"""The ledger, over JSON-RPC: the EVM side of ``ports.Ledger``.

Transactions are legacy ones at gas price zero, each from a throw-away account with nonce 0, so any number of deliveries
go at once without a nonce clash; what counts is the role's signature inside. "Already there" is success.
``web3`` would cost 0.8 s of every cold start; sending needs ``eth_abi``, ``eth_keys`` and ``rlp``, reading none.
"""

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import urllib3

from functions._backends import words
from functions._backends.keccak import checksummed, keccak
from functions._backends.proofs import clone, slots
from functions._domain.assets import Kind
from functions._domain.authorizations import Authorization, Message, evidence
from functions._domain.errors import RejectedConflict, RejectedSigner, UnavailableLedger
from functions._domain.ports import ROLES, Contract, Grant, Recorded, Revoked, Wanted

ABI = Path(__file__).with_name("abi")
GAS = 3_000_000
"""The gas limit of a carried transaction; a registration uses about 130,000, one with 32 parents under 400,000."""

RECEIPT_SECONDS = 60
CALLS = {"Registration": "register", "Revocation": "revoke", "Evidence": "record"}
NOT_APPOINTED = ("AssetLedgerUnauthorizedAuthorizer", "EvidenceLogUnauthorizedAuthorizer")
ALREADY = ("AssetLedgerAlreadyRegistered", "AssetLedgerAlreadyRevoked", "EvidenceLogAlreadyRecorded")


class Reverted(Exception):
    """The contract refused: the name of its error, and the values, readable."""

    def __init__(self, name: str, values: tuple[object, ...] = ()) -> None:
        self.name, self.values = name, values
        shown = ", ".join(value.hex() if isinstance(value, bytes) else str(value) for value in values)
        super().__init__(f"{name}({shown})")


class UnavailableAnswer(UnavailableLedger):
    """The node answered with an error; ``code`` is JSON-RPC's (https://www.jsonrpc.org/specification#error_object)."""

    def __init__(self, message: str, code: object) -> None:
        super().__init__(message)
        self.code = code


class Rpc:
    """A JSON-RPC client of one node. Raises UnavailableLedger where it does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        retries = urllib3.Retry(3, backoff_factor=0.1, allowed_methods=None, status_forcelist=(502, 503, 504))
        self._pool = urllib3.PoolManager(maxsize=32, retries=retries, timeout=urllib3.Timeout(connect=2, read=30))

    def __call__(self, method: str, *params: object) -> Any:
        """The result of one call. Raises Reverted where a contract refused."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        try:
            answer = self._pool.request("POST", self._url, body=body, headers={"Content-Type": "application/json"})
            document = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise UnavailableLedger(f"the EVM node does not answer {method}: {error}") from error
        if "error" in document:
            raise _failure(method, document["error"])
        return document["result"]

    def call(self, address: str, data: bytes) -> bytes:
        """The result of a read-only call at the latest block."""
        result = self("eth_call", {"to": address, "data": "0x" + data.hex(), "gas": hex(GAS)}, "latest")
        return bytes.fromhex(result[2:])

    def wait(self, transaction: str, seconds: float = RECEIPT_SECONDS) -> Mapping[str, Any]:
        """The receipt of a transaction, as soon as a block has it."""
        pause, end = 0.01, time.monotonic() + seconds
        while True:
            receipt: Mapping[str, Any] | None = self("eth_getTransactionReceipt", transaction)
            if receipt is not None:
                return receipt
            if time.monotonic() > end:
                raise UnavailableLedger(f"transaction {transaction} is in no block after {seconds:.0f} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)


def _failure(method: str, error: Mapping[str, Any]) -> Exception:
    data = error.get("data")
    if isinstance(data, str) and len(data) >= 10:
        return decoded_error(bytes.fromhex(data[2:]))
    if error.get("code") == 3 or "revert" in str(error.get("message", "")).lower():
        return Reverted(str(error.get("message", "reverted")))
    return UnavailableAnswer(f"the EVM node refused {method}: {error.get('message', error)}", error.get("code"))


@cache
def interface(contract: str) -> Mapping[str, Any]:
    """A contract's generated file: ABI, bytecode and where its immutables are."""
    document: Mapping[str, Any] = json.loads((ABI / f"{contract}.json").read_text())
    return document


def _kind_of(item: Mapping[str, Any]) -> str:
    if not item["type"].startswith("tuple"):
        return str(item["type"])
    return f"({','.join(_kind_of(part) for part in item['components'])}){item['type'].removeprefix('tuple')}"


class _Shape(NamedTuple):
    """A function, error or event: its name with its types, what it takes, what it answers."""

    signature: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def digest(self) -> bytes:
        """What its selector or topic is taken from."""
        return keccak(self.signature.encode())


@cache
def _shapes(contract: str, of: str) -> Mapping[str, _Shape]:
    found = {}
    for item in interface(contract)["abi"]:
        if item["type"] == of:
            inputs = tuple(_kind_of(part) for part in item["inputs"])
            outputs = tuple(_kind_of(part) for part in item.get("outputs", ()))
            found[item["name"]] = _Shape(f"{item['name']}({','.join(inputs)})", inputs, outputs)
    return found


def call_data(contract: str, function: str, *values: object) -> bytes:
    """The data of a call: selector and encoded arguments."""
    shape = _shapes(contract, "function")[function]
    if words.are_fixed(shape.inputs):
        return shape.digest[:4] + words.encode(shape.inputs, values)
    from eth_abi.abi import encode

    return shape.digest[:4] + encode(shape.inputs, values)


def results(contract: str, function: str, data: bytes) -> tuple[Any, ...]:
    """What a call returned."""
    return _decoded(_shapes(contract, "function")[function].outputs, data)


def _decoded(kinds: Sequence[str], data: bytes) -> tuple[Any, ...]:
    if words.are_fixed(kinds):
        return words.decode(kinds, data)
    from eth_abi.abi import decode

    return tuple(decode(kinds, data))


def decoded_error(data: bytes) -> Reverted:
    """The custom error in revert data."""
    for contract in ("AssetLedger", "EvidenceLog"):
        for name, shape in _shapes(contract, "error").items():
            if shape.digest[:4] == data[:4]:
                return Reverted(name, _decoded(shape.inputs, data[4:]))
    return Reverted("reverted", (data,))


def topic(contract: str, event: str) -> str:
    """The first topic of an event's log."""
    return "0x" + _shapes(contract, "event")[event].digest.hex()


@cache
def _role(identifier: str) -> str:
    """The role with an identifier; the identifier itself where it is none of ours."""
    known = {"0x" + slots.role_id(role).hex(): role for role in ROLES}
    return known.get(identifier, identifier)


def legacy_transaction(key: bytes, nonce: int, to: str | None, data: bytes, chain_id: int, gas: int = GAS) -> str:
    """A signed legacy transaction at gas price zero (EIP-155), ready for ``eth_sendRawTransaction``."""
    import rlp
    from eth_keys.datatypes import PrivateKey

    target = bytes.fromhex(to[2:]) if to else b""
    unsigned = [nonce, 0, gas, target, 0, data]
    signature = PrivateKey(key).sign_msg_hash(keccak(rlp.encode([*unsigned, chain_id, 0, 0])))
    v = signature.v + 35 + 2 * chain_id
    return "0x" + bytes(rlp.encode([*unsigned, v, signature.r, signature.s])).hex()


class EthereumLedger:
    """The tenant's AssetLedger and EvidenceLog on one chain."""

    def __init__(self, rpc_url: str, chain_id: int, ledger: str, evidence_log: str) -> None:
        self.address, self.evidence_log, self.chain_id = ledger, evidence_log, chain_id
        self._rpc_url = rpc_url

    @cached_property
    def _rpc(self) -> Rpc:
        return Rpc(self._rpc_url)

    def find(self, asset: UUID) -> Contract | None:
        """The asset's contract: its slot, and the metadata in its code."""
        slot = self._read(self.address, "AssetLedger", "find", asset.bytes)[0]
        address, registered_at, kind, revoked = slot
        if registered_at == 0:
            return None
        try:
            metadata = clone.read(bytes.fromhex(self._rpc("eth_getCode", address, "latest")[2:]))
        except ValueError as error:
            raise UnavailableLedger(f"the EVM node has no asset's code at {address}: {error}") from error
        return Contract(
            address=address,
            kind=Kind.numbered(kind),
            registered_at=registered_at,
            revoked=revoked,
            inventory_digest=metadata.inventory_digest,
            record_digest=metadata.record_digest,
            authorizer=metadata.authorizer,
            parents=metadata.parents,
        )

    def _read(self, address: str, contract: str, function: str, *values: object) -> tuple[Any, ...]:
        return results(contract, function, self._rpc.call(address, call_data(contract, function, *values)))

    def is_recorded(self, message: Message) -> bool:
        """Whether what a message says is on the ledger."""
        if message.type == "Evidence":
            subject, claim, statement, _ = message.values()
            entry = self._read(self.evidence_log, "EvidenceLog", "find", subject, claim, statement)[0]
            return bool(entry[1])
        slot = self._read(self.address, "AssetLedger", "find", message.subject.bytes)[0]
        return bool(slot[3] if message.type == "Revocation" else slot[1])

    def recorded(self, subject: UUID, claim: str, statement_digest: str) -> Recorded | None:
        """The evidence that the ledger holds of a statement, or None."""
        values = evidence(subject, claim, statement_digest, "passed").values()[:3]
        authorizer, time_, verdict = self._read(self.evidence_log, "EvidenceLog", "find", *values)[0]
        return Recorded(authorizer, time_, verdict) if time_ else None

    def carry(self, authorization: Authorization) -> None:
        """Send an authorization in a transaction of a throw-away account, and wait for its block."""
        message = authorization.message
        contract, to = (
            ("EvidenceLog", self.evidence_log) if message.type == "Evidence" else ("AssetLedger", self.address)
        )
        if authorization.chain_id != self.chain_id or authorization.contract.lower() != to.lower():
            raise RejectedConflict(
                f"the authorization is for {authorization.contract} on chain {authorization.chain_id}, "
                f"this platform's ledger is {to} on chain {self.chain_id}"
            )
        data = call_data(contract, CALLS[message.type], message.values(), bytes.fromhex(authorization.signature[2:]))
        try:
            self._rpc.call(to, data)  # a refusal shows its reason here, before a transaction is spent
            raw = legacy_transaction(secrets.token_bytes(32), 0, to, data, self.chain_id)
            receipt = self._rpc.wait(self._rpc("eth_sendRawTransaction", raw))
            if int(receipt["status"], 16) != 1:
                self._rpc.call(to, data)  # somebody was quicker, or the reason shows now
                raise UnavailableLedger(f"transaction {receipt['transactionHash']} failed; asking again")
        except Reverted as error:
            if error.name not in ALREADY:
                kind = RejectedSigner if error.name in NOT_APPOINTED else RejectedConflict
                raise kind(f"the ledger refuses this {message.type.lower()}: {error}") from error

    def prove(self, wanted: Wanted) -> Mapping[str, Any]:
        """What the ledger says of all this at one block, with its proof."""
        from functions._backends.proofs.making import prove

        return prove(self._rpc, self.address, self.evidence_log, self.chain_id, wanted)

    def grants(self, until: str = "latest") -> Sequence[Grant]:
        """The history of role keys, oldest first, until a block."""
        topics = [topic("AssetLedger", "RoleAppointed"), topic("AssetLedger", "RoleDismissed")]
        query = {"address": self.address, "fromBlock": "0x0", "toBlock": until, "topics": [topics]}
        return [self._grant(log, topics[0]) for log in self._rpc("eth_getLogs", query)]

    def revocation(self, asset: UUID) -> Revoked | None:
        """What the ledger tells of an asset's revocation; an asset is revoked once."""
        topics = [topic("AssetLedger", "AssetRevoked"), "0x" + asset.bytes.ljust(32, b"\0").hex()]
        query = {"address": self.address, "fromBlock": "0x0", "toBlock": "latest", "topics": topics}
        for log in self._rpc("eth_getLogs", query):
            digest, authorizer = _decoded(("bytes32", "address"), bytes.fromhex(log["data"][2:]))
            return Revoked(f"sha256:{digest.hex()}", authorizer, int(log["blockNumber"], 16), self._time(log))
        return None

    def _time(self, log: Mapping[str, Any]) -> int:
        """When the block of a log was made, in seconds since 1970."""
        return int(self._rpc("eth_getBlockByNumber", log["blockNumber"], False)["timestamp"], 16)

    def _grant(self, log: Mapping[str, Any], appointed: str) -> Grant:
        is_appointed = log["topics"][0] == appointed
        return Grant(
            role=_role(log["topics"][1]),
            account=checksummed(bytes.fromhex(log["topics"][2][-40:])),
            appointed=is_appointed,
            block=int(log["blockNumber"], 16),
            time=self._time(log),
            signing_key_digest=f"sha256:{log['data'][2:66]}" if is_appointed else None,
        )
