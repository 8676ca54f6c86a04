"""OpenSSF model signatures: the public verifier, unmodified, takes ours, and the platform takes its."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from in_toto_attestation.v1.statement import Statement

from functions._domain import model_signature
from functions._domain.digests import canonical
from functions._domain.inventory import InventoryLine, digest_of_lines
from tests.platforms import Site
from tests.strangers import folder_of


def model_signing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command of PyPI's ``model-signing``."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def verified(folder: Path, signature: Path, key: Path) -> bool:
    ended = model_signing("verify", "key", folder, "--signature", signature, "--public_key", key)
    return ended.returncode == 0


@pytest.fixture(scope="module")
def signed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained model with several files, as pulled; its signature; the trainer's public key."""
    from tests.platforms import image_folder

    place = tmp_path_factory.mktemp("signed")
    script = (
        "import os, pathlib, shutil\n"
        "source, target = pathlib.Path(os.environ['SM_CHANNEL_TRAIN']), pathlib.Path(os.environ['SM_MODEL_DIR'])\n"
        "shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)\n"
    )
    files = {"model.txt": b"tree\nversion=v4\n", "a/first.csv": b"1\n", "a/second.csv": b"2\n", "empty": b""}
    folder_of(place / "data", files)
    dataset = site.ok("dataset", "register", str(place / "data"), "--wait")
    image = image_folder(place / "image", script)
    model = site.ok("model", "register", "--dataset", dataset, "--image", str(image))
    site.wait_for(model, ("rejected",))  # nobody translates this framework yet; the trained model is there
    trained = json.loads(site.ok("show", model, "--json"))["trained_model"]
    site.ok("pull", trained, str(place / "model"))
    base = site.bucket / "assets" / trained
    shutil.copyfile(base / "signatures" / "model.sig", place / "model.sig")
    statement = json.loads((base / "evidence" / f"training.{trained}.json").read_bytes())
    key = json.loads(base64.b64decode(statement["payload"]))["predicate"]["signer"]["publicKey"]
    (place / "key.pem").write_text(key)
    return {"folder": place / "model", "signature": place / "model.sig", "key": place / "key.pem"}


def test_the_public_verifier_accepts_it(signed: dict[str, Path]) -> None:
    assert verified(signed["folder"], signed["signature"], signed["key"])


def flipped(folder: Path) -> None:
    (folder / "model.txt").write_bytes(b"tree\nversion=v5\n")


def added(folder: Path) -> None:
    (folder / "new").write_bytes(b"")


def deleted(folder: Path) -> None:
    (folder / "empty").unlink()


def swapped(folder: Path) -> None:
    (folder / "a/first.csv").write_bytes(b"2\n")
    (folder / "a/second.csv").write_bytes(b"1\n")


