"""An issuer's tokens and keys without a platform, by a clock that is set by hand; the issuer itself is real."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from functions._backends.issuer_keys import ALGORITHMS, FRESH, GAPS, KEPT, IssuerKeys, fetched
from functions._backends.oidc import OidcIssuer
from functions._cli.doctor import issuer as doctor
from functions._domain import bearers
from functions._domain.errors import RejectedForbidden, RejectedToken, UnavailableIssuer
from functions._domain.issuers import ClaimNames, is_issuer
from functions._runtime.telemetry.redaction import redacted
from tests.issuer import AUDIENCE, DISCOVERY, KEYS, MAKE, Issuer, encoded, public_jwk

ASKED_ONCE = [DISCOVERY, KEYS]


class Desk:
    """What checks an issuer's tokens, and its clock."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer, self.now = issuer, 1000.0
        self.checks = OidcIssuer(IssuerKeys(issuer.url, lambda: self.now), AUDIENCE)

    def takes(self, token: str) -> str:
        return str(self.checks.claims(token)["sub"])

    def refuses(self, token: str, words: str = "not signed with a key") -> None:
        with pytest.raises(RejectedToken, match=words):
            self.checks.claims(token)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def desk(issuer: Issuer) -> Desk:
    return Desk(issuer)


@pytest.mark.parametrize("algorithm", sorted(MAKE))
def test_every_algorithm_that_is_taken_is_checked(algorithm: str) -> None:
    with Issuer(algorithm) as issuer:
        desk = Desk(issuer)
        token = issuer.token()
        assert desk.takes(token) == "alice"
        head, claims, signature = token.split(".")
        flipped = ("A" if signature[7] != "A" else "B").join((signature[:7], signature[8:]))
        desk.refuses(f"{head}.{claims}.{flipped}", "has not signed it")
        desk.refuses(issuer.token(key=MAKE[algorithm]()), "has not signed it")


def test_all_algorithms_are_asymmetric() -> None:
    assert {name.replace("Ed448", "EdDSA") for name in MAKE} == set(ALGORITHMS)
    assert not {name for name in ALGORITHMS if name.startswith(("HS", "none"))}


# When the issuer is asked


def test_the_issuer_is_asked_once_for_many_tokens(desk: Desk, issuer: Issuer) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(desk.takes, [issuer.token() for _ in range(64)])) == {"alice"}
    assert issuer.asked == ASKED_ONCE


def test_a_new_key_is_found_by_asking_once_and_the_old_one_counts_no_more(desk: Desk, issuer: Issuer) -> None:
    old = issuer.token()
    desk.takes(old)
    issuer.rotate("second")
    desk.now += 1
    assert desk.takes(old), "its key is known still"
    assert desk.takes(issuer.token()) == "alice"
    desk.refuses(old)
    assert issuer.asked == 2 * ASKED_ONCE


def test_a_stream_of_unknown_keys_is_no_stream_of_questions(desk: Desk, issuer: Issuer) -> None:
    stranger = MAKE["RS256"]()
    good = issuer.token()
    for second in range(61):
        desk.now = 1000.0 + second
        desk.refuses(issuer.token(key=stranger, kid=f"unknown-{second}"))
        assert desk.takes(good)
    assert len(issuer.asked) <= 2 * (1 + 60 / GAPS["unknown"])


def test_while_keys_of_strangers_are_refused_a_new_key_is_found_soon(desk: Desk, issuer: Issuer) -> None:
    desk.takes(issuer.token())
    desk.now += 1
    desk.refuses(issuer.token(kid="unknown"))
    issuer.rotate("second")
    desk.refuses(issuer.token())
    desk.now += GAPS["unknown"]
    assert desk.takes(issuer.token())


def test_a_key_that_the_issuer_has_withdrawn_counts_until_keys_are_asked_for_again(desk: Desk, issuer: Issuer) -> None:
    withdrawn = issuer.token()
    desk.takes(withdrawn)
    issuer.rotate("second")
    desk.now += FRESH
    assert desk.takes(withdrawn)
    desk.now += 1
    desk.refuses(withdrawn)


