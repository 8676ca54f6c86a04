"""What a hostile or careless user sends: each ends in words that say what to do, and nothing is half registered."""

import hashlib
import json
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import urllib3

from functions._domain.digests import canonical, digest_of
from functions._domain.identity import trained_model_id, translation_id
from functions._runtime.tokens import TOKEN_SCHEMA
from tests.platforms import Ran, Site, image_folder

PICKLE = b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94."
NOBODY = "00000000-0000-4000-8000-000000000000"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def refused(ran: Ran, *words: str, status: int = 2) -> None:
    """A command ended as it should, in words for a person, on stderr alone."""
    assert ran.status == status, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in ran.err


def problem(answer: tuple[int, Any, Mapping[str, str]], status: int, *words: str) -> Any:
    """An answer is a problem document of this status, whose detail has these words."""
    found, document, headers = answer
    assert found == status, document
    assert headers["Content-Type"] == "application/problem+json"
    assert document["status"] == status
    for word in words:
        assert word in document["detail"]
    return document


def folder_of(place: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def nothing_is_registered(site: Site, asset: str) -> None:
    """No record, no inventory, no authorization, no contract; and the sweep has nothing left to do for it."""
    kept = {key.split("/", 2)[2].split("/")[0] for key in site.objects(f"assets/{asset}")}
    assert kept <= {"files", "journal"}
    assert site.http("GET", f"/v1/assets/{asset}/contract")[0] == 404
    site.http("POST", "/v1/reconcile")
    assert not site.objects(f"open/{asset}")


@pytest.fixture
def everything_as_before(site: Site) -> Iterator[None]:
    """A refused request leaves no trace in the bucket."""
    before = set(site.objects("")) - set(site.objects("open"))
    yield
    assert site.platform.broker.drain(20)
    assert set(site.objects("")) - set(site.objects("open")) == before


@pytest.fixture(scope="module")
def dataset(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = folder_of(tmp_path_factory.mktemp("data"), {"x.csv": b"1,2\n"})
    return site.ok("dataset", "register", str(place), "--name", "bad-input", "--wait")


class Upload:
    """An upload through HTTP, as somebody else's client would do it."""

    def __init__(self, site: Site, kind: str = "dataset") -> None:
        self.site, self.kind = site, kind
        status, answer, _ = site.http("POST", "/v1/uploads", {"kind": kind})
        assert status == 202
        self.id: str = answer["asset"]

    def announce(self, files: Mapping[str, bytes], page: int = 0) -> tuple[int, Any, Mapping[str, str]]:
        entries = [{"path": path, "size": len(data), "sha256": sha(data)} for path, data in files.items()]
        return self.site.http("POST", f"/v1/uploads/{self.id}/files", {"page": page, "files": entries})

    def put(self, presigned: Mapping[str, Any], data: bytes) -> int:
        one = presigned["put"]
        return urllib3.request(one["method"], one["url"], body=data, headers=one["headers"]).status

    def send(self, files: Mapping[str, bytes], instead: Mapping[str, bytes | None] | None = None) -> None:
        """Send files; ``instead`` names those of which other bytes, or none, are sent."""
        status, answer, _ = self.announce(files)
        assert status == 200, answer
        for presigned in answer["files"]:
            path = presigned["path"]
            data = {**files, **(instead or {})}[path]
            if data is not None:
                assert self.put(presigned, data) == 200

    def register(self, **body: object) -> tuple[int, Any, Mapping[str, str]]:
        route = {"dataset": "/v1/datasets", "trained-model": "/v1/trained-models"}[self.kind]
        return self.site.http("POST", route, {"upload": self.id, **body})


# --- files ------------------------------------------------------------------------------------------------------------


def _empty(place: Path) -> Path:
    return place


def _link(place: Path) -> Path:
    folder_of(place, {"real.csv": b"1"})
    (place / "link.csv").symlink_to("/etc/passwd")
    return place


def _case(place: Path) -> Path:
    return folder_of(place, {"Data.csv": b"1", "data.csv": b"2"})


def _unicode(place: Path) -> Path:
    return folder_of(place, {unicodedata.normalize("NFD", "é.csv"): b"1", unicodedata.normalize("NFC", "é.csv"): b"2"})


def _missing(place: Path) -> Path:
    return place / "nothing-here"


@pytest.mark.usefixtures("everything_as_before")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_empty, ("holds no file", "at least one")),
        (_link, ("link.csv is a symbolic link", "leave it out")),
        (_case, ("Data.csv", "data.csv", "rename one of them")),
        (_unicode, ("is not in Unicode NFC form", "rename the file")),
        (_missing, ("nothing-here", "does not exist")),
    ],
)
def test_a_folder_that_cannot_be_an_asset_is_refused_before_anything_is_sent(
    site: Site, tmp_path: Path, make: Callable[[Path], Path], words: tuple[str, ...]
) -> None:
    place = make(tmp_path)
    refused(site.run("dataset", "register", str(place), "--name", "x", "--wait"), *words)
    refused(site.run("model", "import", str(place), "--name", "x", "--wait"), *words)


