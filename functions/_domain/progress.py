"""Progress: what a chain has done, computed from what exists; and the event that drives it on.

The sweep, the status and ``retry`` all look through this one module, so they never disagree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from functions._domain import (
    choosing,
    erasure,
    intake,
    journal,
    leftovers,
    paths,
    records,
    retraining,
    revocation,
    training,
)
from functions._domain.assets import Kind, sealing_claim
from functions._domain.authorizations import evidence
from functions._domain.claims import EQUIVALENCE, REPRODUCTION, equivalence_filters
from functions._domain.digests import digest_of
from functions._domain.errors import RejectedContent, UnavailableNewer
from functions._domain.events import Event, announce
from functions._domain.identity import trained_model_id, translation_id
from functions._domain.intake import Request
from functions._domain.ports import Contract, Ledger, Storage

State = Literal["done", "waiting", "running", "rejected", "failed", "exhausted"]


@dataclass(frozen=True)
class Step:
    """One step of a chain.

    ``owner`` is the asset whose journal takes a retry of it, ``event`` drives it (again), ``newest`` is when
    something last happened. ``claim`` is what a verification's step verifies.
    """

    name: str
    asset: UUID
    state: State
    reason: str = ""
    owner: UUID | None = None
    event: Event | None = None
    newest: datetime = field(default=datetime.fromtimestamp(0, UTC))
    claim: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether only ``retry`` starts it again."""
        return self.state in ("rejected", "failed")


