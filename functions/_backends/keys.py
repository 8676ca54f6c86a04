"""Role keys: for each role a secp256k1 key for the ledger and a P-256 key for statements, as files of a folder.

``<role>.ledger.key`` holds 64 hex digits, ``<role>.statement.pem`` a PKCS#8 key; on a cluster each role's two files are
a Secret mounted only into its function. Statements go into DSSE envelopes (https://github.com/secure-systems-lab/dsse)
by way of ``securesystemslib``. A signature's ``keyid`` is the SHA-256 of the public key's SPKI DER, which the ledger's
role entry holds; the public key itself travels in the statement, so that the pair is checkable without us.
"""

import json
import os
import secrets
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from functions._domain.authorizations import Authorization, Message
from functions._domain.cluster import key_files
from functions._domain.digests import canonical, digest_of, hex_of
from functions._domain.ports import Role
from functions._domain.statements import PAYLOAD_TYPE

_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_DETERMINISTIC_PREHASHED = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)


class RoleKeys:
    """The two keys of a role, with the contracts that they sign for.

    Raises:
        FileNotFoundError: on first use, where the folder lacks the role's files.
    """

    def __init__(self, role: Role, folder: Path, chain_id: int, ledger: str, evidence_log: str) -> None:
        self.role = role
        self._folder, self._chain_id = folder, chain_id
        self._contracts = {"Registration": ledger, "Revocation": ledger, "Evidence": evidence_log}

    @cached_property
    def _ledger_key(self) -> bytes:
        return bytes.fromhex((self._folder / f"{self.role}.ledger.key").read_text().strip())

    @cached_property
    def _statement_key(self) -> ec.EllipticCurvePrivateKey:
        pem = (self._folder / f"{self.role}.statement.pem").read_bytes()
        return cast(ec.EllipticCurvePrivateKey, load_pem_private_key(pem, None))

    @cached_property
    def account(self) -> str:
        """The ledger account of the role, checksummed."""
        return account_of(self._ledger_key)

    @cached_property
    def public_key(self) -> str:
        """The P-256 public key in PEM."""
        return self._statement_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def signing_key_digest(self) -> str:
        """What the ledger's role entry holds: the digest of the P-256 public key."""
        return key_digest(self.public_key)

    def authorize(self, message: Message) -> Authorization:
        """Sign an EIP-712 message for the ledger."""
        from functions._backends import typed_data

        contract = self._contracts[message.type]
        signature = typed_data.sign(self._ledger_key, typed_data.digest(message, self._chain_id, contract))
        return Authorization(message, self.role, self.account, self._chain_id, contract, signature)

    def sign(self, statement: Mapping[str, object]) -> bytes:
        """A statement in a signed envelope; who signs is written into its predicate first."""
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer._signature import Signature

        predicate = {
            **cast(Mapping[str, object], statement["predicate"]),
            "signer": {"role": self.role, "account": self.account, "publicKey": self.public_key},
        }
        envelope = Envelope(canonical({**statement, "predicate": predicate}), PAYLOAD_TYPE, {})
        raw = self._statement_key.sign(envelope.pae(), _DETERMINISTIC)
        key_id = hex_of(self.signing_key_digest)
        envelope.signatures[key_id] = Signature(key_id, raw.hex())
        return canonical(envelope.to_dict())

    def sign_digest(self, digest: bytes) -> bytes:
        """The P-256 key's signature, in DER, of something whose SHA-256 this is."""
        return self._statement_key.sign(digest, _DETERMINISTIC_PREHASHED)

    def made(self, envelope: bytes) -> bool:
        """Whether an envelope carries this role key's valid signature."""
        return verified_by(envelope, self.public_key)


def verified_by(envelope: bytes, public_key: str) -> bool:
    """Whether a DSSE envelope carries a valid signature of a P-256 public key in PEM."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError

    try:
        parsed = Envelope.from_dict(json.loads(envelope))
        signature = parsed.signatures[hex_of(key_digest(public_key))]
        key = cast(ec.EllipticCurvePublicKey, load_pem_public_key(public_key.encode()))
        key.verify(bytes.fromhex(signature.signature), parsed.pae(), ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, FormatError, KeyError, TypeError, ValueError):
        return False
    return True


def key_digest(public_key: str) -> str:
    """The digest of a public key: SHA-256 of its SPKI in DER."""
    key = load_pem_public_key(public_key.encode())
    return digest_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def account_of(ledger_key: bytes) -> str:
    """The checksummed address of a secp256k1 private key."""
    from eth_keys.datatypes import PrivateKey

    return PrivateKey(ledger_key).public_key.to_checksum_address()


def create(role: str, folder: Path) -> None:
    """Make a role's two keys where they are missing; existing files are left as they are."""
    ledger, statement = key_files(role)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_once(folder / ledger, secrets.token_bytes(32).hex().encode())
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_once(folder / statement, pem)


def replace(role: str, folder: Path, source: Path) -> None:
    """Put a role's two keys of another folder in the place of this one's."""
    for name in key_files(role):
        draft = folder / f"{name}.next"
        draft.unlink(missing_ok=True)
        _write_once(draft, (source / name).read_bytes())
        draft.replace(folder / name)


def create_admin(folder: Path) -> bytes:
    """The tenant's admin key, made where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "admin.ledger.key"
    _write_once(path, secrets.token_bytes(32).hex().encode())
    return bytes.fromhex(path.read_text().strip())


def _write_once(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    try:
        os.link(temporary, path)  # never replaces a key that is there
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