@pytest.mark.parametrize("path", ["../../record.json", "/etc/passwd", "a/../../b", "a//b", "", "a\\b", "e\u0301", "\0"])
def test_a_path_that_leaves_the_folder_is_refused_over_http(site: Site, path: str) -> None:
    upload = Upload(site)
    answer = upload.announce({path: b"x"})
    problem(answer, 400, "files.0.path")
    assert not site.objects(f"requests/{upload.id}")


@pytest.mark.parametrize(
    "names", [("a.csv", "A.csv"), ("a", "a/b"), ("straße", "STRASSE"), ("a/b/c", "A/B/C")]
)  # fmt: skip
def test_names_that_cannot_stand_together_are_refused_over_http(site: Site, names: tuple[str, str]) -> None:
    problem(Upload(site).announce({name: b"x" for name in names}), 422, repr(names[0]), repr(names[1]), "rename one")


def test_names_that_clash_over_two_pages_are_refused_when_sealing(site: Site) -> None:
    upload = Upload(site)
    upload.send({"a.csv": b"1"})
    status, answer, _ = upload.announce({"A.csv": b"2"}, page=1)
    assert status == 200
    assert upload.put(answer["files"][0], b"2") == 200
    assert upload.register(name="clash")[0] == 202
    reason = site.wait_for(upload.id, ["rejected"])["reason"]
    assert "'a.csv'" in reason
    assert "'A.csv'" in reason
    nothing_is_registered(site, upload.id)


def test_a_file_without_bytes_is_fine(site: Site, tmp_path: Path) -> None:
    place = folder_of(tmp_path, {"empty.csv": b"", "deep/er/full.csv": b"1"})
    asset = site.ok("dataset", "register", str(place), "--wait")
    site.ok("verify", asset)
    site.ok("pull", asset, str(tmp_path / "back"))
    assert (tmp_path / "back" / "empty.csv").read_bytes() == b""


def test_a_file_that_changes_while_it_is_uploaded_is_refused_by_the_client(site: Site, tmp_path: Path) -> None:
    place = folder_of(tmp_path / "big", {"growing.bin": b"\0" * (64 << 20)})
    over = threading.Event()

    def keep_writing() -> None:
        with (place / "growing.bin").open("r+b") as file:
            while not over.wait(0.001):
                file.seek(0, 2)
                file.write(b"more")
                file.flush()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        ran = site.run("dataset", "register", str(place), "--name", "changing", "--wait")
    finally:
        over.set()
        writer.join()
    refused(ran, "growing.bin changed while it was uploaded", "nothing was registered", status=1)
    assert site.ok("list", "--name", "changing") == ""


def test_other_bytes_than_announced_are_refused_with_the_files_name(site: Site) -> None:
    upload = Upload(site)
    upload.send({"good.csv": b"good", "swapped.csv": b"expected"}, instead={"swapped.csv": b"EXPECTED"})
    assert upload.register(name="swapped")[0] == 202
    found = site.wait_for(upload.id, ["rejected"])
    assert "'swapped.csv' digests to" in found["reason"]
    assert "register it again" in found["reason"]
    assert found["step"] == "ingest"
    nothing_is_registered(site, upload.id)
    problem(site.http("POST", f"/v1/assets/{upload.id}/retry"), 422, "final", "register again")


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        ({"b.csv": b"longer than said"}, ("'b.csv' has 16 bytes", "said 1")),
        ({"b.csv": None}, ("'b.csv' did not arrive", "upload and register again")),
    ],
)
def test_a_file_that_is_cut_or_does_not_arrive_is_named(
    site: Site, instead: dict[str, bytes | None], words: tuple[str, ...]
) -> None:
    upload = Upload(site)
    upload.send({"a.csv": b"1", "b.csv": b"2"}, instead)
    assert upload.register()[0] == 202
    reason = site.wait_for(upload.id, ["rejected"])["reason"]
    assert all(word in reason for word in words)
    nothing_is_registered(site, upload.id)


def test_a_file_nobody_announced_is_refused(site: Site) -> None:
    upload = Upload(site)
    upload.send({"a.csv": b"1"})
    (site.files(upload.id) / "smuggled.csv").write_bytes(b"x")
    assert upload.register()[0] == 202
    assert "'smuggled.csv' is there but was not announced" in site.wait_for(upload.id, ["rejected"])["reason"]
    nothing_is_registered(site, upload.id)


