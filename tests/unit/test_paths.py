"""Paths: what an asset's file may be called, and which names cannot stand beside each other."""

import tempfile
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from functions._domain.paths import checked_path, clashing_paths

ANY = st.text(st.characters(), max_size=30) | st.text("ab/.\\\0\néE", max_size=12)
NAMES = st.text("aAbß.é", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _refusal(path: str) -> str:
    try:
        assert checked_path(path) is path
    except ValueError as error:
        return str(error)
    return ""


@given(ANY)
def test_a_path_is_unchanged_or_refused_in_words(path: str) -> None:
    refusal = _refusal(path)
    assert not refusal or refusal.startswith(repr(path))
    assert not refusal or any(way in refusal for way in ("rename the file", "write it relative"))


@given(ANY)
def test_a_path_that_is_taken_stays_below_its_folder_and_can_be_written(path: str) -> None:
    assume(not _refusal(path))
    assert not PurePosixPath(path).is_absolute()
    assert PurePosixPath(path).as_posix() == path
    assert ".." not in PurePosixPath(path).parts
    assert unicodedata.is_normalized("NFC", path)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x")
        assert [one.relative_to(folder).as_posix() for one in Path(folder).rglob("*") if one.is_file()] == [path]


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/etc/passwd", "a//b", "a/", "./a", "a/./b", "../a", "a/../b", "..", ".", "a\\b", "C:\\a", "a\0b",
        "a\nb", "a\x7fb", "a\x85b", "\ud800", "e\u0301", "\u212b", "x" * 256, "é" * 128, f"ok/{'x' * 256}",
    ],
)  # fmt: skip
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"rename the file|write it relative"):
        checked_path(path)


@pytest.mark.parametrize(
    "path", ["a", "a/b.csv", "...", ".hidden", "a b", "é", "日本/語.txt", "x" * 255, "é" * 127, "#?%&+=~"]
)
def test_safe_paths_are_taken(path: str) -> None:
    assert checked_path(path) == path


def _clash(one: str, other: str) -> bool:
    """The definition: one path folded is the other, or a folder of it."""
    first, second = one.casefold(), other.casefold()
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


@given(st.lists(PATHS, max_size=8))
def test_a_clash_is_found_exactly_where_two_paths_clash(paths: list[str]) -> None:
    found = clashing_paths(paths)
    pairs = [(one, other) for at, one in enumerate(paths) for other in paths[at + 1 :] if _clash(one, other)]
    assert (found is None) == (not pairs)
    if found is not None:
        assert _clash(*found)
        assert set(found) <= set(paths)


@pytest.mark.parametrize(
    "paths",
    [("a", "A"), ("a/b", "A/B"), ("a", "a/b"), ("a/b", "a"), ("A/x", "a"), ("straße", "STRASSE"), ("a", "a")],
)
def test_names_that_cannot_stand_together_are_found(paths: tuple[str, str]) -> None:
    assert clashing_paths(paths) == paths


@pytest.mark.parametrize("paths", [(), ("a",), ("a", "b"), ("a/b", "A/c"), ("a.b", "a/b"), ("ab", "a/b")])
def test_names_that_can_stand_together_are_let_be(paths: tuple[str, ...]) -> None:
    assert clashing_paths(paths) is None
