"""Withdrawing: what the writes of the HTTP interface do that take something back: revoke, erase, clear away.

Only the owner of an asset, or an operator, revokes it and erases its files. Asking for the same again is success, and
after a rejection another attempt.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from functions._domain import answers, erasure, intake, journal, leftovers, paths, records, revocation
from functions._domain.accepting import accepted, begin
from functions._domain.calls import Call
from functions._domain.carrying import is_sealed
from functions._domain.digests import digest_of
from functions._domain.errors import (
    RejectedConflict,
    RejectedContent,
    RejectedForbidden,
    RejectedRequest,
    RejectedUnknown,
)
from functions._domain.events import announce
from functions._domain.identity import request_id
from functions._domain.intake import Principal, Request
from functions._domain.ports import Contract, Ports, Storage
from functions._domain.progress import Progress

_AFTER = re.compile(rf"(?:{paths.REQUESTS}|{paths.RUNS})[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")


def revoke(call: Call, ports: Ports) -> answers.Accepted:
    """Ask for an asset to be marked on the ledger as no longer to be used, with a reason."""
    storage, asset, reason = ports.storage, call.id, call.body.reason
    contract = _required(ports, asset, call.principal)
    standing = revocation.first(storage, asset)
    if standing is not None and standing.body["reason"] != reason:
        raise RejectedConflict(revocation.already(standing))
    told = revocation.told(storage, ports.ledger, asset, contract)
    if told is not None:
        if standing is None or told.problem:
            raise RejectedConflict(f"{asset} was {told}")
        return accepted(standing)
    body = {"reason": reason}
    request = standing or intake.accept(ports, call.principal, revocation.ROUTE, call.key, body, asset)
    intake.open_chain(storage, request)  # before its reason stands: who is killed in between leaves something to sweep
    counted = revocation.claim(storage, request)
    if counted.body["reason"] != reason:
        raise RejectedConflict(revocation.already(counted))
    _try_again(ports, revocation.STEP, counted, call)
    return begin(ports, counted, announce("revocation.requested", asset, str(counted.id), {"request": str(counted.id)}))


def erase(call: Call, ports: Ports) -> answers.Accepted:
    """Ask for the files of a revoked asset to be removed for good."""
    asset = call.id
    contract = _required(ports, asset, call.principal)
    if contract is None or not contract.revoked:
        raise RejectedConflict(
            f"the ledger does not say that {asset} is revoked, and only what is revoked is erased: revoke it first "
            f"(polyglot revoke {asset} --reason …)"
        )
    request = intake.accept(ports, call.principal, erasure.ROUTE, call.key, {}, asset)
    intake.open_chain(ports.storage, request)
    journal.mark(ports.storage, asset, erasure.STEP, 1, "requested", ports.now(), request=str(request.id))
    _try_again(ports, erasure.STEP, request, call)
    return begin(ports, request, announce("erasure.requested", asset, str(request.id), {"request": str(request.id)}))


def _required(ports: Ports, asset: UUID, principal: Principal) -> Contract | None:
    """What the ledger has of a sealed asset that somebody wants to take back.

    Raises:
        RejectedUnknown: there is no such asset.
        RejectedConflict: it is not sealed yet.
        RejectedForbidden: it belongs to somebody else.
    """
    contract = ports.ledger.find(asset)
    if contract is None and not is_sealed(ports, asset):
        if intake.find(ports.storage, asset) is None and not journal.view(ports.storage, asset).is_known:
            raise RejectedUnknown(f"there is no asset {asset}: polyglot list shows all")
        raise RejectedConflict(f"{asset} is not sealed, so there is nothing to take back: polyglot status {asset}")
    _require_owner(ports.storage, asset, contract, principal)
    return contract


def _require_owner(storage: Storage, asset: UUID, contract: Contract | None, principal: Principal) -> None:
    """Raises RejectedForbidden unless an asset is somebody's own; of a damaged record only operators are believed."""
    data = storage.read(paths.record_key(asset))
    try:
        if data is None or (contract is not None and digest_of(data) != contract.record_digest):
            raise RejectedContent("its record is not the registered one")
        owner = str((records.of_asset(storage, asset) or {})["owner"])
    except (RejectedContent, KeyError) as error:
        if "operator" not in principal.roles:
            raise RejectedForbidden(f"whose {asset} is cannot be told ({error}): use an operator's token") from error
    else:
        principal.require_owner(owner)


