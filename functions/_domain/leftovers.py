"""Leftovers: what nothing needs any more, and ``polyglot gc`` removes.

Two kinds, and nothing else: uploads that were opened and given up, and the copies of their results that runs staged and
that have since got their final place, or never will. Whoever looks for them and whoever removes them ask the same
``Judge``, each anew: an upload may be registered in between.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import NamedTuple
from uuid import UUID

from functions._domain import choosing, intake, journal, paths, records, retraining
from functions._domain.digests import canonical
from functions._domain.errors import RejectedContent, UnavailableNewer
from functions._domain.intake import Request
from functions._domain.ports import Held, Ledger, Ports, Storage
from functions._domain.sealing import in_order

ROUTE = "gc"

IDLE = timedelta(hours=24)
"""For how long nothing of an upload was written before it counts as given up.

The right to send a file lives an hour, and the 64 GiB that an asset may have take a day at 0.8 MB/s.
"""

SETTLED = timedelta(hours=1)
"""How old the newest object of an execution is at least: no step that may be reading it takes as long."""

LOOKED, SUBJECTS = 5_000, 1_000
"""How many things one request looks at, and the most that it names; the next one goes on where it stopped."""


class Candidate(NamedTuple):
    """An upload (below ``requests/``) or an asset with runs (below ``runs/``) that is looked at."""

    where: str
    id: UUID

    @property
    def key(self) -> str:
        """Where it stands in the order in which all are looked at."""
        return f"{self.where}{self.id}"


@dataclass(frozen=True)
class Judge:
    """Tells what may go, as things stood at a time."""

    storage: Storage
    ledger: Ledger
    time: datetime

    def removable(self, one: Candidate) -> Iterator[str]:
        """The prefixes of what may go; none where all of it is needed, or a newer platform's."""
        try:
            if one.where == paths.RUNS:
                yield from self.spent(one.id)
            elif self.is_abandoned(one.id):
                yield paths.files_prefix(one.id)
        except (RejectedContent, UnavailableNewer):
            return

    def is_abandoned(self, upload: UUID) -> bool:
        """Whether an upload was opened and never registered, and nothing of it was written for a day.

        One that a request to clear away has claimed is, whatever its age: nobody can register it any more.
        """
        pointer = records.read(self.storage, intake.submission_key(upload), intake.SCHEMA)
        if pointer is not None:
            return _is_ours(self.storage, pointer)
        opened = intake.find(self.storage, upload)
        if opened is None or opened.route != "uploads" or self.storage.stat(paths.record_key(upload)) is not None:
            return False
        prefixes = (f"{paths.REQUESTS}{upload}", paths.files_prefix(upload))
        written = (entry for prefix in prefixes for entry in self.storage.list(prefix))
        claim = intake.submission_key(upload)  # somebody may be at it just now: whose it is was looked at
        return all(entry.modified < self.time - IDLE or entry.key == claim for entry in written)

    def spent(self, asset: UUID) -> Iterator[str]:
        """The staged copies of an asset's executions that nothing needs any more, as prefixes.

        What tells of an execution stays: log, report, metrics.
        """
        needed = self._needed(asset)
        for execution in self.storage.folders(paths.run_prefix(asset)) if needed is not None else ():
            if execution != needed and self._is_settled(paths.run_prefix(asset, execution)):
                yield f"{paths.run_prefix(asset, execution)}model/"

    def _needed(self, asset: UUID) -> str | None:
        """The execution whose copies are still needed, empty where none is; None where nobody can tell yet.

        Once the ledger has the asset, its files are what was staged. Where its step has ended without, a retry may
        still make an asset of the execution that was chosen. What a verification trained once more is only compared.
        """
        if self.ledger.find(asset) is not None:
            return ""
        request = intake.find(self.storage, asset)
        if request is not None and request.route == "verifications":
            return "" if retraining.has_ended(self.storage, request) else None
        if not _has_ended(self.storage, asset):
            return None
        is_chosen = choosing.is_chosen(self.storage, asset)
        return str(choosing.chosen(self.storage, asset)["execution"]) if is_chosen else ""

    def _is_settled(self, execution: str) -> bool:
        """Whether an execution staged copies that are there still, and nothing of it was written of late."""
        has_copies = False
        for entry in self.storage.list(execution):
            if entry.modified >= self.time - SETTLED:
                return False
            has_copies = has_copies or entry.key.startswith(f"{execution}model/")
        return has_copies


def _is_ours(storage: Storage, pointer: records.Document) -> bool:
    """Whether what claims an upload is a request to clear away, and not its registration."""
    request = intake.find(storage, UUID(str(pointer["request"])))
    return request is not None and request.route == ROUTE


