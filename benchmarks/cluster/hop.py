"""A hop: an event that is done already posted to a warm function, beside an echo function behind the same ingress.

What ours takes longer is decoding, finding that nothing is left to do (in the bucket and on the ledger), answering.
"""

import statistics

from benchmarks.cluster import beside, hops
from benchmarks.cluster.hops import Hop
from benchmarks.cluster.results import added
from benchmarks.cluster.site import Site
from benchmarks.cluster.sizes import Sizes
from benchmarks.table import Row

MOST = 0.030
WARM = 10
"""Requests before any is counted."""


def rows(site: Site, sizes: Sizes) -> list[Row]:
    """A row for each function of a chain."""
    beside.start(site, [echo(site)])
    try:
        return [_row(site, hop, sizes.hops) for hop in hops.of(site.ended)]
    finally:
        beside.stop(site, ["echo"])


def echo(site: Site) -> dict[str, object]:
    """A function that takes an event and knows nothing, in the image and with the resources of ``deploy``."""
    return beside.like(site.rendered("deploy"), "echo", beside.framework("echo", "echo.py"))


def _row(site: Site, hop: Hop, count: int) -> Row:
    ours, theirs = site.private(hop.service), site.private("echo")
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    headers, body = hop.sent
    for number in range(WARM + count):
        sides = [("ours", ours), ("theirs", theirs)]
        for side, line in sides if number % 2 else reversed(sides):
            answer = line.ask("POST", "/", body, headers)
            if number >= WARM:
                times[side].append(answer.seconds)
    ours.close()
    theirs.close()
    slow = statistics.quantiles(times["ours"], n=20)[-1], statistics.quantiles(times["theirs"], n=20)[-1]
    return added(
        f"hop of {hop.service}: {hop.event.name} of a finished asset, posted again, against an echo function",
        times["ours"],
        times["theirs"],
        MOST,
        f"medians of {count} in turns, warm, one kept connection each; 95 of 100 within {slow[0] * 1000:.0f} ms "
        f"against {slow[1] * 1000:.0f} ms",
    )
