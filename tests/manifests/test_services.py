import re
from pathlib import Path

import pytest

from functions._backends import argo
from functions._domain import cluster
from functions._runtime import manifests
from functions.declaration import FUNCTIONS, Function, Variant
from tests.manifests.objects import GPU_FUNCTIONS, TENANTS, container, environment, of_kind, pod, services

QUANTITY = re.compile(r"\d+(m|Mi|Gi)?")


def test_every_declared_service_is_rendered_and_no_other() -> None:
    assert set(of_kind("Service")) == {name for function in TENANTS for name in function.services}


def test_each_service_loads_its_own_function_target() -> None:
    for _, _, service in services():
        assert environment(service)["FUNCTION_TARGET"] == service["metadata"]["name"]


def test_timeouts_and_concurrency_are_the_declarations() -> None:
    for function, _, service in services():
        spec = pod(service)
        assert spec["containerConcurrency"] == function.concurrency
        assert spec["timeoutSeconds"] == spec["responseStartTimeoutSeconds"] == function.timeout <= 600
        assert int(environment(service)["THREADS"]) > function.concurrency


def test_everything_goes_to_zero_and_only_what_reserves_little_starts_when_it_is_deployed() -> None:
    for function, variant, service in services():
        annotations = service["spec"]["template"]["metadata"]["annotations"]
        scale = {name.split("/")[1]: value for name, value in annotations.items()}
        assert scale.get("target-utilization-percentage") == ("100" if function.concurrency == 1 else None)
        assert scale["min-scale"] == "0"
        assert scale["initial-scale"] == ("0" if variant else "1")
        if not (variant and variant.gpu):  # test_a_gpu_variant_takes_a_gpu_only_when_it_is_needed
            assert scale["max-scale"] == str(function.max_scale)


def test_what_starts_when_it_is_deployed_finds_room_on_a_small_node() -> None:
    starting = [service for _, variant, service in services() if variant is None]
    reserved = [container(service)["resources"]["requests"] for service in starting]
    assert sum(_mebibytes(one["memory"]) for one in reserved) <= 6 * 1024
    assert sum(int(one["cpu"].removesuffix("m")) for one in reserved) <= 1000


def _mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def test_every_container_is_locked_down() -> None:
    for _, _, service in services():
        assert container(service)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_only_tmp_can_be_written_to_and_it_is_bounded() -> None:
    for function, variant, service in services():
        volumes = {one["name"]: one for one in pod(service)["volumes"]}
        writable = [one for one in container(service)["volumeMounts"] if not one.get("readOnly")]
        assert writable == [{"name": "scratch", "mountPath": "/tmp"}]
        limit = variant.scratch if variant else function.scratch
        assert volumes["scratch"] == {"name": "scratch", "emptyDir": {"sizeLimit": limit}}


def test_a_role_key_is_mounted_only_into_the_function_that_signs_with_it() -> None:
    for function, _, service in services():
        secrets = {one["secret"]["secretName"]: one["name"] for one in pod(service)["volumes"] if "secret" in one}
        assert set(secrets) == ({cluster.key_secret(function.role)} if function.role else set())
        mounts = [one for one in container(service)["volumeMounts"] if one["name"] in secrets.values()]
        assert mounts == (
            [{"name": "keys", "mountPath": cluster.KEYS_FOLDER, "readOnly": True}] if function.role else []
        )
        assert environment(service).get("POLYGLOT_KEYS") == (cluster.KEYS_FOLDER if function.role else None)


def test_each_role_has_one_function() -> None:
    roles = [function.role for function in FUNCTIONS if function.role]
    assert len(roles) == len(set(roles))


def test_settings_come_from_one_config_map_and_one_secret() -> None:
    for function, _, service in services():
        secret = "polyglot-s3-erase" if function.name == "erase" else "polyglot-s3"
        assert container(service)["envFrom"] == [
            {"configMapRef": {"name": "polyglot"}},
            {"secretRef": {"name": secret}},
        ]
        assert set(environment(service)) <= {"FUNCTION_TARGET", "THREADS", "POLYGLOT_KEYS"}


