"""What `knative/` holds, rendered from the declaration alone: ``polyglot manifests`` writes it, ``--check`` compares.

Nothing here knows a tenant or a namespace: the objects are the same everywhere, and refer to one ConfigMap and a few
Secrets by fixed names (``functions._domain.cluster``). ``objects`` is for whoever applies them without files.

    services   one Knative Service for each function and variant
    eventing   Broker, Triggers, the timer
    access     service accounts, Roles, network policies
    images     which image each Service runs, and how it is built
    tenant     an example of what a tenant adds
    files      YAML text, writing and comparing

>>> [path for path in texts() if "retrieve" in path]
['rendered/retrieve.yaml']
"""

from collections.abc import Iterable, Mapping, Sequence

from functions._runtime.manifests import access, eventing, images, services, tenant
from functions._runtime.manifests.files import HEADER, Manifest, yaml_text
from functions.declaration import FUNCTIONS, Function

RENDERED = "rendered"


def documents(functions: Iterable[Function] = FUNCTIONS) -> Mapping[str, Sequence[Manifest]]:
    """The objects by the name of their file, in the order in which they are applied."""
    functions = tuple(functions)
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


def objects(functions: Iterable[Function] = FUNCTIONS) -> list[Manifest]:
    """Every object of the platform, in the order in which they are applied."""
    return [one for group in documents(functions).values() for one in group]


def texts(functions: Iterable[Function] = FUNCTIONS) -> dict[str, str]:
    """Every generated file of ``knative/`` by its path below it."""
    functions = tuple(functions)
    found = {f"{RENDERED}/{name}.yaml": yaml_text(group) for name, group in documents(functions).items() if group}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(found),
    }
    return {
        **found,
        "kustomization.yaml": yaml_text([kustomization]),
        "settings.example.yaml": HEADER + tenant.example(functions),
        **{f"images/{image}.Containerfile": HEADER + text for image, text in images.containerfiles(functions).items()},
    }
