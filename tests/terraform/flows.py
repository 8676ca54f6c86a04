"""Which connections network policies let through, as Kubernetes defines it.

https://kubernetes.io/docs/concepts/services-networking/network-policies/. The test cluster stores policies and enforces
none, so what they allow is worked out here: a connection needs the sender's policies and the receiver's.

>>> lets_through([], Place("a"), Place("b"), 80)
True
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """A pod with its labels and its namespace's, or an address outside where there is no namespace."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


def lets_through(policies: Iterable[Policy], sender: Place, receiver: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection passes; ``policies`` carry their namespace in their metadata."""
    policies = list(policies)
    return _passes(policies, "Egress", sender, receiver, port, protocol) and _passes(
        policies, "Ingress", receiver, sender, port, protocol
    )


def _passes(policies: Sequence[Policy], kind: str, pod: Place, other: Place, port: int, protocol: str) -> bool:
    concerning = [
        one["spec"]
        for one in policies
        if one["metadata"].get("namespace") == pod.namespace
        and kind in one["spec"]["policyTypes"]
        and _selects(one["spec"]["podSelector"], pod.labels)
    ]
    rules = [rule for spec in concerning for rule in spec.get(kind.lower(), ())]
    return not concerning or any(_matches(rule, kind, pod, other, port, protocol) for rule in rules)


def _matches(rule: Mapping[str, Any], kind: str, pod: Place, other: Place, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if ports and not any(one["port"] == port and one.get("protocol", "TCP") == protocol for one in ports):
        return False
    peers = rule.get("to" if kind == "Egress" else "from")
    return not peers or any(_is(peer, pod, other) for peer in peers)


def _is(peer: Mapping[str, Any], pod: Place, other: Place) -> bool:
    if "ipBlock" in peer:
        inside = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return bool(other.address) and ipaddress.ip_address(other.address) in inside
    if not other.namespace:
        return False
    named = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
    in_namespace = (
        _selects(peer["namespaceSelector"], named) if "namespaceSelector" in peer else other.namespace == pod.namespace
    )
    return in_namespace and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions", ()))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
    raise AssertionError(expression)