def test_a_presigned_url_writes_once_and_to_its_own_file_only(site: Site) -> None:
    upload = Upload(site)
    presigned = upload.announce({"a.csv": b"1"})[1]["files"][0]
    assert upload.put(presigned, b"1") == 200
    assert upload.put(presigned, b"2") == 412
    assert upload.register()[0] == 202
    site.wait_for(upload.id)
    assert upload.put(presigned, b"3") == 412
    site.ok("verify", upload.id)


# --- registrations ----------------------------------------------------------------------------------------------------


def test_files_added_after_registration_are_refused(site: Site) -> None:
    upload = Upload(site)
    upload.send({"a.csv": b"1"})
    assert upload.register()[0] == 202
    problem(upload.announce({"b.csv": b"2"}, page=1), 422, "is registered", "open a new upload")
    completed = {"path": "b.csv", "size": 1, "sha256": sha(b"2"), "upload_id": "u", "etags": ["e"]}
    route = f"/v1/uploads/{upload.id}/complete"
    problem(site.http("POST", route, {"page": 2, "files": [completed]}), 422, "is registered")
    site.wait_for(upload.id)
    problem(upload.announce({"b.csv": b"2"}, page=1), 422, "is registered")


def test_an_upload_is_registered_once(site: Site) -> None:
    upload = Upload(site)
    upload.send({"a.csv": b"1"})
    first = upload.register(name="one")
    assert first[0] == 202
    assert upload.register(name="one")[1] == first[1]
    problem(upload.register(name="another"), 422, "was registered already", "open a new upload")
    body = {"upload": upload.id, "name": "one"}
    problem(site.http("POST", "/v1/datasets", body, **{"Idempotency-Key": "k"}), 422, "was registered already")
    site.wait_for(upload.id)
    assert site.http("GET", f"/v1/assets/{upload.id}")[1]["name"] == "one"
    assert [one["id"] for one in site.http("GET", "/v1/assets?name=another")[1]["assets"]] == []


def test_ten_registrations_of_one_upload_at_once_are_one(site: Site) -> None:
    upload = Upload(site)
    upload.send({"a.csv": b"1"})
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda number: upload.register(name=f"race-{number % 2}"), range(10)))
    accepted = {answer["id"] for status, answer, _ in found if status == 202}
    assert len(accepted) == 1
    assert {status for status, _, _ in found} == {202, 422}
    site.wait_for(upload.id)
    names = [one["name"] for one in site.http("GET", "/v1/assets")[1]["assets"] if one["id"] == upload.id]
    assert len(names) == 1


def test_an_upload_without_files_or_of_another_kind_or_that_nobody_opened_is_refused(site: Site) -> None:
    upload = Upload(site)
    problem(upload.register(), 422, "has no files", f"/v1/uploads/{upload.id}/files")
    upload.send({"a.csv": b"1"})
    problem(site.http("POST", "/v1/trained-models", {"upload": upload.id}), 422, "opened for a dataset")
    problem(site.http("POST", "/v1/datasets", {"upload": NOBODY}), 404, NOBODY, "POST /v1/uploads")
    problem(
        site.http(
            "POST", f"/v1/uploads/{NOBODY}/files", {"page": 0, "files": [{"path": "a", "size": 1, "sha256": sha(b"1")}]}
        ),
        404,
        NOBODY,
    )
    assert site.http("GET", f"/v1/assets/{upload.id}/status")[1]["state"] == "waiting"


def test_a_page_that_was_announced_with_other_files_is_refused(site: Site) -> None:
    upload = Upload(site)
    assert upload.announce({"a.csv": b"1"})[0] == 200
    assert upload.announce({"a.csv": b"1"})[0] == 200
    problem(upload.announce({"a.csv": b"2"}), 422, "page 0 was announced before")


def test_an_idempotency_key_is_one_request(site: Site, dataset: str) -> None:
    key = {"Idempotency-Key": f"key-{uuid4()}"}
    body = {"asset": dataset, "level": "integrity"}
    first = site.http("POST", "/v1/verifications", body, **key)
    assert first[0] == 202
    assert first[2]["Location"] == f"/v1/requests/{first[1]['id']}"
    assert site.http("POST", "/v1/verifications", body, **key)[1] == first[1]
    problem(site.http("POST", "/v1/verifications", {"asset": dataset, "level": "all"}, **key), 422, "use a new key")
    assert site.http("POST", "/v1/verifications", body)[1]["id"] != first[1]["id"]
    for bad in ("has space", "x" * 201, ""):
        problem(site.http("POST", "/v1/verifications", body, **{"Idempotency-Key": bad}), 400, "Idempotency-Key")


