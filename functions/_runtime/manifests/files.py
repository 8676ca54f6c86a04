"""Generated files: their text, how they get into a folder, and how a folder is compared with them."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]

HEADER = (
    "# Generated from functions/declaration.py by `polyglot manifests`: change the declaration, then run it again.\n"
)


def yaml_text(manifests: Iterable[Manifest]) -> str:
    """Manifests as one YAML file: keys as they come, no anchors, one form for each value."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    body = yaml.dump_all(manifests, Dumper=Dumper, sort_keys=False, default_flow_style=False, width=120)
    return f"{HEADER}{body}"


def differences(folder: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """What ``write`` would change: by path, a unified diff from what is there to what the declaration says."""
    found = {}
    for path in sorted({*texts, *_generated(folder)}):
        wanted, there = texts.get(path, ""), _text(folder / path)
        if wanted != there:
            lines = difflib.unified_diff(
                there.splitlines(keepends=True),
                wanted.splitlines(keepends=True),
                str(folder / path),
                "what the declaration says" if wanted else "the declaration says nothing of it",
            )
            found[path] = "".join(lines)
    return found


def write(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Make a folder's generated files what they should be, stale ones removed; returns the paths that changed."""
    changed = sorted(differences(folder, texts))
    for path in changed:
        target = folder / path
        if path not in texts:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(texts[path], encoding="utf-8")
    return changed


def _generated(folder: Path) -> list[str]:
    """The files of a folder that an earlier rendering left: they begin with our header."""
    candidates = (path for path in folder.rglob("*") if path.suffix in (".yaml", ".Containerfile"))
    return [path.relative_to(folder).as_posix() for path in candidates if _text(path).startswith(HEADER)]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
