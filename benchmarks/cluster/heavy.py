"""The heaviest variant, ``translate-torch``: from no pod at all to an answer, beside its bare imports in its own image.

The other side is a Service of the same image and resources that imports the translator's packages, then answers
(``bare/importing.py``). Both are asked at the cluster's private ingress, as the Broker does it.
"""

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

from benchmarks.cluster import beside, hops
from benchmarks.cluster.results import added, written
from benchmarks.cluster.site import Site
from benchmarks.cluster.sizes import Sizes
from benchmarks.cluster.zero import WINDOW, sooner, wait_for_zero
from benchmarks.table import Row
from functions._domain import intake, journal
from functions._domain.events import Event, announce

SERVICE, OTHER = "translate-torch", "importing"
PACKAGES = ("torch", "onnx", "onnxruntime")
MOST = 3.0
OPSETS = range(18, 24)
"""Each makes another translation of one trained model."""


def rows(site: Site, sizes: Sizes) -> list[Row]:
    """The first answer to an event that is done already, and to one that is real work."""
    command = ["python", "-u", f"{beside.PLACE}/importing.py", *PACKAGES]
    other = beside.like(site.rendered(SERVICE, WINDOW), OTHER, {}, command=command)
    beside.start(site, [other])
    try:
        with sooner(site, [SERVICE]):
            measured = _Measured(site)
            measured.answers(sizes.heavy_starts)
            measured.translations(sizes.translations)
    finally:
        beside.stop(site, [OTHER])
    return measured.rows()


class _Measured:
    """Seconds of everything that was asked."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.imports: list[float] = []
        self.cold: list[float] = []
        self.warm: list[float] = []

    def answers(self, rounds: int) -> None:
        """Both sides from zero, in turns; the first round finds files that no start has read yet."""
        for number in range(rounds + 1):
            wait_for_zero(self._site, [SERVICE, OTHER])
            sides: list[Callable[[], tuple[float, float]]] = [self._answered, self._imported]
            found = {side: side() for side in (sides if number % 2 else reversed(sides))}
            if number:
                self.ours.append(found[self._answered][0])
                self.theirs.append(found[self._imported][0])
                self.imports.append(found[self._imported][1])

    def _answered(self) -> tuple[float, float]:
        done = next(hop for hop in hops.of(self._site.ended) if hop.service == SERVICE)
        return self._post(done.event), 0.0

    def _imported(self) -> tuple[float, float]:
        line = self._site.private(OTHER)
        answer = line.ask("POST", "/", b"")
        line.close()
        return answer.seconds, float(answer.body)

    def translations(self, rounds: int) -> None:
        """A translation from zero, and another right after it; each with an opset of its own."""
        opsets = iter(OPSETS)
        for _ in range(min(rounds, len(OPSETS) // 2)):
            wait_for_zero(self._site, [SERVICE, OTHER])
            self.cold.append(self._translated(next(opsets)))
            self.warm.append(self._translated(next(opsets)))

    def _translated(self, opset: int) -> float:
        return self._post(requested(self._site, self._site.ended["trained-model"], opset))

    def _post(self, event: Event) -> float:
        line = self._site.private(SERVICE)
        headers, body = hops.Hop(SERVICE, event).sent
        answer = line.ask("POST", "/", body, headers)
        line.close()
        return answer.seconds

    def rows(self) -> list[Row]:
        """What was measured, as two rows."""
        imported = f"`python -c 'import {', '.join(PACKAGES)}'`"
        alone = f"the imports alone {written(statistics.median(self.imports))}"
        return [
            added(
                f"cold start from zero of {SERVICE} to its answer to a finished event, against {imported} in its image",
                self.ours,
                self.theirs,
                MOST,
                f"medians of {len(self.ours)} in turns; {alone}, which ours leaves to the child that translates",
            ),
            added(
                f"a small model translated, measured and sealed by {SERVICE} from zero, against the same when warm",
                self.cold,
                self.warm,
                None,
                f"medians of {len(self.cold)} each, one right after the other; the bare imports from zero "
                f"{written(statistics.median(self.theirs))}",
            ),
        ]


def requested(site: Site, trained: UUID, opset: int) -> Event:
    """The event of a request for a translation that is written down, and announced by nobody."""
    body = {"asset": str(trained), "opset": opset, "accelerator": "none"}
    stamp = journal.stamp(datetime.now(UTC))
    request = intake.Request(uuid4(), "translations", site.tenant.namespace, "admin", stamp, trained, body)
    intake.store(site.storage, request)
    filters = {"framework": "torch", "accelerator": "none"}
    return announce("translation.requested", trained, str(request.id), {"request": str(request.id)}, **filters)
