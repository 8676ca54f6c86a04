"""What clients may ask: the bodies of the HTTP interface, validated where bytes come in.

An ``asset.json`` in ``inbox/`` is the body of the matching POST plus ``files``.
"""

import re
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.fields import FieldInfo

from functions._domain.digests import is_digest
from functions._domain.paths import checked_path
from functions._domain.tokens import FOREIGN

PAGE = 1000
"""The most paths in one page of files."""
PARTS = 10_000
"""The most parts in one page of files."""

_IMAGE = re.compile(r"(?:[a-z0-9][a-z0-9._/:-]*@)?sha256:[0-9a-f]{64}")

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
"""Control characters, and other ends of lines, for a pattern."""


def _digest(value: str) -> str:
    if not is_digest(value):
        raise ValueError("expected sha256: and 64 lower-case hex digits")
    return value


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError(
            "the image is not pinned: expected NAME@sha256:<64 hex digits> (docker inspect --format "
            "'{{index .RepoDigests 0}}' shows it), or the digest that `polyglot image push DIR` printed"
        )
    return value


def _reason(value: str) -> str:
    if re.search(f"[{_CONTROL}]", value) or not value.strip():
        raise ValueError("a reason is text without control characters and line ends: write one line, in words")
    return value


def _subject(value: str) -> str:
    if re.search(f"[{_CONTROL}]", value) or value.strip() != value or not value:
        raise ValueError("a subject is a name, without control characters, line ends, and blanks around it")
    if value.lower().startswith(FOREIGN):
        raise ValueError(f"a subject that begins with {FOREIGN} is somebody whom the issuer names: choose another name")
    return value


def readable(error: ValidationError) -> str:
    """What is wrong with a document, field by field, for a person."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['msg']}" for one in found[:5]]
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    return "; ".join(shown).replace("Value error, ", "") + more


def _shown(pattern: str) -> FieldInfo:
    """A pattern for the OpenAPI document; our own check says in words what is wrong."""
    found: FieldInfo = Field(json_schema_extra={"pattern": f"^{pattern}$"})
    return found


Digest = Annotated[str, _shown("sha256:[0-9a-f]{64}"), AfterValidator(_digest)]
FilePath = Annotated[str, Field(min_length=1, max_length=700), AfterValidator(checked_path)]
Image = Annotated[str, Field(max_length=400), _shown(_IMAGE.pattern), AfterValidator(_image)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
ChannelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Licence = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9.+() -]+$")]
Subject = Annotated[str, Field(min_length=1, max_length=200), _shown(f"[^{_CONTROL}]+"), AfterValidator(_subject)]
Reason = Annotated[str, Field(min_length=1, max_length=1000), _shown(f"[^{_CONTROL}]+"), AfterValidator(_reason)]
HyperparameterName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")]


_NO_MORE: dict[str, JsonValue] = {"additionalProperties": False}
"""Beside the names that match, for the OpenAPI document."""


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    # Built on first use: a cold start pays for the one body that it takes, not for all.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class UploadBody(Body):
    """Opens an asset whose files will be uploaded."""

    kind: Literal["dataset", "trained-model"]


class FileEntry(Body):
    """One file of an upload: its path below the asset, its size in bytes, what the client digested.

    Without ``sha256`` the file is uploaded in ``parts`` parts and its digest comes with their completion; with the
    ``upload_id`` of an earlier answer the parts sent so far still count.
    """

    path: FilePath
    size: Annotated[int, Field(ge=0, le=5 * 2**40)]
    sha256: Digest | None = None
    parts: Annotated[int, Field(ge=0, le=PARTS)] = 0
    upload_id: Annotated[str, Field(min_length=1, max_length=2000)] | None = None


class FilesBody(Body):
    """One page of an upload, numbered from 0; the same page may be asked for again (fresh URLs)."""

    page: Annotated[int, Field(ge=0, le=999_999)]
    files: Annotated[tuple[FileEntry, ...], Field(min_length=1, max_length=PAGE)]


class CompletedFile(Body):
    """A file whose parts are all there: the digest the client took while uploading, the parts' ETags in order."""

    path: FilePath
    size: Annotated[int, Field(ge=0)]
    sha256: Digest
    upload_id: Annotated[str, Field(max_length=2000)]
    etags: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]


