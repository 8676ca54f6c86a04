"""Building the images with whichever tool is there, and writing down what they are then called.

``build/images.json`` maps each image's rendered name to a reference that a cluster can pull: NAME:TAG, or after a push
NAME@sha256:…, which nobody can change. ``polyglot deploy`` reads it.

>>> Names("registry.example.org/team/", "0.1.0").of("ledger")
'registry.example.org/team/polyglot-ledger:0.1.0'
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from functions._domain.errors import PolyglotError, RejectedRequest
from functions._runtime.manifests.images import BASE, PREFIX

TOOLS = ("buildah", "podman", "docker")
"""What can build them, in the order in which they are looked for."""

WRITTEN = Path("build/images.json")

Run = Callable[[Sequence[str]], str]
"""Runs a command to its end and returns what it wrote to its standard output. Raises FailedBuild."""

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([\d.]+)\s*([kKMGT]?B)")


class FailedBuild(PolyglotError):
    """A tool ended with an error; what it said has gone to standard error."""


@dataclass(frozen=True)
class Names:
    """How images are called: a registry with its path, ending in a slash, or empty; and a tag."""

    registry: str
    tag: str

    def of(self, image: str) -> str:
        """An image's whole name."""
        return f"{self.registry}{PREFIX}{image}:{self.tag}"


@dataclass(frozen=True)
class Built:
    """One image.

    Attributes:
        size: bytes of its layers, uncompressed.
        over_base: those of its own, without the base's; None where the tool does not tell the base's.
    """

    image: str
    reference: str
    size: int
    over_base: int | None


@dataclass(frozen=True)
class Builder:
    """Builds images from a repository's root.

    Args:
        base: the image to build upon; the Containerfile's own default where empty.
        options: passed to the tool as they are: volumes, build arguments.
    """

    tool: str
    names: Names
    base: str = ""
    options: Sequence[str] = ()
    folder: Path = Path("knative/images")

    def images(self, only: Sequence[str] = ()) -> list[str]:
        """Which there are. Raises RejectedRequest where one of ``only`` is none."""
        found = sorted(path.name.removesuffix(".Containerfile") for path in self.folder.glob("*.Containerfile"))
        unknown = [one for one in only if one not in found]
        if unknown or not found:
            raise RejectedRequest(f"no image {', '.join(unknown)} in {self.folder}; there are: {', '.join(found)}")
        return [one for one in found if one in only or not only]

    def build(self, image: str, push: bool, run: Run) -> Built:
        """Build an image, and push it where that is wished."""
        name = self.names.of(image)
        run(self.command(image))
        reference = self._pushed(name, run) if push else name
        size, base = self._size(name, run), self._size(self.base or BASE, run)
        return Built(image, reference, size, size - base if base else None)

    def command(self, image: str) -> list[str]:
        """The command that builds an image, its packages in a layer that is used again."""
        base = ["--build-arg", f"BASE={self.base}"] if self.base else []
        # The others use layers again by themselves.
        layers = ["--layers"] if self.tool == "buildah" else []
        file, name = str(self.folder / f"{image}.Containerfile"), self.names.of(image)
        return [self.tool, "build", *layers, "--file", file, "--tag", name, *base, *self.options, "."]

    def _pushed(self, name: str, run: Run) -> str:
        """Push an image; returns it by the digest that the registry has it under."""
        repository = name.rpartition(":")[0]
        if self.tool == "docker":
            run([self.tool, "push", name])
            digests = run([self.tool, "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', name]).split()
            return next(one for one in digests if one.startswith(f"{repository}@"))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "digest")
            run([self.tool, "push", "--digestfile", str(file), name])
            return f"{repository}@{file.read_text().strip()}"

    def _size(self, name: str, run: Run) -> int:
        """The bytes of an image's layers; 0 where the tool does not know it. buildah rounds to three digits."""
        try:
            if self.tool == "buildah":
                found = json.loads(run([self.tool, "images", "--json", name]))
                return parsed(found[0]["size"]) if found else 0
            return int(run([self.tool, "image", "inspect", "--format", "{{.Size}}", name]))
        except FailedBuild:
            return 0


def parsed(size: str) -> int:
    """A size as buildah writes it, in bytes.

    >>> parsed("245 MB")
    245000000
    """
    match = _SIZE.fullmatch(size.strip())
    if not match:
        raise FailedBuild(f"{size!r} is no size")
    return round(float(match[1]) * _UNITS[match[2].upper()])


def found_tool(wanted: str = "", which: Callable[[str], str | None] = shutil.which) -> str:
    """The tool that was asked for, or the first that is there.

    Raises:
        RejectedRequest: none is.
    """
    for tool in [wanted] if wanted else TOOLS:
        if which(tool):
            return tool
    raise RejectedRequest(f"{wanted or ', '.join(TOOLS)}: not on the PATH; one of {', '.join(TOOLS)} builds the images")


def write(built: Mapping[str, str], path: Path = WRITTEN) -> None:
    """Write references by image name; those of images that were not built now stay."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**before, **built}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def shown(command: Sequence[str]) -> str:
    """Run a command, its output going to standard error; see ``Run``."""
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise FailedBuild(f"{' '.join(command[:2])} ended with {ended.returncode}")
    return ended.stdout
