"""People whom an issuer has signed for, through the real interface: what is taken of a JWT, and what is not."""

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from functions._domain.tokens import PREFIX
from functions._runtime.local import loopback
from functions._runtime.tokens import RANKS
from functions.declaration import FUNCTIONS, TOKEN_LIMIT, Route
from tests.issuer import AUDIENCE, DISCOVERY, KEYS, MAKE, Issuer, encoded, public_jwk
from tests.platforms import Site, started
from tests.strangers import NOBODY, make_token, problem, refused

ROUTES = [route for function in FUNCTIONS for route in function.routes]
ROLES = ("reader", "publisher", "operator")
Forged = Callable[[Issuer], str]


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def people(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform whose people an issuer names, by roles that begin with ``polyglot-``."""
    told = {**issuer.settings, "POLYGLOT_OIDC_ROLE_PREFIX": "polyglot-", "POLYGLOT_OIDC_ROLES_CLAIM": "access.roles"}
    site = started(tmp_path_factory.mktemp("people"), environ={**os.environ, **told})
    yield site
    site.platform.stop()


def signed(issuer: Issuer, role: str = "reader", **claims: object) -> str:
    return issuer.token({"access": {"roles": ["offline_access", f"polyglot-{role}"]}, **claims})


def now(seconds: int = 0) -> int:
    return int(time.time()) + seconds


def test_who_the_issuer_has_signed_for_is_let_in(people: Site, issuer: Issuer) -> None:
    assert people.http("GET", "/v1/assets", token=signed(issuer))[0] == 200
    assert issuer.asked == [DISCOVERY, KEYS]


def test_the_command_line_takes_a_jwt_as_any_token(people: Site, issuer: Issuer) -> None:
    assert people.run("list", POLYGLOT_TOKEN=signed(issuer)).status == 0
    refused(people.run("token", "list", POLYGLOT_TOKEN=signed(issuer)), "operator")
    refused(people.run("list", POLYGLOT_TOKEN=signed(issuer, exp=now(-90))), "has expired")


# What is taken


@pytest.mark.parametrize(
    ("times", "claims"),
    [
        ({"exp": -40}, {}),  # within the skew, also where this machine is slow
        ({"nbf": 50}, {}),
        ({"iat": 50}, {}),
        ({}, {"iat": None}),
        ({"exp": 3600.5}, {}),
        ({}, {"aud": ["account", AUDIENCE]}),
        ({}, {"jti": "7", "azp": "cli", "email": "alice@example.org"}),
        ({}, {"access": {"roles": "openid polyglot-reader"}}),
    ],
    ids=str,
)
def test_what_is_good_is_taken(
    people: Site, issuer: Issuer, times: dict[str, float], claims: dict[str, object]
) -> None:
    from_now = {name: now() + seconds for name, seconds in times.items()}
    assert people.http("GET", "/v1/assets", token=signed(issuer, **from_now, **claims))[0] == 200


@pytest.mark.parametrize("header", [{"typ": None}, {"typ": "at+jwt"}, {"typ": "application/at+JWT"}, {"kid": None}])
def test_a_good_header_is_taken(people: Site, issuer: Issuer, header: dict[str, object]) -> None:
    token = issuer.token({"access": {"roles": ["polyglot-reader"]}}, **header)
    assert people.http("GET", "/v1/assets", token=token)[0] == 200


def test_a_token_may_be_as_long_as_is_said(people: Site, issuer: Issuer) -> None:
    room = TOKEN_LIMIT - len(signed(issuer, more=""))
    lengths = {}
    for more in (3 * room // 4, 3 * room // 4 + 8):
        token = signed(issuer, more="x" * more)
        lengths[len(token) <= TOKEN_LIMIT] = people.http("GET", "/v1/assets", token=token)[0]
    assert lengths == {True: 200, False: 401}


# What is not


def with_secret(issuer: Issuer, secret: bytes) -> str:
    """Signed by HS256, with something public as its secret."""
    head = encoded({"alg": "HS256", "typ": "JWT", "kid": issuer.key_name})
    text = f"{head}.{signed(issuer).split('.')[1]}"
    return f"{text}.{encoded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def with_part(token: str, place: int, part: object) -> str:
    parts = token.split(".")
    parts[place] = part if isinstance(part, str) else encoded(part)
    return ".".join(parts)


def promoted(token: str) -> str:
    claims = token.split(".")[1]
    found = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return with_part(token, 1, {**found, "access": {"roles": ["polyglot-operator"]}})


def pem(issuer: Issuer) -> bytes:
    return bytes(issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def stranger(issuer: Issuer, **header: object) -> str:
    """Signed with a key that is not the issuer's."""
    return issuer.token({"access": {"roles": ["polyglot-operator"]}}, key=MAKE["RS256"](), **header)


BAD: dict[str, tuple[Forged, str]] = {
    "expired": (lambda one: signed(one, exp=now(-70)), "has expired"),
    "not valid yet": (lambda one: signed(one, nbf=now(90)), "not valid yet"),
    "issued tomorrow": (lambda one: signed(one, iat=now(90)), "not valid yet"),
    "without an end": (lambda one: signed(one, exp=None), "has no exp"),
    "without an issuer": (lambda one: signed(one, iss=None), "has no iss"),
    "without an audience": (lambda one: signed(one, aud=None), "has no aud"),
    "without a subject": (lambda one: signed(one, sub=None), "has no sub"),
    "an end in words": (lambda one: signed(one, exp="tomorrow"), "cannot be read"),
    "an end in digits": (lambda one: signed(one, exp=str(now(90))), "exp is no number"),
    "an end that is true": (lambda one: signed(one, exp=True), "opens nothing"),
    "an end that is endless": (lambda one: signed(one, exp=float("inf")), "cannot be read"),
    "an end that is nothing": (lambda one: signed(one, exp=float("nan")), "cannot be read"),
    "another audience": (lambda one: signed(one, aud="polyglot-bee"), "another audience"),
    "an audience that begins alike": (lambda one: signed(one, aud=f"{AUDIENCE}-2"), "another audience"),
    "other audiences": (lambda one: signed(one, aud=["account", "polyglot-bee"]), "another audience"),
    "no audience": (lambda one: signed(one, aud=[]), "no aud"),
    "an audience of no kind": (lambda one: signed(one, aud={AUDIENCE: 1}), "another audience"),
    "another issuer": (lambda one: signed(one, iss="https://evil.example.org"), "another issuer"),
    "an issuer that begins alike": (lambda one: signed(one, iss=f"{one.url}/"), "another issuer"),
    "issuers": (lambda one: signed(one, iss=[one.url]), "another issuer"),
    "a subject of no kind": (lambda one: signed(one, sub=7), "cannot be read"),
    "an empty subject": (lambda one: signed(one, sub=""), "names nobody"),
    "a subject with a line's end": (lambda one: signed(one, sub="a\nb"), "names nobody"),
    "unsigned": (lambda one: with_part(with_part(signed(one), 0, {"alg": "none"}), 2, ""), "expected one signed by"),
    "unsigned, in capitals": (lambda one: with_part(signed(one), 0, {"alg": "NONE"}), "expected one signed by"),
    "an empty signature": (lambda one: with_part(signed(one), 2, ""), "has not signed"),
    "the public key as a secret": (lambda one: with_secret(one, pem(one)), "expected one signed by"),
    "the public JWK as a secret": (
        lambda one: with_secret(one, json.dumps(public_jwk(one.key)).encode()),
        "expected one signed by",
    ),
    "other claims": (lambda one: promoted(signed(one)), "has not signed"),
    "another algorithm": (
        lambda one: with_part(signed(one), 0, {"alg": "RS512", "kid": one.key_name}),
        "has not signed",
    ),
    "an algorithm for another key": (
        lambda one: one.token(key=MAKE["ES256"](), algorithm="ES256"),
        "not signed with a key",
    ),
    "no algorithm": (lambda one: with_part(signed(one), 0, {"kid": one.key_name}), "expected one signed by"),
    "algorithms": (lambda one: with_part(signed(one), 0, {"alg": ["RS256"]}), "expected one signed by"),
    "a stranger's key": (lambda one: stranger(one), "has not signed"),
    "a stranger's key without a name": (lambda one: stranger(one, kid=None), "has not signed"),
    "an unknown key": (lambda one: stranger(one, kid="unknown"), "not signed with a key"),
    "a key in a file": (lambda one: stranger(one, kid="../../dev/null"), "not signed with a key"),
    "a key's name of no kind": (lambda one: stranger(one, kid=7), "cannot be read"),
    "a key that it brings": (lambda one: stranger(one, jwk=public_jwk(MAKE["RS256"]())), "has not signed"),
    "a key that it leads to": (
        lambda one: stranger(one, jku=f"{one.origin}/theirs", x5u=f"{one.origin}/theirs"),
        "has not signed",
    ),
    "an extension": (lambda one: one.token(crit=["exp"], exp=now(60)), "opens nothing"),
    "an extension that is known elsewhere": (lambda one: one.token(b64=False, crit=["b64"]), "opens nothing"),
    "a token of another kind": (lambda one: one.token(typ="logout+jwt"), "no access token"),
    "no JSON": (lambda one: with_part(signed(one), 0, b"\xff"), "cannot be read"),
    "a list": (lambda one: with_part(signed(one), 0, []), "cannot be read"),
    "a depth": (lambda one: with_part(signed(one), 0, b"[" * 9000), "cannot be read"),
    "claims that are a list": (lambda one: listed(one), "cannot be read"),
    "three words": (lambda one: "a.b.c", "opens nothing"),
    "two dots": (lambda one: "..", "opens nothing"),
    "an encrypted one": (lambda one: f"{signed(one)}.a.b", "not known here"),
    "too long": (lambda one: signed(one, more="x" * TOKEN_LIMIT), f"more than {TOKEN_LIMIT}"),
}


def listed(issuer: Issuer) -> str:
    """Signed well, but what is signed is no object."""
    head = encoded({"alg": "RS256", "kid": issuer.key_name})
    text = f"{head}.{encoded(['sub', 'alice'])}"
    return f"{text}.{encoded(get_default_algorithms()['RS256'].sign(text.encode(), issuer.key))}"


@pytest.mark.parametrize("which", BAD)
def test_what_is_bad_is_refused_and_not_repeated(people: Site, issuer: Issuer, which: str) -> None:
    make, words = BAD[which]
    token = make(issuer)
    answer = people.http("GET", "/v1/assets", token=token)
    detail = problem(answer, 401, words)["detail"]
    assert answer[2]["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert not any(len(part) > 8 and part in str(answer) for part in token.split("."))
    assert AUDIENCE not in detail
    assert not any("theirs" in path for path in issuer.asked)


@pytest.mark.parametrize(
    "claims", [{"access": None}, {"access": {"roles": ["reader"]}}, {"roles": ["polyglot-operator"]}]
)
def test_who_has_no_role_of_ours_is_told_what_is_expected(
    people: Site, issuer: Issuer, claims: dict[str, object]
) -> None:
    token = issuer.token(claims)
    problem(people.http("GET", "/v1/assets", token=token), 403, "polyglot-operator", "'access.roles'")


def test_without_an_issuer_a_jwt_is_a_token_that_nobody_knows(site: Site, issuer: Issuer) -> None:
    problem(site.http("GET", "/v1/assets", token=signed(issuer)), 401, "not known here")


# Who may do what


@pytest.fixture(scope="module")
def bearers(people: Site, issuer: Issuer) -> dict[str, str]:
    """A token of each sort; what is not a role is not let in."""
    operator = people.http("POST", "/v1/tokens", {"subject": "x", "role": "operator"}, token=signed(issuer, "operator"))
    people.http("POST", f"/v1/tokens/{operator[1]['id']}/revoke", token=signed(issuer, "operator"))
    return {
        "none": "",
        "unknown": f"{PREFIX}{'x' * 43}",
        "revoked": operator[1]["token"],
        "of another audience": signed(issuer, "operator", aud="polyglot-bee"),
        "expired": signed(issuer, "operator", exp=now(-90)),
        "of a stranger": stranger(issuer),
        **{role: signed(issuer, role) for role in ROLES},
    }


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_takes_the_roles_that_it_is_declared_for_and_no_other(
    people: Site, bearers: dict[str, str], route: Route
) -> None:
    path = route.path.replace("{id}", NOBODY).replace("{path}", "x")
    for name, token in bearers.items():
        answer = people.http(route.method, path, b'{"nobody":1}' if route.body else None, token=token)
        if name not in ROLES:
            problem(answer, 401)
        elif RANKS[name] < RANKS[route.access]:
            problem(answer, 403, f"needs role {route.access}", f"has {name}")
        else:
            assert answer[0] in (200, 202, 400, 404, 422), answer


def test_whom_an_issuer_names_is_nobody_with_an_api_token(people: Site, issuer: Issuer) -> None:
    upload = people.http(
        "POST", "/v1/uploads", {"kind": "dataset"}, token=make_token(people, "alice", None, "publisher")
    )
    files = {"page": 0, "files": [{"path": "a", "size": 1, "sha256": f"sha256:{'0' * 64}"}]}
    path = f"/v1/uploads/{upload[1]['asset']}/files"
    problem(people.http("POST", path, files, token=signed(issuer, "publisher", sub="alice")), 403, "'alice'")
    theirs = people.http("POST", "/v1/uploads", {"kind": "dataset"}, token=signed(issuer, "publisher", sub="alice"))
    path = f"/v1/uploads/{theirs[1]['asset']}/files"
    problem(people.http("POST", path, files, token=make_token(people, "alice", None, "publisher")), 403, "'oidc:alice'")
    assert people.http("POST", path, files, token=signed(issuer, "publisher", sub="alice"))[0] == 200


def test_an_operator_of_the_issuer_makes_tokens_in_their_own_name(people: Site, issuer: Issuer) -> None:
    made = people.http("POST", "/v1/tokens", {"subject": "gw", "role": "reader"}, token=signed(issuer, "operator"))
    assert (made[0], made[1]["by"]) == (201, "oidc:alice")


# When keys change, and when nobody is there


def test_a_new_key_is_known_after_one_question_and_the_old_one_counts_no_more(people: Site, issuer: Issuer) -> None:
    """``reconcile`` alone is asked, which has met no unknown key yet."""

    def status(token: str) -> int:
        return people.http("POST", "/v1/reconcile", token=token)[0]

    before = signed(issuer, "operator")
    assert status(before) == 200
    key, name, asked = issuer.key, issuer.key_name, len(issuer.asked)
    issuer.rotate("second")
    try:
        after = signed(issuer, "operator")
        assert [status(after) for _ in range(3)] == [200] * 3
        assert issuer.asked[asked:] == [DISCOVERY, KEYS]
        assert [status(before) for _ in range(3)] == [401] * 3
        assert issuer.asked[asked:] == [DISCOVERY, KEYS]
        issuer.is_away = True
        assert status(after) == 200
    finally:
        issuer.is_away = False
        issuer.keys, issuer.key_name = {name: key}, name


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform, as processes, whose issuer is not there."""
    told = {
        "POLYGLOT_OIDC_ISSUER": f"http://127.0.0.1:{loopback.free_port()}",
        "POLYGLOT_OIDC_AUDIENCE": AUDIENCE,
    }
    site = started(tmp_path_factory.mktemp("alone"), processes=True, environ={**os.environ, **told})
    yield site
    site.platform.stop()


def test_without_its_issuer_a_jwt_is_neither_good_nor_bad_and_api_tokens_count(alone: Site, issuer: Issuer) -> None:
    for _ in range(2):
        answer = alone.http("GET", "/v1/assets", token=issuer.token())
        problem(answer, 503, "issuer", "try again")
        assert answer[2]["Retry-After"] == "1"
    assert alone.http("GET", "/v1/assets")[0] == 200
    refused(alone.run("list", POLYGLOT_TOKEN=issuer.token()), "issuer", status=3)
