"""What nothing needs any more is cleared away, and nothing else."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._domain import intake, leftovers
from functions._runtime.local import bucket
from tests.customers import Customer, Died
from tests.faults import Fuse, Nursery, Proxy, gone, kill, object_write, ready
from tests.faults import ended as life_ended
from tests.platforms import Site, image_folder, started
from tests.strangers import NOBODY, Upload, problem, refused
from tests.withdrawals import (
    TABLE,
    again,
    aged,
    dataset,
    delivered,
    ended,
    everything,
    ports_of,
    publisher,
    said,
    settled,
)

DAY, HOUR = 24 * 3600 + 60, 3600 + 60


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A platform on which nothing happens but what these tests do."""
    found = started(tmp_path_factory.mktemp("gc") / "data")
    yield found
    found.platform.stop()


@pytest.fixture(scope="module")
def finished(own: Site, torch_model: Path, quick_image: Path) -> dict[str, str]:
    """The assets of a finished chain, by kind, whose runs ended more than an hour ago."""
    customer = Customer(torch_model, quick_image, dict(own.settings))
    customer.register()
    customer.wait()
    settled(own)
    aged(own.bucket / "runs", HOUR)
    return {kind: str(asset) for kind, asset in customer.assets.items()}


def upload(site: Site, age: float = DAY) -> str:
    """An upload that was opened, got its files, and was left alone."""
    found = Upload(site)
    found.send(TABLE)
    for place in (f"requests/{found.id}.json", f"requests/{found.id}", f"assets/{found.id}"):
        aged(site.bucket / place, age)
    return found.id


def left(site: Site, asset: str) -> set[str]:
    """What is there of an upload."""
    return {key for key in site.objects("") if asset in key and not key.startswith("open/")}


def cleared(site: Site) -> dict[str, object]:
    """Clear away; what was told."""
    ran = site.run("gc", "--json")
    assert ran.status == 0, ran.err
    found: dict[str, object] = ran.json
    return found


def test_an_upload_that_was_given_up_is_removed_and_a_young_or_registered_one_is_not(own: Site) -> None:
    old, young, registered = upload(own), upload(own, DAY - 120), dataset(own)
    for place in (f"requests/{registered}.json", f"requests/{registered}", f"assets/{registered}"):
        aged(own.bucket / place, 10 * DAY)
    settled(own)
    before = {key: data for key, data in own.objects("").items() if old not in key}
    said_of_it = cleared(own)
    size = sum(len(data) for data in TABLE.values())
    assert (said_of_it["uploads"], said_of_it["files"], said_of_it["size"]) == (1, len(TABLE), size)
    settled(own)
    assert not left(own, old)
    after = own.objects("")
    assert {key: after.get(key) for key in before} == before
    assert left(own, young)
    assert own.run("verify", registered).status == 0
    problem(own.http("GET", f"/v1/assets/{old}/status"), 404)
    problem(own.http("POST", "/v1/datasets", {"upload": old}), 404, "there is no upload")


@pytest.mark.parametrize("touched", ["requests/{}.json", "requests/{}/expected-000000.jsonl", "assets/{}/files/a.csv"])
def test_an_upload_of_which_anything_was_written_of_late_is_not_given_up(own: Site, touched: str) -> None:
    found = upload(own)
    aged(own.bucket / touched.format(found), DAY / 2)
    assert cleared(own)["uploads"] == 0
    assert len(left(own, found)) == 2 + len(TABLE)


def test_what_the_command_says_is_for_a_person(own: Site) -> None:
    upload(own)
    ran = own.run("gc")
    assert ran.status == 0
    assert ran.out == "removed 1 abandoned upload and the staged copies of 0 assets: 3 files (5.0 kB)"


def test_a_resumed_upload_that_was_cleared_away_is_begun_anew(own: Site, tmp_path: Path) -> None:
    found = upload(own)
    cleared(own)
    entry = {"path": "a", "size": 1, "sha256": f"sha256:{'0' * 64}"}
    answer = own.http("POST", f"/v1/uploads/{found}/files", {"page": 0, "files": [entry]})
    problem(answer, 404, "open one")


