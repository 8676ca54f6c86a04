"""Many chains at once: models asked for in the same moment, each trained, translated, and on the ledger once.

While they run nobody asks for a status, which would take the processors from them: the ledger's own log tells.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from benchmarks.cluster.results import written
from benchmarks.cluster.site import Site, wait_until_closed
from benchmarks.cluster.sizes import Sizes
from benchmarks.table import Row
from tests.cluster import chains
from tests.customers import Books

PATIENCE = 3600.0
LOOK = 5.0
BAD = ("failed", "rejected", "exhausted")


def rows(site: Site, sizes: Sizes) -> list[Row]:
    """All of them at once, then what is found."""
    dataset, count = site.ended["dataset"], sizes.chains
    books = Books.of(site.tenant.environment)
    started, restarts = time.perf_counter(), site.restarts
    with ThreadPoolExecutor(count) as pool:
        models = list(pool.map(lambda number: site.register_model(dataset, f"chain-{number}"), range(count)))
    accepted = time.perf_counter() - started
    assets = [chains.assets_of(str(dataset), str(model)) for model in models]
    ends = _wait(books, [one["translation"] for one in assets], started)
    elapsed = time.perf_counter() - started
    wait_until_closed(site, models)
    found = faults(site, books, models, assets)
    again = site.restarts - restarts
    note = (
        f"all accepted after {written(accepted)}, half of them done after {written(_median(ends, count))}; "
        f"containers of Knative Eventing started again meanwhile: {again}; "
        f"afterwards: {'; '.join(found) or 'each status complete, each contract once, no dead letter, none exhausted'}"
    )
    return [
        Row(
            f"{count} chains at once, until the last translation is on the ledger",
            written(elapsed) if len(ends) == count else f"{len(ends)} of {count} after {written(elapsed)}",
            "",
            "",
            "all finish, no dead letter, each contract once",
            not found and len(ends) == count,
            note,
            {"ours": ends},
        )
    ]


def _median(ends: Sequence[float], count: int) -> float:
    return sorted(ends)[min(len(ends), (count + 1) // 2) - 1] if ends else 0.0


def _wait(books: Books, translations: Sequence[UUID], started: float) -> list[float]:
    """The seconds after which each translation was on the ledger, until all are, or for as long as we have patience."""
    ends: dict[UUID, float] = {}
    while len(ends) < len(translations) and time.perf_counter() - started < PATIENCE:
        there = books.registered()
        now = time.perf_counter() - started
        ends.update({one: now for one in translations if one in there and one not in ends})
        time.sleep(LOOK)
    return list(ends.values())


def faults(site: Site, books: Books, models: Sequence[UUID], assets: Sequence[Mapping[str, UUID]]) -> list[str]:
    """What is not as it should be."""
    states = Counter(site.status(model).get("state", "unknown") for model in models)
    registered = books.registered()
    made = {asset for one in assets for asset in one.values()}
    not_once = {str(asset): registered[asset] for asset in made if registered[asset] != 1}
    repeated = [one for one, times in books.recorded().items() if times != 1]
    letters = [entry.key for entry in site.storage.list("dead-letters/")]
    exhausted = [
        entry.key
        for asset in made
        for entry in site.storage.list(f"assets/{asset}/journal/")
        if entry.key.endswith(".exhausted.json")
    ]
    said = {
        f"status {dict(states)}": set(states) - {"complete"},
        f"contracts that are not there once: {not_once}": not_once,
        f"statements recorded again: {len(repeated)}": repeated,
        f"dead letters: {letters[:5]}": letters,
        f"{len(exhausted)} deliveries given up by the Broker, later made up for: {exhausted[:3]}": exhausted,
    }
    return [text for text, wrong in said.items() if wrong]
