"""The outside, as the domain sees it: five protocols, and ``Ports``, the bundle a handler is given.

Production implementations are the files of ``functions._backends``; ``functions._runtime.wiring`` chooses them from
settings. Every method raises ``Unavailable…`` when the outside does not answer, never an exception of a library.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, get_args
from uuid import UUID

from functions._domain.assets import Kind
from functions._domain.authorizations import Authorization, Message
from functions._domain.events import Event
from functions._domain.issuers import ClaimNames


@dataclass(frozen=True)
class Entry:
    """An object in a listing: its key, its size in bytes, when it was written."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Presigned:
    """A request that whoever holds it may send: exactly this method, URL and headers, until it expires."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Held:
    """What a store does not remove: how many versions of objects, one of them by its key, and until when.

    ``until`` is when the last retention known ends, None where there is none; a legal hold ends when somebody lifts it.
    """

    versions: int
    example: str
    until: datetime | None = None
    legal_hold: bool = False


class Reader(Protocol):
    """What can be read of a tenant's bucket; a bundle of evidence can be read so too."""

    def read(self, key: str, limit: int = ...) -> bytes | None:
        """A small object whole, or None where there is none. Raises RejectedTooLarge above ``limit`` bytes."""

    def open(self, key: str) -> Iterator[bytes] | None:
        """An object in chunks of about 1 MiB, or None where there is none."""

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """All objects below a prefix in key order, from the first key greater than ``after``."""


class Storage(Reader, Protocol):
    """The tenant's bucket."""

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """``length`` bytes from ``start``, fewer at the end. Raises RejectedUnknown where there is no object."""

    def stat(self, key: str) -> Entry | None:
        """An object's entry, or None where there is none."""

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet. False, and nothing written, where there is one."""

    def upload(self, key: str, path: Path) -> bool:
        """Write a file of any size as an object that is not there yet; streamed, in parts where large."""

    def copy(self, source: str, destination: str) -> bool:
        """Copy on the server to a key that is not there yet; of any size."""

    def folders(self, prefix: str, after: str = "") -> Iterator[str]:
        """The names directly below ``prefix`` that have objects below them, in order."""

    def delete(self, key: str) -> None:
        """Remove an object; used on ``open/``, ``inbox/`` and ``runs/`` only."""

    def erase(self, prefix: str) -> Held | None:
        """Remove all that begins with a prefix for good: every version of it, and uploads in parts that never ended.

        Used by ``erase`` only. Returns what the store holds on to although everything else is gone, or None.
        """

    def presign_get(self, key: str) -> Presigned:
        """A GET for a client."""

    def presign_put(self, key: str) -> Presigned:
        """A PUT for a client that creates and never overwrites (``If-None-Match: *`` is signed)."""

    def start_parts(self, key: str) -> str:
        """Begin an upload in parts; returns its upload id."""

    def presign_part(self, key: str, upload_id: str, number: int) -> Presigned:
        """A PUT of one part, numbered from 1, for a client."""

    def complete_parts(self, key: str, upload_id: str, etags: Sequence[str]) -> bool:
        """Make the object of all parts, in order; False where the key is taken. Raises RejectedContent."""


@dataclass(frozen=True)
class Contract:
    """What the ledger says of an asset: its slot and the immutable metadata of its contract."""

    address: str
    kind: Kind
    registered_at: int
    revoked: bool
    inventory_digest: str
    record_digest: str
    authorizer: str
    parents: tuple[UUID, ...]


@dataclass(frozen=True)
class Grant:
    """One appointment or dismissal of a role key, in the order of the ledger."""

    role: str
    account: str
    appointed: bool
    block: int
    time: int
    signing_key_digest: str | None


@dataclass(frozen=True)
class Revoked:
    """That an asset was revoked: the digest of the reason, on whose authority, in which block, at which time."""

    reason_digest: str
    authorizer: str
    block: int
    time: int


@dataclass(frozen=True)
class Recorded:
    """What the ledger holds of some evidence: on whose word, when (seconds since 1970), which verdict (a number)."""

    authorizer: str
    time: int
    verdict: int


@dataclass(frozen=True)
class Wanted:
    """What is to be proven of the ledger: assets, ``Evidence`` messages, signing keys of (role, account)."""

    assets: tuple[UUID, ...] = ()
    evidence: tuple[Message, ...] = ()
    signers: tuple[tuple[str, str], ...] = ()


class LedgerReader(Protocol):
    """What the ledger says: asked of a node, or proven by a bundle.

    ``address`` is the AssetLedger's, ``evidence_log`` the EvidenceLog's.
    """

    address: str
    evidence_log: str
    chain_id: int

    def find(self, asset: UUID) -> Contract | None:
        """The asset's contract, or None where it is not registered."""

    def recorded(self, subject: UUID, claim: str, statement_digest: str) -> Recorded | None:
        """The evidence that the ledger holds of a statement, or None."""

    def grants(self) -> Sequence[Grant]:
        """The history of role keys, oldest first."""

    def revocation(self, asset: UUID) -> Revoked | None:
        """What is known of an asset's revocation; None where it was not revoked, or where only that is known."""


