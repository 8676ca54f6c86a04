"""Trainings and imports that go wrong: a reason in the status, no model, and another attempt where one may help."""

import hashlib
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._domain import journal
from functions._domain.events import announce
from functions._domain.identity import trained_model_id, translation_id
from functions._runtime.wiring import WiredPorts
from functions.declaration import by_name
from functions.deploy.handler import refuse_translation
from tests.platforms import COPY_MODEL, Site, image_folder, started
from tests.strangers import (
    LIGHTGBM,
    NOBODY,
    PICKLE,
    folder_of,
    named,
    nothing_is_registered,
    problem,
    refused,
)


def register_model(site: Site, dataset: str, image: Path, *options: str) -> str:
    return site.ok("model", "register", "--dataset", dataset, "--image", str(image), "--name", "bad-training", *options)


def no_trained_model(site: Site, model: str, attempt: int = 1) -> None:
    nothing_is_registered(site, str(trained_model_id(UUID(model), attempt)))
    shown = site.http("GET", f"/v1/assets/{model}")[1]
    assert shown["trained_model"] is None
    assert shown["contract"]["kind"] == "model"


def writing(name: str, data: bytes, folder: str = "SM_MODEL_DIR") -> str:
    """A script that writes one file."""
    return f"import os; open(os.environ[{folder!r}] + '/{name}', 'wb').write({data!r})\n"


TRAININGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "exits 1": ("import sys; print('no luck today'); sys.exit(1)", ("exited with code 1", "no luck today")),
    "raises": ("raise RuntimeError('out of ideas')", ("exited with code 1", "RuntimeError: out of ideas")),
    "runs for ever": ("import time; time.sleep(600)", ("deadline of 1 s", "--deadline")),
    "writes no model": ("print('done')", ("wrote no model", "$SM_MODEL_DIR")),
    "writes a pickle": (writing("model.pkl", PICKLE), ("model.pkl", "pickle")),
    "writes what is no model": (writing("notes.txt", b"hello"), ("no model was found", "notes.txt")),
    "writes a link": (
        "import os; os.symlink('/etc/passwd', os.environ['SM_MODEL_DIR'] + '/model.pt2')",
        ("symbolic link", "model.pt2"),
    ),
    "writes odd metrics": (
        writing("model.txt", LIGHTGBM) + writing("metrics.json", b"[1]", "SM_OUTPUT_DIR"),
        ("metrics.json is not an object of numbers",),
    ),
}


@pytest.mark.parametrize("case", TRAININGS)
def test_a_training_that_fails_says_why_and_makes_no_model(site: Site, dataset: str, tmp_path: Path, case: str) -> None:
    script, words = TRAININGS[case]
    place = image_folder(tmp_path / "image", script)
    name, options = case.replace(" ", "-"), ("--deadline", "1s") if case == "runs for ever" else ()
    asked = ("--dataset", dataset, "--image", str(place), "--name", name, *options)
    ran = site.run("model", "register", *asked, "--wait")
    refused(ran, *words, "polyglot logs", "polyglot retry", status=1)
    model = named(site, name)
    found = site.status(model)
    assert (found["state"], found["step"]) == ("failed", "train")
    assert all(word in found["reason"] for word in words)
    no_trained_model(site, model)


def test_a_training_that_fills_the_disk_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYGLOT_TRAINING_DISK", str(4 << 20))
    site = started(tmp_path / "platform")
    try:
        data = site.ok("dataset", "register", str(folder_of(tmp_path / "data", {"x.csv": b"1"})), "--wait")
        script = (
            "import os; file = open(os.environ['SM_MODEL_DIR'] + '/m', 'wb')\nwhile True: file.write(bytes(1 << 20))"
        )
        model = register_model(site, data, image_folder(tmp_path / "image", script))
        assert f"{4 << 20} are allowed" in site.wait_for(model, ["failed"])["reason"]
        no_trained_model(site, model)
    finally:
        site.platform.stop()


def test_a_training_that_fails_is_tried_again_as_a_new_attempt(site: Site, tmp_path: Path) -> None:
    data = site.ok("dataset", "register", str(folder_of(tmp_path / "data", {"model.txt": LIGHTGBM})), "--wait")
    marker = tmp_path / "it may work now"
    script = f"import os, pathlib, sys\nif not pathlib.Path({str(marker)!r}).exists(): sys.exit('not yet')\n"
    model = register_model(site, data, image_folder(tmp_path / "image", script + COPY_MODEL))
    assert "not yet" in site.wait_for(model, ["failed"])["reason"]
    marker.touch()
    key = {"Idempotency-Key": f"retry-{uuid4()}"}
    assert site.http("POST", f"/v1/assets/{model}/retry", None, **key)[0] == 202
    assert site.http("POST", f"/v1/assets/{model}/retry", None, **key)[0] == 202
    found = site.wait_for(model, ["rejected"])
    assert (found["step"], found["attempt"]) == ("translate", 2)
    assert found["trained_model"] == str(trained_model_id(UUID(model), 2))
    nothing_is_registered(site, str(trained_model_id(UUID(model), 1)))
    refused(site.run("cancel", model), "nothing to cancel")


