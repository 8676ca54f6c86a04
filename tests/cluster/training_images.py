"""Builds the examples' training images for the cluster tests, and writes down what they are then called.

    python -m tests.cluster.training_images --base registry.example.org/python:3.11 --load ./load-image

``--load`` is a command that brings an image by its name to where the cluster finds it, and prints NAME@sha256:… last; a
push followed by the digest does. Afterwards ``build/training-images.json`` maps each example to its reference.

PyTorch goes into an image of its own below both examples', so that it is installed and loaded once.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITTEN = ROOT / "build" / "training-images.json"
EXAMPLES = ("digits", "diabetes")
SHARED = "FROM {base}\nCOPY requirements.txt /\nRUN pip install --quiet --no-compile -r /requirements.txt\n"


def build(tool: str, name: str, folder: Path, *options: str) -> str:
    """Build an image of a folder; returns its name."""
    subprocess.run([tool, "build", "--layers", "--quiet", "--tag", name, *options, str(folder)], check=True)
    return name


def shared(tool: str, registry: str, base: str, options: list[str]) -> str:
    """The image with what both examples require."""
    required = [(ROOT / "examples" / name / "image" / "requirements.txt").read_text() for name in EXAMPLES]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "requirements.txt").write_text("\n".join(sorted({*"\n".join(required).splitlines()})))
        Path(folder, "Containerfile").write_text(SHARED.format(base=base))
        return build(tool, f"{registry}examples-base:1", Path(folder), *options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default="buildah")
    parser.add_argument("--registry", default="dev.local/")
    parser.add_argument("--base", default="dev.local/python:3.11")
    parser.add_argument("--load", required=True)
    parser.add_argument("options", nargs="*", help="passed to the tool as they are, after --")
    asked = parser.parse_args()
    below = shared(asked.tool, asked.registry, asked.base, asked.options)
    found = {}
    for name in EXAMPLES:
        folder = ROOT / "examples" / name / "image"
        image = build(asked.tool, f"{asked.registry}{name}:1", folder, "--from", below, *asked.options)
        loaded = subprocess.run([asked.load, image], check=True, stdout=subprocess.PIPE, text=True)
        found[name] = loaded.stdout.split()[-1]
    WRITTEN.parent.mkdir(exist_ok=True)
    WRITTEN.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
