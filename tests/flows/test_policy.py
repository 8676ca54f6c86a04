"""A dataset's policy: which images may train on it is in its record, is checked, and the statement shows it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import COPY_MODEL, Site, image_folder


@pytest.fixture(scope="module")
def guarded(site: Site, torch_model: Path, quick_image: Path) -> tuple[str, str]:
    """A dataset that one image may train on, and that image's digest."""
    allowed = site.ok("image", "push", str(quick_image))
    options = ("--licence", "CC-BY-4.0", "--allow-image", allowed, "--wait")
    return site.ok("dataset", "register", str(torch_model.parent), *options), allowed


def training_statement(site: Site, model: str) -> dict[str, Any]:
    trained = json.loads(site.ok("show", model, "--json"))["trained_model"]
    envelope = json.loads((site.bucket / "assets" / trained / "evidence" / f"training.{trained}.json").read_bytes())
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return found


def test_the_statement_shows_that_the_rule_was_checked(
    site: Site, guarded: tuple[str, str], quick_image: Path, tmp_path: Path
) -> None:
    dataset, allowed = guarded
    model = site.ok("model", "register", "--dataset", dataset, "--image", str(quick_image), "--wait")
    said = training_statement(site, model)["buildDefinition"]["internalParameters"]["policy"]
    assert said == [{"dataset": dataset, "allowImages": [allowed], "rule": "listed", "allowed": True}]
    record = json.loads(site.ok("show", dataset, "--json"))
    assert (record["licence"], record["allow_images"]) == ("CC-BY-4.0", [allowed])
    site.ok("evidence", model, "-o", str(tmp_path / "bundle.json"))
    assert f"dataset policy of {dataset[:8]}: listed, allowed" in site.ok("check", str(tmp_path / "bundle.json"))


def test_another_image_is_refused_with_the_reason_and_trains_nothing(
    site: Site, guarded: tuple[str, str], tmp_path: Path
) -> None:
    dataset, allowed = guarded
    other = image_folder(tmp_path / "other", COPY_MODEL + "# another one\n")
    ran = site.run("model", "register", "--dataset", dataset, "--image", str(other), "--wait")
    assert ran.status == 1
    assert f"dataset {dataset} may be trained on by {allowed} only" in ran.err
    model = json.loads(site.ok("list", "--kind", "model", "--json"))[-1]["id"]
    assert json.loads(site.ok("show", model, "--json"))["trained_model"] is None