def test_what_has_succeeded_is_not_tried_again(site: Site, assets: dict[str, str]) -> None:
    for kind in ("dataset", "model"):
        refused(site.run("retry", assets[kind]), "nothing to retry")
        problem(site.http("POST", f"/v1/assets/{assets[kind]}/retry"), 422, "nothing to retry")
    refused(site.run("cancel", assets["model"]), "nothing to cancel")
    problem(site.http("POST", f"/v1/assets/{assets['translation']}/retry"), 404, "retry the asset that its chain began")


def test_a_running_training_is_cancelled_and_a_late_event_cancels_no_later_attempt(
    site: Site, dataset: str, tmp_path: Path
) -> None:
    model = register_model(site, dataset, image_folder(tmp_path, "import time; print('at it'); time.sleep(600)"))
    site.wait_for(model, ["running"])
    event = {
        "ce-specversion": "1.0", "ce-id": "late", "ce-source": "/anybody", "ce-subject": model,
        "ce-type": "io.polyglot.cancellation.requested.v1", "Content-Type": "application/json",
    }  # fmt: skip
    assert site.announce(event, to="/functions/train") == 204  # forged: nobody with a token asked for it
    site.http("POST", "/v1/reconcile?all=1")
    assert site.platform.broker.drain(20)
    assert site.status(model)["state"] == "running"
    site.ok("cancel", model)
    site.ok("cancel", model)
    found = site.wait_for(model, ["failed"])
    assert "cancel" in found["reason"]
    no_trained_model(site, model)
    site.ok("retry", model)
    site.wait_for(model, ["running"])
    assert site.announce(event, to="/functions/train") == 204
    assert site.platform.broker.drain(20)
    assert site.status(model)["state"] == "running"
    site.ok("cancel", model)
    site.wait_for(model, ["failed"])
    assert site.status(model)["attempt"] == 2


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.pkl", PICKLE, ("model.pkl", "pickle")),
        ("model.bin", PICKLE, ("model.bin", "pickle")),
        ("notes.txt", b"hello", ("no model was found", "notes.txt", "PyTorch .pt2")),
        ("model.pt2", b"PK\x03\x04 broken", ("model.pt2",)),
    ],
)
def test_an_import_that_is_no_safe_model_is_refused(
    site: Site, tmp_path: Path, name: str, data: bytes, words: tuple[str, ...]
) -> None:
    label = f"import-{hashlib.sha256(name.encode() + data).hexdigest()[:8]}"
    (tmp_path / name).write_bytes(data)
    refused(site.run("model", "import", str(tmp_path), "--name", label, "--wait"), *words, status=1)
    asset = named(site, label)
    assert all(word in site.status(asset)["reason"] for word in words)
    nothing_is_registered(site, asset)


def test_a_model_that_cannot_be_translated_is_kept_and_said_so(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(LIGHTGBM)
    ran = site.run("model", "import", str(tmp_path), "--name", "no-translation", "--wait")
    refused(ran, "it is cut off", "save it with booster.save_model", status=1)
    asset = named(site, "no-translation")
    site.ok("verify", asset, "--level", "all")
    site.ok("pull", asset, str(tmp_path / "back"))
    target = str(translation_id(UUID(asset)))
    nothing_is_registered(site, target)
    for _ in range(2):
        site.ok("retry", asset)
        site.http("POST", "/v1/reconcile?all=1")
        found = site.wait_for(asset, ["rejected"])
        assert (found["step"], "cut off" in found["reason"]) == ("translate", True)
    nothing_is_registered(site, target)
    refused(site.run("translate", asset, "--accelerator", "nvidia"), "no translator for lightgbm", "native format")


def test_a_framework_that_nobody_translates_is_said_so(site: Site) -> None:
    """By ``deploy``, from the declaration: every format that is recognized has a translator, so one is made up."""
    ports, subject = WiredPorts(by_name("deploy"), site.settings), uuid4()
    refuse_translation(announce("asset.registered", subject, "cause"), "cobol", "punched cards", ports)
    reason = journal.content(ports.storage, translation_id(subject), "translate", 1, "rejected")["reason"]
    shutil.rmtree(site.bucket / "assets" / str(translation_id(subject)))
    assert str(reason).startswith("no translator for cobol models (punched cards) is declared on this platform")
    assert "jax, keras, lightgbm" in str(reason)


def test_a_dataset_named_on_import_must_be_known(site: Site, torch_model: Path) -> None:
    refused(site.run("model", "import", str(torch_model), "--dataset", NOBODY), f"there is no dataset {NOBODY}")