@pytest.mark.parametrize("change", [flipped, added, deleted, swapped], ids=lambda change: change.__name__)
def test_the_public_verifier_refuses_other_files(
    signed: dict[str, Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    shutil.copytree(signed["folder"], tmp_path / "model")
    change(tmp_path / "model")
    assert not verified(tmp_path / "model", signed["signature"], signed["key"])


def test_the_public_verifier_refuses_another_key(signed: dict[str, Path], tmp_path: Path) -> None:
    _, key = keypair(tmp_path)
    assert not verified(signed["folder"], signed["signature"], key)


def test_the_payload_is_a_strict_in_toto_statement(signed: dict[str, Path]) -> None:
    bundle = json.loads(signed["signature"].read_bytes())
    assert canonical(bundle) == signed["signature"].read_bytes()
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"], validate=True))
    subject = payload["subject"][0]
    statement = Statement.copy_from_pb(_parsed(payload))
    statement.validate()
    assert subject["digest"]["sha256"] == root_digest(signed["folder"])


def _parsed(payload: dict[str, object]) -> object:
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    return ParseDict(payload, Message(), ignore_unknown_fields=False)


def root_digest(folder: Path) -> str:
    """A folder's root digest, as ``model-signing`` itself computes it."""
    from model_signing import hashing
    from model_signing._signing.signing import Payload

    manifest = hashing.Config().hash(folder)
    return str(Payload(manifest).statement.pb.subject[0].digest["sha256"])


def test_an_order_preserving_rename_keeps_the_root_digest_and_not_the_inventory(
    signed: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "renamed"
    shutil.copytree(signed["folder"], folder)
    before = inventory_digest(folder)
    (folder / "a/first.csv").rename(folder / "a/firsu.csv")
    assert root_digest(folder) == root_digest(signed["folder"])
    assert inventory_digest(folder) != before == inventory_digest(signed["folder"])


def inventory_digest(folder: Path) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return digest_of_lines(
        InventoryLine(path.relative_to(folder).as_posix(), path.stat().st_size, sha256(path)) for path in files
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def keypair(place: Path) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = ec.generate_private_key(ec.SECP384R1())
    private, public = place / "private.pem", place / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model that somebody else trained and signed, on another curve than ours."""
    place = tmp_path_factory.mktemp("foreign")
    folder_of(place / "model", {"model.txt": b"tree\nversion=v4\n", "data/labels.csv": b"a,b\n"})
    private, public = keypair(place)
    ended = model_signing(
        "sign", "key", place / "model", "--private_key", private, "--signature", place / "model.sig"
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return {"folder": place / "model", "signature": place / "model.sig", "key": public}


def imported(site: Site, files: dict[str, Path]) -> tuple[str, object]:
    """Import with a signature; returns the asset and the state in which its first steps end."""
    ran = site.run(
        "model", "import", str(files["folder"]), "--signature", str(files["signature"]),
        "--signer-key", str(files["key"]),
    )  # fmt: skip
    assert ran.status == 0, ran.err
    return ran.out, site.wait_for(ran.out, ("rejected", "complete"))


def test_a_model_that_others_signed_is_imported_and_shown_as_verified(site: Site, foreign: dict[str, Path]) -> None:
    asset, _ = imported(site, foreign)
    verified_ = json.loads(site.ok("verify", asset, "--level", "provenance", "--json"))
    assert any("OpenSSF signature" in finding for finding in verified_["claims"][0]["findings"])
    assert json.loads(site.ok("show", asset, "--json"))["imported_signature"]["key"] == foreign["key"].read_text()
    kept = site.bucket / "assets" / asset / "signatures" / "imported.sig"
    kept.write_text(kept.read_text().replace("sig", "gis"))
    assert "imported.sig" in site.run("verify", asset, "--level", "provenance").out


def test_a_model_that_differs_from_what_others_signed_is_refused(
    site: Site, foreign: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(foreign["folder"], tmp_path / "model")
    (tmp_path / "model/data/labels.csv").write_bytes(b"b,a\n")
    _, status = imported(site, {**foreign, "folder": tmp_path / "model"})
    assert "labels.csv" in status["reason"]
    (tmp_path / "model/data/labels.csv").rename(tmp_path / "model/data/names.csv")
    _, status = imported(site, {**foreign, "folder": tmp_path / "model"})
    assert "register exactly the files that were signed" in status["reason"]


def test_a_signature_of_another_key_is_refused(site: Site, foreign: dict[str, Path], tmp_path: Path) -> None:
    _, other = keypair(tmp_path)
    _, status = imported(site, {**foreign, "key": other})
    assert "give the signer's key" in status["reason"]


def test_rubbish_is_no_signature(site: Site, foreign: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "rubbish").write_text("{}")
    _, status = imported(site, {**foreign, "signature": tmp_path / "rubbish"})
    assert "model_signing sign key" in status["reason"]
    ran = site.run("model", "import", str(foreign["folder"]), "--signature", str(foreign["signature"]))
    assert ran.status == 2
    assert "given together" in ran.err


def test_a_long_list_of_files_is_signed_in_canonical_form(tmp_path: Path) -> None:
    from functions._backends import keys

    keys.create("trainer", tmp_path)
    signer = keys.RoleKeys("trainer", tmp_path, 1, f"0x{'0' * 40}", f"0x{'0' * 40}")
    lines = [InventoryLine(f"{number:06}.bin", number, f"{number:064x}") for number in range(3000)]
    digest = model_signature.write(lines, "many", signer, tmp_path / "model.sig")
    text = (tmp_path / "model.sig").read_bytes()
    assert digest == f"sha256:{hashlib.sha256(text).hexdigest()}"
    assert canonical(json.loads(text)) == text
    assert len(model_signature.foreign(text).files) == 3000
