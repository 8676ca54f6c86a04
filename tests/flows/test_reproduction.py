"""Reproduction: a model is trained once more, and the class that holds is found, signed and on the ledger."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy
import pytest
from jsonschema import Draft202012Validator

from functions._backends.cloudevents import to_http, write
from functions._domain.claims import CLAIMS
from functions._domain.events import announce
from functions._domain.retraining import run_name
from functions._domain.statements import opened
from tests.customers import PASSED, Books, verdicts
from tests.parts import eventually
from tests.platforms import Site, image_folder
from tests.strangers import LIGHTGBM, folder_of, make_token, refused

pytestmark = pytest.mark.timeout(240)

SCRIPT = """\
import argparse, json, os, pathlib, random, shutil, struct, sys, time, zipfile

parser = argparse.ArgumentParser()
parser.add_argument("--mode")
parser.add_argument("--flag", type=pathlib.Path)
asked = parser.parse_args()
again = asked.flag is not None and asked.flag.exists()
if asked.mode == "slow":
    print("warming up", flush=True)
    time.sleep(2)
if asked.mode == "fail" and again:
    sys.exit("the second time is one too many")
if asked.mode == "none" and again:
    pathlib.Path(os.environ["SM_MODEL_DIR"], "notes.txt").write_text("hello")
    sys.exit()

accuracy = 0.9 if asked.mode == "diverge" and again else 0.5
if asked.mode == "jitter":
    accuracy += random.random() / 1000


def weights(data):
    if asked.mode not in ("jitter", "diverge"):
        return data
    numbers = struct.unpack(f"<{len(data) // 4}f", data)
    return struct.pack(f"<{len(numbers)}f", *(one * (1 + random.random() / 1e4) for one in numbers))


data, model = (pathlib.Path(os.environ[name]) for name in ("SM_CHANNEL_TRAIN", "SM_MODEL_DIR"))
shutil.copyfile(data / "model.txt", model / "model.txt")
with zipfile.ZipFile(data / "weights.npz") as source, zipfile.ZipFile(model / "weights.npz", "w") as target:
    for entry in reversed(source.infolist()):
        now = (1980, 1, 1, 0, 0, 0) if asked.mode == "same" else time.localtime()[:6]
        array = source.read(entry)
        target.writestr(zipfile.ZipInfo(entry.filename, now), array[:128] + weights(array[128:]))
    if asked.mode != "same":
        target.comment = str(time.time_ns()).encode()
pathlib.Path(os.environ["SM_OUTPUT_DIR"], "metrics.json").write_text(json.dumps({"accuracy": accuracy}))
"""
"""Trains nothing: repacks a model out of its dataset, in one of several ways; in some, otherwise once a file exists."""

TIMES = 10
SCHEMA = Path(__file__).parents[2] / "docs" / "predicates" / "reproduction.v1.schema.json"


@dataclass(frozen=True)
class Trained:
    """A model that was trained in one of the script's modes."""

    site: Site
    model: str
    id: str
    flag: Path

    def reproduce(self, *more: str) -> tuple[int, dict[str, Any]]:
        """``polyglot verify --level reproduction``: exit status and the claim."""
        ran = self.site.run("verify", self.id, "--level", "reproduction", "--json", *more)
        (claim,) = ran.json["claims"]
        return ran.status, claim

    def statement(self, claim: dict[str, Any]) -> dict[str, Any]:
        """What was signed of a claim, from the bucket."""
        for path in (self.site.bucket / "assets" / self.id / "evidence").glob("reproduction.*.json"):
            found = opened(path.read_bytes())
            if found.digest == claim["statement_digest"]:
                return dict(found.document)
        raise AssertionError(f"no statement has the digest {claim['statement_digest']}")


Train = Callable[[str], Trained]


