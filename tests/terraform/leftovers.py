"""What an object store still has of a tenant."""

from collections.abc import Iterable
from urllib.parse import urlencode

from tests.cluster import accounts
from tests.cluster.edge import Edge


def buckets(cluster: Edge) -> set[str]:
    """The names of all buckets."""
    return {one["Name"] for one in accounts.client(cluster).list_buckets()["Buckets"]}


def users(cluster: Edge, names: Iterable[str]) -> list[str]:
    """Which of these users the store knows: a change of nothing tells it."""
    nothing = "<MutableProps></MutableProps>"
    asked = {name: accounts.ask(cluster, f"/update-user?{urlencode({'access': name})}", nothing) for name in names}
    return [name for name, status in asked.items() if status == 200]