def test_keys_that_are_known_go_on_counting_while_the_issuer_is_away(desk: Desk, issuer: Issuer) -> None:
    desk.takes(issuer.token())
    issuer.is_away = True
    for _ in range(5):
        desk.now += FRESH
        assert desk.takes(issuer.token())
    desk.now = 1000.0 + KEPT + 1
    with pytest.raises(UnavailableIssuer):
        desk.takes(issuer.token())
    issuer.is_away = False
    desk.now += GAPS["old"]
    assert desk.takes(issuer.token())


def test_an_issuer_that_is_away_is_asked_no_more_often_for_that(desk: Desk, issuer: Issuer) -> None:
    desk.takes(issuer.token())
    issuer.is_away = True
    before = len(issuer.asked)
    for second in range(121):
        desk.now = 1000.0 + FRESH + 1 + second
        desk.takes(issuer.token())
    assert len(issuer.asked) - before <= 1 + 120 / GAPS["old"]


def test_without_the_issuer_nobody_knows_whether_an_unknown_key_is_its_own(desk: Desk, issuer: Issuer) -> None:
    issuer.is_away = True
    for _ in range(2):
        with pytest.raises(UnavailableIssuer, match="try again"):
            desk.takes(issuer.token())
    assert len(issuer.asked) == 1, "asked once, though two wanted to know"
    issuer.is_away = False
    desk.now += GAPS["none"]
    assert desk.takes(issuer.token())
    issuer.is_away = True
    desk.now += 1
    for _ in range(2):
        with pytest.raises(UnavailableIssuer):
            desk.takes(issuer.token(kid="unknown"))


def test_what_is_no_token_of_the_issuer_is_refused_without_asking(desk: Desk, issuer: Issuer) -> None:
    for token in ("a.b.c", "..", issuer.token(alg="none"), issuer.token(crit=["exp"]), issuer.token(typ="logout+jwt")):
        desk.refuses(token, "opens nothing")
    assert issuer.asked == []


def test_a_key_that_a_token_brings_or_leads_to_is_not_looked_at(desk: Desk, issuer: Issuer) -> None:
    with Issuer() as stranger:
        leads = {"jku": f"{stranger.origin}{KEYS}", "x5u": f"{stranger.origin}/x5u", "jwk": public_jwk(stranger.key)}
        for kid in (issuer.key_name, "theirs", None):
            token = stranger.token({"iss": issuer.url}, kid=kid, **leads)
            desk.refuses(token, "signed")
        assert stranger.asked == []


# What an issuer may say of itself


def test_a_token_without_a_key_name_is_taken_where_there_is_one_key(desk: Desk, issuer: Issuer) -> None:
    assert desk.takes(issuer.token(kid=None))
    issuer.rotate("second", keep=True)
    desk.now += FRESH + 1
    assert desk.takes(issuer.token())
    desk.refuses(issuer.token(kid=None))


UNUSABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "for encryption": lambda key: public_jwk(key, "first", use="enc"),
    "for signing only": lambda key: public_jwk(key, "first", key_ops=["sign"]),
    "operations of no kind": lambda key: public_jwk(key, "first", key_ops=7),
    "for another algorithm": lambda key: public_jwk(key, "first", alg="RS512"),
    "for a symmetric algorithm": lambda key: public_jwk(key, "first", alg="HS256"),
    "with its private half": lambda key: {
        **RSAAlgorithm.to_jwk(key, as_dict=True),
        "kid": "first",
        "key_ops": ["verify"],
    },
    "a shared secret": lambda key: {"kty": "oct", "kid": "first", "k": encoded(b"\1" * 64), "alg": "HS256"},
    "too short": lambda key: public_jwk(rsa.generate_private_key(65537, 1024), "first"),
    "without a modulus": lambda key: {"kty": "RSA", "kid": "first", "e": "AQAB"},
    "a modulus of no kind": lambda key: {"kty": "RSA", "kid": "first", "e": "AQAB", "n": 7},
    "a kind of no kind": lambda key: {"kty": ["RSA"], "kid": "first"},
    "a name of no kind": lambda key: public_jwk(key, "first", kid=7),
    "an unknown curve": lambda key: {"kty": "EC", "crv": "secp256k1", "kid": "first", "x": "AA", "y": "AA"},
}


