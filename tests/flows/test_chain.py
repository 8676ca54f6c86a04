"""The whole chain: dataset, model, training, contracts, translation, verification, retrieval."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from functions._domain.identity import trained_model_id, translation_id
from tests.customers import PASSED, verdicts
from tests.platforms import Site


@pytest.fixture(scope="module")
def chain(site: Site, torch_model: Path, quick_image: Path) -> dict[str, str]:
    """A finished chain: the UUIDs of its four assets."""
    dataset = site.ok(
        "dataset", "register", str(torch_model.parent), "--name", "chain", "--licence", "CC0-1.0", "--wait"
    )
    model = site.ok(
        "model", "register", "--dataset", dataset, "--image", str(quick_image), "--hyperparameter", "epochs=2",
        "--name", "chain", "--wait",
    )  # fmt: skip
    shown = json.loads(site.ok("show", model, "--json"))
    return {
        "dataset": dataset,
        "model": model,
        "trained-model": shown["trained_model"],
        "translation": shown["translation"],
    }


def test_every_asset_of_a_chain_is_on_the_ledger_with_its_parents(site: Site, chain: dict[str, str]) -> None:
    kinds = list(chain)
    for kind, parents in zip(kinds, ([], ["dataset"], ["model"], ["trained-model"]), strict=True):
        status, contract, _ = site.http("GET", f"/v1/assets/{chain[kind]}/contract")
        assert status == 200
        assert contract["kind"] == kind
        assert contract["parents"] == [chain[parent] for parent in parents]
        assert contract["ledger"] == site.settings["POLYGLOT_LEDGER"]


def test_uuids_of_made_assets_follow_from_their_parents(chain: dict[str, str]) -> None:
    assert chain["trained-model"] == str(trained_model_id(UUID(chain["model"]), 1))
    assert chain["translation"] == str(translation_id(UUID(chain["trained-model"])))


def test_a_translation_says_how_equal_it_was_measured(site: Site, chain: dict[str, str]) -> None:
    shown = json.loads(site.ok("show", chain["translation"], "--json"))
    assert shown["verdict"] in ("equal", "within-tolerance")
    assert shown["equivalence"]["figures"]
    assert shown["contract"]["address"].startswith("0x")


def test_a_pull_gives_exactly_the_files(site: Site, chain: dict[str, str], torch_model: Path, tmp_path: Path) -> None:
    site.ok("pull", chain["model"], str(tmp_path / "native"))
    assert [path.name for path in (tmp_path / "native").iterdir()] == ["model.pt2"]
    assert (tmp_path / "native" / "model.pt2").read_bytes() == torch_model.read_bytes()
    site.ok("pull", chain["translation"], str(tmp_path / "onnx"))
    assert [path.name for path in (tmp_path / "onnx").iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("kind", ["dataset", "model", "trained-model", "translation"])
def test_all_claims_of_an_untouched_asset_pass(site: Site, chain: dict[str, str], kind: str) -> None:
    verified = json.loads(site.ok("verify", chain[kind], "--level", "all", "--json"))
    assert verdicts(verified["claims"]) == PASSED[kind]


def test_the_lineage_names_all_four(site: Site, chain: dict[str, str]) -> None:
    lineage = json.loads(site.ok("lineage", chain["model"], "--format", "json"))
    assert [node["id"] for node in lineage["nodes"]] == list(chain.values())
    assert chain["translation"] in site.ok("lineage", chain["translation"], "--format", "dot")


def test_a_translation_can_be_imported_as_a_model_and_is_passed_through(
    site: Site, chain: dict[str, str], tmp_path: Path
) -> None:
    data = site.files(chain["translation"]).joinpath("model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(data)
    asset = site.ok("model", "import", str(tmp_path), "--name", "foreign", "--wait")
    again = json.loads(site.ok("show", asset, "--json"))["translation"]
    assert site.files(again).joinpath("model.onnx").read_bytes() == data
    site.ok("verify", asset, "--level", "provenance")


def test_asking_again_for_the_automatic_translation_gives_the_same(site: Site, chain: dict[str, str]) -> None:
    assert site.ok("translate", chain["model"], "--wait") == chain["translation"]
