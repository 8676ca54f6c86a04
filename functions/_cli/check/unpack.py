"""The parts of a bundle as files, for the tools of others: in-toto, DSSE and OpenSSF verifiers, ``sha256sum``."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from functions._cli.check.bundle import BundleReader, parse, statements
from functions._domain.bundles import AssetPart
from functions._domain.paths import asset_prefix


def unpack(document: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Write each asset's parts below ``folder/<uuid>``: as stored, and the keys that signed."""
    bundle = parse(document)
    reader = BundleReader(bundle)
    for part in bundle.assets:
        for entry in reader.list(asset_prefix(UUID(part.id))):
            name = entry.key.removeprefix("assets/")
            yield _written(folder / name, reader.read(entry.key) or b"")
        yield from _keys(part, folder / part.id)


def _keys(part: AssetPart, folder: Path) -> Iterator[Path]:
    for number, (claim, statement) in enumerate(statements(part)):
        key = str(statement.signer.get("publicKey", ""))
        if number:
            yield _written(folder / "evidence" / f"{claim}.{statement.digest[7:15]}.json", statement.envelope)
        yield _written(folder / "keys" / f"{claim}.pem", key.encode())


def _written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
