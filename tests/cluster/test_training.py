"""Trainings that go wrong on Argo: a readable reason, no model; and one that is watched and stopped."""

import time
from uuid import UUID

import pytest

from functions._domain.identity import trained_model_id
from tests.cluster.chains import ask, reconcile, status, wait_for
from tests.cluster.tenants import Tenant
from tests.parts import eventually

BALLAST = "import os\nparts = []\nwhile True: parts.append(os.urandom(1 << 24))\n"
PEEK = (
    "import os, socket, pathlib, sys\n"
    "bad = [n for n in os.environ if 'AWS' in n or 'TOKEN' in n or 'SECRET' in n]\n"
    "bad += [str(p) for p in (pathlib.Path('/var/run/secrets'), pathlib.Path('/argo/secret')) if p.exists()]\n"
    "for place in ('/', '/etc', '/opt/ml/input/data/train'):\n"
    "    try: pathlib.Path(place, 'x').write_text('x'); bad.append('wrote ' + place)\n"
    "    except OSError: pass\n"
    "sys.exit('found ' + ', '.join(bad) if bad else 'nothing to find')\n"
)
LINK = "import os; os.symlink('/var/run/secrets', os.environ['SM_MODEL_DIR'] + '/model.pt2')"
FAILURES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "exits 1": ("import sys; print('no luck today'); sys.exit(1)", (), ("exited with code 1", "no luck today")),
    "says why": (
        "import os, sys; open(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('out of ideas'); sys.exit(3)", (),
        ("exited with code 3", "out of ideas"),
    ),
    "runs for ever": ("import time; time.sleep(600)", ("--deadline", "20s"), ("deadline", "--deadline")),
    "runs out of memory": (BALLAST, ("--memory", "128M"), ("memory", "--memory")),
    "writes no model": ("print('done')", (), ("wrote no model", "$SM_MODEL_DIR")),
    "writes a link": (LINK, (), ("symbolic link", "model.pt2")),
    "looks for credentials": (PEEK, (), ("nothing to find",)),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_a_training_that_fails_says_why_and_makes_no_model(
    tenant: Tenant, dataset: str, script_image: str, case: str
) -> None:
    script, options, words = FAILURES[case]
    model = ask(tenant, dataset, script_image, script, *options, name=case.replace(" ", "-"))
    found = wait_for(tenant, model, ["failed"])
    assert found["step"] == "train"
    assert all(word in found["reason"] for word in words), found["reason"]
    assert found["trained_model"] is None
    trained = trained_model_id(UUID(model), 1)
    assert list(tenant.storage.list(f"assets/{trained}/files/")) == []
    assert eventually(lambda: "ttlStrategy" in Workflow(tenant, model).spec, seconds=30)


class Workflow:
    """A model's first run, as Argo has it now."""

    def __init__(self, tenant: Tenant, model: str) -> None:
        found = tenant.cluster.get("argoproj.io/v1alpha1", "Workflow", f"train-{model}-1")
        assert found is not None
        self.spec, self.status = found["spec"], found.get("status", {})


def test_an_image_that_nobody_has_ends_in_a_reason(tenant: Tenant, dataset: str) -> None:
    image = f"dev.local/nobody-has-this@sha256:{'0' * 64}"
    model = ask(tenant, dataset, image, name="no-image")
    assert eventually(lambda: "nobody-has-this" in status(tenant, model).get("reason", ""), seconds=60)
    time.sleep(60)
    reconcile(tenant)
    found = wait_for(tenant, model, ["failed"], seconds=60)
    assert "nobody-has-this" in found["reason"]
    assert eventually(lambda: Workflow(tenant, model).spec.get("shutdown") == "Stop", seconds=30)


def test_a_running_training_shows_its_log_and_can_be_stopped(tenant: Tenant, dataset: str, script_image: str) -> None:
    script = "import time\nfor step in range(600): print('step', step); time.sleep(0.2)"
    model = ask(tenant, dataset, script_image, script, name="stopped")
    assert eventually(lambda: "step 3" in status(tenant, model).get("log", ""), seconds=120)
    assert "│ step" in tenant.ok("status", model)
    assert "step 3" in tenant.ok("logs", model)
    tenant.ok("cancel", model)
    assert "cancelled" in wait_for(tenant, model, ["failed"], seconds=120)["reason"]
    assert "step 3" in tenant.ok("logs", model)


def test_a_failed_training_is_tried_again_as_a_new_attempt(tenant: Tenant, dataset: str, script_image: str) -> None:
    model = ask(tenant, dataset, script_image, "import sys; sys.exit('not yet')", name="again")
    assert "not yet" in wait_for(tenant, model, ["failed"])["reason"]
    tenant.ok("retry", model)
    found = wait_for(tenant, model, ["failed"])
    while found["attempt"] == 1:
        found = wait_for(tenant, model, ["failed"])
    assert (found["attempt"], "not yet" in found["reason"]) == (2, True)


def test_a_run_submitted_twice_is_one_workflow(tenant: Tenant, dataset: str, script_image: str) -> None:
    model = ask(tenant, dataset, script_image, name="once")
    wait_for(tenant, model)
    names = [one["metadata"]["name"] for one in tenant.cluster.select("argoproj.io/v1alpha1", "Workflow")]
    assert [name for name in names if model in name] == [f"train-{model}-1"]
