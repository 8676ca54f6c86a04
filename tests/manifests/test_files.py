"""What is committed, and the command that renders it (invariant I10)."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from functions.__main__ import main
from functions._backends import keys
from functions._domain import cluster
from functions._runtime import manifests
from functions._runtime.manifests import files, images
from functions._runtime.settings import CLUSTER, MEANING
from functions.declaration import FUNCTIONS
from tests.manifests.objects import GPU_FUNCTIONS, KNATIVE, committed

OURS = "app.kubernetes.io/part-of"


def test_what_is_committed_is_what_the_declaration_renders() -> None:
    assert files.differences(KNATIVE, manifests.texts()) == {}


def test_rendering_twice_gives_the_same_text() -> None:
    assert manifests.texts() == manifests.texts()


def test_generated_files_say_so_and_load_as_what_was_rendered() -> None:
    for text in manifests.texts().values():
        assert text.startswith("# Generated from functions/declaration.py by `polyglot manifests`")
        assert "&id" not in text
        assert text.endswith("\n")
    loaded = {(one["kind"], one["metadata"]["name"]): one for one in committed()}
    assert loaded == {(one["kind"], one["metadata"]["name"]): one for one in manifests.objects()}


def test_nothing_names_a_namespace_or_a_tenant() -> None:
    for one in committed():
        assert "namespace" not in one["metadata"]
        assert one["metadata"]["labels"][OURS] == "polyglot"


def test_a_change_by_hand_a_missing_and_a_stale_file_are_found_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.write(tmp_path, manifests.texts())
    bury, verify, stale = (tmp_path / "rendered" / f"{name}.yaml" for name in ("bury", "verify", "gone"))
    bury.write_text(bury.read_text().replace("timeoutSeconds: 60", "timeoutSeconds: 61"))
    verify.unlink()
    stale.write_text(files.HEADER)
    (tmp_path / "mine.yaml").write_text("written: by a person\n")
    assert main(["manifests", "--check", "--into", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "-      timeoutSeconds: 61\n+      timeoutSeconds: 60\n" in shown.out
    assert "rendered/verify.yaml" in shown.out
    assert "rendered/gone.yaml" in shown.out
    assert "mine.yaml" not in shown.out
    assert "run `polyglot manifests`" in shown.err
    assert main(["manifests", "--into", str(tmp_path)]) == 0
    assert main(["manifests", "--check", "--into", str(tmp_path)]) == 0
    assert not stale.exists()
    assert (tmp_path / "mine.yaml").exists()


def test_the_example_has_every_setting_of_a_cluster_and_the_secrets_that_are_mounted() -> None:
    documents = list(yaml.safe_load_all((KNATIVE / "settings.example.yaml").read_text()))
    (settings,) = (one for one in documents if one["kind"] == "ConfigMap")
    assert settings["metadata"]["name"] == cluster.SETTINGS
    assert set(settings["data"]) == set(CLUSTER) <= set(MEANING)
    assert all(isinstance(value, str) for value in settings["data"].values())
    roles = {function.role for function in FUNCTIONS if function.role}
    secrets = {one["metadata"]["name"]: set(one["stringData"]) for one in documents if one["kind"] == "Secret"}
    assert secrets == {
        cluster.S3_SECRET: {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        cluster.S3_ERASE_SECRET: {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        **{cluster.key_secret(role): set(cluster.key_files(role)) for role in roles},
    }


def test_what_a_tenant_owns_is_not_pruned_with_what_we_render() -> None:
    for one in yaml.safe_load_all((KNATIVE / "settings.example.yaml").read_text()):
        assert OURS not in one["metadata"].get("labels", {})


def test_a_role_secrets_keys_are_the_files_that_the_function_reads(tmp_path: Path) -> None:
    keys.create("trainer", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(cluster.key_files("trainer"))


def test_settings_that_the_example_lacks_are_secret_of_the_cluster_of_the_embedded_platform_or_seldom() -> None:
    embedded = {"POLYGLOT_DATA", "POLYGLOT_PLATFORM_PID"}
    secret = {"POLYGLOT_KEYS", *cluster.S3_SECRET_KEYS}
    issuer = {f"POLYGLOT_OIDC_{name}" for name in ("ISSUER", "AUDIENCE", "SUBJECT_CLAIM", "ROLES_CLAIM", "ROLE_PREFIX")}
    seldom = {"POLYGLOT_FORWARD", "OTEL_EXPORTER_OTLP_ENDPOINT", *issuer}
    assert set(MEANING) - set(CLUSTER) == {*seldom, *secret, *embedded}


def test_every_image_has_a_containerfile_whose_extras_exist() -> None:
    used = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in committed() if _is_service(one)}
    found = {f"polyglot-{path.stem}": path.read_text() for path in (KNATIVE / "images").glob("*.Containerfile")}
    assert set(found) == used
    extras = tomllib.loads((KNATIVE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for text in found.values():
        (installed,) = re.findall(r"'\.(?:\[([a-z,-]+)\])?'", text)
        assert {one for one in installed.split(",") if one} <= set(extras)


def test_who_signs_or_reads_the_ledger_has_its_packages() -> None:
    for function in FUNCTIONS:
        if function.role:
            assert function.extra or function.variants, function.name
    texts = images.containerfiles(FUNCTIONS)
    assert all("[ledger" in text for name, text in texts.items() if name != "plain")


def test_every_image_serves_as_nobody_on_a_base_by_argument() -> None:
    for text in images.containerfiles(FUNCTIONS).values():
        assert text.count("\nFROM ${BASE}") == 2
        assert "\nARG BASE=python:3.11-slim\n" in text
        assert "--constraint constraints.txt" in text
        assert "compileall" in text
        assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", text, re.MULTILINE)
        assert text.endswith('ENTRYPOINT []\nCMD ["python", "-P", "-m", "functions._runtime.serve"]\n')


def test_an_image_loads_the_file_that_functions_framework_needs() -> None:
    (source,) = re.findall(r"FUNCTION_SOURCE=/opt/polyglot/app/(\S+)", images.containerfiles(FUNCTIONS)["plain"])
    assert (KNATIVE.parent / source).is_file()


def test_every_image_can_export_telemetry() -> None:
    assert all("telemetry]'" in text for text in images.containerfiles(FUNCTIONS).values())


def test_a_new_variant_brings_its_image() -> None:
    assert "'.[ledger,torch-gpu,telemetry]'" in manifests.texts(GPU_FUNCTIONS)["images/torch-gpu.Containerfile"]


def test_kustomize_builds_everything_that_is_rendered() -> None:
    built = list(yaml.safe_load_all(_kustomize(KNATIVE)))
    assert _named(built) == _named(committed())


def test_the_overlay_of_the_readme_gives_a_tenants_namespace(tmp_path: Path) -> None:
    shutil.copytree(KNATIVE, tmp_path / "knative")
    overlay = tmp_path / "acme"
    overlay.mkdir()
    shutil.copy(KNATIVE / "settings.example.yaml", overlay / "settings.yaml")
    (text,) = re.findall(r"```yaml\n(.*?)```", (KNATIVE / "README.md").read_text(), re.DOTALL)
    (overlay / "kustomization.yaml").write_text(text)
    built = list(yaml.safe_load_all(_kustomize(overlay)))
    assert {one["metadata"]["namespace"] for one in built} == {"acme"}
    subjects = [subject for one in built if one["kind"] == "RoleBinding" for subject in one["subjects"]]
    assert {subject["namespace"] for subject in subjects} == {"acme"}
    images_used = {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in built if _is_service(one)}
    assert all(re.fullmatch(r"registry\.example\.org/polyglot-[a-z-]+(:|@sha256:).+", image) for image in images_used)


def _is_service(one: dict[str, object]) -> bool:
    return one["kind"] == "Service"


def _named(objects: object) -> set[tuple[str, str]]:
    return {(one["kind"], one["metadata"]["name"]) for one in objects}  # type: ignore[attr-defined]


def _kustomize(folder: Path) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which has kustomize built in, is not on the PATH")
    return subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True).stdout
