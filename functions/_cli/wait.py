"""Waiting for what was asked: each step is told as it is done, and a chain that failed says why."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from functions._cli.client import Client
from functions._cli.failures import Failed
from functions._cli.output import say, short
from functions._domain.errors import PolyglotError

FIRST, GROWTH, LONGEST = 0.2, 1.3, 2.0
"""Seconds before the second question, by how much the gap grows, and its longest."""
PATIENCE = 60.0
"""Seconds for which a platform may be away while one waits for it."""
ENDED = frozenset({"complete", "rejected", "failed", "exhausted"})
SIGNS: Mapping[str, str] = {"done": "✓", "rejected": "✗", "failed": "✗", "exhausted": "✗"}

_UUID = re.compile(r"-[0-9a-f]{8}-[0-9a-f-]{27}")
"""The step of a verification is named by its request, which says nothing to a person."""

Answer = dict[str, Any]


def answers(client: Client, path: str) -> Iterator[Answer]:
    """What a path answers, again and again with growing gaps."""
    client.patience, gap = PATIENCE, FIRST
    while True:
        yield client.get(path)
        time.sleep(gap)
        gap = min(gap * GROWTH, LONGEST)


def request_ended(client: Client, request: str, is_done: Callable[[Answer], bool] | None = None) -> Answer:
    """Wait until a request's chain has ended, telling its steps; returns the last answer, whatever it says.

    Args:
        client: the platform.
        request: the request's id.
        is_done: what else ends the waiting.
    """
    told = StepsTeller()
    for answer in answers(client, f"/v1/requests/{request}"):
        told.tell(answer)
        if answer["state"] in ENDED or (is_done and is_done(answer)):
            return answer
    raise AssertionError("the platform is asked for ever")


def chain_completed(client: Client, request: str) -> Answer:
    """Wait for a request's whole chain.

    Raises:
        Failed: it ended otherwise; the last lines of a training's log have been shown.
    """
    answer = request_ended(client, request)
    if answer["state"] != "complete":
        raise chain_failure(client, answer)
    return answer


def chain_failure(client: Client, answer: Answer) -> Failed:
    """What to say of a chain that did not complete; shows the log where a training failed."""
    stopped: Answer = next((step for step in answer.get("steps", []) if step["state"] in ENDED), {})
    step = stopped.get("step") or answer.get("step") or ""
    if step in ("train", "run", "collect"):
        _show_log(client, str(answer["asset"]))
    reason = answer.get("reason") or stopped.get("reason") or "no reason was given"
    where = f" at {step}" if step else ""
    again = " (the platform will try again by itself)" if answer["state"] == "exhausted" else ""
    return Failed(f"{answer['state']}{where}: {reason}{again}")


def _show_log(client: Client, asset: str) -> None:
    try:
        lines = client.get(f"/v1/assets/{asset}/logs")["lines"].splitlines()
    except PolyglotError:
        return  # a chain can fail before there is a log
    for line in lines[-20:]:
        say(f"  │ {line}")


class StepsTeller:
    """Tells each step once for each state that a person cares about, and what a training prints meanwhile."""

    def __init__(self) -> None:
        self._told: set[tuple[str, ...]] = set()
        self._log: list[str] = []

    def tell(self, answer: Answer) -> None:
        """Tell what is new in an answer."""
        for step in answer.get("steps", []):
            key = (str(step["asset"]), step["step"], step["state"], str(step.get("detail", {})))
            if key not in self._told and step["state"] != "waiting":
                self._told.add(key)
                say(step_line(step))
        self._tell_log(answer.get("log", "").splitlines())

    def _tell_log(self, lines: list[str]) -> None:
        """Tell what a training has printed since it was last looked at; the answer has its last lines."""
        known = next((count for count in range(len(lines), 0, -1) if self._log[-count:] == lines[:count]), 0)
        for line in lines[known:]:
            say(f"  │ {line}")
        self._log = lines or self._log


def step_line(step: Answer) -> str:
    """One step for a person: sign, step, asset, what is known of it.

    >>> step_line({"step": "train", "asset": "1a2b3c4d-…", "state": "done"})
    '✓ train        1a2b3c4d'
    """
    shown = [str(value) for value in (step.get("detail") or {}).values() if isinstance(value, str | int | float)]
    text = step.get("reason") or "  ".join(shown)
    name = _UUID.sub("", step["step"])
    return f"{sign(step['state'])} {name:<12} {short(step['asset'])}  {text}".rstrip()


def sign(state: str) -> str:
    """✓, ✗ or …, as far as the terminal can write them."""
    mark = SIGNS.get(state, "…")
    encoding = sys.stderr.encoding or "ascii"
    return mark if encoding.lower().startswith("utf") else {"✓": "+", "✗": "x"}.get(mark, ".")
