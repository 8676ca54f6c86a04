"""The deployer: brings a tenant's namespace to what the declaration renders, and says what became of each object.

    prerequisites   what has to be there first: settings, credentials, keys
    applying        images put in, server-side apply, pruning
    waiting         until each object says it is ready
    reasons         why a Service is not
    addresses       where the functions then are
    cluster         the Kubernetes API, as the others see it

>>> deploy(cluster, {"polyglot-plain": "registry.example.org/polyglot-plain:0.1.0", …}, Options())  # doctest: +SKIP
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from functions._domain.errors import PolyglotError
from functions._runtime import manifests
from functions._runtime.deployer import addresses, prerequisites
from functions._runtime.deployer.applying import Applied, apply, prune, with_images
from functions._runtime.deployer.cluster import Cluster
from functions._runtime.deployer.reasons import why
from functions._runtime.deployer.waiting import PATIENCE, Key, Say, Waited, Waiter
from functions._runtime.manifests.files import Manifest
from functions.declaration import FUNCTIONS, Function


class NotPrepared(PolyglotError):
    """The namespace lacks something that functions need to start; the message says what, and how to make it."""


@dataclass(frozen=True)
class Options:
    """How to deploy.

    Attributes:
        timeout: seconds to wait for everything to be ready.
        wait: whether to wait at all.
        dry_run: let the API server only say what it would do.
        pause: seconds between two looks.
        patience: see ``waiting.PATIENCE``.
    """

    timeout: float = 300
    wait: bool = True
    dry_run: bool = False
    pause: float = 1.0
    patience: float = PATIENCE


@dataclass(frozen=True)
class Outcome:
    """What became of one object: ``state`` is ready, not ready, applied (nothing was waited for) or pruned."""

    kind: str
    name: str
    change: str
    state: str
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Deployment:
    """What became of all of them, and where the platform is (empty where its addresses do not tell)."""

    outcomes: Sequence[Outcome]
    url: str = ""

    @property
    def failures(self) -> Sequence[Outcome]:
        """What is not ready."""
        return [one for one in self.outcomes if one.state == "not ready"]


@dataclass
class _Run:
    cluster: Cluster
    options: Options
    say: Say
    waited: dict[Key, Waited] = field(default_factory=dict)


def deploy(
    cluster: Cluster,
    images: Mapping[str, str],
    options: Options,
    say: Say = lambda _: None,
    functions: Sequence[Function] = FUNCTIONS,
) -> Deployment:
    """Apply what is rendered, remove what is rendered no longer, and wait.

    Raises:
        NotPrepared: something has to be there first.
        RejectedRequest: an image has no reference.
    """
    functions = [function for function in functions if function.scope == "tenant"]
    wanted = with_images(manifests.objects(functions), images)
    if lacking := prerequisites.missing(cluster, functions):
        raise NotPrepared("\n  ".join([f"namespace {cluster.namespace} is not ready for a deployment:", *lacking]))
    run = _Run(cluster, options, say)
    done = _changed(run, wanted)
    if options.wait and not options.dry_run:
        run.waited = Waiter(cluster, say, options.pause, options.patience).wait(wanted, options.timeout)
    outcomes = [_outcome(run, one) for one in done]
    services = [] if options.dry_run else cluster.select("serving.knative.dev/v1", "Service")
    return Deployment(outcomes, addresses.template(services, functions))


def _changed(run: _Run, wanted: Sequence[Manifest]) -> list[Applied]:
    done = []
    for steps in (apply, prune):
        for one in steps(run.cluster, wanted, run.options.dry_run):
            done.append(one)
            if one.change != "unchanged":
                run.say(f"{one.kind} {one.name}: {'would be ' if run.options.dry_run else ''}{one.change}")
    return done


def _outcome(run: _Run, one: Applied) -> Outcome:
    if one.change == "pruned":
        return Outcome(one.kind, one.name, one.change, "pruned")
    waited = run.waited.get((one.kind, one.name))
    if waited is None:
        return Outcome(one.kind, one.name, one.change, "applied")
    seconds = round(waited.seconds, 1)
    if waited.state.ready:
        return Outcome(one.kind, one.name, one.change, "ready", seconds)
    lines = why(run.cluster, one.name) if one.kind == "Service" else []
    return Outcome(one.kind, one.name, one.change, "not ready", seconds, "\n".join(lines or [waited.state.reason]))