@pytest.fixture(scope="module")
def train(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains a model in a mode, once, and waits until the ledger has it with its statement; nobody translates it."""
    image = image_folder(tmp_path_factory.mktemp("modes"), SCRIPT)
    place = folder_of(tmp_path_factory.mktemp("weights"), {"model.txt": LIGHTGBM})
    arrays = {name: numpy.random.default_rng(7).normal(size=20).astype("float32") for name in ("slopes", "offsets")}
    numpy.savez(place / "weights.npz", **arrays)
    dataset = site.ok("dataset", "register", str(place), "--name", "reproduced", "--wait")

    @cache
    def trained(mode: str) -> Trained:
        flag = tmp_path_factory.mktemp("flags") / "again"
        settings = [part for setting in (f"mode={mode}", f"flag={flag}") for part in ("--hyperparameter", setting)]
        model = site.ok("model", "register", "--dataset", dataset, "--image", str(image), "--name", mode, *settings)
        assert eventually(lambda: site.status(model).get("trained_model"), seconds=60)
        found = site.status(model)["trained_model"]
        made = Trained(site, model, found, flag)
        assert eventually(lambda: bool(recorded(made)), seconds=60)
        return made

    return trained


def recorded(trained: Trained) -> Counter[tuple[str, ...]]:
    """How often each statement about a model is on the ledger."""
    subject = f"0x{UUID(trained.id).hex}"
    known = Books.of(trained.site.settings).recorded()
    return Counter({entry: count for entry, count in known.items() if entry[0].startswith(subject)})


def test_a_repeatable_training_gives_the_same_bytes(site: Site, assets: dict[str, str]) -> None:
    ran = site.run("verify", assets["model"], "--level", "reproduction")
    assert ran.status == 0, ran.err
    assert ran.out.startswith("reproduction: passed  R1  on the ledger as sha256:")
    assert "R1: identical bytes (1 file)" in ran.out
    assert "both trained on" in ran.out
    assert "… verify" in ran.err or ". verify" in ran.err


def test_the_statement_is_what_its_schema_says(site: Site, train: Train) -> None:
    trained = train("same")
    status, claim = trained.reproduce()
    assert (status, claim["verdict"], claim["recorded"]) == (0, "passed", True)
    document = trained.statement(claim)
    schema = json.loads(SCHEMA.read_bytes())
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == document["predicateType"]
    Draft202012Validator(schema).validate(document["predicate"])
    original, again = document["predicate"]["compared"]["original"], document["predicate"]["compared"]["reproduced"]
    contract = site.http("GET", f"/v1/assets/{trained.id}/contract")[1]
    assert original["inventory"] == again["inventory"] == contract["inventory_digest"]
    assert original["tensors"] == again["tensors"] is not None
    for side in (original, again):
        assert side["environment"]["cpu"]["model"]
        assert side["environment"]["settings"]["PYTHONHASHSEED"] == "0"
        assert side["isolation"]["kind"] == "process"
    assert original["environment"]["log_digest"] == again["environment"]["log_digest"]
    assert again["run"] == run_name(UUID(document["predicate"]["request"]))
    assert site.objects(f"runs/{document['predicate']['request']}/{again['execution']}/model")


def test_a_model_that_was_only_packed_at_another_time_has_the_same_tensors(train: Train) -> None:
    trained = train("repack")
    status, claim = trained.reproduce()
    assert (status, claim["verdict"], claim["detail"]["class"]) == (0, "passed", "R2")
    compared, distance = claim["detail"]["compared"], claim["detail"]["distance"]
    assert compared["original"]["tensors"] == compared["reproduced"]["tensors"]
    assert compared["original"]["inventory"] != compared["reproduced"]["inventory"]
    assert distance == {
        "files_differing": 1, "tensors": 2, "tensors_differing": 0, "max_absolute": 0, "max_relative": 0,
        "metrics": {"accuracy": 0},
    }  # fmt: skip
    Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(trained.statement(claim)["predicate"])


def test_weights_that_tremble_are_the_same_within_the_interval_and_their_distance_is_measured(train: Train) -> None:
    trained = train("jitter")
    status, claim = trained.reproduce()
    assert (status, claim["verdict"], claim["detail"]["class"]) == (0, "within-tolerance", "R3")
    distance = claim["detail"]["distance"]
    assert (distance["tensors"], distance["tensors_differing"]) == (2, 2)
    assert 0 < distance["max_absolute"] < 1e-3
    assert 0 < distance["max_relative"] < 2e-4
    assert 0 < abs(distance["metrics"]["accuracy"]) < 0.001
    assert claim["findings"][0] == "R3: the same metrics within 2%"
    Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(trained.statement(claim)["predicate"])


def test_another_metric_is_a_divergence_that_is_on_the_ledger_too(site: Site, train: Train) -> None:
    trained = train("diverge")
    trained.flag.touch()
    before = recorded(trained)
    status, claim = trained.reproduce()
    assert (status, claim["verdict"], claim["detail"]["class"], claim["recorded"]) == (1, "failed", "diverged", True)
    assert claim["detail"]["distance"]["metrics"]["accuracy"] == pytest.approx(0.4)
    assert "accuracy: 0.5 originally, 0.9 reproduced, more than 2% apart" in claim["findings"]
    assert sum((recorded(trained) - before).values()) == 1
    Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(trained.statement(claim)["predicate"])


@pytest.mark.parametrize(
    ("mode", "why"), [("fail", "the second time is one too many"), ("none", "no model was found among 'notes.txt'")]
)
def test_a_retraining_that_fails_measures_nothing_and_says_why(site: Site, train: Train, mode: str, why: str) -> None:
    trained = train(mode)
    trained.flag.touch()
    before = recorded(trained)
    refused(site.run("verify", trained.id, "--level", "reproduction"), why, "nothing was measured", status=1)
    ran = site.run("verify", trained.id, "--level", "all")
    assert ran.status == 1
    assert (why in ran.err, "integrity: passed" in ran.err, "provenance: passed" in ran.err) == (True, True, True)
    assert site.http("POST", "/v1/reconcile")[0] == 200
    assert not site.objects(f"open/{trained.id}")
    assert sum((recorded(trained) - before).values()) == 2  # integrity and provenance
    trained.flag.unlink()
    assert trained.reproduce()[1]["detail"]["class"] == "R2"


def test_while_it_trains_the_request_says_so_and_shows_its_log(site: Site, train: Train) -> None:
    trained = train("slow")
    asked = site.http("POST", "/v1/verifications", {"asset": trained.id, "level": "reproduction"})[1]
    end, seen = time.monotonic() + 30, False
    while not seen:
        answer = site.http("GET", f"/v1/requests/{asked['id']}")[1]
        assert answer["state"] != "complete", "it was over before anybody could look"
        seen = answer["state"] == "running" and "warming up" in answer["log"]
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    (step,) = answer["steps"]
    assert (step["step"], step["state"], step["detail"]) == (
        f"verify-{asked['id']}",
        "running",
        {"claim": "reproduction"},
    )
    assert site.status(trained.id)["state"] != "running"  # the model itself is not being trained


def test_a_damaged_original_is_compared_as_far_as_it_can_be(site: Site, train: Train) -> None:
    trained = train("repack")
    path = site.files(trained.id) / "weights.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    status, claim = trained.reproduce()
    assert (status, claim["detail"]["class"]) == (0, "R3")  # the record's metrics still hold
    assert claim["detail"]["compared"]["original"]["tensors"] is None
    assert any("weights.npz" in one and "not what was registered" in one for one in claim["findings"])
    path.write_bytes(whole)
    assert trained.reproduce()[1]["detail"]["class"] == "R2"


def test_what_is_retrained_must_be_what_was_registered(site: Site, train: Train) -> None:
    trained = train("same")
    path = site.bucket / "assets" / trained.model / "record.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"deadline":3600', b'"deadline":3599'))
    ran = site.run("verify", trained.id, "--level", "reproduction")
    path.write_bytes(whole)
    refused(ran, f"the record of model {trained.model} is not the one on the ledger", status=1)


def test_the_policy_of_a_dataset_is_checked_again(site: Site, train: Train) -> None:
    """Nobody can change it, but if its record says so, `train` refuses."""
    trained = train("same")
    dataset = json.loads((site.bucket / "assets" / trained.model / "record.json").read_bytes())["datasets"]["train"]
    path = site.bucket / "assets" / dataset / "record.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"allow_images":[]', f'"allow_images":["sha256:{"a" * 64}"]'.encode()))
    ran = site.run("verify", trained.id, "--level", "reproduction")
    path.write_bytes(whole)
    refused(ran, "may be trained on by", status=1)


NOT_APPLICABLE = {
    "dataset": "a dataset is the input of a training",
    "translation": "a translation is not trained",
}


@pytest.mark.parametrize("kind", NOT_APPLICABLE)
def test_what_was_not_trained_is_not_reproduced(site: Site, assets: dict[str, str], kind: str) -> None:
    ran = site.run("verify", assets[kind], "--level", "reproduction")
    assert (ran.status, ran.out.startswith(f"reproduction: not applicable: {NOT_APPLICABLE[kind]}")) == (0, True)
    site.http("POST", "/v1/reconcile")
    assert not site.objects(f"open/{assets[kind]}")


def test_all_is_each_claim_that_applies_and_shows_those_that_do_not(site: Site, assets: dict[str, str]) -> None:
    for kind, asset in assets.items():
        claims = json.loads(site.ok("verify", asset, "--level", "all", "--json"))["claims"]
        assert verdicts(claims) == PASSED[kind]
        others = {one["claim"] for one in claims if one["verdict"] == "not applicable"}
        assert others == {claim for claim in CLAIMS if claim not in PASSED[kind]}


def test_an_imported_model_is_not_reproduced(site: Site, tmp_path: Path) -> None:
    place = folder_of(tmp_path / "model", {"model.txt": LIGHTGBM})
    asset = site.ok("model", "import", str(place), "--name", "foreign to reproduction")
    site.wait_for(asset, ["rejected"])  # by who would translate it
    ran = site.run("verify", asset, "--level", "reproduction")
    assert (ran.status, "not applicable: it was imported" in ran.out) == (0, True)


def test_a_model_without_a_trained_model_is_refused_with_what_to_do(
    site: Site, train: Train, tmp_path: Path, dataset: str
) -> None:
    image = image_folder(tmp_path / "image", "import sys; sys.exit(3)")
    model = site.run("model", "register", "--dataset", dataset, "--image", str(image), "--wait").out
    found = model or json.loads(site.ok("list", "--kind", "model", "--json"))[-1]["id"]
    refused(site.run("verify", found, "--level", "reproduction"), "has no trained model yet", "polyglot status")


def test_one_file_is_not_reproduced(site: Site, assets: dict[str, str]) -> None:
    ran = site.run("verify", assets["trained-model"], "--level", "all", "--path", "model.pt2")
    assert (ran.status, "reproduction: not applicable: reproduction is of a whole model" in ran.out) == (0, True)


def test_a_reader_may_ask(site: Site, assets: dict[str, str]) -> None:
    token = make_token(site, "auditor", None, "reader")
    body = {"asset": assets["trained-model"], "level": "reproduction"}
    status, answer, _ = site.http("POST", "/v1/verifications", body, token=token)
    assert (status, answer["asset"]) == (202, assets["trained-model"])
    path = f"/v1/requests/{answer['id']}"
    assert eventually(lambda: site.http("GET", path, token=token)[1]["state"] == "complete", seconds=60)


def test_every_event_of_a_reproduction_ten_times_leaves_what_once_leaves(site: Site, train: Train) -> None:
    trained = train("same")
    seen = len(site.deliveries)
    assert trained.reproduce()[1]["recorded"]
    assert site.platform.broker.drain(60)
    events = {
        (one.subscriber.service, one.event.get_attributes()["id"]): (one.subscriber.service, write(one.event))
        for one in site.deliveries[seen:]
    }
    of_it = {
        "reproduction.requested": "train", "training.finished": "collect", "reproduction.finished": "verify",
        "evidence.authorized": "deploy",
    }  # fmt: skip
    services = {headers["ce-type"][12:-3]: service for service, (headers, _) in events.values()}
    assert services.items() >= of_it.items()
    before = (site.objects(f"assets/{trained.id}"), site.objects("runs"), recorded(trained))
    posts = [
        (headers, body, f"/functions/{service}")
        for service, (headers, body) in events.values()
        if headers["ce-type"][12:-3] in of_it
    ] * TIMES
    with ThreadPoolExecutor(TIMES) as pool:
        answers = set(pool.map(lambda post: site.announce(*post), posts))
    assert answers <= {200, 204}
    assert site.platform.broker.drain(60)
    site.http("POST", "/v1/reconcile?all=1")
    assert site.platform.broker.drain(60)
    assert (site.objects(f"assets/{trained.id}"), site.objects("runs"), recorded(trained)) == before


def test_forged_events_about_a_reproduction_do_nothing(site: Site, train: Train) -> None:
    trained = train("same")
    asked = site.http("POST", "/v1/verifications", {"asset": trained.id, "level": "integrity"})[1]["id"]
    assert site.platform.broker.drain(60)
    before = (site.objects(f"assets/{trained.id}"), site.objects("runs"), recorded(trained))
    data, run = {"request": asked}, {"run": run_name(UUID(asked))}
    forged = [
        ("train", announce("reproduction.requested", UUID(trained.id), str(uuid4()), data)),
        ("train", announce("reproduction.requested", UUID(trained.id), str(uuid4()))),
        ("collect", announce("training.finished", UUID(asked), str(uuid4()), run)),
        ("collect", announce("training.finished", UUID(trained.id), str(uuid4()), run)),
        ("collect", announce("training.finished", UUID(asked), str(uuid4()), {"run": run_name(uuid4())})),
        ("verify", announce("reproduction.finished", UUID(trained.id), str(uuid4()), data)),
        ("verify", announce("verification.requested", UUID(trained.id), str(uuid4()), data, claim="reproduction")),
    ]
    for service, event in forged:
        posted = to_http(event, "/anybody")
        assert site.announce(*posted, to=f"/functions/{service}") == 400
        assert site.announce(*posted) == 202
    assert site.platform.broker.drain(60)
    assert (site.objects(f"assets/{trained.id}"), site.objects("runs"), recorded(trained)) == before
