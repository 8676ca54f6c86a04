"""Where things are in the bucket, and which file names an asset may have.

>>> checked_path("a/b.csv")
'a/b.csv'
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from uuid import UUID

OPEN, INBOX, ASSETS, REQUESTS, RUNS, DEAD_LETTERS = "open/", "inbox/", "assets/", "requests/", "runs/", "dead-letters/"
TOKENS = "tokens/"


def checked_path(path: str) -> str:
    """A file path that is safe and means the same everywhere, unchanged.

    Raises:
        ValueError: absolute, leaves the folder, has an empty part, a backslash, a control or unpaired character, is
            not in Unicode NFC form, or a part is longer than 255 bytes.
    """
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"{path!r} is not a path below the folder: write it relative, without empty parts, '.' or '..'"
        )
    if "\\" in path or any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        raise ValueError(f"{path!r} has a backslash or a control character: rename the file")
    if unicodedata.normalize("NFC", path) != path:
        raise ValueError(f"{path!r} is not in Unicode NFC form: rename the file to its NFC form")
    if any(len(part.encode()) > 255 for part in parts):
        raise ValueError(f"{path!r} has a part of more than 255 bytes: rename the file")
    return path


def clashing_paths(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths that some file system cannot hold together: equal but for case, or one a folder of the other."""
    seen: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        folded = path.casefold()
        folded = path if folded == path else folded  # mostly the same: then one string is kept, not two
        if folded in seen:
            return seen[folded], path
        if folded in folders:
            return folders[folded], path
        parts = folded.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder in seen:
                return seen[folder], path
            folders.setdefault(folder, path)
        seen[folded] = path
    return None


def request_key(request: UUID) -> str:
    """What was asked, by whom."""
    return f"requests/{request}.json"


def expected_key(request: UUID, page: int) -> str:
    """One page of what an upload's client says it uploaded."""
    return f"requests/{request}/expected-{page:06d}.jsonl"


def open_key(asset: UUID, request: UUID) -> str:
    """The mark that a chain has not ended; what the sweep lists."""
    return f"open/{asset}/{request}"


def asset_prefix(asset: UUID) -> str:
    """All that belongs to an asset."""
    return f"assets/{asset}/"


def files_prefix(asset: UUID) -> str:
    """An asset's bytes, browsable with any S3 client."""
    return f"assets/{asset}/files/"


def record_key(asset: UUID) -> str:
    """An asset's record."""
    return f"assets/{asset}/record.json"


def inventory_key(asset: UUID) -> str:
    """An asset's inventory."""
    return f"assets/{asset}/inventory.jsonl"


def revocation_key(asset: UUID) -> str:
    """Why an asset was revoked."""
    return f"assets/{asset}/revocation.json"


def journal_key(asset: UUID, step: str, attempt: int, outcome: str) -> str:
    """A mark."""
    return f"assets/{asset}/journal/{step}.{attempt}.{outcome}.json"


def evidence_key(asset: UUID, claim: str, request: str) -> str:
    """A statement in its envelope."""
    return f"assets/{asset}/evidence/{claim}.{request}.json"


def refusal_key(asset_json: str) -> str:
    """Beside an ``asset.json`` of the inbox, why it was not taken."""
    return f"{asset_json.removesuffix('asset.json')}rejected.json"


def evidence_prefix(asset: UUID) -> str:
    """An asset's evidence."""
    return f"assets/{asset}/evidence/"


def signatures_prefix(asset: UUID) -> str:
    """An asset's signatures in others' formats."""
    return f"assets/{asset}/signatures/"


def model_signature_keys(asset: UUID, public_key: str) -> tuple[str, str]:
    """Where a key's model signature is: its place, or beside it where an earlier key's stands there."""
    own = hashlib.sha256(public_key.encode()).hexdigest()
    return f"{signatures_prefix(asset)}model.sig", f"{signatures_prefix(asset)}model.{own}.sig"


def imported_signature_key(asset: UUID) -> str:
    """The signature that an imported model came with."""
    return f"{signatures_prefix(asset)}imported.sig"


def run_prefix(asset: UUID, execution: str = "") -> str:
    """Staged results of one execution, or of all."""
    return f"runs/{asset}/{execution}/" if execution else f"runs/{asset}/"


def chosen_key(asset: UUID) -> str:
    """Which execution counts."""
    return f"runs/{asset}/chosen.json"


def image_prefix(digest: str) -> str:
    """An image folder's files."""
    return f"images/{digest.removeprefix('sha256:')}/"


def name_key(kind: str, name: str, asset: UUID) -> str:
    """The index by kind and name."""
    return f"index/name/{kind}/{name}/{asset}"


def child_key(parent: UUID, child: UUID | str = "") -> str:
    """The index of descendants; without a child, their prefix."""
    return f"index/parent/{parent}/{child}"


def authorizations_prefix(asset: UUID) -> str:
    """An asset's authorizations."""
    return f"assets/{asset}/authorizations/"


def image_key(digest: str, path: str) -> str:
    """A file of an image folder."""
    return f"images/{digest.removeprefix('sha256:')}/{path}"


def token_key(digest: str) -> str:
    """What is known of the bearer token with this digest."""
    return f"{TOKENS}{digest.removeprefix('sha256:')}.json"


def token_revocation_key(digest: str) -> str:
    """That the bearer token with this digest counts no more."""
    return f"{TOKENS}{digest.removeprefix('sha256:')}.revoked.json"


def token_request_key(request: UUID) -> str:
    """Which token a request made."""
    return f"{TOKENS}requests/{request}.json"