@pytest.mark.usefixtures("everything_as_before")
@pytest.mark.parametrize(
    ("route", "body", "status", "words"),
    [
        ("/v1/datasets", b"{", 400, ("Invalid JSON",)),
        ("/v1/datasets", b"\xff\xfe", 400, ()),
        ("/v1/datasets", b"", 400, ("upload: Field required",)),
        ("/v1/datasets", [], 400, ("valid dictionary",)),
        ("/v1/datasets", {"upload": NOBODY, "surprise": 1}, 400, ("surprise: Extra inputs are not permitted",)),
        ("/v1/datasets", {"upload": "no"}, 400, ("upload",)),
        ("/v1/datasets", {"upload": NOBODY, "name": "../x"}, 400, ("name",)),
        ("/v1/datasets", {"upload": NOBODY, "allow_images": ["latest"]}, 400, ("sha256: and 64",)),
        ("/v1/uploads", {"kind": "model"}, 400, ("kind",)),
        ("/v1/models", {"datasets": {}, "image": "sha256:" + "0" * 64}, 400, ("datasets",)),
        ("/v1/translations", {"asset": NOBODY}, 404, (NOBODY, "polyglot list")),
        ("/v1/translations", {"asset": NOBODY, "opset": 99}, 400, ("opset",)),
        ("/v1/verifications", {"asset": NOBODY}, 404, (NOBODY, "polyglot list")),
        ("/v1/verifications", {"asset": NOBODY, "level": "magic"}, 400, ("level",)),
        ("/v1/verifications", {"asset": NOBODY, "path": "../x"}, 400, ("path",)),
        (f"/v1/assets/{NOBODY}/retry", None, 404, (NOBODY,)),
        (f"/v1/assets/{NOBODY}/cancel", None, 404, (NOBODY,)),
        ("/v1/assets/not-a-uuid/retry", None, 400, ("is not a UUID",)),
    ],
)
def test_a_body_that_cannot_be_meant_is_refused_and_leaves_nothing(
    site: Site, route: str, body: object, status: int, words: tuple[str, ...]
) -> None:
    problem(site.http("POST", route, body), status, *words)


@pytest.mark.parametrize("size", [(8 << 20) + 1, 11 << 20])
def test_a_body_that_is_too_large_is_refused(site: Site, size: int) -> None:
    answer = site.http("POST", "/v1/uploads", b'{"kind":"' + b"x" * size + b'"}')
    problem(answer, 413)


def test_too_many_paths_or_parts_in_a_page_are_refused(site: Site) -> None:
    upload = Upload(site)
    problem(upload.announce({f"{number}": b"" for number in range(1001)}), 400, "files", "1000")
    files = [{"path": f"{number}", "size": 1, "parts": 9000} for number in range(2)]
    answer = site.http("POST", f"/v1/uploads/{upload.id}/files", {"page": 0, "files": files})
    problem(answer, 413, "10000 parts")
    neither = [{"path": "a", "size": 1}]
    problem(site.http("POST", f"/v1/uploads/{upload.id}/files", {"page": 0, "files": neither}), 422, "'a'", "sha256")


def test_parts_that_make_no_file_are_refused(site: Site) -> None:
    upload = Upload(site)
    asked = {"page": 0, "files": [{"path": "a", "size": 5, "parts": 1}]}
    presigned = site.http("POST", f"/v1/uploads/{upload.id}/files", asked)[1]["files"][0]
    done = {"path": "a", "size": 5, "sha256": sha(b"hello"), "upload_id": presigned["upload_id"], "etags": ["no"]}
    answer = site.http("POST", f"/v1/uploads/{upload.id}/complete", {"page": 1, "files": [done]})
    problem(answer, 422, "do not make a file", "upload it again")
    again = {"page": 0, "files": [{"path": "a", "size": 5, "parts": 1, "upload_id": presigned["upload_id"]}]}
    assert (
        site.http("POST", f"/v1/uploads/{upload.id}/files", again)[1]["files"][0]["upload_id"] == presigned["upload_id"]
    )


def test_an_unknown_dataset_is_refused(site: Site, quick_image: Path) -> None:
    ran = site.run("model", "register", "--dataset", NOBODY, "--image", str(quick_image), "--wait")
    refused(ran, f"there is no dataset {NOBODY}", "polyglot dataset register")
    upload = Upload(site)
    image = "sha256:" + "0" * 64
    problem(site.http("POST", "/v1/models", {"datasets": {"train": upload.id}, "image": image}), 422, "no dataset")