class Ledger(LedgerReader, Protocol):
    """The tenant's ledger contracts."""

    def is_recorded(self, message: Message) -> bool:
        """Whether what this message says is on the ledger."""

    def carry(self, authorization: Authorization) -> None:
        """Put it on the ledger and wait for its block; nothing happens where it is there already.

        Raises:
            RejectedSigner: the account does not hold the role that this needs (any more).
            RejectedConflict: the ledger refuses it for ever, with its error's name and values.
            UnavailableLedger: not yet known; ask again.
        """

    def prove(self, wanted: Wanted) -> Mapping[str, Any]:
        """What the ledger says of all this at one block, with its proof: a document of ``bundles.LedgerProof``.

        Raises:
            RejectedContent: this chain's blocks are of a kind that we do not know how to prove.
            UnavailableLedger: the node gives no proofs of one block, with what to do.
        """


Role = Literal["registrar", "trainer", "translator", "verifier"]
ROLES: tuple[Role, ...] = get_args(Role)


class Signer(Protocol):
    """The two keys of one role: secp256k1 for the ledger, P-256 for statements. Both sign deterministically."""

    @property
    def role(self) -> Role:
        """Whose keys these are."""

    @property
    def account(self) -> str:
        """The role's account on the ledger, checksummed."""

    @property
    def public_key(self) -> str:
        """The P-256 public key in PEM."""

    def authorize(self, message: Message) -> Authorization:
        """Sign an EIP-712 message for the ledger."""

    def sign(self, statement: Mapping[str, object]) -> bytes:
        """An in-toto statement in a signed DSSE envelope, as canonical JSON."""

    def sign_digest(self, digest: bytes) -> bytes:
        """The P-256 key's signature, in DER, of something whose SHA-256 this is."""

    def made(self, envelope: bytes) -> bool:
        """Whether an envelope carries this role key's valid signature."""


