"""The declaration's laws: nothing is announced to nobody, nothing is consumed that nobody says, and all of it loads."""

import ast
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

import functions
from functions._domain.events import TYPE
from functions._runtime.dotted import load
from functions.declaration import (
    FUNCTIONS,
    INFORMATIVE,
    OUTSIDE_PRODUCERS,
    Function,
    Route,
    by_name,
    subscriptions,
    translates,
)

HOUSE = Path(functions.__file__).parent
TESTS = Path(__file__).parent.parent
ROUTES = [(function, route) for function in FUNCTIONS for route in function.routes]
CONSUMED = {consumed.name for function in FUNCTIONS for consumed in function.consumes}
PRODUCED = {name for function in FUNCTIONS for name in function.produces}
HANDLED = [
    dotted for function in FUNCTIONS for dotted in (function.handler, function.notices) if dotted
] + [route.handler for _, route in ROUTES]  # fmt: skip


def _files(name: str) -> list[Path]:
    return sorted((HOUSE / name).rglob("*.py"))


@pytest.mark.parametrize("name", sorted(CONSUMED))
def test_a_consumed_event_has_a_producer(name: str) -> None:
    assert name in PRODUCED | set(OUTSIDE_PRODUCERS)


@pytest.mark.parametrize("name", sorted(PRODUCED))
def test_a_produced_event_has_a_consumer_or_is_informative(name: str) -> None:
    assert name in CONSUMED | INFORMATIVE


def test_what_is_informative_or_comes_from_outside_is_an_event_of_ours() -> None:
    assert PRODUCED >= INFORMATIVE
    assert not INFORMATIVE & CONSUMED
    assert set(OUTSIDE_PRODUCERS) <= CONSUMED


@pytest.mark.parametrize("dotted", sorted(set(HANDLED)))
def test_a_handler_loads(dotted: str) -> None:
    assert callable(load(dotted))


@pytest.mark.parametrize(("function", "route"), ROUTES, ids=lambda value: getattr(value, "path", ""))
def test_a_routes_body_and_answer_are_models(function: Function, route: Route) -> None:
    assert issubclass(load(route.answer), BaseModel)
    assert route.body is None or issubclass(load(route.body), BaseModel)
    assert route.handler.startswith(f"functions.{function.name}.handler:")


def test_each_operation_belongs_to_one_function() -> None:
    operations = [(route.method, route.path) for _, route in ROUTES]
    assert len(set(operations)) == len(operations)
    assert len({route.handler for _, route in ROUTES}) == len(ROUTES)


def test_a_function_is_a_folder_and_every_folder_is_a_function() -> None:
    folders = {path.name for path in HOUSE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == {function.name for function in FUNCTIONS}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_handler_is_at_most_60_lines(function: Function) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in _files(function.name)}
    assert set(lengths) == {"__init__.py", "handler.py"}
    assert max(lengths.values()) <= 60


def _announced(path: Path) -> set[str]:
    """The literal names of the events that a file makes with ``announce`` or ``self._event``."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        str(call.args[0].value)
        for call in calls
        if ast.unparse(call.func) in ("announce", "self._event")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_handler_announces_only_what_is_declared(function: Function) -> None:
    said = {name for path in _files(function.name) for name in _announced(path)}
    if function.notices:  # a notice becomes the event that it is a hint of, for itself
        said -= {consumed.name for consumed in function.consumes}
    assert said <= set(function.produces)


def test_no_event_is_announced_anywhere_that_is_not_declared() -> None:
    said = {name for path in HOUSE.rglob("*.py") for name in _announced(path)}
    assert said <= PRODUCED | set(OUTSIDE_PRODUCERS)
    assert said == PRODUCED


def test_event_names_are_past_participles_in_lower_case() -> None:
    for name in CONSUMED | PRODUCED:
        assert re.fullmatch(r"[a-z]+\.[a-z]+(ed|en)", name)
        assert TYPE.format(name) == f"io.polyglot.{name}.v1"


def test_every_subscription_has_its_own_name_and_a_service_that_exists() -> None:
    found = subscriptions()
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert by_name(one.service) == one.function
        assert re.fullmatch(r"[a-z0-9-]{1,63}", one.name)
        assert {"type"} <= set(one.filter) <= {"type", "assetkind", "framework", "claim", "accelerator"}


def test_no_event_goes_to_one_service_twice() -> None:
    keys = [(one.service, tuple(sorted(one.filter.items()))) for one in subscriptions()]
    assert len(set(keys)) == len(keys)


def test_one_function_takes_dead_letters_and_one_the_timer() -> None:
    assert [function.name for function in FUNCTIONS if function.sink == "dead-letter"] == ["bury"]
    assert [function.name for function in FUNCTIONS if function.sink == "timer"] == ["reconcile"]


def test_only_deploy_carries_and_it_holds_no_role() -> None:
    assert by_name("deploy").role is None
    roles = [function.role for function in FUNCTIONS if function.role]
    assert sorted(roles) == ["registrar", "trainer", "translator", "verifier"]


def test_what_translates_follows_from_the_variants() -> None:
    assert translates("torch", "none")
    assert translates("torch", "nvidia")
    assert translates("onnx", "none")
    assert not translates("onnx", "nvidia")
    assert not translates("cobol", "none")
    assert not translates("torch", "a quantum computer")


def test_an_unknown_function_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(KeyError, match="register, ingest"):
        by_name("nonsense")


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_is_exercised_by_a_flow_test(function: Function) -> None:
    """Its folder is imported by none of them: they reach it by its routes, its events or its command."""
    ways = {
        "register": ("/v1/uploads", "/v1/models"),
        "ingest": ("/functions/ingest", "asset.submitted"),
        "deploy": ("/functions/deploy", "asset.registered"),
        "train": ("/functions/train", '"cancel"'),
        "collect": ("/functions/collect", "training.finished"),
        "translate": ("/functions/translate-torch", '"translation"'),
        "verify": ('"verify"', "/v1/verifications"),
        "erase": ("/functions/erase", '"erase"'),
        "retrieve": ("/v1/assets/",),
        "reconcile": ("/v1/reconcile",),
        "bury": ("dead-letters",),
        "forward": ("/functions/forward",),
    }
    flows = "".join(path.read_text() for path in sorted((TESTS / "flows").glob("test_*.py")))
    assert any(way in flows for way in ways[function.name])
