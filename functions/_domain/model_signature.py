"""OpenSSF model signatures, written from an inventory: the bytes of the model are not read again.

A detached Sigstore bundle whose DSSE payload lists every file with its digest
(https://github.com/sigstore/model-transparency, signature format v1.0), so the public verifier accepts it:

    model_signing verify key --signature model.sig --public_key key.pem MODEL

Its root digest covers the files' digests and not their names, which is why the ledger holds the inventory's digest and
this is for others' tools. Everything but the signature's own bytes follows from inventory, name and key, and is
canonical JSON (RFC 8785), so who checks one writes it again and compares. A list of 300,000 files is never held whole.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from functions._domain.digests import canonical, digest_of_stream
from functions._domain.errors import RejectedContent
from functions._domain.inventory import InventoryLine
from functions._domain.ports import Signer
from functions._domain.statements import PAYLOAD_TYPE, STATEMENT

PREDICATE = "https://model_signing/signature/v1.0"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_SERIALIZATION = {"allow_symlinks": False, "hash_type": "sha256", "ignore_paths": [], "method": "files"}
_CHUNK = 3 << 16
"""A multiple of three, so that chunks of Base64 can be joined."""

_TAIL = 1024
_SIGNED = re.compile(
    rb'","payloadType":"[a-z./+-]+","signatures":\[\{"keyid":"","sig":"(?P<signature>[A-Za-z0-9+/]+={0,2})"\}\]\},'
    rb'"mediaType":"[a-z0-9./+-]+","verificationMaterial":\{"publicKey":\{"hint":"(?P<hint>[0-9a-f]{64})"\},'
    rb'"tlogEntries":\[\]\}\}'
)


def write(lines: Iterable[InventoryLine], name: str, signer: Signer, target: Path) -> str:
    """Sign a model's files into ``target``; returns the digest of the file written.

    Args:
        lines: the files, in the inventory's order.
        name: what the signature calls the model.
        signer: whose P-256 key signs.
        target: the file to write.
    """
    with TemporaryFile() as payload:
        signature = signer.sign_digest(_payload(lines, name, payload))
        with target.open("wb") as file:
            file.writelines(_bundle(payload, signature, hint_of(signer.public_key)))
    with target.open("rb") as file:
        return digest_of_stream(iter(lambda: file.read(1 << 20), b""))[0]


def hint_of(public_key: str) -> str:
    """How a signature names its key: the SHA-256 of the PEM text, in hex."""
    return hashlib.sha256(public_key.encode()).hexdigest()


def problem(
    lines: Iterable[InventoryLine],
    name: str,
    public_key: str,
    stored: Callable[[], Iterable[bytes] | None],
    is_signature: Callable[[bytes, bytes, str], bool],
) -> str:
    """What is wrong with a stored signature, or an empty string.

    Args:
        lines: the files, in the inventory's order.
        name: what the signature must call the model.
        public_key: whose it must be, in PEM.
        stored: opens the stored signature.
        is_signature: whether a signature of a SHA-256 digest is valid for a public key.
    """
    found = _ending(stored())
    if found is None:
        return "missing, or not in the form that this platform writes"
    if found["hint"].decode() != hint_of(public_key):
        return "by another key than the statement's"
    with TemporaryFile() as payload:
        signed = _payload(lines, name, payload)
        signature = base64.b64decode(found["signature"])
        expected = digest_of_stream(_bundle(payload, signature, hint_of(public_key)))
    if digest_of_stream(stored() or ()) != expected:
        return "of other files than the registered ones"
    return "" if is_signature(signed, signature, public_key) else "invalid"


def says(lines: Iterable[InventoryLine], name: str, stored: Callable[[], Iterable[bytes] | None]) -> bool:
    """Whether a stored signature is of exactly these files and this name, whoever signed it, valid or not."""
    found = _ending(stored())
    if found is None:
        return False
    with TemporaryFile() as payload:
        _payload(lines, name, payload)
        again = _bundle(payload, base64.b64decode(found["signature"]), found["hint"].decode())
        return digest_of_stream(stored() or ()) == digest_of_stream(again)


def signature_in(stored: Iterable[bytes] | None) -> bytes | None:
    """The key's own signature in a stored one, or None where there is none."""
    found = _ending(stored)
    return None if found is None else base64.b64decode(found["signature"])


def written_again(lines: Iterable[InventoryLine], name: str, public_key: str, signature: bytes) -> Iterator[bytes]:
    """A stored signature's bytes, from inventory, name, key and the key's own signature."""
    with TemporaryFile() as payload:
        _payload(lines, name, payload)
        yield from _bundle(payload, signature, hint_of(public_key))


