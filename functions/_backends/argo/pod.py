"""The steps of our containers in a run's pods: stage the inputs, keep the results, announce the end."""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from functions._backends import tracecontext
from functions._backends.argo.workflow import LAYOUT
from functions._backends.runs import machine, results
from functions._backends.runs.conventions import hyperparameters
from functions._backends.runs.patience import patiently
from functions._backends.runs.staging import Stager, make_read_only
from functions._backends.s3 import S3Storage
from functions._domain.digests import canonical
from functions._domain.paths import run_prefix
from functions._domain.ports import Run

NOTES = "polyglot/run-notes/v1"
_PROBE = 2.0
"""Seconds to try to reach what a policy should keep a training from reaching."""


def _nothing() -> None:
    """Argo stops a container by a signal; there is nothing to look at in between."""


def stage(run: Run, execution: str, settings: Mapping[str, str]) -> None:
    """Fetch and verify the inputs, and note the machine and what the training's isolation really is.

    Raises:
        RejectedContent: an input is not what was registered.
        UnavailableStorage: the store did not answer for five minutes.
    """
    storage = S3Storage.from_settings(settings)
    stager = Stager(storage, _nothing)
    for channel in run.channels:
        stager.channel(channel, LAYOUT.data / channel.name)
    LAYOUT.config.mkdir(parents=True, exist_ok=True)
    file = LAYOUT.config / "hyperparameters.json"
    file.write_text(hyperparameters(run))
    file.chmod(0o444)
    make_read_only(LAYOUT.data)
    make_read_only(LAYOUT.config)
    notes = {"schema": NOTES, "environment": machine.facts(run), "isolation": isolation(run, settings)}
    key = f"{run_prefix(run.asset, execution)}environment.json"
    patiently(lambda: storage.create(key, canonical(notes)), _nothing)


def isolation(run: Run, settings: Mapping[str, str]) -> dict[str, object]:
    """What the training will be held in. A policy counts for the whole pod, so whether it is enforced is tried here."""
    is_open = reaches(settings.get("POLYGLOT_BROKER_URL", ""))
    return {
        "kind": "argo",
        "network": "not restricted: policies are not enforced here" if is_open else "restricted by policy",
        "files": "read-only root, inputs read-only, results in volumes of the pod",
        "users": "unprivileged",
        "capabilities": "none",
        "new_privileges": "refused",
        "credentials": "none",
        "service_account_token": "none",
        "deadline": run.deadline,
        "memory": run.memory,
    }


def reaches(url: str) -> bool:
    """Whether a TCP connection to a URL's host can be made."""
    parts = urlsplit(url)
    if not parts.hostname:
        return False
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=_PROBE).close()
    except OSError:
        return False
    return True


def keep(run: Run, execution: str, settings: Mapping[str, str]) -> None:
    """Stage what a training that ended well has left below ``runs/<asset>/<execution>/``.

    Raises:
        RejectedContent: it left nothing, or something that cannot be kept.
    """
    files = {f"model/{path}": LAYOUT.model / path for path in results.checked_model(LAYOUT)}
    metrics = results.checked_metrics(LAYOUT)
    kept = {**files, **({"output/metrics.json": metrics} if metrics else {})}
    results.stage(S3Storage.from_settings(settings), run, execution, kept, _nothing)


def announce(run: Run, execution: str, settings: Mapping[str, str]) -> None:
    """Tell the Broker that the run has ended; Argo tries again where it does not hear."""
    broker, tenant = settings["POLYGLOT_BROKER_URL"], settings["POLYGLOT_TENANT"]
    with tracecontext.use(tracecontext.from_environment(settings)):  # that of whoever submitted the run
        results.post_finished(broker, tenant, run, execution, datetime.now(UTC).isoformat())