def _try_again(ports: Ports, step: str, request: Request, call: Call) -> None:
    """Begin another attempt where the current one has ended."""
    progress = Progress(ports.storage, ports.ledger, str(request.id))
    if list(progress.chain(request))[-1].has_ended:
        count = journal.view(ports.storage, request.asset).attempt_of(step)
        who = {"principal": call.principal.subject, "key": call.key}
        journal.mark(ports.storage, request.asset, f"retry-{step}", count, "requested", ports.now(), **who)


def retried(call: Call, ports: Ports) -> answers.Accepted | None:
    """Try the revocation or erasure of an asset again, where that has ended; None where there is none that did."""
    for step, request in asked(ports.storage, call.id):
        last = journal.view(ports.storage, call.id).attempt_of(step) - 1
        key = journal.content(ports.storage, call.id, f"retry-{step}", last, "requested").get("key")
        is_repeated = call.key is not None and key == call.key  # its answer was lost
        steps = list(Progress(ports.storage, ports.ledger, f"retry:{step}:{last + 1}").chain(request))
        if is_repeated or steps[-1].has_ended:
            _require_owner(ports.storage, call.id, ports.ledger.find(call.id), call.principal)
            intake.open_chain(ports.storage, request)  # before the mark, so that there is something to sweep
            if not is_repeated:
                _try_again(ports, step, request, call)
            again = list(Progress(ports.storage, ports.ledger, f"retry:{step}:{last + 1}").chain(request))[-1]
            return begin(ports, request, *([again.event] if again.event else []))
    return None


def asked(storage: Storage, asset: UUID) -> Iterator[tuple[str, Request]]:
    """What was asked to be taken back of an asset: steps with their requests; what is damaged is passed over."""
    with suppress(RejectedContent):
        revoking = revocation.first(storage, asset)
        if revoking is not None:
            yield revocation.STEP, revoking
    with suppress(RejectedContent, ValueError):
        named = journal.content(storage, asset, erasure.STEP, 1, "requested").get("request")
        erasing = intake.find(storage, UUID(str(named))) if named else None
        if erasing is not None and (erasing.route, erasing.asset) == (erasure.ROUTE, asset):
            yield erasure.STEP, erasing


def clear_away(call: Call, ports: Ports) -> answers.CleaningAnswer:
    """Find uploads that were given up and staged copies that nothing needs, and ask for them to be removed."""
    after = call.query.get("after", "")
    if after and not _AFTER.fullmatch(after):
        raise RejectedRequest(f"after is {after!r}: expected the `next` of an earlier answer")
    request = _earlier(call, ports)
    if request is None:
        found = leftovers.look(ports, after)
        body = {"after": after, **vars(found)}
        request = intake.accept(ports, call.principal, leftovers.ROUTE, call.key, body)
    elif request.body["after"] != after:
        raise RejectedConflict("this Idempotency-Key was used before with another body: use a new key")
    data = {"request": str(request.id)}
    named = dict.fromkeys(one.id for one in leftovers.subjects(request))
    begun = begin(ports, request, *(announce("erasure.requested", one, str(request.id), data) for one in named))
    said = request.body
    return answers.CleaningAnswer(
        **begun.model_dump(),
        uploads=len(said["uploads"]),
        runs=len(said["runs"]),
        files=said["files"],
        size=said["size"],
        next=said["next"],
    )


def _earlier(call: Call, ports: Ports) -> Request | None:
    """The same request as it was accepted before: by now there is less to be found."""
    if call.key is None:
        return None
    return intake.find(ports.storage, request_id(ports.tenant, call.principal.subject, leftovers.ROUTE, call.key))