def _ending(chunks: Iterable[bytes] | None) -> dict[str, bytes] | None:
    """The parts of a stored signature that do not follow from the inventory."""
    tail = b""
    for chunk in chunks or ():
        tail = (tail + chunk)[-_TAIL:]
    match = _SIGNED.search(tail)
    return match.groupdict() if match and match.end() == len(tail) else None


def _payload(lines: Iterable[InventoryLine], name: str, target: IO[bytes]) -> bytes:
    """Write the statement to a file; returns the SHA-256 of what is signed, the envelope's pre-authentication encoding.

    See https://github.com/secure-systems-lab/dsse/blob/master/protocol.md.
    """
    target.writelines(_statement(lines, name))
    length = target.tell()
    running = hashlib.sha256(f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {length} ".encode())
    for chunk in _chunks(target):
        running.update(chunk)
    return running.digest()


def _statement(lines: Iterable[InventoryLine], name: str) -> Iterator[bytes]:
    """The statement in canonical JSON; members are sorted, so the root digest comes last."""
    root, comma = hashlib.sha256(), b""
    yield b'{"_type":' + canonical(STATEMENT) + b',"predicate":{"resources":['
    for line in lines:
        root.update(bytes.fromhex(line.sha256))
        yield comma + canonical({"algorithm": "sha256", "digest": line.sha256, "name": line.path})
        comma = b","
    subject = [{"digest": {"sha256": root.hexdigest()}, "name": name}]
    yield b'],"serialization":' + canonical(_SERIALIZATION) + b"}"
    yield b',"predicateType":' + canonical(PREDICATE) + b',"subject":' + canonical(subject) + b"}"


def _bundle(payload: IO[bytes], signature: bytes, hint: str) -> Iterator[bytes]:
    yield b'{"dsseEnvelope":{"payload":"'
    for chunk in _chunks(payload):
        yield base64.b64encode(chunk)
    signatures = [{"keyid": "", "sig": base64.b64encode(signature).decode()}]
    yield b'","payloadType":' + canonical(PAYLOAD_TYPE) + b',"signatures":' + canonical(signatures) + b"}"
    material = {"publicKey": {"hint": hint}, "tlogEntries": []}
    yield b',"mediaType":' + canonical(MEDIA_TYPE) + b',"verificationMaterial":' + canonical(material) + b"}"


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk


@dataclass(frozen=True)
class Foreign:
    """A signature that somebody else made with an elliptic-curve key: what it lists, and what it signed."""

    files: dict[str, str]
    signed: bytes
    signature: bytes
    hint: str


def foreign(text: bytes) -> Foreign:
    """Read a signature made elsewhere, for example by ``model_signing sign key``.

    Raises:
        RejectedContent: not one, or of a kind that cannot be verified here: by certificate or Sigstore identity, over
            shards, or with other digests than SHA-256. The message says what to do.
    """
    try:
        bundle = json.loads(text)
        if bundle["mediaType"] != MEDIA_TYPE:
            raise ValueError(f"media type {bundle['mediaType']!r}")
        hint, envelope = str(bundle["verificationMaterial"]["publicKey"].get("hint") or ""), bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        statement = json.loads(payload)
        files = _listed(statement)
        header = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode()
        if envelope["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payload type {envelope['payloadType']!r}")
        return Foreign(files, header + payload, base64.b64decode(signature["sig"], validate=True), hint)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RejectedContent(
            f"not an OpenSSF model signature by a key ({error!r}): make one with "
            "`model_signing sign key --private_key KEY --signature model.sig MODEL`"
        ) from error


def _listed(statement: dict[str, object]) -> dict[str, str]:
    """The digests by path that a signed statement lists."""
    if statement["_type"] != STATEMENT or statement["predicateType"] != PREDICATE:
        raise ValueError(f"predicate type {statement['predicateType']!r}")
    predicate: dict[str, object] = statement["predicate"]  # type: ignore[assignment]
    serialization: dict[str, object] = predicate["serialization"]  # type: ignore[assignment]
    if serialization["method"] != "files" or serialization["hash_type"] != "sha256":
        raise ValueError(f"files are digested by {serialization['method']} with {serialization['hash_type']}")
    resources: list[dict[str, str]] = predicate["resources"]  # type: ignore[assignment]
    files = {one["name"]: one["digest"] for one in resources if one["algorithm"] == "sha256"}
    if len(files) != len(resources):
        raise ValueError("a file is listed twice, or with another digest than SHA-256")
    root = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()
    if statement["subject"][0]["digest"] != {"sha256": root}:  # type: ignore[index]
        raise ValueError("its root digest is not that of its files")
    return files
