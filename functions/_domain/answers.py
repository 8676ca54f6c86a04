"""What the HTTP interface answers, as the OpenAPI document shows it."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """An answer; clients ignore fields they do not know."""

    # Built on first use: a cold start pays for the one answer that it gives, not for all.
    model_config = ConfigDict(frozen=True, defer_build=True)


class Accepted(Answer):
    """A request was accepted: its id, the asset it is about or will make, where to ask what became of it."""

    id: UUID
    asset: UUID
    links: dict[str, str] = {}


class PresignedPart(Answer):
    """A request the client may send, exactly so."""

    method: str
    url: str
    headers: dict[str, str] = {}


class PresignedFile(Answer):
    """Where a file's bytes go: one ``put``, or ``parts`` of one ``upload_id``; ``present`` when they are there."""

    path: str
    put: PresignedPart | None = None
    upload_id: str | None = None
    parts: list[PresignedPart] = []
    present: bool = False


class PresignedFiles(Answer):
    """One page of presigned files, in the order asked."""

    files: list[PresignedFile]


class CompletedFiles(Answer):
    """The paths that are objects now."""

    paths: list[str]


class PushedImage(Answer):
    """An image folder's digest, and where its files go."""

    digest: str
    files: list[PresignedFile]


class ContractAnswer(Answer):
    """What the ledger says of an asset. ``registered_at`` is the block's time in seconds since 1970.

    Of a revoked one, ``revoked_at`` is that block's time, ``revoked_reason_digest`` what the ledger has of the reason,
    and ``revoked_reason`` the text with that digest, null where the store does not have it any more.
    """

    address: str
    ledger: str
    chain_id: int
    kind: str
    registered_at: int
    revoked: bool
    inventory_digest: str
    record_digest: str
    authorizer: str
    parents: list[UUID]
    revoked_at: int | None = None
    revoked_reason: str | None = None
    revoked_reason_digest: str | None = None


class RevokedAnswer(Answer):
    """That an asset was revoked: why (empty where that is not in the store any more), and when, RFC 3339."""

    reason: str
    time: str


class StepAnswer(Answer):
    """One step of a chain."""

    step: str
    asset: UUID
    state: Literal["done", "waiting", "running", "rejected", "failed", "exhausted"]
    reason: str = ""
    detail: dict[str, Any] = {}


class StatusAnswer(Answer):
    """How far an asset has come.

    ``state`` is ``complete`` when every step of its own chain is done, else that of the first step that is not:
    ``waiting``, ``running``, ``rejected``, ``failed`` or ``exhausted``; ``reason`` then says why and what to do. Of a
    training that goes on, ``reason`` is what it waits for, and ``log`` the last lines that it has printed. What was
    asked to be taken back of it adds its steps, and ``revoked`` and ``erased`` tell what came of it.
    """

    id: UUID
    kind: str
    state: str
    step: str
    attempt: int
    reason: str = ""
    log: str = ""
    steps: list[StepAnswer]
    trained_model: UUID | None = None
    translation: UUID | None = None
    revoked: RevokedAnswer | None = None
    erased: str | None = None


class RequestAnswer(Answer):
    """What became of a request: its chain's state, and for a verification each claim's verdict.

    Of a training that goes on, ``reason`` is what it waits for, and ``log`` the last lines that it has printed.
    """

    id: UUID
    route: str
    asset: UUID
    time: str
    state: str
    reason: str = ""
    log: str = ""
    steps: list[StepAnswer] = []
    claims: list["ClaimAnswer"] = []


class ClaimAnswer(Answer):
    """A verified claim: its verdict, findings, and whether the ledger has it.

    The verdict is ``passed``, ``within-tolerance``, ``failed`` or ``not applicable``, and empty while nothing is known.
    ``detail`` is what a reproduction's statement says beside: its class, the distance, both trainings.
    """

    claim: str
    verdict: str
    findings: list[str] = []
    statement_digest: str | None = None
    recorded: bool = False
    detail: dict[str, Any] = {}


class AssetSummary(Answer):
    """One row of a list."""

    id: UUID
    kind: str
    name: str
    status: str


class AssetList(Answer):
    """Assets, oldest first."""

    assets: list[AssetSummary]


class AssetAnswer(Answer):
    """An asset: the fields of its record, and what the ledger says; ``erased`` is when its files were removed."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: UUID
    kind: str
    name: str
    contract: ContractAnswer | None = None
    erased: str | None = None
    trained_model: UUID | None = None
    translation: UUID | None = None


class LineageNode(Answer):
    """An asset in a lineage; ``parents`` are within the lineage."""

    id: UUID
    kind: str
    name: str
    inventory_digest: str
    address: str | None
    parents: list[UUID]
    revoked: bool = False


class LineageAnswer(Answer):
    """An asset with all its ancestors and descendants, parents first."""

    subject: UUID
    nodes: list[LineageNode]


class EvidenceAnswer(Answer):
    """The evidence of an asset and its ancestors, parents first, with the ledger's proof at one block.

    It is a bundle (``polyglot evidence`` writes one) but for the inventories, which ``GET /v1/assets/{id}/files/``
    redirects to: ``inventory`` is to be added to each asset, and ``schema``, ``polyglot/bundle/v1``.
    """

    subject: UUID
    assets: list[dict[str, Any]]
    ledger: dict[str, Any]


class LogsAnswer(Answer):
    """What a training printed, its last lines."""

    lines: str = Field(description="plain text")


class TokenRevokedAnswer(Answer):
    """That an API token counts no more: on whose word (empty where the mark cannot be read), and since when."""

    by: str
    time: str


class TokenAnswer(Answer):
    """An API token, without itself: who acts with it, what it may do, until when.

    Times are RFC 3339. ``expires`` is null where it never does, ``created`` empty of an old one that does not say, and
    ``by``, who made it, empty where the owner of the bucket did. One that cannot be read, and so opens nothing, has
    neither subject nor role.
    """

    id: UUID
    subject: str
    role: str
    created: str
    expires: str | None = None
    by: str = ""
    revoked: TokenRevokedAnswer | None = None


class IssuedTokenAnswer(TokenAnswer):
    """A new API token. ``token`` is shown this once; the platform keeps its digest only."""

    token: str


class TokenList(Answer):
    """Every API token, oldest first; expired and revoked ones too."""

    tokens: list[TokenAnswer]


class CleaningAnswer(Accepted):
    """What is asked to be removed: given-up uploads, assets of whose runs copies are left, what both come to.

    ``next`` is where to go on, empty where everything was looked at.
    """

    uploads: int
    runs: int
    files: int
    size: int
    next: str = ""


class SweepAnswer(Answer):
    """What a sweep looked at and announced."""

    looked_at: int
    announced: list[str]


class Redirected(Answer):
    """A redirect whose ``Location`` is a presigned URL."""
