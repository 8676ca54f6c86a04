"""What a careless user sends: each ends in words that say what to do, and nothing is half registered."""

import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from functions._domain.identity import trained_model_id
from tests.platforms import Site, image_folder
from tests.strangers import (
    LIGHTGBM,
    NOBODY,
    Upload,
    folder_of,
    named,
    nothing_is_registered,
    problem,
    refused,
    sha,
)


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


@pytest.fixture(scope="module")
def image(site: Site, quick_image: Path) -> str:
    """The digest of a pushed image folder."""
    return site.ok("image", "push", str(quick_image))


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_empty, ("holds no file", "at least one")),
        (_link, ("link.csv is a symbolic link", "leave it out")),
        (_case, ("Data.csv", "data.csv", "rename one of them")),
        (_unicode, ("is not in Unicode NFC form", "rename the file")),
        (_missing, ("nothing-here",)),
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
    problem(Upload(site).announce(dict.fromkeys(names, b"x")), 422, repr(names[0]), repr(names[1]), "rename one")


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


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("route", "body", "status", "words"),
    [
        ("/v1/datasets", b"{", 400, ("Invalid JSON",)),
        ("/v1/datasets", b"\xff\xfe", 400, ()),
        ("/v1/datasets", b"", 400, ("upload: Field required",)),
        ("/v1/datasets", [], 400, ("body: Input should be an object",)),
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


@pytest.mark.parametrize("size", [(64 << 10) + 1, 11 << 20])
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


def test_an_unknown_dataset_is_refused(site: Site, image: str) -> None:
    ran = site.run("model", "register", "--dataset", NOBODY, "--image", image, "--wait")
    refused(ran, f"there is no dataset {NOBODY}", "polyglot dataset register")
    upload = Upload(site)
    problem(site.http("POST", "/v1/models", {"datasets": {"train": upload.id}, "image": image}), 422, "no dataset")


def test_something_else_than_a_dataset_is_refused_where_one_is_meant(site: Site, dataset: str, image: str) -> None:
    other = site.ok("model", "register", "--dataset", dataset, "--image", image)
    ran = site.run("model", "register", "--dataset", other, "--image", image, "--wait")
    refused(ran, "is a model, expected a dataset", status=1)
    site.wait_for(other, ["rejected"])


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("name", ["pytorch/pytorch:latest", "pytorch/pytorch", "x@sha256:abc", "./no-such-folder"])
def test_an_image_that_is_not_pinned_is_refused(site: Site, dataset: str, name: str) -> None:
    refused(site.run("model", "register", "--dataset", dataset, "--image", name), name, "NAME@sha256:")
    body = {"datasets": {"train": dataset}, "image": name}
    problem(site.http("POST", "/v1/models", body), 400, "not pinned", "docker inspect")


@pytest.mark.usefixtures("leaves_nothing")
def test_a_container_image_on_the_process_trainer_is_refused_with_the_way_out(site: Site, dataset: str) -> None:
    image = "registry.example/trainer@sha256:" + "0" * 64
    ran = site.run("model", "register", "--dataset", dataset, "--image", image)
    refused(ran, "is a container image", "--image DIR", "Argo")


def test_an_image_folder_that_is_not_what_its_digest_says_is_refused_and_mended_by_pushing_again(
    site: Site, dataset: str, tmp_path: Path
) -> None:
    place = image_folder(tmp_path, requirements=f"# {uuid4()}\n")
    digest = site.ok("image", "push", str(place))
    held = site.bucket / "images" / digest.removeprefix("sha256:")
    (held / "train.py").write_bytes(b"raise SystemExit('not what its name says')")
    model = site.http("POST", "/v1/models", {"datasets": {"train": dataset}, "image": digest})[1]["asset"]
    assert "polyglot image push" in site.wait_for(model, ["rejected"])["reason"]
    nothing_is_registered(site, model)
    assert site.ok("image", "push", str(place)) == digest
    site.ok("retry", model)
    assert site.wait_for(model, ["rejected", "failed"])["step"] == "translate"


def test_an_image_folder_without_a_train_py_is_refused(site: Site, tmp_path: Path) -> None:
    folder_of(tmp_path, {"main.py": b""})
    refused(site.run("image", "push", str(tmp_path)), "train.py")


def test_a_dataset_says_which_images_may_train_on_it(site: Site, tmp_path: Path, image: str) -> None:
    folder_of(tmp_path, {"model.txt": LIGHTGBM})
    allowed = "sha256:" + "1" * 64
    data = site.ok("dataset", "register", str(tmp_path), "--allow-image", allowed, "--wait")
    ran = site.run("model", "register", "--dataset", data, "--image", image, "--name", "not-allowed", "--wait")
    refused(ran, data, allowed, image, "ask its owner", status=1)
    model = named(site, "not-allowed")
    nothing_is_registered(site, str(trained_model_id(UUID(model), 1)))
    refused(site.run("dataset", "register", str(tmp_path), "--allow-image", "latest"), "allow_images", "sha256:")