@dataclass(frozen=True)
class Channel:
    """One input of a run: where the container finds it, which dataset it is, and what it must digest to.

    ``allow_images`` are the digests of the images that may train on it; any may where it is empty.
    """

    name: str
    dataset: UUID
    inventory_digest: str
    allow_images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One training, as submitted. ``name`` is deterministic, so submitting twice starts one run.

    Results are staged by the run under ``runs/<asset>/<execution>/``: ``model/…``, ``output/metrics.json``,
    ``output/failure`` and ``log.txt``.
    """

    name: str
    asset: UUID
    model: UUID
    attempt: int
    image: str
    command: tuple[str, ...]
    hyperparameters: Mapping[str, str]
    channels: tuple[Channel, ...]
    cpu: int
    memory: int
    gpu: int
    deadline: int


@dataclass(frozen=True)
class RunState:
    """What the engine itself says of a run.

    ``phase`` is ``unknown`` where it never heard of it. ``execution`` names the folder of its results, ``reason`` is
    for a person (of a running one, what it waits for), times are RFC 3339. ``environment`` (CPU model and flags,
    threads, GPU, packages) and ``isolation`` (what was really in force) go into the provenance statement.
    """

    phase: Literal["unknown", "running", "succeeded", "failed"]
    execution: str = ""
    reason: str = ""
    started: str = ""
    finished: str = ""
    exit_code: int | None = None
    environment: Mapping[str, object] = field(default_factory=dict)
    isolation: Mapping[str, object] = field(default_factory=dict)


class Engine(Protocol):
    """What trains: child processes on the embedded platform, Argo Workflows on a cluster."""

    kind: Literal["process", "argo"]

    def submit(self, run: Run) -> None:
        """Start a run, or nothing where one of this name is known. Raises RejectedConflict where it never can."""

    def state(self, name: str) -> RunState:
        """What is known of a run."""

    def log(self, name: str, tail: int | None = 200) -> str:
        """The last lines that the run has printed so far, all where None (bounded), or an empty string."""

    def cancel(self, name: str) -> None:
        """Stop a run; it then counts as failed with the reason that it was cancelled."""

    def release(self, name: str, reason: str = "") -> None:
        """A run is not needed any more: stop what is left of it, for this reason, and forget it in due time."""


class Translator(Protocol):
    """Runs a translator of ``functions._translators`` as a child with limits."""

    def translate(self, framework: str, source: Path, target: Path, options: Mapping[str, object]) -> dict[str, object]:
        """Export the model in the folder ``source`` to ONNX below ``target`` and measure it; returns the report.

        Raises:
            RejectedContent: the model cannot be translated, with the reason.
        """


class Broker(Protocol):
    """Where events are announced."""

    def announce(self, event: Event) -> None:
        """Hand an event to the broker. Raises Unavailable where it does not take it."""


@dataclass(frozen=True)
class Recipient:
    """A tenant, and where its events are announced."""

    tenant: str
    broker: Broker


class Signatures(Protocol):
    """Verifies signatures of others; keys are in PEM, and nothing about them is believed."""

    def is_signed(self, envelope: bytes, public_key: str) -> bool:
        """Whether a DSSE envelope carries a valid signature of a P-256 key, under the key's own ``keyid``."""

    def is_signature(self, signed: bytes, signature: bytes, public_key: str) -> bool:
        """Whether a signature in DER, of something whose SHA-256 is ``signed``, is valid for a P-256 key."""

    def is_signature_of(self, data: bytes, signature: bytes, public_key: str) -> bool:
        """Whether a signature in DER of some data is valid for a key on P-256, P-384 or P-521."""

    def key_digest(self, public_key: str) -> str:
        """The digest of a public key (SHA-256 of its SPKI in DER). Raises RejectedContent where it is none."""

    def account_of(self, authorization: Authorization) -> str:
        """The checksummed account whose key signed an authorization. Raises RejectedContent where none did."""


class Issuer(Protocol):
    """The tenant's OpenID Connect issuer, who says who people are."""

    @property
    def names(self) -> ClaimNames:
        """Which claims of its tokens count."""

    def claims(self, token: str) -> Mapping[str, object]:
        """What a JWT claims that the issuer has signed for this platform, and that counts now.

        Raises:
            RejectedToken: it is none, with the reason.
            UnavailableIssuer: nobody can tell now.
        """


class Ports(Protocol):
    """All that a handler may touch. Each part is made on first use, so a function imports only what it needs.

    ``signer`` is that of the function's own role; functions without a role raise on use.
    """

    @property
    def tenant(self) -> str:
        """The tenant's name."""

    @property
    def storage(self) -> Storage:
        """The tenant's bucket."""

    @property
    def ledger(self) -> Ledger:
        """The tenant's ledger contracts."""

    @property
    def engine(self) -> Engine:
        """What trains."""

    @property
    def engine_kind(self) -> Literal["process", "argo"]:
        """Which engine trains, known without loading it."""

    @property
    def translator(self) -> Translator:
        """What starts translators."""

    @property
    def issuer(self) -> Issuer | None:
        """Who says who people are; None where the tenant has nobody who does."""

    @property
    def broker(self) -> Broker:
        """Where events are announced."""

    @property
    def recipients(self) -> Mapping[str, Recipient]:
        """Whom ``forward`` tells of uploads, by bucket."""

    @property
    def signer(self) -> Signer:
        """The keys of this function's role."""

    @property
    def signatures(self) -> Signatures:
        """Verifies signatures of others."""

    def now(self) -> datetime:
        """The time, for requests and marks; never for records."""

    def measure(self, name: str, value: float, unit: str, **attributes: str) -> None:
        """Tell whoever watches the platform how much there is of something now, ``{chain}`` being a unit."""
