"""An OpenID Connect issuer for tests: a real HTTP server on loopback, with real keys, that can also misbehave.

with Issuer() as issuer:
    token = issuer.token({"sub": "alice", "roles": ["reader"]})
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

DISCOVERY, KEYS = "/realms/acme/.well-known/openid-configuration", "/realms/acme/keys"
AUDIENCE = "polyglot-acme"

MAKE: Mapping[str, Callable[[], Any]] = {
    **dict.fromkeys(
        ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), lambda: rsa.generate_private_key(65537, 2048)
    ),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


def public_jwk(key: Any, name: str | None = None, **more: object) -> dict[str, Any]:
    """A key's public half, as a JWK set has it."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    algorithm = next((kind for of, kind in kinds.items() if isinstance(key, of)), OKPAlgorithm)
    named = {} if name is None else {"kid": name}
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig", **named, **more}


def encoded(part: object) -> str:
    """A part of a JWT."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Answers from ``__enter__`` to ``__exit__``.

    Attributes:
        asked: the paths that it was asked for, in order.
        answers: what it answers instead, by path: a status and a body; a callable is called with the handler.
        is_away: whether it cuts every connection.
    """

    def __init__(self, algorithm: str = "RS256") -> None:
        self.algorithm = algorithm
        self.keys: dict[str, Any] = {}
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {}
        self.is_away = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/realms/acme"
        self.rotate("first")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def settings(self) -> dict[str, str]:
        """What a platform is told of it."""
        return {"POLYGLOT_OIDC_ISSUER": self.url, "POLYGLOT_OIDC_AUDIENCE": AUDIENCE}

    @property
    def key(self) -> Any:
        """The key that it signs with now."""
        return self.keys[self.key_name]

    def rotate(self, name: str, keep: bool = False) -> None:
        """Sign with a new key; the old one is gone unless it is kept."""
        if not keep:
            self.keys.clear()
        self.keys[name] = MAKE[self.algorithm]()
        self.key_name = name

    def claims(self, **more: object) -> dict[str, object]:
        """What a good token claims; None leaves a claim out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300, "roles": ["reader"]}
        return {name: value for name, value in {**usual, **more}.items() if value is not None}

    def token(
        self, claims: Mapping[str, object] | None = None, key: Any = None, algorithm: str = "", **header: object
    ) -> str:
        """A signed token: a good one, with other claims, another key, algorithm or header (None leaves a name out)."""
        signs = get_default_algorithms()[algorithm or self.algorithm.replace("Ed448", "EdDSA")]
        named = {"alg": algorithm or self.algorithm.replace("Ed448", "EdDSA"), "typ": "JWT", "kid": self.key_name}
        said = {name: value for name, value in {**named, **header}.items() if value is not None}
        signed = f"{encoded(said)}.{encoded(self.claims(**(claims or {})))}"
        signature = signs.sign(signed.encode(), signs.prepare_key(self.key if key is None else key))
        return f"{signed}.{encoded(signature)}"

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if self.is_away:
            handler.connection.close()
            return
        usual: dict[str, object] = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": f"{self.origin}{KEYS}"},
            KEYS: {"keys": [public_jwk(key, name) for name, key in self.keys.items()]},
        }
        found = self.answers.get(handler.path, (200, usual.get(handler.path)))
        if callable(found):
            found(handler)
            return
        status, body = found
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status if body is not None else 404)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in ({"Location": f"{self.origin}/elsewhere"} if status in (301, 302, 307) else {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)
