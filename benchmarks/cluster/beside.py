"""The Services that ours are compared with: like ours in everything but their code, which a ConfigMap holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cluster.site import Site
from functions._runtime.manifests.files import Manifest

CODE, PLACE = "benchmark-code", "/benchmark"
FILES = ("main.py", "echo.py", "importing.py")
BARE = Path(__file__).parents[1] / "bare"
FRAMEWORK = ("functions-framework",)
"""The framework's own program, as others run their functions."""


def code() -> Manifest:
    """The ConfigMap with the other side's code."""
    files = {name: (BARE / name).read_text() for name in FILES}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CODE}, "data": files}


def like(
    ours: Manifest, name: str, environment: Mapping[str, str], image: str = "", command: Sequence[str] = FRAMEWORK
) -> Manifest:
    """A Service like one of ours.

    Args:
        ours: the Service, with its image's reference; its resources, limits, annotations, settings and mounts stay.
        name: what the other one is called.
        environment: what it is given, or given instead.
        image: another image than ours.
        command: what its container runs.
    """
    template, spec = ours["spec"]["template"], ours["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    own = {one["name"]: one["value"] for one in container["env"]} | dict(environment)
    other = {
        **container,
        "image": image or container["image"],
        "env": [{"name": key, "value": value} for key, value in own.items()],
        "volumeMounts": [*container["volumeMounts"], {"name": CODE, "mountPath": PLACE, "readOnly": True}],
        "command": list(command),
    }
    volumes = [*spec["volumes"], {"name": CODE, "configMap": {"name": CODE}}]
    changed = {**template, "spec": {**spec, "containers": [other], "volumes": volumes}}
    return {**ours, "metadata": {**ours["metadata"], "name": name}, "spec": {"template": changed}}


def framework(target: str, file: str) -> Mapping[str, str]:
    """What tells functions-framework which function to serve."""
    return {"FUNCTION_TARGET": target, "FUNCTION_SOURCE": f"{PLACE}/{file}"}


def start(site: Site, services: Sequence[Manifest]) -> None:
    """Apply the code and Services, and wait for these."""
    site.apply([code(), *services])


def stop(site: Site, names: Sequence[str]) -> None:
    """Remove them, so that they take nothing from what is measured next."""
    for name in names:
        site.cluster.delete("serving.knative.dev/v1", "Service", name)
