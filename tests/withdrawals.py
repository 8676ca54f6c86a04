"""What tests of revoking, erasing and clearing away share: assets to take back, and events to say it again."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from functions._backends.cloudevents import to_http, write
from functions._domain.events import announce
from functions._runtime.wiring import WiredPorts
from functions.declaration import by_name
from tests.customers import Books
from tests.platforms import Site
from tests.strangers import Upload, make_token

Posted = tuple[Mapping[str, str], bytes]
TABLE = {"a.csv": b"1,2\n", "deep/b.csv": b"3,4\n", "c.bin": bytes(5000)}


def ports_of(site: Site, function: str) -> WiredPorts:
    """What a function of a platform has."""
    return WiredPorts(by_name(function), site.settings)


def dataset(site: Site, files: Mapping[str, bytes] | None = None, name: str = "withdrawn") -> str:
    """A registered dataset, asked for over HTTP."""
    upload = Upload(site)
    upload.send(files or TABLE)
    assert upload.register(name=name)[0] == 202
    site.wait_for(upload.id)
    return upload.id


def publisher(site: Site, subject: str = "") -> str:
    """The token of somebody who publishes."""
    return make_token(site, subject or f"somebody-{uuid4()}", None, "publisher")


def revoked(site: Site, asset: str, reason: str = "consent was withdrawn") -> Any:
    """An asset's owner has revoked it; returns the request's answer."""
    return ended(site, site.http("POST", f"/v1/assets/{asset}/revoke", {"reason": reason}))


def erased(site: Site, asset: str) -> Any:
    """An asset's owner has erased its files; returns the request's answer."""
    return ended(site, site.http("POST", f"/v1/assets/{asset}/erase"))


def ended(site: Site, accepted: tuple[int, Any, Mapping[str, str]], state: str = "complete") -> Any:
    """Wait until the chain of an accepted request is in a state."""
    status, answer, _ = accepted
    assert status == 202, answer
    end = time.monotonic() + 30
    while (found := site.http("GET", f"/v1/requests/{answer['id']}")[1])["state"] != state:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def settled(site: Site) -> None:
    """Nothing is on its way, and the sweep has put away what is complete."""
    for _ in range(2):
        assert site.platform.broker.drain(60)
        assert site.http("POST", "/v1/reconcile")[0] == 200
    assert site.platform.broker.drain(60)


def everything(site: Site) -> tuple[object, ...]:
    """All that is stored apart from letters about nothing, and all that is on the ledger."""
    books = Books.of(site.settings)
    objects = {key: data for key, data in site.objects("").items() if not key.startswith("dead-letters/")}
    return objects, books.registered(), books.recorded(), books.revoked()


def delivered(site: Site, *names: str) -> list[tuple[str, Posted]]:
    """Each event of some names that was delivered, once, with the Service that took it."""
    found = {
        (one.subscriber.service, one.event.get_attributes()["id"]): (one.subscriber.service, write(one.event))
        for one in site.deliveries
        if one.event.get_attributes()["type"] in {f"io.polyglot.{name}.v1" for name in names}
    }
    return list(found.values())


def again(site: Site, events: list[tuple[str, Posted]], times: int = 10) -> Counter[int]:
    """Deliver events to their functions again, many times at once; the answers."""
    with ThreadPoolExecutor(times) as pool:
        posts = [(*event, f"/functions/{service}") for service, event in events * times]
        return Counter(pool.map(lambda post: site.announce(*post), posts))


def said(name: str, subject: str | UUID, data: Mapping[str, object] | None = None, **attributes: str) -> Posted:
    """An event that somebody sends."""
    return to_http(announce(name, UUID(str(subject)), str(uuid4()), data, **attributes), "/anybody")


def aged(folder: Path, seconds: float, which: Callable[[Path], bool] = lambda path: True) -> None:
    """Make files older than they are."""
    when = time.time() - seconds
    for path in folder.rglob("*") if folder.is_dir() else [folder]:
        if path.is_file() and which(path):
            os.utime(path, (when, when))