def test_an_upload_that_is_registered_in_between_is_left_alone(own: Site) -> None:
    found = Upload(own)
    found.send(TABLE)
    for place in (f"requests/{found.id}.json", f"requests/{found.id}", f"assets/{found.id}"):
        aged(own.bucket / place, DAY)
    request = stored_request(own, uploads=[found.id])
    assert found.register(name="in between")[0] == 202
    own.wait_for(found.id)
    settled(own)
    before = everything(own)
    event = said("erasure.requested", found.id, {"request": request})
    assert own.announce(*event, to="/functions/erase") == 204
    settled(own)
    assert everything(own) == before


def test_an_upload_that_is_being_cleared_away_cannot_be_registered(own: Site) -> None:
    found = Upload(own)
    found.send(TABLE)
    request = stored_request(own, uploads=[found.id])
    claim = {"schema": intake.SCHEMA, "request": request}
    (own.bucket / intake.submission_key(UUID(found.id))).write_text(json.dumps(claim))  # as if killed right after
    problem(found.register(name="too late"), 422, "open a new upload")
    assert own.announce(*said("erasure.requested", found.id, {"request": request}), to="/functions/erase") == 204
    assert not [key for key in own.objects("assets") if found.id in key]
    assert not (own.bucket / f"requests/{found.id}.json").exists()


def stored_request(site: Site, uploads: list[str] = [], runs: list[str] = []) -> str:  # noqa: B006 - not changed
    """A request to clear away as an operator's client made it, naming these."""
    ports = ports_of(site, "register")
    body = {"after": "", "uploads": uploads, "runs": runs, "files": 0, "size": 0, "next": ""}
    request = intake.accept(ports, intake.Principal("admin", frozenset({"operator"})), leftovers.ROUTE, None, body)
    return str(request.id)


# Runs


def test_the_copies_of_collected_runs_are_removed_and_what_tells_of_them_stays(
    own: Site, finished: dict[str, str]
) -> None:
    made = [finished["trained-model"], finished["translation"]]
    before = {asset: own.objects(f"runs/{asset}") for asset in made}
    told = cleared(own)
    assert told["runs"] == 2
    for asset in made:
        copies = {key for key in before[asset] if "/model/" in key}
        assert copies
        assert own.objects(f"runs/{asset}") == {key: data for key, data in before[asset].items() if key not in copies}
        assert own.run("verify", asset, "--level", "all").status == 0
    assert {Path(key).name for key in own.objects(f"runs/{made[0]}")} >= {"chosen.json", "log.txt", "metrics.json"}
    assert {Path(key).name for key in own.objects(f"runs/{made[1]}")} == {"chosen.json", "report.json"}
    assert cleared(own)["runs"] == 0
    assert "training with" in own.ok("logs", finished["model"])


def test_the_copies_of_what_was_trained_once_more_are_removed_when_it_was_compared(
    own: Site, finished: dict[str, str]
) -> None:
    ran = own.run("verify", finished["trained-model"], "--level", "reproduction", "--json")
    assert ran.status == 0, ran.err
    place, request = own.bucket / "runs" / ran.json["request"], ran.json["request"]
    settled(own)
    copies = {key for key in own.objects(f"runs/{request}") if "/model/" in key}
    assert copies
    assert cleared(own)["runs"] == 0
    aged(place, HOUR)
    before = own.objects(f"runs/{request}")
    assert cleared(own)["runs"] == 1
    assert own.objects(f"runs/{request}") == {key: data for key, data in before.items() if key not in copies}
    assert own.http("GET", f"/v1/requests/{request}")[1]["state"] == "complete"


def test_after_that_late_events_change_nothing(own: Site, finished: dict[str, str]) -> None:
    cleared(own)
    settled(own)
    before = everything(own)
    names = ("asset.submitted", "asset.registered", "contract.deployed", "training.finished", "erasure.requested")
    answers = again(own, delivered(own, *names), 4)
    assert set(answers) <= {200, 204}
    settled(own)
    assert everything(own) == before


def test_a_young_execution_stays(own: Site, torch_model: Path, quick_image: Path) -> None:
    customer = Customer(torch_model, quick_image, dict(own.settings), key="young")
    customer.register()
    customer.wait()
    trained, translation = (customer.assets[kind] for kind in ("trained-model", "translation"))
    aged(own.bucket / f"runs/{trained}", HOUR, lambda path: path.name != "log.txt")
    aged(own.bucket / f"runs/{translation}", HOUR - 120)
    before = own.objects("runs")
    assert cleared(own)["runs"] == 0
    assert own.objects("runs") == before


