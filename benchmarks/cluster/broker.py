"""The same hops through Broker and Trigger: from the POST to the Broker until the reply has come out of it again.

Each side has a Broker of its own, with a Trigger to the function and one that hands replies to this process; so a reply
drives nothing else on. A function that has nothing to say cannot be timed so, and is in ``hop`` only.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Queue

from benchmarks.bare.echo import ECHOED
from benchmarks.cluster import beside, hops
from benchmarks.cluster.hop import WARM, echo
from benchmarks.cluster.hops import Hop
from benchmarks.cluster.line import Line
from benchmarks.cluster.results import added
from benchmarks.cluster.site import Site
from benchmarks.cluster.sizes import Sizes
from benchmarks.table import Row
from functions._runtime.manifests import eventing
from functions._runtime.manifests.files import Manifest
from functions.declaration import FUNCTIONS

HOST = "EDGE_HOST_IP"
MOST = 0.030
PATIENCE = 120.0
"""Seconds for a reply, retries included; a Broker in memory that restarts has lost what it had."""

PREFIX = "benchmark-"
"""A Broker's name is this and its Service's."""


def rows(site: Site, sizes: Sizes) -> list[Row]:
    """A row for each function of a chain that replies."""
    address = site.edge.settings.get(HOST)
    if not address or not site.edge.settings.get("EDGE_BROKER_URL"):
        raise LookupError(f"pods cannot reach this process: {HOST} and EDGE_BROKER_URL do not say where")
    asked = [hop for hop in hops.of(site.ended) if hop.reply]
    with _listening() as (port, arrived):
        site.apply([beside.code(), echo(site)])
        wanted = list(_eventing(asked, f"http://{address}:{port}"))
        try:
            site.apply(wanted)
            return [_row(site, hop, sizes.hops, arrived) for hop in asked]
        finally:
            for manifest in wanted:
                site.cluster.delete(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])
            beside.stop(site, ["echo"])


@contextmanager
def _listening() -> Iterator[tuple[int, "Queue[float]"]]:
    """A server that takes events: its port, and when each was there."""
    arrived: Queue[float] = Queue()

    class Take(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", 65536

        def do_POST(self) -> None:
            arrived.put(time.perf_counter())
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("", 0), Take)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, arrived
    finally:
        server.shutdown()
        server.server_close()


def _eventing(asked: list[Hop], listener: str) -> Iterator[Manifest]:
    """Brokers like the tenant's, first; then their Triggers."""
    like = eventing.broker([function for function in FUNCTIONS if function.scope == "tenant"])
    sides = [*(hop.service for hop in asked), "echo"]
    for side in sides:
        yield {**like, "metadata": {**like["metadata"], "name": PREFIX + side}}
    for hop in asked:
        yield _trigger(hop.service, hop.service, hop.event.type, _service(hop.service))
        yield _trigger(hop.service, f"{hop.service}-replied", f"io.polyglot.{hop.reply}.v1", {"uri": listener})
    for kind in sorted({hop.event.type for hop in asked}):
        yield _trigger("echo", f"echo-{kind.replace('.', '-')}", kind, {**_service("echo"), "uri": "/reply"})
    yield _trigger("echo", "echo-replied", ECHOED, {"uri": listener})


def _service(name: str) -> Manifest:
    return {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": name}}


def _trigger(side: str, name: str, kind: str, subscriber: Manifest) -> Manifest:
    spec = {"broker": PREFIX + side, "filter": {"attributes": {"type": kind}}, "subscriber": subscriber}
    metadata = {"name": PREFIX + name, "labels": eventing.PART_OF}
    return {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": metadata, "spec": spec}


def _row(site: Site, hop: Hop, count: int, arrived: "Queue[float]") -> Row:
    url, namespace = site.edge.settings["EDGE_BROKER_URL"], site.tenant.namespace
    paths = {side: f"/{namespace}/{PREFIX}{name}" for side, name in (("ours", hop.service), ("theirs", "echo"))}
    line = Line(url, url.removeprefix("http://"))
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(WARM + count):
        for side in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            seconds = _round(line, paths[side], hop, arrived)
            if number >= WARM:
                times[side].append(seconds)
    line.close()
    slow = (statistics.quantiles(times[side], n=20)[-1] * 1000 for side in ("ours", "theirs"))
    return added(
        f"the same of {hop.service} through Broker and Trigger, until its reply is out of the Broker",
        times["ours"],
        times["theirs"],
        MOST,
        f"medians of {count} in turns, warm; 95 of 100 within {' ms against '.join(f'{one:.0f}' for one in slow)} ms",
    )


def _round(line: Line, path: str, hop: Hop, arrived: "Queue[float]") -> float:
    """Seconds from handing an event to a Broker until the reply to it is here."""
    headers, body = hop.sent
    started = time.perf_counter()
    line.ask("POST", path, body, headers)
    try:
        return arrived.get(timeout=PATIENCE) - started
    except Empty:
        raise TimeoutError(f"nothing came out of {path} within {PATIENCE:.0f} s of {hop.event.name}") from None