def test_something_else_than_a_dataset_is_refused_where_one_is_meant(
    site: Site, torch_model: Path, quick_image: Path
) -> None:
    other = site.ok("model", "import", str(torch_model), "--name", "not-a-dataset")
    site.wait_for(other, ["complete", "running", "waiting"])
    ran = site.run("model", "register", "--dataset", other, "--image", str(quick_image), "--wait")
    refused(ran, "is a trained-model, expected a dataset", status=1)


@pytest.mark.usefixtures("everything_as_before")
@pytest.mark.parametrize("image", ["pytorch/pytorch:latest", "pytorch/pytorch", "x@sha256:abc", "./no-such-folder"])
def test_an_image_that_is_not_pinned_is_refused(site: Site, dataset: str, image: str) -> None:
    refused(site.run("model", "register", "--dataset", dataset, "--image", image), image, "NAME@sha256:")
    body = {"datasets": {"train": dataset}, "image": image}
    problem(site.http("POST", "/v1/models", body), 400, "not pinned", "docker inspect")


@pytest.mark.usefixtures("everything_as_before")
def test_a_container_image_on_the_process_trainer_is_refused_with_the_way_out(site: Site, dataset: str) -> None:
    image = "registry.example/trainer@sha256:" + "0" * 64
    ran = site.run("model", "register", "--dataset", dataset, "--image", image)
    refused(ran, "is a container image", "--image DIR", "Argo")


def test_an_image_folder_that_was_never_pushed_is_refused_and_can_be_pushed_later(
    site: Site, torch_model: Path, tmp_path: Path
) -> None:
    data = site.ok("dataset", "register", str(torch_model.parent), "--name", "for-a-late-image", "--wait")
    place = image_folder(tmp_path / "late", requirements=f"# {uuid4()}\n")
    digest = site.ok("image", "push", str(place))
    held = site.bucket / "images" / digest.removeprefix("sha256:")
    (held / "train.py").write_bytes(b"raise SystemExit('not what its name says')")
    status, answer, _ = site.http("POST", "/v1/models", {"datasets": {"train": data}, "image": digest})
    assert status == 202
    model = answer["asset"]
    assert "polyglot image push" in site.wait_for(model, ["rejected"])["reason"]
    nothing_is_registered(site, model)
    assert site.ok("image", "push", str(place)) == digest
    site.ok("retry", model)
    site.wait_for(model)


def test_an_image_folder_without_a_train_py_is_refused(site: Site, tmp_path: Path) -> None:
    folder_of(tmp_path, {"main.py": b""})
    refused(site.run("image", "push", str(tmp_path)), "train.py")


def test_a_dataset_says_which_images_may_train_on_it(site: Site, tmp_path: Path, torch_model: Path) -> None:
    place = image_folder(tmp_path / "other", requirements=f"# {uuid4()}\n")
    allowed = "sha256:" + "1" * 64
    data = site.ok(
        "dataset", "register", str(torch_model.parent), "--name", "picky", "--allow-image", allowed, "--wait"
    )
    ran = site.run("model", "register", "--dataset", data, "--image", str(place), "--wait")
    refused(ran, data, allowed, "ask its owner", status=1)
    refused(site.run("dataset", "register", str(place), "--allow-image", "latest"), "allow_images", "sha256:")


# --- trainings --------------------------------------------------------------------------------------------------------


def register_model(site: Site, dataset: str, image: Path, *options: str) -> str:
    return site.ok("model", "register", "--dataset", dataset, "--image", str(image), "--name", "bad-training", *options)


def no_trained_model(site: Site, model: str, attempt: int = 1) -> None:
    nothing_is_registered(site, str(trained_model_id(UUID(model), attempt)))
    shown = json.loads(site.ok("show", model, "--json"))
    assert shown["trained_model"] is None
    assert shown["contract"]["kind"] == "model"