class Progress:
    """Looks at chains. One is made for each question, so it may remember what it has read."""

    def __init__(self, storage: Storage, ledger: Ledger, cause: str) -> None:
        self._storage, self._ledger, self._cause = storage, ledger, cause

    def chain(self, request: Request) -> Iterator[Step]:
        """The steps of a request's chain, in order, up to and including the first that is not done.

        Where a newer platform took part, that is a step ``upgrade`` of this one, which no event drives.
        """
        try:
            for step in self._steps(request):
                yield step
                if step.state != "done":
                    return
        except UnavailableNewer as error:
            yield Step("upgrade", request.asset, "waiting", str(error))

    def _steps(self, request: Request) -> Iterator[Step]:
        asset = request.asset
        match request.route:
            case "datasets":
                yield from self._registered(request, Kind.DATASET)
            case "models":
                yield from self._registered(request, Kind.MODEL)
                yield from self.of_model(asset)
            case "trained-models":
                yield from self._registered(request, Kind.TRAINED_MODEL)
                yield from self.steps_of_translation(asset, None)
            case "inbox":
                kind = Kind(request.body["kind"])
                yield from self._registered(request, kind)
                if kind is Kind.TRAINED_MODEL:
                    yield from self.steps_of_translation(asset, None)
            case "translations":
                yield from self.steps_of_translation(asset, request.body.get("opset"), request)
            case "verifications":
                yield from self._verified(request)
            case revocation.ROUTE:
                yield from self._revoked(request)
            case erasure.ROUTE:
                yield self._erased(request)
            case leftovers.ROUTE:
                yield from self._cleared(request)

    def _registered(self, request: Request, kind: Kind) -> Iterator[Step]:
        view = journal.view(self._storage, request.asset)
        event = self._event("asset.submitted", request.asset, request=str(request.id))
        yield self._step("ingest", view, self._has_registration(view), event, view.asset)
        yield self._deployed(view, kind)

    def of_model(self, model: UUID) -> Iterator[Step]:
        """The steps after a model's contract: its training, and the trained model's translation."""
        view = journal.view(self._storage, model)
        asset = trained_model_id(model, view.attempt)
        trained = journal.view(self._storage, asset)
        # Not the outcome: neither `exhausted` nor a record without authorization may hide that there was a run.
        started = trained.has_record or trained.has("train", view.attempt, "started")
        run = training.run_name(model, view.attempt)
        event = (
            self._event("training.finished", asset, run=run)
            if started
            else self._event("contract.deployed", model, assetkind=Kind.MODEL)
        )
        step = self._step("train", trained, self._has_registration(trained), event, model, view.attempt, started)
        yield step
        yield self._deployed(trained, Kind.TRAINED_MODEL)
        yield from self.steps_of_translation(asset, None)

    def steps_of_translation(self, trained: UUID, opset: int | None, request: Request | None = None) -> Iterator[Step]:
        asset = translation_id(trained, opset)
        view = journal.view(self._storage, asset)
        record = records.of_asset(self._storage, trained) or {}
        accelerator = (request.body if request else record).get("accelerator", "none")
        filters = {"framework": record.get("framework", ""), "accelerator": accelerator}
        event = (
            self._event("asset.registered", trained, assetkind=Kind.TRAINED_MODEL)  # `deploy` knows who translates
            if request is None
            else self._event("translation.requested", trained, request=str(request.id), **filters)
        )
        yield self._step("translate", view, self._has_registration(view), event, asset)
        yield self._deployed(view, Kind.TRANSLATION)

    def _verified(self, request: Request) -> Iterator[Step]:
        view = journal.view(self._storage, request.asset)
        if not request.body["claims"]:  # none applies
            yield Step(retraining.step_of(request), request.asset, "done", newest=view.newest)
        for claim in request.body["claims"]:
            key = paths.evidence_key(request.asset, claim, str(request.id))
            envelope = self._storage.read(key)
            recorded = envelope is not None and self.is_evidence_recorded(request.asset, claim, envelope)
            # Who signed a statement may have been killed before its authorization was there to be carried.
            signed = recorded or (envelope is not None and self._is_authorized(request.asset, envelope))
            yield replace(self._claimed(request, claim, view, signed), claim=claim)
            if signed:
                announced = self._event("evidence.authorized", request.asset)
                yield self._step("deploy", view, recorded, announced, view.asset)

    def _claimed(self, request: Request, claim: str, view: journal.View, done: bool) -> Step:
        step, identifier = retraining.step_of(request), str(request.id)
        if claim == REPRODUCTION:
            started = view.has(step, 1, "started")
            if not started:
                event = self._event("reproduction.requested", request.asset, request=identifier)
            elif choosing.is_chosen(self._storage, request.id):
                event = self._event("reproduction.finished", request.asset, request=identifier)
            else:
                event = self._event("training.finished", request.id, run=retraining.run_name(request.id))
            return self._step(step, view, done, event, None, 1, started)
        # Of a request's claims only a reproduction starts and fails: what these marks say is not about the others.
        view = replace(view, marks=tuple(mark for mark in view.marks if mark.outcome not in ("started", "failed")))
        record = records.of_asset(self._storage, request.asset) if claim == EQUIVALENCE else None
        filters = equivalence_filters(record) if record else {}
        event = self._event("verification.requested", request.asset, request=identifier, claim=claim, **filters)
        return self._step(step, view, done, event, None, 1)

    def _is_authorized(self, asset: UUID, envelope: bytes) -> bool:
        digest = digest_of(envelope)
        known = (one.message.fields for one in records.authorizations(self._storage, asset))
        return any(fields.get("statementDigest") == digest for fields in known)

    def _revoked(self, request: Request) -> Iterator[Step]:
        asset, view = request.asset, journal.view(self._storage, request.asset)
        attempt = view.attempt_of(revocation.STEP)
        event = self._event("revocation.requested", asset, request=str(request.id))
        try:
            refusal = revocation.refusal(self._storage, request)
        except RejectedContent as error:
            refusal = str(error)
        if refusal:
            yield Step(revocation.STEP, asset, "rejected", refusal, asset, event, view.newest)
            return
        yield self._step(revocation.STEP, view, revocation.is_authorized(self._storage, asset), event, asset, attempt)
        contract, announced = self.contract(asset), self._event("revocation.authorized", asset)
        done = contract is not None and contract.revoked
        yield self._step("deploy", view, done, announced, asset, attempt, marks=revocation.STEP)

    def _erased(self, request: Request) -> Step:
        asset, view = request.asset, journal.view(self._storage, request.asset)
        done = bool(erasure.erased(self._storage, asset, self.contract(asset)))
        event = self._event("erasure.requested", asset, request=str(request.id))
        return self._step(erasure.STEP, view, done, event, asset, view.attempt_of(erasure.STEP))

    def _cleared(self, request: Request) -> Iterator[Step]:
        for one in leftovers.subjects(request):
            view, event = journal.view(self._storage, one.id), self._event("erasure.requested", one.id, str(request.id))
            done = not leftovers.is_left(self._storage, self._ledger, request, one)
            yield self._step(erasure.STEP, view, done, event, None, 1, marks=leftovers.step(request))
        yield Step(leftovers.ROUTE, request.asset, "done")

    def is_evidence_recorded(self, asset: UUID, claim: str, envelope: bytes) -> bool:
        """Whether the ledger has this statement."""
        return self._ledger.is_recorded(evidence(asset, claim, digest_of(envelope), "passed"))

    def _deployed(self, view: journal.View, kind: Kind) -> Step:
        done = self._is_deployed(view.asset, kind)
        event = self._event("asset.registered", view.asset, assetkind=kind)
        return self._step("deploy", view, done, event, view.asset)

    def _is_deployed(self, asset: UUID, kind: Kind) -> bool:
        contract = self.contract(asset)
        if contract is None:
            return False
        claim = sealing_claim(kind, bool(contract.parents))
        envelope = self._storage.read(paths.evidence_key(asset, claim, str(asset)))
        return envelope is None or self.is_evidence_recorded(asset, claim, envelope)

    def contract(self, asset: UUID) -> Contract | None:
        """What the ledger says of an asset."""
        return self._ledger.find(asset)

    def _has_registration(self, view: journal.View) -> bool:
        return view.has_record and records.has_registration(self._storage, view.asset)

    def _step(
        self, name: str, view: journal.View, done: bool, event: Event, owner: UUID | None, attempt: int | None = None,
        running: bool = False, marks: str = "",
    ) -> Step:  # fmt: skip
        if done:
            return Step(name, view.asset, "done", owner=owner, newest=view.newest)
        number, marks = view.attempt if attempt is None else attempt, marks or name
        outcome = view.outcome(marks, number)
        reason = ""
        if outcome in (*journal.ENDED, "exhausted"):
            found: Mapping[str, Any] = journal.content(self._storage, view.asset, marks, number, outcome)
            reason = str(found.get("reason", ""))
        state: State = "running" if running or outcome == "started" else "waiting"
        if outcome in journal.ENDED or outcome == "exhausted":
            state = outcome  # type: ignore[assignment]
        return Step(name, view.asset, state, reason, owner, event, view.newest)

    def _event(self, name: str, subject: UUID, request: str = "", run: str = "", **attributes: str) -> Event:
        data = {"request": request} if request else {"run": run} if run else None
        return announce(name, subject, self._cause, data, **{key: str(value) for key, value in attributes.items()})


def last(steps: list[Step]) -> Step:
    """Where a chain stands."""
    return steps[-1]


def chain_of_asset(progress: Progress, storage: Storage, asset: UUID) -> list[Step] | None:
    """The steps of the chain that an asset began, or that made it; None where nobody knows the asset."""
    request = intake.origin(storage, asset)
    if request is not None:
        return list(progress.chain(request))
    record = records.of_asset(storage, asset)
    if record is None:
        return None
    return _made(progress, storage, asset, Kind(record["kind"]), record)


def _made(progress: Progress, storage: Storage, asset: UUID, kind: Kind, record: Mapping[str, Any]) -> list[Step]:
    found: list[Step] = []
    if kind is Kind.TRAINED_MODEL:
        steps = progress.of_model(UUID(record["parents"][0]))
    else:
        opset = record["parameters"].get("opset")
        steps = progress.steps_of_translation(UUID(record["source"]), opset)
    for step in steps:
        found.append(step)
        if step.state != "done":
            break
    return found
