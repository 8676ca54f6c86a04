"""What a cluster has once, for all its tenants, in a namespace of its own."""

import yaml

from functions._domain import cluster
from functions._runtime import manifests
from functions.declaration import FUNCTIONS
from tests.manifests.objects import KNATIVE, container, environment, pod

FOLDER = KNATIVE / "cluster"
RENDERED = [one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
SERVICES = {one["metadata"]["name"]: one for one in RENDERED if one["kind"] == "Service"}


def test_it_is_rendered_apart_from_what_tenants_have() -> None:
    names = {name for function in FUNCTIONS if function.scope == "cluster" for name in function.services}
    assert names == set(SERVICES) == {"forward"}
    assert not names & {one["metadata"]["name"] for one in manifests.objects()}
    assert not [path for path in (KNATIVE / "rendered").iterdir() if path.stem in names]
    for path, resources in ((KNATIVE, "rendered/"), (FOLDER, "")):
        listed = yaml.safe_load((path / "kustomization.yaml").read_text())["resources"]
        assert all(one.startswith(resources) and (path / one).is_file() for one in listed)
        assert ("forward.yaml" in listed) == (path == FOLDER)


def test_it_is_given_its_own_settings_and_no_credentials_key_or_token() -> None:
    for service in SERVICES.values():
        assert container(service)["envFrom"] == [{"configMapRef": {"name": "polyglot-forward"}}]
        assert set(environment(service)) == {"FUNCTION_TARGET", "THREADS"}
        assert [set(volume) for volume in pod(service)["volumes"]] == [{"name", "emptyDir"}]
        assert pod(service)["automountServiceAccountToken"] is False
        assert container(service)["image"] == "polyglot-plain"
    (account,) = (one for one in RENDERED if one["kind"] == "ServiceAccount")
    assert account["automountServiceAccountToken"] is False


def test_it_is_reached_from_inside_the_cluster_only() -> None:
    for service in SERVICES.values():
        assert service["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"


def test_its_example_has_its_settings() -> None:
    (settings,) = (one for one in RENDERED if one["kind"] == "ConfigMap")
    assert settings["metadata"]["name"] == cluster.FORWARD_SETTINGS
    assert set(settings["data"]) == {"POLYGLOT_FORWARD"}