TRAININGS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "exits 1": ("import sys; print('no luck today'); sys.exit(1)", (), ("exited with code 1", "no luck today")),
    "raises": ("raise RuntimeError('out of ideas')", (), ("exited with code 1", "RuntimeError: out of ideas")),
    "runs for ever": ("import time; time.sleep(600)", ("--deadline", "1s"), ("deadline of 1 s", "--deadline")),
    "writes no model": ("print('done')", (), ("wrote no model", "$SM_MODEL_DIR")),
    "writes a pickle": (
        f"import os; open(os.environ['SM_MODEL_DIR'] + '/model.pkl', 'wb').write({PICKLE!r})", (), ("model.pkl", "pickle"),
    ),
    "writes what is no model": (
        "import os; open(os.environ['SM_MODEL_DIR'] + '/notes.txt', 'w').write('hello')", (), ("no model was found", "notes.txt"),
    ),
    "writes a link": (
        "import os; os.symlink('/etc/passwd', os.environ['SM_MODEL_DIR'] + '/model.pt2')", (), ("symbolic link", "model.pt2"),
    ),
    "writes odd metrics": (
        "import os; open(os.environ['SM_OUTPUT_DIR'] + '/metrics.json', 'w').write('[1]')\n"
        "open(os.environ['SM_MODEL_DIR'] + '/model.txt', 'wb').write(b'tree\\nversion=v4\\n')",
        (), ("metrics.json is not an object of numbers",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAININGS)
def test_a_training_that_fails_says_why_and_makes_no_model(site: Site, dataset: str, tmp_path: Path, case: str) -> None:
    script, options, words = TRAININGS[case]
    place = image_folder(tmp_path / "image", script)
    ran = site.run(
        "model", "register", "--dataset", dataset, "--image", str(place), "--name", case.replace(" ", "-"), "--wait",
        *options,
    )  # fmt: skip
    refused(ran, *words, "polyglot retry", status=1)
    model = site.ok("list", "--name", case.replace(" ", "-")).split()[0]
    found = site.status(model)
    assert (found["state"], found["step"]) == ("failed", "train")
    assert all(word in found["reason"] for word in words)
    no_trained_model(site, model)


def test_a_training_that_fails_is_tried_again_as_a_new_attempt(site: Site, torch_model: Path, tmp_path: Path) -> None:
    data = site.ok("dataset", "register", str(torch_model.parent), "--name", "for-a-retry", "--wait")
    marker = tmp_path / "it may work now"
    script = f"import os, pathlib, sys\nif not pathlib.Path({str(marker)!r}).exists(): sys.exit('not yet')\n"
    place = image_folder(tmp_path / "image", script + (image_folder(tmp_path / "plain") / "train.py").read_text())
    model = register_model(site, data, place)
    assert "not yet" in site.wait_for(model, ["failed"])["reason"]
    marker.touch()
    key = {"Idempotency-Key": f"retry-{uuid4()}"}
    first = site.http("POST", f"/v1/assets/{model}/retry", None, **key)
    assert first[0] == 202
    assert site.http("POST", f"/v1/assets/{model}/retry", None, **key)[0] in (202, 422)
    found = site.wait_for(model)
    assert found["attempt"] == 2
    assert found["trained_model"] == str(trained_model_id(UUID(model), 2))
    no_asset = str(trained_model_id(UUID(model), 1))
    nothing_is_registered(site, no_asset)
    refused(site.run("retry", model), "nothing to retry")
    problem(site.http("POST", f"/v1/assets/{model}/retry"), 422, "nothing to retry")
    refused(site.run("retry", data), "nothing to retry")
    refused(site.run("cancel", model), "nothing to cancel")


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


# --- models made elsewhere --------------------------------------------------------------------------------------------


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
    asset = site.ok("list", "--name", label).split()[0]
    assert all(word in site.status(asset)["reason"] for word in words)
    nothing_is_registered(site, asset)


def test_a_framework_that_nobody_translates_is_kept_and_said_so(site: Site, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_bytes(b"tree\nversion=v4\n")
    ran = site.run("model", "import", str(tmp_path), "--name", "no-translator", "--wait")
    refused(ran, "no translator for lightgbm models", "pull it in its native format", status=1)
    asset = site.ok("list", "--name", "no-translator").split()[0]
    site.ok("verify", asset, "--level", "all")
    site.ok("pull", asset, str(tmp_path / "back"))
    refused(site.run("translate", asset), "no translator for lightgbm")
    target = str(translation_id(UUID(asset)))
    nothing_is_registered(site, target)
    for _ in range(2):
        site.ok("retry", asset)
        site.http("POST", "/v1/reconcile?all=1")
        found = site.wait_for(asset, ["rejected"])
        assert (found["step"], "lightgbm" in found["reason"]) == ("translate", True)
    nothing_is_registered(site, target)


def test_a_dataset_named_on_import_must_be_known(site: Site, torch_model: Path) -> None:
    refused(site.run("model", "import", str(torch_model), "--dataset", NOBODY), f"there is no dataset {NOBODY}")


# --- tokens -----------------------------------------------------------------------------------------------------------


def make_token(site: Site, subject: str, document: object = None, *roles: str) -> str:
    token = f"token-{uuid4()}"
    known = {"schema": TOKEN_SCHEMA, "subject": subject, "roles": list(roles)} if document is None else document
    place = site.bucket / "tokens" / f"{digest_of(token.encode()).removeprefix('sha256:')}.json"
    place.write_bytes(canonical(known))
    return token


@pytest.fixture(scope="module")
def reader(site: Site) -> str:
    return make_token(site, "reader", None, "reader")


@pytest.fixture(scope="module")
def publisher(site: Site) -> str:
    return make_token(site, "publisher", None, "publisher")


@pytest.mark.parametrize("route", ["/v1/assets", f"/v1/assets/{NOBODY}", f"/v1/assets/{NOBODY}/files/x"])
def test_without_a_token_or_with_a_wrong_one_nothing_is_answered(site: Site, route: str) -> None:
    for header in ("", "Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", f"Token {site.settings['POLYGLOT_TOKEN']}"):
        answer = site.http("GET", route, None, **{"Authorization": header})
        problem(answer, 401)
        assert answer[2]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "document",
    [{}, [], {"schema": TOKEN_SCHEMA}, {"schema": "polyglot/token/v9", "subject": "x", "roles": ["operator"]}],
)
def test_a_token_whose_document_cannot_be_read_opens_nothing(site: Site, document: object) -> None:
    problem(site.http("GET", "/v1/assets", None, token=make_token(site, "x", document)), 401)


def test_a_command_with_a_wrong_token_says_where_the_token_comes_from(site: Site) -> None:
    refused(site.run("list", POLYGLOT_TOKEN="wrong"), "POLYGLOT_TOKEN", "not known here")
    refused(site.run("list", POLYGLOT_TOKEN=""), "POLYGLOT_TOKEN")


@pytest.mark.usefixtures("everything_as_before")
def test_a_reader_reads_and_publishes_nothing(site: Site, reader: str, dataset: str) -> None:
    assert site.http("GET", f"/v1/assets/{dataset}", token=reader)[0] == 200
    problem(site.http("POST", "/v1/uploads", {"kind": "dataset"}, token=reader), 403, "publisher", "reader")
    problem(site.http("POST", f"/v1/assets/{dataset}/retry", token=reader), 403, "publisher")
    problem(site.http("POST", "/v1/reconcile", token=reader), 403, "operator")
    refused(site.run("reconcile", POLYGLOT_TOKEN=reader), "operator")


def test_a_reader_may_have_claims_verified(site: Site, reader: str, dataset: str) -> None:
    assert site.run("verify", dataset, POLYGLOT_TOKEN=reader).status == 0


def test_a_publisher_touches_only_its_own(site: Site, publisher: str) -> None:
    upload = Upload(site)
    entry = {"path": "a", "size": 1, "sha256": sha(b"1")}
    answer = site.http("POST", f"/v1/uploads/{upload.id}/files", {"page": 0, "files": [entry]}, token=publisher)
    problem(answer, 403, "'admin'", "operator")
    upload.send({"a.csv": b"1"})
    problem(site.http("POST", "/v1/datasets", {"upload": upload.id}, token=publisher), 403, "'admin'")
    problem(site.http("POST", "/v1/reconcile", token=publisher), 403, "operator")
    assert not site.objects(f"requests/{upload.id}/submitted.json")


def test_two_people_may_use_the_same_idempotency_key(site: Site, publisher: str) -> None:
    key = {"Idempotency-Key": f"shared-{uuid4()}"}
    mine = site.http("POST", "/v1/uploads", {"kind": "dataset"}, **key)[1]
    theirs = site.http("POST", "/v1/uploads", {"kind": "trained-model"}, token=publisher, **key)
    assert theirs[0] == 202
    assert theirs[1]["id"] != mine["id"]


def test_a_platform_that_is_not_there_is_said_so(site: Site) -> None:
    ran = site.run("list", POLYGLOT_URL="http://127.0.0.1:9")
    refused(ran, "does not answer", "polyglot up", status=3)


# --- events -----------------------------------------------------------------------------------------------------------


def event(name: str, subject: str, identifier: str = "", **attributes: str) -> dict[str, str]:
    return {
        "ce-specversion": "1.0",
        "ce-type": f"io.polyglot.{name}.v1",
        "ce-source": "/anybody",
        "ce-id": identifier or str(uuid4()),
        "ce-subject": subject,
        "Content-Type": "application/json",
        **{f"ce-{name}": value for name, value in attributes.items()},
    }


CONSUMERS = [
    ("ingest", "asset.submitted"), ("deploy", "asset.registered"), ("deploy", "evidence.authorized"),
    ("train", "contract.deployed"), ("train", "cancellation.requested"), ("collect", "training.finished"),
    ("translate-torch", "contract.deployed"), ("translate-torch", "translation.requested"),
    ("verify", "verification.requested"),
]  # fmt: skip


@pytest.mark.usefixtures("everything_as_before")
@pytest.mark.parametrize("service", sorted({service for service, _ in CONSUMERS} - {"ingest"}))
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/json"}, b"{}"),
        ({}, b""),
        ({"ce-specversion": "0.3", "ce-id": "1", "ce-type": "a", "ce-source": "b"}, b""),
        ({"Content-Type": "application/cloudevents+json"}, b"not json"),
        ({"Content-Type": "application/cloudevents+json"}, b'{"specversion":"1.0"}'),
        (event("asset.registered", "not-a-uuid"), b"{}"),
        (event("asset.exploded", NOBODY), b"{}"),
        ({**event("asset.registered", NOBODY), "Content-Type": "application/json"}, b"["),
        ({**event("asset.registered", NOBODY), "Content-Type": "application/json"}, b"[1]"),
    ],
)
def test_what_is_no_event_of_its_own_is_refused_for_good(
    site: Site, service: str, headers: dict[str, str], body: bytes
) -> None:
    assert site.announce(headers, body, f"/functions/{service}") == 400


