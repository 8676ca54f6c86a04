"""Marks: first-wins notes in ``assets/<uuid>/journal/`` of what a step did, and requests as they were accepted.

A mark never proves that a contract, evidence or revocation is there: the ledger does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from functions._domain import paths, records
from functions._domain.digests import canonical
from functions._domain.ports import Storage

SCHEMA = "polyglot/mark/v1"
_NAME = re.compile(r"(?P<step>[a-z0-9-]+)\.(?P<attempt>\d+)\.(?P<outcome>[a-z]+)\.json")

ENDED = ("rejected", "failed")
"""Outcomes that end a step until ``retry``."""


@dataclass(frozen=True)
class Mark:
    """One mark, as its name tells."""

    step: str
    attempt: int
    outcome: str
    modified: datetime


@dataclass(frozen=True)
class View:
    """What one listing tells of an asset. ``newest`` is when something last happened."""

    asset: UUID
    has_record: bool
    marks: tuple[Mark, ...]
    newest: datetime

    @property
    def retries(self) -> int:
        """How often a retry was asked for."""
        return sum(mark.step == "retry" for mark in self.marks)

    @property
    def attempt(self) -> int:
        """The number of the current attempt, from 1."""
        return 1 + self.retries

    def attempt_of(self, step: str) -> int:
        """The current attempt of a step that is no part of the asset's own chain, which has retries of its own."""
        return 1 + sum(mark.step == f"retry-{step}" for mark in self.marks)

    def outcome(self, step: str, attempt: int | None = None) -> str:
        """How a step stands in an attempt (the current one), or an empty string where it left no mark."""
        wanted = self.attempt if attempt is None else attempt
        found = {mark.outcome for mark in self.marks if mark.step == step and mark.attempt == wanted}
        return next((outcome for outcome in (*ENDED, "exhausted", "started") if outcome in found), "")

    def has(self, step: str, attempt: int, outcome: str) -> bool:
        """Whether this very mark is there."""
        return any((mark.step, mark.attempt, mark.outcome) == (step, attempt, outcome) for mark in self.marks)

    @property
    def is_known(self) -> bool:
        """Whether anything is there at all."""
        return self.has_record or bool(self.marks)


def view(storage: Storage, asset: UUID) -> View:
    """Look at an asset: one listing, which leaves its files out."""
    prefix = paths.asset_prefix(asset)
    marks, has_record, newest = [], False, datetime.fromtimestamp(0, UTC)
    for entry in storage.list(prefix, after=f"{prefix}files0"):  # '0' follows '/', so all files are passed over
        name = entry.key[len(prefix) :]
        has_record = has_record or name == "record.json"
        newest = max(newest, entry.modified)
        match = _NAME.fullmatch(name.removeprefix("journal/")) if name.startswith("journal/") else None
        if match:
            marks.append(Mark(match["step"], int(match["attempt"]), match["outcome"], entry.modified))
    return View(asset, has_record, tuple(marks), newest)


def mark(
    storage: Storage, asset: UUID, step: str, attempt: int, outcome: str, when: datetime, **content: object
) -> bool:
    """Leave a mark; False where the same one is there already, which is success."""
    body = {"schema": SCHEMA, "step": step, "attempt": attempt, "outcome": outcome, "time": stamp(when), **content}
    return storage.create(paths.journal_key(asset, step, attempt, outcome), canonical(body))


def content(storage: Storage, asset: UUID, step: str, attempt: int, outcome: str) -> Mapping[str, object]:
    """What a mark says; empty where there is none."""
    return records.read(storage, paths.journal_key(asset, step, attempt, outcome), SCHEMA) or {}


def stamp(when: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
