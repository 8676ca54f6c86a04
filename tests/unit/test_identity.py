"""Identifiers: the same thing has the same UUID for ever, and different things have different ones.

The literal UUIDs are part of the published interface: an asset's identifier must not change with a version of ours.
"""

from collections.abc import Callable
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions._domain.digests import canonical, digest_of
from functions._domain.events import announce
from functions._domain.identity import (
    NAMESPACE,
    derive,
    event_id,
    inbox_request_id,
    made_by,
    request_id,
    trained_model_id,
    translation_id,
)

MODEL = UUID("11111111-2222-4333-8444-555555555555")
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


PINNED: dict[str, tuple[Callable[[], UUID], str]] = {
    "request": (lambda: request_id("local", "admin", "datasets", "key-1"), "d671aa97-7ddf-5d3d-8b70-46307781f7d5"),
    "inbox": (
        lambda: inbox_request_id("local", "inbox/dataset/a/asset.json", digest_of(b"{}")),
        "cd5dcaea-e597-5c33-a702-bc39c6f5818c",
    ),
    "trained model": (lambda: trained_model_id(MODEL, 1), "5b7ce327-6fa1-5d28-850f-3c8ba8a0f4e4"),
    "its second attempt": (lambda: trained_model_id(MODEL, 2), "26d288f1-1ae5-5759-8a7a-f08c72a0fe6c"),
    "translation": (lambda: translation_id(trained_model_id(MODEL, 1)), "a1092faf-d3fd-5895-b4b7-a0dbd4de0937"),
    "translation to an opset": (
        lambda: translation_id(trained_model_id(MODEL, 1), 18),
        "d1a30bbd-40ec-5ba6-93fd-67ef6014939e",
    ),
    "event": (lambda: UUID(event_id("cause", "asset.registered", MODEL)), "27cf3115-1be1-5dc0-8279-c863aba8b985"),
}


@pytest.mark.parametrize("name", PINNED)
def test_an_identifier_is_the_one_it_always_was(name: str) -> None:
    made, expected = PINNED[name]
    assert str(made()) == expected


def test_an_identifier_can_be_computed_from_its_definition_alone() -> None:
    assert trained_model_id(MODEL, 1) == uuid5(NAMESPACE, f'["{MODEL}","train",{{"attempt":1}}]')
    assert made_by(MODEL, "x", {"b": 1, "a": 2}) == uuid5(NAMESPACE, f'["{MODEL}","x",{{"a":2,"b":1}}]')


def test_no_opset_is_not_an_opset() -> None:
    assert translation_id(MODEL) != translation_id(MODEL, 18)
    assert translation_id(MODEL, None) == translation_id(MODEL)


@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
def test_different_parts_have_different_identifiers(one: list[str], other: list[str]) -> None:
    assert (derive(*one) == derive(*other)) == (one == other)
    assert derive(*one).version == 5


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_a_request_is_told_by_each_of_its_parts(tenant: str, principal: str, route: str, key: str) -> None:
    made = request_id(tenant, principal, route, key)
    assert made == request_id(tenant, principal, route, key)
    assert made != request_id(tenant, principal, route, key + "x")
    assert made != request_id(tenant, principal + "x", route, key)
    assert made != request_id(tenant + "x", principal, route, key)


@given(st.dictionaries(TEXTS, TEXTS | st.integers(-(2**53) + 1, 2**53 - 1), max_size=5))
def test_the_order_of_parameters_does_not_matter(parameters: dict[str, object]) -> None:
    backwards = dict(reversed(parameters.items()))
    assert made_by(MODEL, "step", parameters) == made_by(MODEL, "step", backwards)
    assert canonical(parameters) == canonical(backwards)


def test_a_repeated_step_repeats_its_events_id_and_another_claim_has_another() -> None:
    one = announce("verification.requested", MODEL, "request", claim="integrity")
    assert one == announce("verification.requested", MODEL, "request", claim="integrity")
    assert one.id != announce("verification.requested", MODEL, "request", claim="provenance").id
    assert one.id != announce("verification.requested", MODEL, "another request", claim="integrity").id
