"""I2 on a cluster: pods of functions, and the parts beneath, are killed while chains run; each is finished once."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import urllib3

from tests.cluster.chains import ask, assert_finished_once, open_chains, reconcile, status
from tests.cluster.edge import Edge
from tests.cluster.tenants import Tenant
from tests.customers import Books
from tests.parts import eventually
from tests.platforms import COPY_MODEL
from tests.strangers import NOBODY, event

SLOW = COPY_MODEL + "import time; time.sleep(6)\n"
DISPATCHER = "messaging.knative.dev/channel=in-memory-channel,messaging.knative.dev/role=dispatcher"
BENEATH = {
    "the broker's dispatcher": ("knative-eventing", DISPATCHER),
    "Argo's controller": ("argo", "app=workflow-controller"),
    "the object store": ("storage", "app=s3"),
    "the EVM node": ("ledger", "app=evm"),
}  # fmt: skip
FUNCTIONS = ("register", "ingest", "deploy", "train", "collect", "translate-torch", "retrieve", "reconcile")


def kubectl(tenant: Tenant, *arguments: str) -> str:
    ended = subprocess.run(
        ["kubectl", "--kubeconfig", tenant.kubeconfig, *arguments], capture_output=True, text=True, check=False
    )
    return ended.stdout.strip()


def kill(tenant: Tenant, namespace: str, selector: str) -> int:
    """Kill pods at once, as a node that goes away does; returns how many."""
    out = kubectl(
        tenant, "-n", namespace, "delete", "pod", "-l", selector, "--force", "--grace-period=0", "--wait=false"
    )
    return out.count("deleted")


@contextmanager
def hunting(look: Callable[[], bool], every: float = 0.5) -> Iterator[None]:
    """Kill whenever there is something to, until it was done or the block ends."""
    over = threading.Event()

    def hunt() -> None:
        while not over.wait(every):
            if look():
                return

    hunter = threading.Thread(target=hunt)
    hunter.start()
    try:
        yield
    finally:
        over.set()
        hunter.join()


def finished(tenant: Tenant, dataset: str, model: str, seconds: float = 600) -> None:
    """Wait for a chain, sweeping as the timer would, and check that it was finished exactly once."""
    end, sweep = time.monotonic() + seconds, time.monotonic() + 20
    while (found := status(tenant, model)).get("state") != "complete":
        assert found.get("state") not in ("failed", "rejected"), found
        assert time.monotonic() < end, found
        if time.monotonic() > sweep:
            tenant.run("reconcile", "--all")
            sweep = time.monotonic() + 20
        time.sleep(1)
    assert_finished_once(tenant, dataset, model)


@pytest.mark.parametrize("service", FUNCTIONS)
def test_a_function_killed_while_it_works_leaves_nothing_undone(
    tenant: Tenant, dataset: str, script_image: str, service: str
) -> None:
    killed = 0

    def strike() -> bool:
        nonlocal killed
        killed += kill(tenant, tenant.namespace, f"serving.knative.dev/service={service}")
        return killed >= 2

    with hunting(strike):
        model = ask(tenant, dataset, script_image, SLOW, name=f"killed-{service}")
        if service in ("retrieve", "reconcile"):
            status(tenant, model)
            tenant.run("reconcile")
        finished(tenant, dataset, model)
    assert killed, f"no pod of {service} was seen"


def test_a_verification_whose_function_is_killed_is_made_and_recorded_once(
    tenant: Tenant, dataset: str, script_image: str
) -> None:
    killed = 0

    def strike() -> bool:
        nonlocal killed
        killed += kill(tenant, tenant.namespace, "serving.knative.dev/service=verify")
        return killed >= 2

    with hunting(strike):
        ran = tenant.run("verify", dataset, "--level", "all", "--json")
    assert ran.status == 0, ran.err
    assert killed
    assert set(Books.of(tenant.environment).recorded().values()) == {1}


def test_a_dead_letter_whose_function_is_killed_is_kept_all_the_same(cluster: Edge, tenant: Tenant) -> None:
    identifier = f"nobody-{uuid4()}"
    broker = f"{cluster.settings['EDGE_BROKER_URL']}/{tenant.namespace}/polyglot"
    killed = 0

    def strike() -> bool:
        nonlocal killed
        killed += kill(tenant, tenant.namespace, "serving.knative.dev/service=bury")
        return killed >= 2

    with hunting(strike, every=0.2):
        answer = urllib3.request("POST", broker, body=b"{}", headers=event("asset.submitted", NOBODY, identifier))
        assert answer.status == 202
        key = f"dead-letters/{identifier}.json"
        assert eventually(lambda: tenant.storage.stat(key) is not None, seconds=180)
    tenant.storage.delete(key)
    assert killed


@pytest.mark.parametrize("part", BENEATH)
def test_a_part_killed_while_chains_run_leaves_nothing_undone(
    tenant: Tenant, dataset: str, script_image: str, part: str
) -> None:
    namespace, selector = BENEATH[part]
    models = [ask(tenant, dataset, script_image, SLOW, name=f"beneath-{number}") for number in range(3)]
    for pause in (2.0, 5.0, 8.0):
        time.sleep(pause)
        assert kill(tenant, namespace, selector), f"no pod of {part}: {namespace} {selector}"
    for model in models:
        finished(tenant, dataset, model)
    reconcile(tenant)
    assert not [key for key in open_chains(tenant) if any(model in key for model in models)]


def test_a_training_pod_killed_is_run_again_and_counts_once(tenant: Tenant, dataset: str, script_image: str) -> None:
    model = ask(tenant, dataset, script_image, SLOW, name="pod-killed")
    selector = f"workflows.argoproj.io/workflow=train-{model}-1,polyglot.io/run=trains"
    running = "{.items[?(@.status.phase=='Running')].metadata.name}"

    def strike() -> bool:
        there = kubectl(tenant, "-n", tenant.namespace, "get", "pod", "-l", selector, "-o", f"jsonpath={running}")
        return bool(there) and bool(kill(tenant, tenant.namespace, selector))

    with hunting(strike):
        finished(tenant, dataset, model)
    pods = kubectl(tenant, "-n", tenant.namespace, "get", "pod", "-l", selector, "-o", "name").splitlines()
    assert pods, "the pod of the second try is still there"


def test_a_lost_announcement_of_an_ended_training_is_made_up_for(
    tenant: Tenant, dataset: str, script_image: str
) -> None:
    """The Broker's ingress is gone just when the run ends: its event never arrives, and the sweep asks Argo."""
    model = ask(tenant, dataset, script_image, SLOW, name="unheard")
    selector = f"workflows.argoproj.io/workflow=train-{model}-1,polyglot.io/run=announces"
    with hunting(lambda: kill(tenant, tenant.namespace, selector) > 8, every=0.2):
        finished(tenant, dataset, model)


def test_a_new_revision_of_every_function_while_chains_run_loses_nothing(
    tenant: Tenant, dataset: str, script_image: str
) -> None:
    models = [ask(tenant, dataset, script_image, SLOW, name=f"upgrade-{number}") for number in range(3)]
    rolled = {"annotations": {"polyglot.io/rolled": str(time.time())}}
    stamp = json.dumps({"spec": {"template": {"metadata": rolled}}})
    for service in tenant.cluster.select("serving.knative.dev/v1", "Service"):
        name = service["metadata"]["name"]
        if "gpu" not in name:
            kubectl(tenant, "-n", tenant.namespace, "patch", "ksvc", name, "--type=merge", "-p", stamp)
    for model in models:
        finished(tenant, dataset, model)