def test_the_copies_of_a_run_that_failed_are_removed(own: Site, torch_model: Path, tmp_path: Path) -> None:
    script = (
        "import os, pathlib\npathlib.Path(os.environ['SM_MODEL_DIR'], 'x.txt').write_text('no model')\nprint('bye')\n"
    )
    model = own.ok(
        "model", "register", "--dataset", dataset(own), "--image", str(image_folder(tmp_path / "image", script))
    )
    status = own.wait_for(model, ("failed",))
    trained = next(step["asset"] for step in status["steps"] if step["step"] == "train")
    assert [key for key in own.objects(f"runs/{trained}") if "/model/" in key]
    assert cleared(own)["runs"] == 0
    aged(own.bucket / f"runs/{trained}", HOUR)
    assert cleared(own)["runs"] == 1
    assert {Path(key).name for key in own.objects(f"runs/{trained}")} == {"log.txt"}
    assert own.status(model)["state"] == "failed"


def test_a_running_training_keeps_everything(own: Site, tmp_path: Path) -> None:
    script = (
        "import os, pathlib, time\npathlib.Path(os.environ['SM_MODEL_DIR'], 'x.txt').write_text('x')\ntime.sleep(60)\n"
    )
    model = own.ok(
        "model", "register", "--dataset", dataset(own), "--image", str(image_folder(tmp_path / "image", script))
    )
    status = own.wait_for(model, ("running",))
    trained = next(step["asset"] for step in status["steps"] if step["step"] == "train")
    staged = own.bucket / "runs" / trained / "an-execution" / "model"
    staged.mkdir(parents=True)
    (staged / "x.txt").write_text("x")
    aged(own.bucket / "runs" / trained, 100 * HOUR)
    assert cleared(own)["runs"] == 0
    assert (staged / "x.txt").exists()
    own.ok("cancel", model)
    own.wait_for(model, ("failed",))


# Who, and forged


def test_only_an_operator_clears_away(own: Site) -> None:
    old = upload(own)
    token = publisher(own)
    problem(own.http("POST", "/v1/gc", token=token), 403, "operator")
    refused(own.run("gc", POLYGLOT_TOKEN=token), "operator")
    assert left(own, old)


@pytest.mark.parametrize("after", ["x", "assets/x", "../requests", f"runs/{NOBODY}/..", f"assets/{NOBODY}"])
def test_a_place_to_go_on_from_is_one_of_ours(own: Site, after: str) -> None:
    problem(own.http("POST", f"/v1/gc?after={after}"), 400, "after")


def test_it_goes_on_from_where_it_stopped(own: Site) -> None:
    old = upload(own)
    for after in (f"requests/{old}", f"runs/{NOBODY}"):
        ended_gc(own, after)
        assert left(own, old)
    ended_gc(own, f"requests/{NOBODY}")
    assert not left(own, old)


def ended_gc(site: Site, after: str) -> dict[str, object]:
    answer = site.http("POST", f"/v1/gc?after={after}")
    ended(site, answer)
    found: dict[str, object] = answer[1]
    return found


def test_asking_again_with_the_same_key_answers_the_same(own: Site) -> None:
    old, key = upload(own), {"Idempotency-Key": f"gc-{uuid4()}"}
    first = own.http("POST", "/v1/gc", **key)
    ended(own, first)
    second = own.http("POST", "/v1/gc", **key)
    assert (first[0], first[1]) == (second[0], second[1])
    assert first[1]["uploads"] >= 1  # others' may be left over from before
    assert not left(own, old)
    problem(own.http("POST", f"/v1/gc?after=runs/{NOBODY}", **key), 422, "Idempotency-Key")


def test_an_event_removes_nothing_that_may_not_go(own: Site, finished: dict[str, str]) -> None:
    """Whatever a request to clear away names, and whoever sends the event: what is stored decides."""
    young, registered = upload(own, DAY / 2), dataset(own)
    trained = finished["trained-model"]
    staged = own.bucket / "runs" / trained / "a-young-one" / "model"
    staged.mkdir(parents=True)
    (staged / "x").write_text("x")
    named = [young, registered, finished["dataset"], finished["model"], trained, str(uuid4())]
    request = stored_request(own, uploads=named, runs=named)
    settled(own)
    before = everything(own)
    for subject in named:
        event = said("erasure.requested", subject, {"request": request})
        assert own.announce(*event, to="/functions/erase") == 204
        assert own.announce(*event) == 202
    settled(own)
    assert everything(own) == before
    other = said("erasure.requested", registered, {"request": stored_request(own, uploads=[young])})
    assert own.announce(*other, to="/functions/erase") == 400


