"""The rendered objects, and how tests look at them."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from functions.declaration import FUNCTIONS, Consumed, Function, Variant

KNATIVE = Path(__file__).parents[2] / "knative"

TENANTS = tuple(function for function in FUNCTIONS if function.scope == "tenant")

GPU_FUNCTIONS = (
    *(one for one in FUNCTIONS if one.name == "bury"),
    Function(
        "translate",
        "A made-up one with a variant for GPU nodes.",
        handler="functions.translate.handler:handle",
        consumes=(Consumed("translation.requested", by_variants=True),),
        variants=(
            Variant("torch", {"framework": "torch", "accelerator": "none"}, "torch", "5Gi"),
            Variant("torch-gpu", {"framework": "torch", "accelerator": "nvidia"}, "torch-gpu", "12Gi", gpu=2),
        ),
        role="translator",
        concurrency=1,
        max_scale=4,
    ),
)


@cache
def committed() -> tuple[dict[str, Any], ...]:
    """Every object of ``knative/rendered``, as a cluster would read it."""
    files = sorted((KNATIVE / "rendered").glob("*.yaml"))
    return tuple(one for path in files for one in yaml.safe_load_all(path.read_text()) if one)


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The committed objects of a kind by name."""
    found = {one["metadata"]["name"]: one for one in committed() if one["kind"] == kind}
    assert found, kind
    return found


def pod(service: dict[str, Any]) -> dict[str, Any]:
    """A Service's pod specification."""
    spec: dict[str, Any] = service["spec"]["template"]["spec"]
    return spec


def container(service: dict[str, Any]) -> dict[str, Any]:
    """A Service's only container."""
    (only,) = pod(service)["containers"]
    found: dict[str, Any] = only
    return found


def environment(service: dict[str, Any]) -> dict[str, str]:
    """The variables that a Service's container is given by value."""
    return {one["name"]: one["value"] for one in container(service)["env"]}


def services() -> Iterator[tuple[Function, Variant | None, dict[str, Any]]]:
    """Each declared Service, with its function and variant."""
    rendered = of_kind("Service")
    for function in TENANTS:
        for name, variant in function.builds:
            yield function.of(name), variant, rendered[name]
