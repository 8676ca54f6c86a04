"""`verify --level equivalence`: a translation is measured again, with another seed, by whoever verifies."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import Site
from tests.strangers import folder_of


def verified(site: Site, asset: str, *options: str) -> tuple[int, dict[str, Any]]:
    ran = site.run("verify", asset, "--level", "equivalence", "--json", *options)
    found = json.loads(ran.out)
    return ran.status, found["claims"][0]


def said(site: Site, asset: str, digest: str) -> dict[str, Any]:
    """What the statement with a digest says."""
    import hashlib

    for path in (site.bucket / "assets" / asset / "evidence").glob("equivalence.*.json"):
        if f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" == digest:
            found: dict[str, Any] = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))["predicate"]
            return found
    raise AssertionError(f"no statement {digest}")


def test_a_translation_is_measured_again_with_other_seeds(site: Site, assets: dict[str, str]) -> None:
    seeds = set()
    for _ in range(2):
        status, claim = verified(site, assets["translation"])
        assert (status, claim["recorded"]) == (0, True)
        assert claim["verdict"] in ("passed", "within-tolerance")
        predicate = said(site, assets["translation"], claim["statement_digest"])
        seeds.add(predicate["report"]["seed"])
        assert predicate["source"]["asset"] == assets["trained-model"]
    translated = json.loads(site.ok("show", assets["translation"], "--json"))["equivalence"]["seed"]
    assert len(seeds | {translated}) == 3


def test_the_statement_is_of_its_documented_schema_and_in_the_bundle(
    site: Site, assets: dict[str, str], tmp_path: Path
) -> None:
    from jsonschema import Draft202012Validator

    _, claim = verified(site, assets["translation"])
    path = Path(__file__).parents[2] / "docs" / "predicates" / "equivalence.v1.schema.json"
    schema = json.loads(path.read_bytes())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(said(site, assets["translation"], claim["statement_digest"]))
    site.ok("evidence", assets["translation"], "-o", str(tmp_path / "bundle.json"))
    assert "equivalence: " in site.ok("check", str(tmp_path / "bundle.json"))


@pytest.mark.parametrize("kind", ["model", "trained-model"])
def test_of_a_model_its_translation_is_meant(site: Site, assets: dict[str, str], kind: str) -> None:
    ran = site.run("verify", assets[kind], "--level", "equivalence", "--json")
    assert ran.status == 0
    assert f"evidence/equivalence.{json.loads(ran.out)['request']}.json" in " ".join(
        site.objects(f"assets/{assets['translation']}")
    )


def test_a_translation_that_was_altered_in_the_store_is_not_measured_and_fails(
    site: Site, assets: dict[str, str]
) -> None:
    model = site.files(assets["translation"]) / "model.onnx"
    whole = model.read_bytes()
    try:
        model.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        status, claim = verified(site, assets["translation"])
    finally:
        model.write_bytes(whole)
    assert (status, claim["verdict"], claim["recorded"]) == (1, "failed", True)
    assert "'model.onnx'" in claim["findings"][0]
    assert said(site, assets["translation"], claim["statement_digest"])["report"] is None


def test_what_is_no_translation_has_no_such_claim(site: Site, assets: dict[str, str], tmp_path: Path) -> None:
    status, claim = verified(site, assets["dataset"])
    assert (status, claim["verdict"]) == (0, "not applicable")
    folder_of(tmp_path, {"a.csv": b"1"})
    assert "is no translation" in site.run("verify", assets["dataset"], "--level", "equivalence").out
    every = json.loads(site.ok("verify", assets["translation"], "--level", "all", "--json"))["claims"]
    verdicts = {one["claim"]: one["verdict"] for one in every}
    assert verdicts["equivalence"] in ("passed", "within-tolerance")
    assert verdicts["reproduction"] == "not applicable"


def test_a_gpu_that_is_not_there_is_refused_politely_and_the_cpu_can_be_asked_for(
    site: Site, assets: dict[str, str]
) -> None:
    ran = site.run("translate", assets["model"], "--opset", "20", "--accelerator", "nvidia", "--wait")
    assert ran.status == 1
    assert "ONNX Runtime finds none here; ask for it with --accelerator none" in ran.err
    translation = site.ok("translate", assets["model"], "--opset", "20", "--accelerator", "none", "--wait")
    equivalence = json.loads(site.ok("show", translation, "--json"))
    assert (equivalence["opset"], equivalence["verdict"]) == (20, "within-tolerance") or equivalence[
        "verdict"
    ] == "equal"
