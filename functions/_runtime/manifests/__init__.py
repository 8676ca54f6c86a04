"""What `knative/` holds, rendered from the declaration alone: ``polyglot manifests`` writes it, ``--check`` compares.

Nothing here knows a tenant or a namespace: the objects are the same everywhere, and refer to one ConfigMap and a few
Secrets by fixed names (``functions._domain.cluster``). ``objects`` is for whoever applies them without files.

    services   one Knative Service for each function and variant
    eventing   Broker, Triggers, the timer
    access     service accounts, Roles, network policies
    images     which image each Service runs, and how it is built
    tenant     an example of what a tenant adds, and of what the cluster's own functions are given
    files      YAML text, writing and comparing

>>> [path for path in texts() if "retrieve" in path]
['rendered/retrieve.yaml']
"""

from collections.abc import Iterable, Mapping, Sequence

from functions._runtime.manifests import access, eventing, images, services, tenant
from functions._runtime.manifests.files import HEADER, Manifest, yaml_text
from functions.declaration import FUNCTIONS, Function

RENDERED, CLUSTER = "rendered", "cluster"


def documents(functions: Iterable[Function] = FUNCTIONS) -> Mapping[str, Sequence[Manifest]]:
    """A tenant's objects by the name of their file, in the order in which they are applied."""
    functions = tuple(function for function in functions if function.scope == "tenant")
    triggers = eventing.triggers(functions)
    return {
        "rbac": access.accounts(functions),
        "network": access.policies(),
        "broker": [eventing.broker(functions)],
        **{
            name: [services.service(function, name), *triggers.get(name, ())]
            for function in functions
            for name in function.services
        },
        "timer": eventing.timers(functions),
    }


def cluster_documents(functions: Iterable[Function] = FUNCTIONS) -> Mapping[str, Sequence[Manifest]]:
    """The objects of functions that a cluster has once, for a namespace of their own, by the name of their file."""
    return {
        name: [access.account(function), services.service(function, name)]
        for function in functions
        if function.scope == "cluster"
        for name in function.services
    }


def objects(functions: Iterable[Function] = FUNCTIONS) -> list[Manifest]:
    """Every object of a tenant's platform, in the order in which they are applied."""
    return [one for group in documents(functions).values() for one in group]


def texts(functions: Iterable[Function] = FUNCTIONS) -> dict[str, str]:
    """Every generated file of ``knative/`` by its path below it."""
    functions = tuple(functions)
    found = {f"{RENDERED}/{name}.yaml": yaml_text(group) for name, group in documents(functions).items() if group}
    of_cluster = {f"{name}.yaml": yaml_text(group) for name, group in cluster_documents(functions).items()}
    return {
        **found,
        "kustomization.yaml": _kustomization(found),
        **({f"{CLUSTER}/{path}": text for path, text in _with_settings(of_cluster).items()} if of_cluster else {}),
        "settings.example.yaml": HEADER + tenant.example(functions),
        **{f"images/{image}.Containerfile": HEADER + text for image, text in images.containerfiles(functions).items()},
    }


def _with_settings(rendered: Mapping[str, str]) -> dict[str, str]:
    return {
        **rendered,
        "kustomization.yaml": _kustomization(rendered),
        "settings.example.yaml": HEADER + tenant.forward_example(),
    }


def _kustomization(rendered: Mapping[str, str]) -> str:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    return yaml_text([{**head, "resources": sorted(rendered)}])
