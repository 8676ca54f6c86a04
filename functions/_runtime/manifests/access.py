"""Who may do what: a service account for each function and for runs, Roles, and what a run's pods may reach.

Only functions that the declaration lets at the engine get a token at all. Subjects carry no namespace: in a RoleBinding
that means its own.
"""

from collections.abc import Iterable, Mapping, Sequence

from functions._domain import cluster
from functions._domain.ports import ROLES
from functions._runtime.manifests.eventing import PART_OF
from functions._runtime.manifests.files import Manifest
from functions._runtime.manifests.services import labels
from functions.declaration import Function

CHANGE, READ, REPORT, MAKE = "change-runs", "read-runs", "report-runs", "make-keys"

KEY_SECRETS = [cluster.key_secret(role) for role in ROLES]

RULES: Mapping[str, list[dict[str, list[str]]]] = {
    CHANGE: [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create", "patch"]}],
    READ: [
        {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ],
    # What Argo's executor needs (https://argo-workflows.readthedocs.io/en/latest/workflow-rbac/).
    REPORT: [{"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]}],
    # What `polyglot key create` in a Job of the namespace needs: Secrets can be made, and only those of keys be read.
    MAKE: [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": KEY_SECRETS, "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": [cluster.PUBLIC_KEYS],
            "verbs": ["get", "patch"],
        },
    ],
}
"""The Roles. A run's pods are found by a label, hence ``list``."""

SYSTEM, EVENTING = "kube-system", "knative-eventing"


def accounts(functions: Sequence[Function]) -> list[Manifest]:
    """Service accounts, the executor's token, Roles and their bindings."""
    bound = _bound(functions)
    return [
        *(account(function) for function in functions),
        *(
            _account(name, PART_OF, token=False)
            for name in (cluster.RUN_ACCOUNT, cluster.RUN_EXECUTOR, cluster.KEYS_ACCOUNT)
        ),
        _executor_token(),
        *(_object("Role", name, rules=rules) for name, rules in RULES.items()),
        *(_binding(name, subjects) for name, subjects in bound.items() if subjects),
    ]


def granted(functions: Sequence[Function]) -> Mapping[str, set[tuple[str, str, str]]]:
    """What each account may with every object of a kind: API group, resource, verb."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for role, names in _bound(functions).items():
        rights = {
            (group, resource, verb)
            for rule in RULES[role]
            if "resourceNames" not in rule
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for name in names:
            found.setdefault(name, set()).update(rights)
    return found


def _bound(functions: Sequence[Function]) -> Mapping[str, Sequence[str]]:
    """Whom each Role is given to."""
    changing = [function.name for function in functions if function.engine == "changes"]
    talking = [function.name for function in functions if function.engine]
    return {CHANGE: changing, READ: talking, REPORT: [cluster.RUN_EXECUTOR], MAKE: [cluster.KEYS_ACCOUNT]}


def account(function: Function) -> Manifest:
    """The service account that a function runs as."""
    return _account(function.name, labels(function), bool(function.engine))


def _account(name: str, its_labels: dict[str, str], token: bool) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "labels": its_labels},
        "automountServiceAccountToken": token,
    }


def _executor_token() -> Manifest:
    """Where a run's own account has no token, Argo mounts this Secret, found by its name, into its executor only."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{cluster.RUN_EXECUTOR}.service-account-token",
            "annotations": {"kubernetes.io/service-account.name": cluster.RUN_EXECUTOR},
            "labels": PART_OF,
        },
        "type": "kubernetes.io/service-account-token",
    }


def _object(kind: str, name: str, **content: object) -> Manifest:
    metadata = {"name": name, "labels": PART_OF}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, **content}


def _binding(role: str, subjects: Iterable[str]) -> Manifest:
    return _object(
        "RoleBinding",
        role,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        subjects=[{"kind": "ServiceAccount", "name": name} for name in subjects],
    )


def policies() -> list[Manifest]:
    """What a run's two kinds of pod may reach; nothing reaches them. ``tenant.outside`` adds addresses."""
    storage = {"namespaceSelector": {"matchLabels": {cluster.STORAGE_LABEL: "true"}}}
    broker = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": EVENTING}}}
    return [
        policy("run-trains", [cluster.RUN_TRAINS], [_names(), {"to": [storage]}]),
        policy("run-announces", [cluster.RUN_ANNOUNCES], [_names(), {"to": [broker]}]),
    ]


def policy(
    name: str, runs: Sequence[str], egress: Sequence[Manifest], its_labels: Mapping[str, str] = PART_OF
) -> Manifest:
    """A policy for a run's pods: no way in, these ways out. Several for one pod add up."""
    selector = {"matchExpressions": [{"key": cluster.RUN_LABEL, "operator": "In", "values": list(runs)}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, **({"labels": dict(its_labels)} if its_labels else {})},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"], "egress": list(egress)},
    }


def _names() -> Manifest:
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": SYSTEM}}}
    return {"to": [system], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
