"""What variants need of the cluster: a scale that begins at zero; those for GPU nodes also two flags and nodes."""

from collections.abc import Iterator, Sequence

from functions._cli.doctor.checks import Check, fine, judged, unknown
from functions._cli.doctor.view import View
from functions._domain.cluster import GPU, GPU_NODE_LABEL
from functions.declaration import FUNCTIONS, Function

SERVING = "knative-serving"
FLAGS = ("kubernetes.podspec-nodeselector", "kubernetes.podspec-tolerations")
ALLOWED = ("enabled", "allowed")
ZERO_SCALE = "allow-zero-initial-scale"


def looks(view: View, functions: Sequence[Function] = FUNCTIONS) -> Iterator[Check]:
    """Look only where there are variants, and at what GPU nodes need only where one is for them."""
    variants = [one for function in functions for one in function.variants]
    if variants:
        yield _scale(view)
    wanted = {one.filter["accelerator"] for one in variants if one.gpu}
    if not wanted:
        return
    yield _flags(view)
    for accelerator in sorted(wanted):
        yield _nodes(view, accelerator)


def _scale(view: View) -> Check:
    """https://knative.dev/docs/serving/autoscaling/scale-bounds/#initial-scale; every release has it off."""
    on = _data(view.beside(SERVING), "config-autoscaler").get(ZERO_SCALE, "").lower() == "true"
    remedy = "" if on else f'set in namespace {SERVING}: {ZERO_SCALE}: "true" (config-autoscaler)'
    return judged("zero initial scale", "on" if on else "translators start none when deployed, and it is off", remedy)


def _flags(view: View) -> Check:
    """https://knative.dev/docs/serving/configuration/feature-flags/; every release has them off."""
    features = _data(view.beside(SERVING), "config-features")
    off = [f"{flag}: enabled (config-features)" for flag in FLAGS if features.get(flag, "").lower() not in ALLOWED]
    remedy = f"set in namespace {SERVING}: {', '.join(off)}" if off else ""
    return judged("flags for GPU variants", "a variant needs them, and they are off" if off else "on", remedy)


def _data(view: View, name: str) -> dict[str, str]:
    return dict((view.get("v1", "ConfigMap", name) or {}).get("data") or {})


def _nodes(view: View, accelerator: str) -> Check:
    label = f"{GPU_NODE_LABEL}={accelerator}"
    nodes = view.everywhere("v1", "Node", label)
    free = [one for one in nodes if int((one.get("status") or {}).get("allocatable", {}).get(GPU, "0")) > 0]
    if free:
        return fine("GPU nodes", f"{len(free)} with {label} and {GPU} to give")
    found = f"no node has the label {label}" if not nodes else f"{len(nodes)} with {label}, none has {GPU} to give"
    return unknown("GPU nodes", found, "trainings and translations that ask for a GPU wait until there is one")