@pytest.mark.usefixtures("everything_as_before")
@pytest.mark.parametrize(("service", "name"), CONSUMERS)
def test_an_event_about_nothing_is_refused_for_good_and_leaves_nothing(site: Site, service: str, name: str) -> None:
    for body in (
        b"{}",
        b"",
        b'{"request":7,"run":[],"key":{}}',
        f'{{"request":"{NOBODY}","run":"train-x-1"}}'.encode(),
    ):
        headers = event(name, NOBODY, framework="torch", claim="integrity", assetkind="model")
        status = site.announce(headers, body, f"/functions/{service}")
        assert 400 <= status < 500
        assert status not in (404, 408, 409, 429)


def test_an_event_about_nothing_ends_as_one_dead_letter(site: Site) -> None:
    identifier = f"unknown-{uuid4()}"
    assert site.announce(event("asset.submitted", NOBODY, identifier)) == 202
    assert site.platform.broker.drain(20)
    letters = [key for key in site.objects("dead-letters") if identifier in key]
    assert letters == [f"dead-letters/{identifier}.json"]
    assert json.loads(site.objects("dead-letters")[letters[0]])["subject"] == NOBODY
    assert not site.objects(f"assets/{NOBODY}")


def test_what_is_no_event_is_not_taken_by_the_broker(site: Site) -> None:
    assert site.announce({"Content-Type": "application/json"}) == 400


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("asset.submitted", {}),
        ("asset.registered", {"assetkind": "dataset"}),
        ("evidence.authorized", {}),
        ("contract.deployed", {"assetkind": "model"}),
        ("contract.deployed", {"assetkind": "trained-model", "framework": "torch", "accelerator": "none"}),
        ("training.finished", {}),
    ],
)
def test_an_event_that_comes_ten_times_at_once_changes_nothing_that_is_done(
    site: Site, dataset: str, name: str, attributes: dict[str, str]
) -> None:
    assert site.platform.broker.drain(20)
    before = site.objects(f"assets/{dataset}")
    contract = site.http("GET", f"/v1/assets/{dataset}/contract")[1]
    with ThreadPoolExecutor(10) as pool:
        sent = list(pool.map(lambda _: site.announce(event(name, dataset, **attributes)), range(10)))
    assert set(sent) == {202}
    assert site.platform.broker.drain(60)
    after = site.objects(f"assets/{dataset}")
    assert {key: data for key, data in after.items() if "/journal/" not in key} == {
        key: data for key, data in before.items() if "/journal/" not in key
    }
    assert site.http("GET", f"/v1/assets/{dataset}/contract")[1] == contract
    assert site.status(dataset)["state"] == "complete"


def test_stray_objects_do_not_stop_the_sweep(site: Site) -> None:
    stray = ["open/stray", "open/a/b", f"open/{NOBODY}/{NOBODY}", "assets/stray/x", "assets/.DS_Store", "inbox/stray",
             "inbox/dataset/stray", "index/name/dataset/stray", "index/name/dataset/stray/not-a-uuid",
             f"index/parent/{NOBODY}/stray", "requests/stray.json", "tokens/stray.json"]  # fmt: skip
    for key in stray:
        place = site.bucket / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"{}")
    try:
        assert site.http("POST", "/v1/reconcile?all=1")[0] == 200
        assert site.http("GET", "/v1/assets")[0] == 200
    finally:
        for key in stray:
            (site.bucket / key).unlink(missing_ok=True)


def test_after_all_this_the_sweep_finds_nothing_to_do(site: Site) -> None:
    assert site.platform.broker.drain(60)
    for _ in range(2):
        site.http("POST", "/v1/reconcile?all=1")
        assert site.platform.broker.drain(60)
    assert [key for key in site.objects("open") if NOBODY not in key] == []
