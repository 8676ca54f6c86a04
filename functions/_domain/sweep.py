"""The sweep: finds the step that is missing and says which event drives it. It remembers nothing.

An event that got lost, a function that was killed, a broker that gave up: all look the same here, as a chain that
stands in ``open/`` and has not moved. Gaps between announcements of one chain grow with the time it has stood still.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from functions._domain import intake, paths, records
from functions._domain.carrying import is_sealed
from functions._domain.digests import digest_of_stream
from functions._domain.errors import RejectedContent, RejectedUnknown, UnavailableNewer
from functions._domain.events import Event, announce
from functions._domain.ingestion import RECEIPT
from functions._domain.ports import Entry, Ports, Storage
from functions._domain.progress import Progress

PERIOD = 10
LONGEST_GAP = 300
UNREADABLE = "unreadable"
STANDING = ("waiting", "running", "exhausted", UNREADABLE)
"""The states of chains that stay open; one that was rejected or has failed does not."""


@dataclass(frozen=True)
class Swept:
    """One thing looked at, the event it needs, if any, and its state where it is a chain that stays open."""

    key: str
    event: Event | None = None
    state: str = ""


def is_due(now: datetime, newest: datetime, period: int = PERIOD) -> bool:
    """Whether a chain that has stood still since ``newest`` is announced in this sweep.

    Not within the first period; then each sweep, then with gaps of a quarter of its age, up to five minutes.
    """
    age = (now - newest).total_seconds()
    if age < period:
        return False
    gap = min(LONGEST_GAP, max(period, age / 4))
    return age // gap != (age - period) // gap or gap <= period


def sweep(ports: Ports, everything: bool = False) -> Iterator[Swept]:
    """Looks at all open chains and the inbox; with ``everything`` also at each asset's ledger entries, gaps ignored."""
    cause = f"sweep:{ports.now().isoformat()}"
    for entry in ports.storage.list(paths.OPEN):
        yield _chain(ports, entry, cause, everything)
    yield from _inbox(ports, cause)
    if everything:
        for name in ports.storage.folders(paths.ASSETS):
            yield from _carried(ports, name, cause)


def _chain(ports: Ports, entry: Entry, cause: str, everything: bool) -> Swept:
    progress = Progress(ports.storage, ports.ledger, cause)
    try:
        _, _, identifier = entry.key.split("/")
        request = intake.load(ports.storage, UUID(identifier))
        steps = list(progress.chain(request))
    except (RejectedUnknown, RejectedContent, UnavailableNewer, ValueError):
        steps = []
    if not steps:
        return Swept(entry.key, state=UNREADABLE)  # not ours to mend: left for a person to see
    last = steps[-1]
    if last.state == "done":
        ports.storage.delete(entry.key)
        return Swept(entry.key)
    if last.has_ended:
        ports.storage.delete(entry.key)
        if [step.has_ended for step in progress.chain(request)][-1]:
            return Swept(entry.key)
        ports.storage.create(entry.key, b"")  # a retry came between the look and the removal
    newest = max(entry.modified, *(step.newest for step in steps))
    return Swept(entry.key, last.event if everything or is_due(ports.now(), newest) else None, last.state)


def _inbox(ports: Ports, cause: str) -> Iterator[Swept]:
    for key in _waiting(ports.storage):
        # An inbox upload has no asset yet: its subject is a UUID made of its key, and ``key`` says where to look.
        subject = intake.inbox_subject(ports.tenant, key)
        yield Swept(key, announce("asset.submitted", subject, cause, {"key": key}))


def _waiting(storage: Storage) -> Iterator[str]:
    """Every ``asset.json`` of the inbox that was not refused since it was written."""
    written: dict[str, Entry] = {}
    for entry in storage.list(paths.INBOX):
        folder, _, name = entry.key.rpartition("/")
        if folder.count("/") == 2 and name in ("asset.json", "rejected.json"):
            written[entry.key] = entry
    for key, entry in written.items():
        refusal = written.get(paths.refusal_key(key))
        if key.endswith("/asset.json") and not (refusal and _is_refused(storage, entry, refusal)):
            yield key


def _is_refused(storage: Storage, asset_json: Entry, refusal: Entry) -> bool:
    """Whether a refusal is of this very ``asset.json``; the same one written again is looked at again too."""
    if refusal.modified < asset_json.modified:
        return False
    try:
        said = records.read(storage, refusal.key, RECEIPT) or {}
    except RejectedContent:
        return False  # not written by us
    except UnavailableNewer:
        return True  # whoever refused it knows more
    return bool(said.get("refused") == digest_of_stream(storage.open(asset_json.key) or ())[0])


def _carried(ports: Ports, name: str, cause: str) -> Iterator[Swept]:
    """What an asset's stored authorizations say and the ledger does not have: of the asset, and of its revocation."""
    key, missing, kind = f"{paths.ASSETS}{name}/", set[str](), ""
    try:
        asset = UUID(name)
        kind = str((records.of_asset(ports.storage, asset) or {}).get("kind", ""))
        asked = list(records.authorizations(ports.storage, asset)) if is_sealed(ports, asset) else []
        missing = {one.message.type for one in asked if not ports.ledger.is_recorded(one.message)}
    except (RejectedContent, UnavailableNewer, ValueError):
        missing = set()  # damaged, no asset's folder, or a newer platform's: for `verify` to say
    if missing & {"Registration", "Evidence"}:
        yield Swept(key, announce("asset.registered", asset, cause, assetkind=kind))
    if "Revocation" in missing:
        yield Swept(key, announce("revocation.authorized", asset, cause))
    if not missing:
        yield Swept(key)
