"""One trace tells a whole chain, from the first request to the translation's contract."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from functions._runtime.telemetry.steps import Step
from tests.customers import Customer
from tests.platforms import Site, started

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
CHAIN = {"asset.submitted", "asset.registered", "contract.deployed", "training.finished"}
"""The events of a chain that somebody subscribes to."""


class Told(logging.Handler):
    """Keeps what each step told of itself."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.steps.append(record.step)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Traced:
    """A finished chain, asked for under one trace."""

    site: Site
    customer: Customer
    told: Told

    def traces(self, since: int = 0) -> dict[str, set[str]]:
        """The trace ids of all delivered events, by type, from one delivery on."""
        found: dict[str, set[str]] = {}
        for one in self.site.deliveries[since:]:
            name = one.event["type"].removeprefix("io.polyglot.").removesuffix(".v1")
            found.setdefault(name, set()).add(one.event.get_attributes().get("traceparent", "none")[3:35])
        return found


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, torch_model: Path, quick_image: Path) -> Iterator[Traced]:
    """A chain on a platform of its own, whose sweep stays out of the way: what it drives on has its trace."""
    told, logger = Told(), logging.getLogger("polyglot.steps")
    logger.addHandler(told)
    logger.setLevel(logging.DEBUG)
    site = started(tmp_path_factory.mktemp("traced"), sweep_every=3600)
    customer = Customer(torch_model, quick_image, dict(site.settings), key="traced", headers={"traceparent": PARENT})
    customer.register()
    customer.wait()
    assert site.platform.broker.drain(30)
    yield Traced(site, customer, told)
    site.platform.stop()
    logger.removeHandler(told)
    logger.setLevel(logging.NOTSET)


def test_every_event_of_a_chain_carries_the_trace_of_the_request(chain: Traced) -> None:
    traces = chain.traces()
    assert traces == {name: {TRACE} for name in CHAIN}


def test_each_event_says_which_step_announced_it(chain: Traced) -> None:
    spans = {step.context.span_id: step for step in chain.told.steps}
    for one in chain.site.deliveries:
        announced = spans[one.event["traceparent"][36:52]]
        assert announced.function in one.event["source"] or "/runs/" in one.event["source"]
    finished = next(one.event for one in chain.site.deliveries if one.event["type"].endswith("training.finished.v1"))
    assert spans[finished["traceparent"][36:52]].function == "train"


def test_the_steps_of_a_chain_are_one_tree_below_the_clients_span(chain: Traced) -> None:
    steps = [step for step in chain.told.steps if step.context.trace_id == TRACE]
    spans = {step.context.span_id for step in steps}
    assert len(spans) == len(steps)
    assert all(step.parent and step.parent.span_id in spans | {SPAN} for step in steps)
    assert {step.function for step in steps} >= {"register", "ingest", "deploy", "train", "collect", "translate"}
    assert {str(asset) for asset in chain.customer.assets.values()} <= {step.subject for step in steps}
    assert {step.outcome for step in steps} <= {"done", "replied", "unavailable"}


def test_a_request_without_a_trace_begins_one_of_its_own(chain: Traced) -> None:
    before = len(chain.site.deliveries)
    chain.customer.headers.clear()
    verdicts = chain.customer.verify(chain.customer.assets["model"])
    assert set(verdicts.values()) == {"passed"}
    assert chain.site.platform.broker.drain(30)
    traces = chain.traces(before)
    assert set(traces) >= {"verification.requested", "evidence.authorized"}
    (trace,) = set.union(*traces.values())
    assert trace not in (TRACE, "none")