def test_the_credentials_that_may_delete_an_assets_files_are_in_nothing_but_erase() -> None:
    named = {one["metadata"]["name"] for one in manifests.objects() if "polyglot-s3-erase" in str(one)}
    assert named == {"erase"}
    workflow = Path(argo.__file__).with_name("workflow.py").read_text()
    assert "S3_ERASE_SECRET" not in workflow


def test_functions_without_http_routes_are_cluster_local() -> None:
    for function, _, service in services():
        visibility = service["metadata"]["labels"].get("networking.knative.dev/visibility")
        assert visibility == (None if function.routes else "cluster-local")


def test_memory_is_reserved_and_sizes_are_quantities() -> None:
    for function, variant, service in services():
        resources = container(service)["resources"]
        memory = variant.memory if variant else function.memory
        assert resources["requests"]["memory"] == resources["limits"]["memory"] == memory
        assert all(QUANTITY.fullmatch(size) for bounds in resources.values() for size in bounds.values())


def test_a_translator_meets_its_own_memory_limit_before_its_pods() -> None:
    from functions._backends.translator import GIB, Limits

    for variant in (one for function in FUNCTIONS if function.name == "translate" for one in function.variants):
        assert int(variant.memory.removesuffix("Gi")) * GIB > Limits().memory


def test_only_gpu_variants_use_fields_that_knative_refuses_without_a_feature_flag() -> None:
    always = {
        "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "containerConcurrency",
        "timeoutSeconds", "responseStartTimeoutSeconds", "containers", "volumes",
    }  # fmt: skip
    inside = {"name", "image", "env", "envFrom", "readinessProbe", "resources", "securityContext", "volumeMounts"}
    for _, variant, service in services():
        placement = {"nodeSelector", "tolerations"} if variant and variant.gpu else set()
        assert set(pod(service)) <= always | placement
        assert set(container(service)) <= inside


@pytest.fixture
def on_gpu() -> dict[str, dict[str, object]]:
    return {one["metadata"]["name"]: one for one in manifests.objects(GPU_FUNCTIONS) if one["kind"] == "Service"}


def test_a_gpu_variant_takes_a_gpu_only_when_it_is_needed(on_gpu: dict[str, dict[str, object]]) -> None:
    service = on_gpu["translate-torch-gpu"]
    annotations = service["spec"]["template"]["metadata"]["annotations"]  # type: ignore[index]
    assert annotations["autoscaling.knative.dev/initial-scale"] == "0"
    assert annotations["autoscaling.knative.dev/max-scale"] == "1"
    assert int(annotations["serving.knative.dev/progress-deadline"].removesuffix("s")) > 600
    resources = container(service)["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "2"
    assert resources["limits"]["memory"] == "12Gi"


def test_a_gpu_variant_goes_to_gpu_nodes(on_gpu: dict[str, dict[str, object]]) -> None:
    spec = pod(on_gpu["translate-torch-gpu"])
    assert spec["nodeSelector"] == {"accelerator": "nvidia"}
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_its_sibling_without_gpu_does_not(on_gpu: dict[str, dict[str, object]]) -> None:
    service = on_gpu["translate-torch"]
    assert not {"nodeSelector", "tolerations"} & set(pod(service))
    assert "nvidia.com/gpu" not in container(service)["resources"]["limits"]


def test_a_pod_is_asked_often_whether_it_is_ready() -> None:
    for _, _, service in services():
        probe = container(service)["readinessProbe"]
        assert "tcpSocket" in probe
        assert "periodSeconds" not in probe  # with one, Knative would leave the asking to the kubelet, once a second


def test_variants_are_told_apart_by_their_whole_names() -> None:
    function = Function(
        "translate",
        "Two variants, one name the other's beginning.",
        variants=(Variant("a", {}, "torch", "1Gi"), Variant("a-b", {}, "torch", "2Gi")),
    )
    sizes = [
        container(one)["resources"]["limits"]["memory"] for one in manifests.documents([function])["translate-a-b"]
    ]
    assert sizes == ["2Gi"]
