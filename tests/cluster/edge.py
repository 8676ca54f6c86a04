"""The cluster that tests use, with Knative, an object store and an EVM node, as an env file or the environment say.

``$EDGE_CLUSTER_HOME/env`` (default ``~/.cache/edge-cluster/env``) holds lines ``export NAME=VALUE``; variables of the
environment count more. Needed are ``KUBECONFIG`` and, as a test reaches them, the addresses below.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions._runtime.settings import CLUSTER

_LINE = re.compile(r"(?:export\s+)?([A-Z][A-Z0-9_]*)=(.*)")
NEEDED = ("KUBECONFIG", "EDGE_INGRESS_URL", "EDGE_S3_URL", "EDGE_EVM_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass(frozen=True)
class Edge:
    """A cluster, and where its parts are for a test; inside it they are where the example of a ConfigMap says.

    Attributes:
        settings: what the env file and the environment say, by name.
    """

    settings: Mapping[str, str]

    @property
    def ingress(self) -> str:
        return self.settings["EDGE_INGRESS_URL"]

    @property
    def s3_url(self) -> str:
        return self.settings["EDGE_S3_URL"]

    @property
    def rpc_url(self) -> str:
        return self.settings["EDGE_EVM_URL"]

    @property
    def credentials(self) -> tuple[str, str]:
        """Who may do everything in the object store."""
        return self.settings["AWS_ACCESS_KEY_ID"], self.settings["AWS_SECRET_ACCESS_KEY"]

    def inside(self, setting: str, namespace: str) -> str:
        """An address as a pod reaches it."""
        return self.settings.get(f"INSIDE_{setting}") or CLUSTER[setting].replace("/acme/", f"/{namespace}/")


def found() -> Edge | str:
    """The cluster, or why there is none to test with."""
    path = Path(os.environ.get("EDGE_CLUSTER_HOME") or Path.home() / ".cache" / "edge-cluster", "env")
    said = dict(parsed(path.read_text())) if path.is_file() else {}
    # The file's credentials are those of its store; others' would be of no use there.
    given = {name: os.environ[name] for name in os.environ if name not in said or not name.startswith("AWS_")}
    settings = {**said, **given}
    missing = [name for name in NEEDED if not settings.get(name)]
    if missing:
        return (
            f"no cluster: {path} is not there, and {', '.join(missing)} not set"
            if not said
            else (f"no cluster: {path} does not say {', '.join(missing)}")
        )
    return Edge(settings)


def parsed(text: str) -> Mapping[str, str]:
    """The variables that lines of a shell set.

    >>> dict(parsed("export A=1\\n# no\\nB='2'"))
    {'A': '1', 'B': '2'}
    """
    lines = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match[1]: match[2].strip("'\"") for match in lines if match}
