"""API tokens without a platform: what is kept of one, how long it counts, and what takes it back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from functions._cli.token import counts_for, standing
from functions._domain import issuing, paths, tokens
from functions._domain.calls import Call
from functions._domain.digests import canonical, digest_of
from functions._domain.errors import RejectedConflict, RejectedRole, RejectedToken, RejectedUnknown, UnavailableNewer
from functions._domain.intake import Principal
from functions._domain.requests import TokenBody
from functions._runtime.telemetry.redaction import redacted
from functions._runtime.tokens import RANKS, authenticate
from functions.declaration import FUNCTIONS, Route
from tests.fakes import FolderStorage

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OPERATOR = Principal("olga", frozenset({"operator"}))
ROUTES = {route.access: route for function in FUNCTIONS for route in function.routes}


class Desk:
    """The ports that tokens need: a bucket, and a clock that is set by hand."""

    tenant, issuer = "acme", None

    def __init__(self, folder: Path) -> None:
        self.storage, self.time = FolderStorage(folder), START

    def now(self) -> datetime:
        return self.time

    def made(self, role: str = "reader", seconds: int | None = None, key: str | None = None) -> tuple[str, UUID]:
        body = TokenBody(subject="alice", role=role, expires_in=seconds)  # type: ignore[arg-type]
        answer = issuing.create_token(Call(OPERATOR, body=body, key=key), self)  # type: ignore[arg-type]
        return answer.token, answer.id

    def revoke(self, identifier: UUID, who: Principal = OPERATOR) -> issuing.answers.TokenAnswer:
        return issuing.revoke_token(Call(who, identifier), self)  # type: ignore[arg-type]

    def listed(self) -> list[issuing.answers.TokenAnswer]:
        return issuing.list_tokens(Call(OPERATOR), self).tokens  # type: ignore[arg-type]

    def opens(self, token: str, route: Route = ROUTES["reader"]) -> Principal:
        return authenticate(f"Bearer {token}", route, self)  # type: ignore[arg-type]

    def forget(self) -> None:
        """As a function does that was started just now."""
        self.storage = FolderStorage(self.storage.folder)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "bucket")


@pytest.mark.parametrize("role", ["reader", "publisher", "operator"])
@pytest.mark.parametrize("access", ["reader", "publisher", "operator"])
def test_a_role_opens_what_it_may_and_nothing_above(desk: Desk, role: str, access: str) -> None:
    token, _ = desk.made(role)
    if RANKS[role] >= RANKS[access]:
        assert desk.opens(token, ROUTES[access]) == Principal("alice", frozenset({role}))  # type: ignore[index]
    else:
        with pytest.raises(RejectedRole, match=f"needs role {access}; this token has {role}") as refused:
            desk.opens(token, ROUTES[access])  # type: ignore[index]
        assert refused.value.needed == access


def test_a_token_ends_when_it_was_said_to_also_where_it_is_remembered(desk: Desk) -> None:
    token, _ = desk.made(seconds=60)
    desk.time = START + timedelta(seconds=59)
    assert desk.opens(token).subject == "alice"
    desk.time = START + timedelta(seconds=60)
    with pytest.raises(RejectedToken, match="expired at 2026-01-02T03:05:05Z"):
        desk.opens(token)
    desk.forget()
    with pytest.raises(RejectedToken, match="expired"):
        desk.opens(token)


def test_a_token_without_an_end_never_ends(desk: Desk) -> None:
    token, _ = desk.made(seconds=None)
    desk.time = START + timedelta(days=365 * 900)
    assert desk.opens(token)


def test_a_token_lasts_90_days_unless_somebody_says_otherwise() -> None:
    assert TokenBody(subject="alice", role="reader").expires_in == 90 * 86400


def test_a_revoked_token_opens_nothing_where_it_is_not_remembered(desk: Desk) -> None:
    token, identifier = desk.made()
    assert desk.opens(token)
    desk.revoke(identifier)
    assert desk.opens(token), "what was known a moment ago still is"
    desk.forget()
    with pytest.raises(RejectedToken, match="revoked at 2026-01-02T03:04:05Z"):
        desk.opens(token)


def test_who_revoked_first_stays(desk: Desk) -> None:
    _, identifier = desk.made()
    first = desk.revoke(identifier)
    desk.time += timedelta(days=1)
    again = desk.revoke(identifier, Principal("mallory", frozenset({"operator"})))
    assert first == again
    assert (again.revoked.by, again.revoked.time) == ("olga", "2026-01-02T03:04:05Z")  # type: ignore[union-attr]


@pytest.mark.parametrize("mark", [b"", b"{}", b"nonsense", canonical({"schema": tokens.REVOCATION})])
def test_a_revocation_that_cannot_be_read_revokes_all_the_same(desk: Desk, mark: bytes) -> None:
    token, _ = desk.made()
    desk.storage.create(paths.token_revocation_key(digest_of(token.encode())), mark)
    with pytest.raises(RejectedToken, match="revoked"):
        desk.opens(token)
    assert desk.listed()[0].revoked


def test_a_revocation_by_a_newer_platform_opens_nothing_yet(desk: Desk) -> None:
    token, _ = desk.made()
    newer = canonical({"schema": tokens.REVOCATION.replace("v1", "v2")})
    desk.storage.create(paths.token_revocation_key(digest_of(token.encode())), newer)
    with pytest.raises(UnavailableNewer):
        desk.opens(token)


def test_what_is_unknown_is_asked_for_each_time(desk: Desk) -> None:
    token = tokens.new()
    with pytest.raises(RejectedToken, match="not known here"):
        desk.opens(token)
    tokens.keep(desk.storage, token, "alice", "reader", START)
    assert desk.opens(token)


def test_a_token_that_is_not_there_cannot_be_revoked(desk: Desk) -> None:
    with pytest.raises(RejectedUnknown, match="polyglot token list"):
        desk.revoke(UUID(int=7))


def test_a_list_has_neither_tokens_nor_digests_and_passes_over_what_lies_about(desk: Desk) -> None:
    first, identifier = desk.made("operator", 60)
    desk.time += timedelta(seconds=1)
    second, _ = desk.made()
    desk.revoke(identifier)
    for stray in ("tokens/stray.json", "tokens/x/y", f"tokens/{'0' * 64}.revoked.json"):
        desk.storage.create(stray, b"{}")
    found = [one.model_dump() for one in desk.listed()]
    assert [(one["role"], one["expires"], one["by"]) for one in found] == [
        ("operator", "2026-01-02T03:05:05Z", "olga"), ("reader", None, "olga"),
    ]  # fmt: skip
    assert found[0]["revoked"] == {"by": "olga", "time": "2026-01-02T03:04:06Z"}
    for token in (first, second):
        assert token not in str(found)
        assert digest_of(token.encode()).removeprefix("sha256:") not in str(found)


@pytest.mark.parametrize("document", [{}, {"schema": "polyglot/token/v9"}, {"schema": tokens.SCHEMA}])
def test_a_token_that_cannot_be_read_is_listed_as_nobodys_and_can_be_revoked(desk: Desk, document: object) -> None:
    digest = f"sha256:{'1' * 64}"
    desk.storage.create(paths.token_key(digest), canonical(document))
    (found,) = desk.listed()
    assert (found.id, found.subject, found.role, found.revoked) == (tokens.identify(digest), "", "", None)
    assert standing(found.model_dump(), START) == "cannot be read, opens nothing"
    assert desk.revoke(found.id).revoked == desk.listed()[0].revoked is not None


def test_the_bucket_has_no_token(desk: Desk) -> None:
    token, _ = desk.made(key="once")
    kept = [(one.key, desk.storage.read(one.key) or b"") for one in desk.storage.list("")]
    assert len(kept) == 2
    assert not any(token in key or token.encode() in data for key, data in kept)


def test_a_key_that_made_a_token_makes_no_other_and_its_answer_names_which_to_revoke(desk: Desk) -> None:
    _, identifier = desk.made(key="once")
    for role in ("reader", "operator"):
        with pytest.raises(RejectedConflict, match=f"made token {identifier} before"):
            desk.made(role, key="once")
    assert len(desk.listed()) == 1
    assert desk.made(key="twice")[1] != identifier


def test_a_known_token_stays_as_it_is(desk: Desk) -> None:
    token = tokens.new()
    first = tokens.keep(desk.storage, token, "alice", "reader", START)
    second = tokens.keep(desk.storage, token, "mallory", "operator", START + timedelta(days=1))
    assert first == second


@pytest.mark.parametrize("subject", ["", " ", "oidc:alice", "OIDC:alice", " alice", "alice\n", "a\x00b", "a" * 201])
def test_a_subject_that_could_pass_for_somebody_else_is_refused(subject: str) -> None:
    with pytest.raises(ValidationError):
        TokenBody(subject=subject, role="reader")


@pytest.mark.parametrize("seconds", [0, -1, 101 * 366 * 86400])
def test_a_token_ends_in_the_future_and_within_a_lifetime(seconds: int) -> None:
    with pytest.raises(ValidationError):
        TokenBody(subject="alice", role="reader", expires_in=seconds)


def test_a_new_token_can_be_told_from_other_words_and_is_not_told_in_logs() -> None:
    token = tokens.new()
    assert token.startswith(tokens.PREFIX)
    assert "." not in token
    assert token not in redacted(f"the token {token} was refused; see '{token}'")
    assert redacted("polyglot_dead_letters_stored_total_of_the_tenant") == (
        "polyglot_dead_letters_stored_total_of_the_tenant"
    )


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps({"schema": tokens.SCHEMA, "subject": value, "roles": value, "expires": value}).encode()
))  # fmt: skip
def test_whatever_stands_in_a_tokens_place_opens_nothing_or_what_it_says(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    desk, token = Desk(tmp_path_factory.mktemp("bucket")), tokens.new()
    desk.storage.create(paths.token_key(digest_of(token.encode())), data)
    with pytest.raises((RejectedToken, RejectedRole)):
        desk.opens(token)


@pytest.mark.parametrize(
    ("expires", "revoked", "words"),
    [
        (None, None, "never expires"),
        ("2026-01-02T03:04:06Z", None, "until 2026-01-02T03:04:06Z"),
        ("2026-01-02T03:04:05Z", None, "expired 2026-01-02T03:04:05Z"),
        (None, {"by": "olga", "time": "2026-01-01T00:00:00Z"}, "revoked 2026-01-01T00:00:00Z"),
    ],
)
def test_a_list_says_how_each_token_stands(expires: str | None, revoked: object, words: str) -> None:
    token = {"role": "operator", "expires": expires, "revoked": revoked}
    assert standing(token, START) == words
    assert counts_for(token, "operator", START) == words.startswith(("never", "until"))
    assert not counts_for(token, "reader", START)
