"""Cold starts: from no pod at all to the first answer through the ingress, beside a bare function that does a GET.

Both Services differ from what is deployed in one annotation, which has them go to zero sooner.
"""

import statistics
from dataclasses import dataclass, field

from benchmarks.cluster import beside
from benchmarks.cluster.site import Site
from benchmarks.cluster.sizes import Sizes
from benchmarks.cluster.zero import WINDOW, sooner, wait_for_zero
from benchmarks.table import Pair, Row
from tests.cluster import accounts

OBJECT = "benchmark/object"
MOST = 1.3


@dataclass(frozen=True)
class Question:
    """The first request to a Service, and what its cold starts took, in seconds."""

    service: str
    method: str
    path: str
    body: bytes | None = None
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def rows(site: Site, sizes: Sizes) -> list[Row]:
    """The first write of ``register``, the first read of ``retrieve``."""
    accounts.client(site.edge, site.tenant.credentials).put_object(
        Bucket=site.tenant.bucket, Key=OBJECT, Body=b"an object"
    )
    bare = Question("bare", "GET", "/")
    ours = [
        Question("register", "POST", "/v1/uploads", b'{"kind": "dataset"}'),
        Question("retrieve", "GET", f"/v1/assets/{site.ended['trained-model']}"),
    ]
    environment = {**beside.framework("bare", "main.py"), "OBJECT": OBJECT}
    other = beside.like(site.rendered("register", WINDOW), "bare", environment, site.images["polyglot-plain"])
    beside.start(site, [other])
    try:
        with sooner(site, [one.service for one in ours]):
            _measured(site, [bare, *ours], sizes.starts)
    finally:
        beside.stop(site, ["bare"])
    return [_row(one, bare) for one in ours]


def _measured(site: Site, questions: list[Question], rounds: int) -> None:
    """Ask each in turns, another one first each time; the first round finds files that no start has read yet."""
    for number in range(rounds + 1):
        wait_for_zero(site, [one.service for one in questions])
        first = number % len(questions)
        for one in [*questions[first:], *questions[:first]]:
            line = site.public(one.service)
            cold, warm = (line.ask(one.method, one.path, one.body, site.authorized).seconds for _ in range(2))
            line.close()
            if number:
                one.cold.append(cold)
                one.warm.append(warm)


def _row(ours: Question, bare: Question) -> Row:
    path = "/v1/assets/{id}" if ours.method == "GET" else ours.path
    return Pair(ours.cold, bare.cold).row(
        f"cold start from zero of {ours.service}, {ours.method} {path}, against a bare function",
        most=MOST,
        note=f"medians of {len(ours.cold)} in turns, from the first packet to the whole answer; the request after it, "
        f"on the same connection, {statistics.median(ours.warm) * 1000:.0f} ms against "
        f"{statistics.median(bare.warm) * 1000:.0f} ms",
    )
