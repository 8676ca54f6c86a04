"""Terraform as an operator runs it: a copy of the modules and examples in a folder of its own, with its own state.

>>> workspace = Workspace.copied(Path("build"), "examples/two-tenants", {})  # doctest: +SKIP
>>> workspace.apply({"tenants": {…}})  # doctest: +SKIP
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIG = "TF_CLI_CONFIG_FILE"


class TerraformError(AssertionError):
    """A command ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Workspace:
    """One root module.

    Attributes:
        folder: where it is, below the copy.
        environment: what its commands are given beside this process' own.
    """

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def copied(cls, place: Path, root: str, environment: Mapping[str, str]) -> "Workspace":
        """Copy all that modules read to a place, or bring what is there up to date, and initialize a root module."""
        left_out = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars.json")
        shutil.copytree(ROOT / "terraform", place / "terraform", dirs_exist_ok=True, ignore=left_out)
        shutil.rmtree(place / "knative", ignore_errors=True)
        shutil.copytree(ROOT / "knative" / "rendered", place / "knative" / "rendered")
        made = cls(place / "terraform" / root, {"TF_IN_AUTOMATION": "1", **_providers(), **environment})
        made.ok("init", "-input=false")
        return made

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Terraform."""
        return subprocess.run(
            ["terraform", f"-chdir={self.folder}", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )

    def ok(self, *arguments: str) -> str:
        """Run a command that must succeed; returns what it printed."""
        ended = self.run(*arguments)
        if ended.returncode:
            raise TerraformError(f"terraform {' '.join(arguments)}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        return ended.stdout

    def given(self, variables: Mapping[str, object]) -> None:
        """Write the variables that all further commands use."""
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(variables, indent=2))

    def apply(self, variables: Mapping[str, object] | None = None) -> str:
        """Apply; returns what was said."""
        if variables is not None:
            self.given(variables)
        return self.ok("apply", "-input=false", "-auto-approve", "-no-color")

    def refused(self, variables: Mapping[str, object]) -> str:
        """What an apply that must fail says, in one line: Terraform breaks lines where a terminal ends."""
        self.given(variables)
        ended = self.run("apply", "-input=false", "-auto-approve", "-no-color")
        assert ended.returncode == 1, ended.stdout
        return " ".join(f"{ended.stdout} {ended.stderr}".replace("│", " ").split())

    def changes(self) -> list[str]:
        """The addresses of what a plan would change now."""
        ended = self.run("plan", "-input=false", "-detailed-exitcode", "-no-color", "-out=looked")
        assert ended.returncode in (0, 2), f"{ended.stdout}\n{ended.stderr}"
        found = [one["address"] for one in self.planned()["resource_changes"] if one["change"]["actions"] != ["no-op"]]
        assert bool(found) == (ended.returncode == 2), ended.stdout
        return found

    def plan(self, variables: Mapping[str, object]) -> Any:
        """The plan for some variables, as ``terraform show -json`` describes it."""
        self.given(variables)
        self.ok("plan", "-input=false", "-out=looked")
        return self.planned()

    def planned(self) -> Any:
        """The plan that was made last."""
        return json.loads(self.ok("show", "-json", "looked"))

    def outputs(self) -> Any:
        """The outputs by name."""
        return {name: one["value"] for name, one in json.loads(self.ok("output", "-json")).items()}

    def destroy(self) -> str:
        """Destroy all of it."""
        return self.ok("destroy", "-input=false", "-auto-approve", "-no-color")

    def resources(self) -> list[str]:
        """The addresses of what there is; none where nothing was ever applied."""
        ended = self.run("state", "list")
        assert ended.returncode == 0 or "No state file was found" in ended.stderr, ended.stderr
        return ended.stdout.split()

    def kept(self) -> str:
        """All that Terraform keeps: the state, the one before, and plans as far as they can be shown."""
        files = [path.read_text() for path in self.folder.glob("*.tfstate*")]
        return "\n".join([*files, self.ok("show", "-json"), self.ok("output", "-json")])


def _providers() -> Mapping[str, str]:
    """Where providers are taken from: what is configured, else the mirror that a test cluster has built."""
    if Path(os.environ.get(CONFIG, "/nowhere")).is_file():
        return {}
    home = Path(os.environ.get("EDGE_CLUSTER_HOME") or Path.home() / ".cache" / "edge-cluster")
    mirror = home / "terraform" / "terraformrc"
    return {CONFIG: str(mirror)} if mirror.is_file() else {}
