"""Evidence that a stranger can check: bundles, and what `check` finds in altered ones, with no network at all."""

import base64
import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions._cli.check import report
from functions._cli.check.verdict import Checked
from functions._cli.check.verdict import check as checked_bundle
from functions._domain.digests import canonical
from tests.platforms import POLYGLOT, Site

Document = dict[str, Any]
Place = tuple[str | int, ...]
WITHOUT_NETWORK = ("unshare", "--user", "--map-root-user", "--net", "--")
"""A network namespace of its own, whose only interface, the loopback one, is down."""


@pytest.fixture(scope="module")
def bundles(site: Site, assets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of a finished chain's assets, by kind, each verified before; and its files, in a folder of that name."""
    place = tmp_path_factory.mktemp("bundles")
    site.ok("verify", assets["trained-model"], "--level", "reproduction")
    for kind in ("dataset", "trained-model", "translation"):
        site.ok("verify", assets[kind], "--level", "integrity")
        site.ok("evidence", assets[kind], "-o", str(place / f"{kind}.json"), "--unpack", str(place / f"{kind}-parts"))
        site.ok("pull", assets[kind], str(place / kind))
    site.ok("evidence", assets["model"], "-o", str(place / "model.json"))
    return {kind: place / f"{kind}.json" for kind in ("dataset", "model", "trained-model", "translation")}


def document(bundles: dict[str, Path], kind: str = "translation") -> Document:
    found: Document = json.loads(bundles[kind].read_text())
    return found


def checked(found: Document, place: Path) -> Checked:
    path = place / "altered.json"
    path.write_text(json.dumps(found))
    return checked_bundle(path, None, None)


def offline(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in a network namespace without interfaces, and without a word of where a platform is."""
    ran = subprocess.run([*WITHOUT_NETWORK, "true"], capture_output=True, check=False)
    if ran.returncode != 0:
        pytest.skip("this kernel gives no network namespaces to whoever runs the tests")
    command = [*WITHOUT_NETWORK, *POLYGLOT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("kind", ["dataset", "trained-model", "translation"])
def test_a_bundle_and_its_files_check_without_a_network(bundles: dict[str, Path], kind: str) -> None:
    ended = offline("check", bundles[kind], "--files", bundles[kind].with_suffix(""), "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    assert (found["verdict"], found["problems"]) == ("consistent, not independently anchored", [])
    assert found["claims"][0]["how"] == "proved"
    assert [one["kind"] for one in found["lineage"]][-1] == kind


def test_a_report_claims_no_more_than_it_checked(bundles: dict[str, Path]) -> None:
    ended = offline("check", bundles["translation"])
    assert ended.returncode == 0
    for words in (
        "these bytes are what was registered: not looked at",
        "this is the lineage; nothing was changed since: proved",
        "trained from that dataset by that image with these settings: attested",
        "the ONNX model computes the same: measured",
        "this inference came from that model: not claimed",
        "no trust file was given",
        "verdict: consistent, not independently anchored",
    ):
        assert words in ended.stdout


def test_a_report_says_where_a_retraining_agreed(bundles: dict[str, Path]) -> None:
    ended = offline("check", bundles["trained-model"])
    assert ended.returncode == 0
    assert "trained from that dataset by that image with these settings: attested, reproduced" in ended.stdout
    assert "a retraining agreed: R1, recorded" in ended.stdout


def test_a_models_bundle_is_that_of_its_trained_model(bundles: dict[str, Path], assets: dict[str, str]) -> None:
    assert document(bundles, "model")["subject"] == assets["trained-model"]


def test_what_is_not_on_the_ledger_has_no_evidence(site: Site) -> None:
    ran = site.run("evidence", "6f0a3c52-5f0b-4b0e-9d8e-0f7a1c2b3d4e", "-o", "/dev/null")
    assert ran.status == 2
    assert "the ledger has no asset" in ran.err


# Every field counts.


def leaves(value: object, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*place, name))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, (*place, number))
    else:
        yield place


def branches(value: object, place: Place = ()) -> Iterator[Place]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict | list):
        yield place
    for name, part in parts:
        yield from branches(part, (*place, name))


def at(found: Document, place: Place) -> Any:
    for step in place:
        found = found[step]  # type: ignore[index]
    return found


def replaced(found: Document, place: Place, value: object) -> Document:
    altered = copy.deepcopy(found)
    at(altered, place[:-1])[place[-1]] = value
    return altered


def other_character(text: str, position: int) -> str:
    """A text with one character exchanged for another one of its kind, so that only its meaning is wrong."""
    old = text[position]
    new = {"0": "1", "a": "b", "A": "B"}.get(old) or ("0" if old.isdigit() else "a" if old.islower() else "A")
    return text[:position] + new + text[position + 1 :]


def subtle(value: object) -> object:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case None:
            return "x"
        case "":
            return "x"
        case str():
            return other_character(value, len(value) // 2)
    raise AssertionError(value)


def test_each_field_that_is_altered_is_found(bundles: dict[str, Path], tmp_path: Path) -> None:
    found = document(bundles)
    assert checked(found, tmp_path).is_consistent
    places = list(leaves(found))
    assert len(places) > 150
    idle = [
        place for place in places if checked(replaced(found, place, subtle(at(found, place))), tmp_path).is_consistent
    ]
    assert idle == []


def altered_texts(text: str) -> list[str]:
    found = [text[1:], text[:-1], text + "0", "", text.swapcase(), other_character(text, 0), f" {text}"]
    return [one for one in found if one != text]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_done_to_a_bundle_is_found(bundles: dict[str, Path], tmp_path: Path, data: st.DataObject) -> None:
    found = document(bundles)
    altered = copy.deepcopy(found)
    if data.draw(st.booleans(), "a leaf"):
        place = data.draw(st.sampled_from(list(leaves(found))))
        value = at(found, place)
        if isinstance(value, str) and value:
            one = data.draw(st.sampled_from([*altered_texts(value), other_character(value, len(value) - 1)]))
            position = data.draw(st.integers(0, len(value) - 1))
            value = data.draw(st.sampled_from([one, other_character(value, position), None, 0]))
        else:
            value = data.draw(st.sampled_from([value + 1 if isinstance(value, int) else 1, "1", [value], None]))
        at(altered, place[:-1])[place[-1]] = value
    else:
        part = at(altered, data.draw(st.sampled_from(list(branches(found)))))
        alter_branch(part, data)
    if altered != found:
        assert not checked(altered, tmp_path).is_consistent


def alter_branch(part: Any, data: st.DataObject) -> None:
    """Drop, double, add or move something."""
    if isinstance(part, dict):
        if part and data.draw(st.booleans(), "drop"):
            del part[data.draw(st.sampled_from(sorted(part)))]
        else:
            part[data.draw(st.sampled_from(["more", "schema", "keyid"]))] = "x"
    elif part:
        position = data.draw(st.integers(0, len(part) - 1))
        match data.draw(st.sampled_from(["drop", "double", "reverse", "rotate"])):
            case "drop":
                del part[position]
            case "double":
                part.insert(position, copy.deepcopy(part[position]))
            case "reverse":
                part.reverse()
            case "rotate":
                part.append(part.pop(0))
    else:
        part.append("x")


def test_a_name_that_comes_twice_is_refused(bundles: dict[str, Path], tmp_path: Path) -> None:
    text = bundles["dataset"].read_text()
    (tmp_path / "twice.json").write_text(text.replace('"subject"', '"subject": "x", "subject"', 1))
    assert "comes twice" in checked_bundle(tmp_path / "twice.json", None, None).problems[0]


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b'{"schema": "polyglot/record/v1"}', b"[" * 100_000])
def test_rubbish_is_no_bundle(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rubbish").write_bytes(data)
    found = checked_bundle(tmp_path / "rubbish", tmp_path, None)
    assert not found.is_consistent
    assert report.text(found)


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    ended = subprocess.run([*POLYGLOT, "check", str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"there is no file {tmp_path / 'none'}" in ended.stderr


def test_a_newer_platforms_bundle_asks_for_an_upgrade(bundles: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "newer.json").write_text(
        bundles["dataset"].read_text().replace("polyglot/bundle/v1", "polyglot/bundle/v2")
    )
    ended = subprocess.run(
        [*POLYGLOT, "check", str(tmp_path / "newer.json")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert "upgrade" in ended.stderr


# Files.


def flipped(files: Path) -> list[str]:
    data = bytearray((files / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (files / "model.onnx").write_bytes(data)
    return ["changed: model.onnx"]


def truncated(files: Path) -> list[str]:
    size = (files / "model.onnx").stat().st_size
    (files / "model.onnx").write_bytes(b"x")
    return [f"changed: model.onnx (1 bytes, registered with {size})"]


def renamed(files: Path) -> list[str]:
    (files / "model.onnx").rename(files / "other.onnx")
    return ["missing: model.onnx", "extra: other.onnx"]


def linked(files: Path) -> list[str]:
    (files / "model.onnx").rename(files.with_name("elsewhere"))
    (files / "model.onnx").symlink_to(files.with_name("elsewhere"))
    return ["missing: model.onnx", "extra: model.onnx"]


def added(files: Path) -> list[str]:
    (files / "deep").mkdir()
    (files / "deep" / "more").write_bytes(b"")
    return ["extra: deep/more"]


def removed(files: Path) -> list[str]:
    shutil.rmtree(files)
    return ["missing: model.onnx", f"missing: the folder {files}"]


@pytest.mark.parametrize(
    "change", [flipped, truncated, renamed, linked, added, removed], ids=lambda change: change.__name__
)
def test_files_that_differ_are_named(
    bundles: dict[str, Path], tmp_path: Path, change: Callable[[Path], list[str]]
) -> None:
    files = tmp_path / "files"
    shutil.copytree(bundles["translation"].with_suffix(""), files)
    expected = change(files)
    ended = subprocess.run(
        [*POLYGLOT, "check", str(bundles["translation"]), "--files", str(files), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    found = json.loads(ended.stdout)
    assert sorted(found["files"]["problems"]) == sorted(expected)
    assert found["claims"][0]["how"] == "refuted"
    assert found["verdict"] == "NOT consistent"


# Others' tools.


@pytest.mark.parametrize("kind", ["dataset", "trained-model", "translation"])
def test_every_statement_is_taken_by_the_parsers_of_others(bundles: dict[str, Path], kind: str) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    envelopes = [one["envelope"] for part in document(bundles, kind)["assets"] for one in part["evidence"]]
    assert envelopes
    for one in envelopes:
        payload = json.loads(base64.b64decode(one["payload"], validate=True))
        Statement.copy_from_pb(ParseDict(payload, Message(), ignore_unknown_fields=False)).validate()
        envelope = Envelope.from_dict(copy.deepcopy(one))
        public = load_pem_public_key(payload["predicate"]["signer"]["publicKey"].encode())
        key = SSlibKey.from_crypto(public, one["signatures"][0]["keyid"])  # type: ignore[arg-type]
        assert envelope.verify([key], 1)
        assert canonical(payload) == base64.b64decode(one["payload"])


SCHEMAS = Path(__file__).parents[2] / "docs" / "predicates"
SCHEMA_OF = {"integrity": "verification", "provenance": "verification"}


def test_every_statement_is_of_its_documented_schema(bundles: dict[str, Path]) -> None:
    from jsonschema import Draft202012Validator

    parts = [part for kind in ("dataset", "translation") for part in document(bundles, kind)["assets"]]
    seen = set()
    for one in [one for part in parts for one in part["evidence"]]:
        schema = json.loads((SCHEMAS / f"{SCHEMA_OF.get(one['claim'], one['claim'])}.v1.schema.json").read_bytes())
        Draft202012Validator.check_schema(schema)
        predicate = json.loads(base64.b64decode(one["envelope"]["payload"]))["predicate"]
        Draft202012Validator(schema).validate(predicate)
        seen.add(one["claim"])
    assert seen >= {"registration", "training", "translation", "integrity", "reproduction"}


def test_every_claim_is_listed_among_the_predicates() -> None:
    from functions._domain.statements import PREDICATES

    text = (SCHEMAS / "README.md").read_text()
    for claim, predicate in PREDICATES.items():
        assert f"`{claim}`" in text
        assert predicate in text


def test_the_unpacked_parts_are_those_of_the_bucket(
    site: Site, bundles: dict[str, Path], assets: dict[str, str]
) -> None:
    for kind in ("trained-model", "translation"):
        parts = bundles[kind].with_name(f"{kind}-parts") / assets[kind]
        for name in ("record.json", "inventory.jsonl", "signatures/model.sig"):
            assert (parts / name).read_bytes() == (site.bucket / "assets" / assets[kind] / name).read_bytes()
    key = bundles["translation"].with_name("translation-parts") / assets["translation"] / "keys" / "translation.pem"
    ended = subprocess.run(
        [sys.executable, "-m", "model_signing", "verify", "key", bundles["translation"].with_suffix(""), "--signature",
         parts / "signatures" / "model.sig", "--public_key", key],
        capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0