class CompleteBody(Body):
    """One page of files uploaded in parts; pages are numbered with those of ``FilesBody``."""

    page: Annotated[int, Field(ge=0, le=999_999)]
    files: Annotated[tuple[CompletedFile, ...], Field(min_length=1, max_length=100)]


class ImageBody(Body):
    """An image folder's files. Its digest is its inventory's."""

    files: Annotated[tuple[FileEntry, ...], Field(min_length=1, max_length=PAGE)]


class DatasetBody(Body):
    """Registers an uploaded dataset; ``allow_images`` limits which images may train on it."""

    upload: UUID
    name: Name = "dataset"
    licence: Licence | None = None
    allow_images: Annotated[tuple[Digest, ...], Field(max_length=100)] = ()


class Resources(Body):
    """What one training may use: processors, memory in bytes, GPUs."""

    cpu: Annotated[int, Field(ge=1, le=256)] = 1
    memory: Annotated[int, Field(ge=64 * 2**20, le=4 * 2**40)] = 2 * 2**30
    gpu: Annotated[int, Field(ge=0, le=16)] = 0


class ModelBody(Body):
    """Registers a model: datasets by channel, a pinned training image, its settings. ``deadline`` is in seconds."""

    datasets: Annotated[dict[ChannelName, UUID], Field(min_length=1, max_length=32, json_schema_extra=_NO_MORE)]
    image: Image
    command: Annotated[tuple[Annotated[str, Field(max_length=1000)], ...], Field(max_length=100)] = ("train",)
    hyperparameters: Annotated[
        dict[HyperparameterName, Annotated[str, Field(max_length=2500)]],
        Field(max_length=100, json_schema_extra=_NO_MORE),
    ] = {}
    resources: Resources = Resources()
    deadline: Annotated[int, Field(ge=1, le=30 * 86400)] = 3600
    name: Name = "model"


class _Signed(Body):
    """An OpenSSF model signature made by whoever trained a model, and the key that it must be of; both or none."""

    signature: Annotated[str, Field(min_length=1, max_length=6 * 2**20)] | None = None
    public_key: Annotated[str, Field(min_length=1, max_length=2000)] | None = None

    @model_validator(mode="after")
    def _require_both(self) -> Self:
        if (self.signature is None) != (self.public_key is None):
            raise ValueError("a signature and the public key of its signer are given together")
        return self


class TrainedModelBody(_Signed):
    """Imports a model trained elsewhere; ``dataset`` is a claim that nobody attests."""

    upload: UUID
    name: Name = "model"
    dataset: UUID | None = None


class TranslationBody(Body):
    """Asks for a translation; a model's UUID means its trained model."""

    asset: UUID
    opset: Annotated[int, Field(ge=7, le=27)] | None = None
    accelerator: Literal["none", "nvidia"] = "none"


class VerificationBody(Body):
    """Asks for claims to be verified; with ``path``, of one file only."""

    asset: UUID
    level: Literal["integrity", "provenance", "equivalence", "reproduction", "all"] = "integrity"
    path: FilePath | None = None


class RevocationBody(Body):
    """Revokes an asset: why, for whoever meets it from then on."""

    reason: Reason


class TokenBody(Body):
    """Makes an API token: who acts with it, what it may do, for how many seconds (90 days; null: for ever)."""

    subject: Subject
    role: Literal["reader", "publisher", "operator"]
    expires_in: Annotated[int, Field(ge=1, le=100 * 366 * 86400)] | None = 90 * 86400


class InboxFile(Body):
    """A file that an ``asset.json`` lists; the digest, where given, is an expectation."""

    path: FilePath
    size: Annotated[int, Field(ge=0)] | None = None
    sha256: Digest | None = None


class InboxDataset(Body):
    """``inbox/dataset/<name>/asset.json``."""

    files: Annotated[tuple[InboxFile, ...], Field(min_length=1, max_length=100_000)]
    name: Name | None = None
    licence: Licence | None = None
    allow_images: Annotated[tuple[Digest, ...], Field(max_length=100)] = ()


class InboxTrainedModel(_Signed):
    """``inbox/trained-model/<name>/asset.json``."""

    files: Annotated[tuple[InboxFile, ...], Field(min_length=1, max_length=100_000)]
    name: Name | None = None
    dataset: UUID | None = None
