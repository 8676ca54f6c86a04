"""Erasure: removes what may be removed, and nothing because an event says so.

The files of an asset that is revoked on the ledger, where its owner asked for that too; and what ``polyglot gc`` clears
away (``functions._domain.leftovers``). Record, inventory, authorizations, evidence and the reason of the revocation
stay, so that what was made of an erased asset still checks. A mark says when it was done; what lies in the bucket and
on the ledger says whether that is so.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from uuid import UUID

from functions._domain import intake, journal, leftovers, paths
from functions._domain.errors import RejectedConflict, RejectedContent, UnavailableYet
from functions._domain.events import Event
from functions._domain.intake import Request
from functions._domain.ports import Contract, Held, Ports, Storage

STEP = "erase"
ROUTE = "erasures"


def request_of(storage: Storage, event: Event) -> Request:
    """The request that an ``erasure.requested`` names, which must have asked for something of the event's subject.

    Raises:
        RejectedRequest: it did not. The event is at fault then, and leaves no mark.
    """
    try:
        request = intake.find(storage, UUID(str(event.data.get("request", ""))))
    except ValueError:
        request = None
    if request is not None and request.route == leftovers.ROUTE and _of(request, event.subject):
        return request
    return intake.named(storage, event, ROUTE)


def _of(request: Request, subject: UUID) -> list[leftovers.Candidate]:
    """What a request to clear away names of a subject."""
    return [one for one in leftovers.subjects(request) if one.id == subject]


def erase(ports: Ports, event: Event) -> None:
    """Do what the request of an event asks for, as far as what is stored allows it; done already is success.

    Raises:
        RejectedConflict: the store holds on to some of it; the message says until when.
        UnavailableYet: the ledger does not have the revocation (yet).
    """
    request, asset = request_of(ports.storage, event), event.subject
    if request.route == leftovers.ROUTE:
        for one in _of(request, asset):
            _require_gone(leftovers.remove(ports, one, request), "`polyglot gc` removes them then")
        return
    contract = ports.ledger.find(asset)
    if contract is None or not contract.revoked:
        raise UnavailableYet(f"the ledger does not say (yet) that {asset} is revoked, so nothing of it is erased")
    held = [ports.storage.erase(prefix) for prefix in _copies(ports.storage, asset)]
    _require_gone(held, f"`polyglot retry {asset}` erases them then")
    attempt = journal.view(ports.storage, asset).attempt_of(STEP)
    journal.mark(ports.storage, asset, STEP, attempt, "done", ports.now(), request=str(request.id))


def _copies(storage: Storage, asset: UUID) -> Iterator[str]:
    """Where an asset's bytes are: in their place, and as its runs, and those that made it once more, staged them."""
    yield paths.files_prefix(asset)
    for run in (asset, *_reproductions(storage, asset)):
        for execution in storage.folders(paths.run_prefix(run)):
            yield from (paths.run_prefix(run, execution) + part for part in ("model/", "output/"))


def _reproductions(storage: Storage, asset: UUID) -> Iterator[UUID]:
    """The verifications that left a mark; where one trains, its request is what its run is staged under."""
    steps = {mark.step for mark in journal.view(storage, asset).marks if mark.step.startswith("verify-")}
    for step in sorted(steps):
        with suppress(ValueError):
            request = intake.find(storage, UUID(step.removeprefix("verify-")))
            if request is not None and (request.route, request.asset) == ("verifications", asset):
                yield request.id


def _require_gone(held: Iterable[Held | None], then: str) -> None:
    """Raises RejectedConflict where a store holds on to something, naming the day from which on it does not."""
    kept = [one for one in held if one is not None]
    if not kept:
        return
    until = max((one.until for one in kept if one.until), default=None)
    ends = [f"after {journal.stamp(until)}"] if until else []
    ends += ["when its legal hold is lifted"] if any(one.legal_hold for one in kept) else []
    count = sum(one.versions for one in kept)
    raise RejectedConflict(
        f"object lock keeps {count:,} {'version' if count == 1 else 'versions'} of files, such as {kept[0].example}: "
        f"erasing becomes possible {' and '.join(ends)}; {then}"
    )


def erased(storage: Storage, asset: UUID, contract: Contract | None) -> str:
    """When a revoked asset's files were removed (RFC 3339), or an empty string where they were not.

    A mark alone says nothing, since anybody with the bucket could write one: the ledger must have the revocation.
    """
    if contract is None or not contract.revoked:
        return ""
    done = [mark for mark in journal.view(storage, asset).marks if (mark.step, mark.outcome) == (STEP, "done")]
    if not done or not is_empty(storage, asset):
        return ""
    try:
        said = str(journal.content(storage, asset, STEP, done[0].attempt, "done").get("time", ""))
    except RejectedContent:
        said = ""
    return said or journal.stamp(done[0].modified)


OF_FILES = ("integrity", "reproduction", "equivalence")
"""The claims that are decided from an asset's files."""


def not_applicable(ports: Ports, asset: UUID) -> Mapping[str, str]:
    """The claims that cannot be made any more of an asset whose files were removed, each with the reason."""
    when = erased(ports.storage, asset, ports.ledger.find(asset))
    reason = "its files were removed as its owner asked, its record and evidence stay and are verified by provenance"
    return dict.fromkeys(OF_FILES, f"erased on {when[:10]}: {reason}") if when else {}


def is_empty(storage: Storage, asset: UUID) -> bool:
    """Whether none of an asset's files is there."""
    return next(iter(storage.list(paths.files_prefix(asset))), None) is None