def _has_ended(storage: Storage, asset: UUID) -> bool:
    """Whether the step that makes an asset has ended without; a training's next attempt makes another asset."""
    view = journal.view(storage, asset)
    trained = any(mark.step == "train" and mark.outcome in journal.ENDED for mark in view.marks)
    return trained or view.outcome("translate") in journal.ENDED


# Looking


@dataclass
class Found:
    """What a look found: uploads and assets with runs, what they come to, and the key from which the next one goes on.

    ``next`` is empty where everything was looked at.
    """

    uploads: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    next: str = ""


def look(ports: Ports, after: str = "", looked_at: int = LOOKED, named: int = SUBJECTS) -> Found:
    """Find leftovers, those with keys greater than ``after``; look at so many things, and name so many, at most."""
    judge, found = Judge(ports.storage, ports.ledger, ports.now()), Found()

    def weighed(one: Candidate) -> tuple[Candidate, bool, int, int]:
        prefixes, files, size = list(judge.removable(one)), 0, 0
        for entry in (entry for prefix in prefixes for entry in ports.storage.list(prefix)):
            files, size = files + 1, size + entry.size
        return one, bool(prefixes), files, size

    all_weighed = in_order(weighed, islice(_candidates(ports.storage, after), looked_at))
    for count, (one, may_go, files, size) in enumerate(all_weighed, 1):
        if may_go:
            (found.uploads if one.where == paths.REQUESTS else found.runs).append(str(one.id))
            found.files, found.size = found.files + files, found.size + size
        if count == looked_at or len(found.uploads) + len(found.runs) == named:
            found.next = one.key
            break
    return found


def _candidates(storage: Storage, after: str) -> Iterator[Candidate]:
    past = f"{after}0" if after else ""  # '0' follows '.' and '/', so all that is about this one is passed over
    if not after.startswith(paths.RUNS):
        names = (entry.key[len(paths.REQUESTS) :].partition("/")[0] for entry in storage.list(paths.REQUESTS, past))
        for name, _ in groupby(names, lambda name: name.removesuffix(".json")):
            yield from _named(paths.REQUESTS, name)
        past = ""
    for name in storage.folders(paths.RUNS, past):
        yield from _named(paths.RUNS, name)


def _named(where: str, name: str) -> Iterator[Candidate]:
    try:
        yield Candidate(where, UUID(name))
    except ValueError:  # not ours
        return


# Removing


def subjects(request: Request) -> Sequence[Candidate]:
    """What a request to clear away names."""
    uploads = [Candidate(paths.REQUESTS, UUID(one)) for one in request.body["uploads"]]
    return [*uploads, *(Candidate(paths.RUNS, UUID(one)) for one in request.body["runs"])]


def step(request: Request) -> str:
    """The step whose marks tell of a request, in the journal of each thing that it names."""
    return f"{ROUTE}-{request.id}"


def is_left(storage: Storage, ledger: Ledger, request: Request, one: Candidate) -> bool:
    """Whether anything is there still of a subject that may go."""
    return any(_judge(storage, ledger, request).removable(one))


def _judge(storage: Storage, ledger: Ledger, request: Request) -> Judge:
    """As things stood when it was asked, so that whoever removes does not take what was young then."""
    return Judge(storage, ledger, datetime.fromisoformat(request.time))


def remove(ports: Ports, one: Candidate, request: Request) -> Iterator[Held | None]:
    """Remove what may go of a subject; yields what the store holds on to."""
    judge = _judge(ports.storage, ports.ledger, request)
    if one.where == paths.RUNS:
        yield from (ports.storage.erase(prefix) for prefix in judge.spent(one.id))
    elif judge.is_abandoned(one.id):
        yield from _forget(ports.storage, one.id, request)


def _forget(storage: Storage, upload: UUID, request: Request) -> Iterator[Held | None]:
    """Remove an upload. It is claimed first, as a registration claims it, and the claim goes last."""
    key, claim = intake.submission_key(upload), {"schema": intake.SCHEMA, "request": str(request.id)}
    if not storage.create(key, canonical(claim)):
        there = records.read(storage, key, intake.SCHEMA)
        if there is not None and not _is_ours(storage, there):
            return  # registered in the meantime
    held = storage.erase(paths.files_prefix(upload))
    yield held
    if held is None:
        yield storage.erase(f"{paths.REQUESTS}{upload}/expected-")
        yield storage.erase(paths.request_key(upload))
        yield storage.erase(f"{paths.REQUESTS}{upload}/")
