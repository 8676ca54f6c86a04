"""Training: from a model's record to a run, and from a finished run to a trained model."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from functions._domain import choosing, journal, paths, records, revocation
from functions._domain.assets import Kind
from functions._domain.digests import digest_of_stream
from functions._domain.drafts import Attestation, Draft, Sealed
from functions._domain.errors import RejectedConflict, RejectedContent, RejectedRequest
from functions._domain.formats import Format, ModelFile, detect
from functions._domain.identity import trained_model_id
from functions._domain.ports import Channel, Ports, Run, RunState, Storage
from functions._domain.sealing import copied, seal
from functions._domain.seekable import stored_file
from functions._domain.statements import BUILD_TYPE

_RUN = re.compile(r"train-(?P<model>[0-9a-f-]{36})-(?P<attempt>\d{1,6})")


def run_name(model: UUID, attempt: int) -> str:
    """The name of a model's run: deterministic, and short enough for a Kubernetes object."""
    return f"train-{model}-{attempt}"


def parse_run(name: str, asset: UUID) -> tuple[UUID, int]:
    """The model and attempt of a run's name, which must be the run that makes ``asset``.

    Raises:
        RejectedRequest: it is not.
    """
    match = _RUN.fullmatch(name)
    if match:
        model, attempt = UUID(match["model"]), int(match["attempt"])
        if trained_model_id(model, attempt) == asset:
            return model, attempt
    raise RejectedRequest(f"{name!r} is not the run that makes {asset}")


def require_trainable(image: str, engine: str) -> None:
    """Raises RejectedConflict where this platform's engine cannot run such an image, with the way out."""
    is_folder = image.startswith("sha256:")
    if engine == "process" and not is_folder:
        raise RejectedConflict(
            f"{image} is a container image; the embedded platform runs image folders: pass the folder with train.py "
            "(--image DIR), or register on a platform with Argo Workflows"
        )
    if engine == "argo" and is_folder:
        raise RejectedConflict(
            "this platform trains container images: build the folder's Containerfile, push it to a registry, and "
            "register with --image NAME@sha256:…"
        )


def require_standing(ports: Ports, model: UUID, run: str) -> None:
    """Raises RejectedConflict where a model or one of its datasets is revoked; a run that began before goes on."""
    try:
        revocation.require_standing(ports, *needed(ports.storage, model))
    except RejectedConflict:
        if ports.engine.state(run).phase == "unknown":
            raise


def needed(storage: Storage, model: UUID) -> tuple[UUID, ...]:
    """What a training of a model is made from: the model and its datasets."""
    datasets = records.required(storage, model, Kind.MODEL)["datasets"].values()
    return model, *(UUID(dataset) for dataset in datasets)


def planned(storage: Storage, model: UUID, attempt: int) -> Run:
    """The run that trains a model.

    Raises:
        RejectedConflict: a dataset's policy does not allow this image.
    """
    record = records.required(storage, model, Kind.MODEL)
    channels = []
    for name, dataset in record["datasets"].items():
        dataset_record = records.required(storage, UUID(dataset), Kind.DATASET)
        _require_allowed(dataset_record, record["image"])
        allowed = tuple(dataset_record["allow_images"])
        channels.append(Channel(name, UUID(dataset), dataset_record["inventory"]["digest"], allowed))
    return Run(
        name=run_name(model, attempt),
        asset=trained_model_id(model, attempt),
        model=model,
        attempt=attempt,
        image=record["image"],
        command=tuple(record["command"]),
        hyperparameters=record["hyperparameters"],
        channels=tuple(channels),
        cpu=record["resources"]["cpu"],
        memory=record["resources"]["memory"],
        gpu=record["resources"]["gpu"],
        deadline=record["deadline"],
    )


def _require_allowed(dataset: Mapping[str, Any], image: str) -> None:
    allowed, digest = dataset["allow_images"], image.rpartition("@")[2]
    if allowed and digest not in allowed:
        raise RejectedConflict(
            f"dataset {dataset['id']} may be trained on by {', '.join(allowed)} only, not by {digest}: "
            "ask its owner, or use one of these images"
        )


def inspect(storage: Storage, prefix: str) -> Format:
    """The framework and format of the model below a prefix, from its bytes.

    Raises:
        RejectedContent: no model, a pickle, or a name that no asset may have.
    """
    found = []
    for entry in storage.list(prefix):
        path = entry.key[len(prefix) :]
        try:
            paths.checked_path(path)
        except ValueError as error:
            raise RejectedContent(f"the run wrote {path!r}: {error}") from error
        found.append(ModelFile(path, entry.size, partial(stored_file, storage, entry)))
    return detect(found)


