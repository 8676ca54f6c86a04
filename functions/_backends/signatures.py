"""Verifies what others signed: the side of ``ports.Signatures`` that knows keys.

Statements are verified by ``securesystemslib``, ledger authorizations by ``eth_keys``, the rest by ``cryptography``;
each is imported where it is used, since most functions verify nothing.
"""

from typing import TYPE_CHECKING

from functions._domain.authorizations import Authorization
from functions._domain.errors import RejectedContent

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec


class KeySignatures:
    """Implements ``ports.Signatures``."""

    def is_signed(self, envelope: bytes, public_key: str) -> bool:
        """Whether a DSSE envelope carries a valid signature of a P-256 key, under the key's own ``keyid``."""
        from functions._backends.keys import verified_by

        return verified_by(envelope, public_key)

    def is_signature(self, signed: bytes, signature: bytes, public_key: str) -> bool:
        """Whether a signature in DER, of something whose SHA-256 is ``signed``, is valid for a P-256 key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        key = _elliptic(public_key)
        if key is None or not isinstance(key.curve, ec.SECP256R1):
            return False
        try:
            key.verify(signature, signed, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except (InvalidSignature, ValueError):
            return False
        return True

    def is_signature_of(self, data: bytes, signature: bytes, public_key: str) -> bool:
        """Whether a signature in DER of some data is valid for a key on P-256, P-384 or P-521."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key = _elliptic(public_key)
        algorithms = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
        if key is None or key.curve.name not in algorithms:
            return False
        try:
            key.verify(signature, data, ec.ECDSA(algorithms[key.curve.name]))
        except (InvalidSignature, ValueError):
            return False
        return True

    def key_digest(self, public_key: str) -> str:
        """The digest of a public key. Raises RejectedContent where it is none."""
        from functions._backends.keys import key_digest

        try:
            return key_digest(public_key)
        except ValueError as error:
            raise RejectedContent(f"not a public key in PEM: {error}") from error

    def account_of(self, authorization: Authorization) -> str:
        """The checksummed account whose key signed an authorization. Raises RejectedContent where none did."""
        from eth_keys.exceptions import BadSignature
        from eth_utils.exceptions import ValidationError

        from functions._backends.typed_data import signer_of

        try:
            return signer_of(authorization)
        except (BadSignature, ValidationError, ValueError) as error:
            raise RejectedContent(f"the authorization's signature is none: {error}") from error


def _elliptic(public_key: str) -> "ec.EllipticCurvePublicKey | None":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None
