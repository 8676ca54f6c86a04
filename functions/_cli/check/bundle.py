"""The bundle as somebody's bucket: strict JSON in, the objects of its assets out, by the keys that a bucket has."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import UUID

from functions._domain import model_signature, paths
from functions._domain.bundles import SCHEMA, AssetPart, Bundle
from functions._domain.digests import canonical, digest_of
from functions._domain.errors import RejectedContent
from functions._domain.inventory import read as read_inventory
from functions._domain.ports import Entry
from functions._domain.schemas import require
from functions._domain.statements import Evidence, opened


def load(data: bytes) -> Mapping[str, Any]:
    """The JSON of a bundle; a name that comes twice is refused, since readers would differ in which one counts.

    Raises:
        RejectedContent: not such a document, or one of a newer platform.
    """
    try:
        document = json.loads(data, object_pairs_hook=_distinct, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RejectedContent(f"not a bundle: {error}") from error
    if not isinstance(document, dict):
        raise RejectedContent("not a bundle: expected a JSON object")
    require(document.get("schema"), SCHEMA, "the bundle")
    return document


def parse(document: Mapping[str, Any]) -> Bundle:
    """The bundle in a document. Raises RejectedContent where a field is missing, unknown, or not of its form."""
    from pydantic import ValidationError

    from functions._domain.requests import readable

    try:
        return Bundle.model_validate(document)
    except ValidationError as error:
        raise RejectedContent(f"not a bundle: {readable(error)}") from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a name comes twice among {sorted(name for name, _ in pairs)[:5]}")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


class BundleReader:
    """Implements ``ports.Reader``."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @cached_property
    def _objects(self) -> Mapping[str, bytes]:
        return {key: data for part in self._bundle.assets for key, data in _objects(part)}

    def read(self, key: str, limit: int = 64 << 20) -> bytes | None:
        """An object whole, or None where there is none."""
        return self._objects.get(key)

    def open(self, key: str) -> Iterator[bytes] | None:
        """An object in one chunk, or None where there is none."""
        data = self.read(key)
        return None if data is None else iter([data])

    def list(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """All objects below a prefix in key order."""
        for key in sorted(self._objects):
            if key.startswith(prefix) and key > after:
                yield Entry(key, len(self._objects[key]), datetime.fromtimestamp(0, UTC))


def statements(part: AssetPart) -> list[tuple[str, Evidence]]:
    """An asset's statements by claim, that of the sealing step first. Raises RejectedContent where one is none."""
    return [(one.claim, opened(canonical(one.envelope))) for one in part.evidence]


def _objects(part: AssetPart) -> Iterator[tuple[str, bytes]]:
    asset = UUID(part.id)
    yield paths.record_key(asset), canonical(part.record)
    yield paths.inventory_key(asset), part.inventory.encode()
    for one in part.authorizations:
        data = canonical(one)
        yield f"{paths.authorizations_prefix(asset)}{digest_of(data)[7:]}.json", data
    claim, sealed = statements(part)[0]
    yield paths.evidence_key(asset, claim, str(asset)), sealed.envelope
    if part.revocation is not None:
        yield paths.revocation_key(asset), canonical(part.revocation)
    if part.imported_signature is not None:
        yield paths.imported_signature_key(asset), part.imported_signature.encode()
    if part.model_signature is not None:
        lines = read_inventory([part.inventory.encode()])
        key = str(sealed.signer.get("publicKey", ""))
        again = model_signature.written_again(lines, str(asset), key, base64.b64decode(part.model_signature))
        yield paths.model_signature_keys(asset, key)[0], b"".join(again)