def promote(ports: Ports, model: UUID, attempt: int, state: RunState, translates: Callable[[str, str], bool]) -> None:
    """Make the trained model of a run's outputs: choose, copy, digest where they lie, seal.

    ``translates`` tells whether a translator for a framework on an accelerator is declared.

    Raises:
        RejectedContent: the outputs are no model that may be kept.
    """
    storage, asset = ports.storage, trained_model_id(model, attempt)
    chosen = _chosen(ports, model, attempt, state)
    ports.engine.release(run_name(model, attempt))  # what was chosen is in the bucket, with all that is said of it
    staged = paths.run_prefix(asset, chosen["execution"])
    expected = copied(storage, staged, asset)
    run, record = planned(storage, model, attempt), records.required(storage, model, Kind.MODEL)
    format_ = inspect(storage, paths.files_prefix(asset))
    metrics = read_metrics(storage, staged)
    draft = Draft.made_from(
        record,
        asset,
        Kind.TRAINED_MODEL,
        chosen["finished"],
        {
            "origin": "trained",
            "framework": format_.framework,
            "format": format_.name,
            "main": format_.main,
            "accelerator": "nvidia" if run.gpu and translates(format_.framework, "nvidia") else "none",
            "metrics": metrics,
            "run": {"name": run.name, "attempt": attempt, "execution": chosen["execution"]},
        },
    )
    seal(
        storage,
        ports.signer,
        draft,
        Attestation("training", lambda sealed: provenance(run, record, chosen, metrics, sealed)),
        expected,
    )


def _chosen(ports: Ports, model: UUID, attempt: int, state: RunState) -> Mapping[str, Any]:
    """The execution that counts, with all that its statement says of it; what is found wrong is never chosen."""
    asset = trained_model_id(model, attempt)
    if choosing.is_chosen(ports.storage, asset):
        return choosing.chosen(ports.storage, asset)
    return settle(ports, asset, run_name(model, attempt), state)


def settle(ports: Ports, asset: UUID, run: str, state: RunState) -> Mapping[str, Any]:
    """Choose a run's execution, with all that is known of it, once its results were found fit to be kept.

    Raises:
        RejectedContent: they are not.
    """
    storage, staged = ports.storage, paths.run_prefix(asset, state.execution)
    inspect(storage, f"{staged}model/")
    read_metrics(storage, staged)
    log = kept_log(ports, asset, run, state.execution)
    return choosing.choose(
        storage,
        asset,
        state.execution,
        started=state.started,
        finished=state.finished,
        environment={**state.environment, "log_digest": log},
        isolation=state.isolation,
        image_digest=state.environment.get("image_digest"),
    )


def read_metrics(storage: Storage, staged: str) -> Mapping[str, float]:
    """The numbers in ``metrics.json``; empty where the run wrote none.

    Raises:
        RejectedContent: it is not an object of numbers.
    """
    import json
    import math

    data = storage.read(f"{staged}output/metrics.json", 1 << 20)
    if data is None:
        return {}
    try:
        found = {str(name): float(value) for name, value in json.loads(data).items()}
        if not all(math.isfinite(value) for value in found.values()):
            raise ValueError("a value is not finite")
    except (ValueError, TypeError, AttributeError) as error:
        raise RejectedContent(f"metrics.json is not an object of numbers: {error}") from error
    return found


def provenance(
    run: Run, record: Mapping[str, Any], chosen: Mapping[str, Any], metrics: Mapping[str, float], sealed: Sealed
) -> Mapping[str, object]:
    """SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance) of a training."""
    image = {"uri": f"image:{run.image.partition('@')[0]}", "digest": {"sha256": run.image.rpartition("sha256:")[2]}}
    inputs = [
        {"uri": f"dataset:{one.dataset}", "digest": {"sha256": one.inventory_digest.removeprefix("sha256:")},
         "annotations": {"channel": one.name}}
        for one in run.channels
    ]  # fmt: skip
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "model": str(run.model),
                "attempt": run.attempt,
                "image": run.image,
                "command": list(run.command),
                "hyperparameters": dict(run.hyperparameters),
                "resources": record["resources"],
                "deadline": run.deadline,
            },
            "internalParameters": {
                "environment": chosen["environment"],
                "isolation": chosen["isolation"],
                "policy": [policy(one, run.image) for one in run.channels],
            },
            "resolvedDependencies": [image, *inputs],
        },
        "runDetails": {
            "builder": {"id": f"polyglot:{record['tenant']}"},
            "metadata": {
                "invocationId": f"{run.name}/{chosen['execution']}",
                "startedOn": chosen["started"],
                "finishedOn": chosen["finished"],
            },
            "byproducts": [{"name": "metrics.json", "annotations": dict(metrics)}],
        },
        "outputs": sealed.outputs,
    }


def policy(channel: Channel, image: str) -> Mapping[str, object]:
    """That a dataset's policy allows an image, and by which rule; what it does not allow was refused before."""
    rule = "listed" if channel.allow_images else "any image"
    return {"dataset": str(channel.dataset), "allowImages": list(channel.allow_images), "rule": rule, "allowed": True}


def is_cancelled(storage: Storage, model: UUID, attempt: int) -> bool:
    """Whether it was asked to stop an attempt; the event only says to look, so a late one stops no later attempt."""
    return storage.stat(paths.journal_key(model, "cancel", attempt, "requested")) is not None


def kept_log(ports: Ports, asset: UUID, run: str, execution: str) -> str:
    """The digest of what an execution printed, put beside its results where the engine has not done so."""
    key = f"{paths.run_prefix(asset, execution)}log.txt"
    chunks = ports.storage.open(key)
    if chunks is None:
        ports.storage.create(key, ports.engine.log(run, None).encode())
        chunks = ports.storage.open(key)
    return digest_of_stream(chunks or ())[0]


def failed(ports: Ports, asset: UUID, attempt: int, reason: str) -> None:
    """Leave a readable failure."""
    journal.mark(ports.storage, asset, "train", attempt, "failed", ports.now(), reason=reason[:4000])