@pytest.mark.parametrize("which", UNUSABLE)
def test_a_key_that_is_not_for_this_is_passed_over(desk: Desk, issuer: Issuer, which: str) -> None:
    other = public_jwk(MAKE["ES256"](), "other")
    issuer.answers[KEYS] = 200, {"keys": [7, UNUSABLE[which](issuer.key), other]}
    desk.refuses(issuer.token(), "signed")
    issuer.answers.clear()
    desk.now += FRESH + 1
    assert desk.takes(issuer.token())


def test_of_two_keys_with_one_name_that_of_the_tokens_algorithm_counts(desk: Desk, issuer: Issuer) -> None:
    issuer.answers[KEYS] = 200, {"keys": [public_jwk(MAKE["ES256"](), "first"), public_jwk(issuer.key, "first")]}
    assert desk.takes(issuer.token())


def drips(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(60):
        try:
            handler.wfile.write(b" ")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.2)


MISLEADING: dict[str, tuple[str, Any, str]] = {
    "no discovery": (DISCOVERY, (404, {}), "answered 404"),
    "a redirect": (DISCOVERY, (302, {}), "answered 302"),
    "an error": (KEYS, (500, {}), "answered 500"),
    "a page": (DISCOVERY, (200, b"<html>"), "no JSON"),
    "a list": (KEYS, (200, []), "no JSON object"),
    "a depth": (DISCOVERY, (200, b"[" * 200_000), "no JSON"),
    "another issuer": (DISCOVERY, (200, {"issuer": "https://evil.example.org", "jwks_uri": ""}), "they must be equal"),
    "no place for keys": (DISCOVERY, None, "expected an https address"),
    "keys elsewhere in clear": (DISCOVERY, "http://evil.example.org/keys", "expected an https address"),
    "keys in a file": (DISCOVERY, "file:///etc/passwd", "expected an https address"),
    "no keys": (KEYS, (200, {"keys": []}), "no key by which"),
    "keys of no kind": (KEYS, (200, {"keys": {"a": 1}}), "no key by which"),
    "too much": (KEYS, (200, b" " * (257 << 10)), "more than 262144 bytes"),
    "too slowly": (KEYS, drips, "for longer than 6 s"),
}


@pytest.mark.parametrize("which", MISLEADING)
def test_an_issuer_that_does_not_say_its_keys_is_named_with_what_is_wrong(issuer: Issuer, which: str) -> None:
    path, answer, words = MISLEADING[which]
    if not callable(answer) and not isinstance(answer, tuple):
        answer = 200, {"issuer": issuer.url, **({"jwks_uri": answer} if answer else {})}
    issuer.answers[path] = answer
    with pytest.raises(UnavailableIssuer, match=words):
        fetched(issuer.url)
    assert not any("elsewhere" in one for one in issuer.asked)


def test_the_doctor_asks_the_issuer_where_there_is_one(issuer: Issuer) -> None:
    assert list(doctor.looks({})) == []
    (found,) = doctor.looks(issuer.settings)
    assert found.ok
    assert found.found == f"{issuer.url} signs with 1 key: PS256, PS384, PS512, RS256, RS384, RS512"
    issuer.is_away = True
    with pytest.raises(UnavailableIssuer, match="does not answer"):
        list(doctor.looks(issuer.settings))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://login.example.org", True),
        ("https://login.example.org/", True),
        ("https://login.example.org:8443/realms/acme", True),
        ("http://127.0.0.1:8080/realms/acme", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080", True),
        ("http://keycloak.auth.svc/realms/acme", True),
        ("http://keycloak.auth.svc.cluster.local:8080", True),
        ("http://login.example.org", False),
        ("http://10.0.0.7", False),
        ("http://keycloak.auth", False),
        ("http://svc", False),
        ("http://evil.svc.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost@evil.example.org", False),
        ("https://user:password@login.example.org", False),
        ("https://login.example.org?realm=acme", False),
        ("https://login.example.org?", False),
        ("https://login.example.org#", False),
        ("https://login.example.org/ acme", False),
        ("https://login.example.org:port", False),
        ("https://", False),
        ("login.example.org", False),
        ("ftp://login.example.org", False),
    ],
)
def test_an_issuer_is_where_nobody_can_answer_in_its_place(url: str, expected: bool) -> None:
    assert is_issuer(url) is expected