def test_a_forgotten_event_is_swept(own: Site) -> None:
    old = upload(own)
    request = stored_request(own, uploads=[old])
    (own.bucket / "open" / request).mkdir(parents=True)
    (own.bucket / "open" / request / request).write_bytes(b"")
    assert own.http("POST", "/v1/reconcile?all=1")[0] == 200
    settled(own)
    assert not left(own, old)
    assert not own.objects(f"open/{request}")
    assert own.http("GET", f"/v1/requests/{request}")[1]["state"] == "complete"


def test_its_events_ten_times_at_once_change_nothing(own: Site) -> None:
    upload(own)
    cleared(own)
    settled(own)
    before = everything(own)
    assert set(again(own, delivered(own, "erasure.requested"))) == {204}
    settled(own)
    assert everything(own) == before


# A trainer and a translator that go


def test_after_keys_were_replaced_late_events_do_not_seal_from_copies_that_are_gone(
    tmp_path: Path, torch_model: Path, quick_image: Path
) -> None:
    customer = Customer(torch_model, quick_image)
    site = started(tmp_path / "platform")
    try:
        customer.settings = dict(site.settings)
        customer.register()
        customer.wait()
        settled(site)
        aged(site.bucket / "runs", HOUR)
        assert cleared(site)["runs"] == 2
        names = ("asset.submitted", "asset.registered", "contract.deployed", "training.finished")
        events = delivered(site, *names)
    finally:
        site.platform.stop()
    for path in (tmp_path / "platform" / "keys").glob("*.*"):
        if path.name.startswith(("registrar.", "trainer.", "translator.")):
            path.unlink()
    site = started(tmp_path / "platform")  # makes new keys and appoints them
    try:
        settled(site)
        before = everything(site)
        assert set(again(site, events, 3)) <= {200, 204}
        settled(site)
        assert everything(site) == before
        assert {site.status(str(asset))["state"] for asset in customer.assets.values()} == {"complete"}
        for asset in customer.assets.values():
            assert site.run("verify", str(asset), "--level", "all").status == 0
    finally:
        site.platform.stop()


# Kills


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_platform_killed_at_every_write_clears_away_once(
    tmp_path: Path, torch_model: Path, quick_image: Path
) -> None:
    fuse, nursery, customer = Fuse(), Nursery(), Customer(torch_model, quick_image)
    with ExitStack() as parts:
        parts.callback(nursery.close)
        store = bucket.start(tmp_path / "bucket", tmp_path / "logs")
        parts.callback(store.stop)
        proxy = Proxy(store.url, fuse, object_write)
        parts.callback(proxy.close)
        data, folder = tmp_path / "data", tmp_path / "bucket" / bucket.NAME
        for number in range(80):
            assert gone(data)
            life = nursery.up(data, POLYGLOT_S3_URL=proxy.url)
            fuse.arm(life.pid if number else None)
            with suppress(Died):
                customer.settings = ready(life)
                if number == 0:
                    opened = customer.open()["id"]
                    (folder / "assets" / opened / "files").mkdir(parents=True)
                    for name in ("a", "b"):
                        (folder / "assets" / opened / "files" / name).write_text(name)
                    aged(folder, DAY, lambda path, opened=opened: opened in str(path))  # type: ignore[misc]
                    fuse.arm(life.pid)
                asked = customer.call("POST", "/v1/gc", key="killed")
                wait_until_complete(customer, asked["id"])
                customer.call("POST", "/v1/reconcile")
                break
            assert life_ended(life) == -signal.SIGKILL, life.log.read_text()
        fuse.arm(None)
        assert f"DELETE requests/{opened}/submitted.json" in fuse.kills
        assert f"DELETE assets/{opened}/files/a" in fuse.kills
        assert not [path for path in folder.rglob("*") if opened in str(path) and path.is_file()]
        assert not [path for path in (folder / "open").rglob("*") if path.is_file()]
        kill(life.pid)


def wait_until_complete(customer: Customer, request: str) -> None:
    end = time.monotonic() + 30
    while (answer := customer.call("GET", f"/v1/requests/{request}"))["state"] != "complete":
        assert answer["state"] in ("waiting", "running", "exhausted"), answer
        assert time.monotonic() < end, answer
        time.sleep(0.1)