# Who somebody is


@pytest.mark.parametrize(
    ("names", "claims", "roles"),
    [
        (ClaimNames(), {"roles": ["reader", "operator", "dev"]}, {"reader", "operator"}),
        (ClaimNames(), {"roles": "openid publisher"}, {"publisher"}),
        (ClaimNames(roles="realm_access.roles"), {"realm_access": {"roles": ["reader"]}}, {"reader"}),
        (ClaimNames(roles="https://acme.example/roles"), {"https://acme.example/roles": ["reader"]}, {"reader"}),
        (ClaimNames(role_prefix="polyglot:"), {"roles": ["polyglot:reader", "operator"]}, {"reader"}),
        (ClaimNames(), {"roles": [7, None, ["operator"], "reader"]}, {"reader"}),
    ],
)
def test_roles_are_found_where_the_settings_say(names: ClaimNames, claims: dict[str, Any], roles: set[str]) -> None:
    found = bearers.principal(names, {"sub": "alice", **claims})
    assert (found.subject, found.roles) == ("oidc:alice", roles)


@pytest.mark.parametrize(
    "roles", [None, [], "", "readers", ["Reader"], ["xreader"], {"reader": True}, 7, "reader,operator", [["reader"]]]
)
def test_without_a_role_of_ours_it_is_said_what_is_expected(roles: object) -> None:
    with pytest.raises(RejectedForbidden, match=r"one of p-reader, p-publisher, p-operator in the claim 'roles'"):
        bearers.principal(ClaimNames(role_prefix="p-"), {"sub": "alice", "roles": roles})


@pytest.mark.parametrize("subject", [None, "", " ", 7, ["alice"], "a" * 256, "a\nb", "a\x00b", "\u202e"])
def test_a_token_of_nobody_is_refused(subject: object) -> None:
    with pytest.raises(RejectedToken, match="names nobody"):
        bearers.principal(ClaimNames(), {"sub": subject, "roles": ["reader"]})


@given(st.text(max_size=60) | st.builds(lambda *parts: ".".join(parts), st.text(), st.text(), st.text()))
def test_whatever_is_sent_is_refused_in_words(token: str) -> None:
    with pytest.raises(RejectedToken, match="opens nothing"):
        OidcIssuer(IssuerKeys("https://127.0.0.1:9"), AUDIENCE).claims(token)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "zip"]), JSON))
def test_whatever_a_header_says_is_refused_in_words(header: dict[str, object]) -> None:
    token = f"{encoded(header)}.{encoded({'sub': 'alice'})}.{encoded(b'x' * 256)}"
    with pytest.raises(RejectedToken, match="opens nothing"):
        OidcIssuer(IssuerKeys("https://127.0.0.1:9"), AUDIENCE).claims(token)


@pytest.fixture(scope="module")
def signed() -> Iterator[Desk]:
    with Issuer("EdDSA") as issuer:
        yield Desk(issuer)


@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "jti", "roles"]), JSON, min_size=1))
def test_whatever_is_claimed_is_refused_in_words_or_counts(signed: Desk, claims: dict[str, Any]) -> None:
    try:
        found = bearers.principal(ClaimNames(), signed.checks.claims(signed.issuer.token(claims)))
    except (RejectedToken, RejectedForbidden):
        return
    assert found.subject == f"oidc:{claims.get('sub', 'alice')}"
    assert not {"aud", "iss"} & claims.keys()


def test_who_meets_no_jwt_loads_nothing_that_reads_them() -> None:
    program = "import sys; from functions._runtime import entry, http, tokens; print('jwt' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_jwt_is_not_told_in_logs(issuer: Issuer) -> None:
    token = issuer.token()
    found = redacted(f"refused {token}: {json.dumps({'token': token})}")
    assert not any(part in found for part in token.split("."))
