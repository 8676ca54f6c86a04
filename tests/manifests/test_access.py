from functions._domain import cluster
from functions._domain.ports import ROLES
from functions._runtime.manifests import tenant
from functions.declaration import FUNCTIONS
from tests.manifests.objects import of_kind, pod, services

CHANGING = {"create", "update", "patch", "delete", "deletecollection", "*"}


def _rights(account: str) -> set[tuple[str, str]]:
    """What an account may do, as (resource, verb)."""
    roles = of_kind("Role")
    return {
        (resource, verb)
        for binding in of_kind("RoleBinding").values()
        if {"kind": "ServiceAccount", "name": account} in binding["subjects"]
        for rule in roles[binding["roleRef"]["name"]]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_each_function_runs_as_an_account_of_its_own() -> None:
    for function, _, service in services():
        assert pod(service)["serviceAccountName"] == function.name
        assert function.name in of_kind("ServiceAccount")


def test_only_train_and_collect_may_change_workflows() -> None:
    may = {
        name
        for name in of_kind("ServiceAccount")
        if any(resource == "workflows" and verb in CHANGING for resource, verb in _rights(name))
    }
    assert may == {"train", "collect"}


def test_retrieve_may_read_runs_and_their_logs_and_nothing_else() -> None:
    assert _rights("retrieve") == {("workflows", "get"), ("pods", "get"), ("pods", "list"), ("pods/log", "get")}


def test_everybody_else_has_no_rights_and_no_token() -> None:
    talking = {function.name for function in FUNCTIONS if function.engine}
    assert talking == {"train", "collect", "retrieve"}
    for name, account in of_kind("ServiceAccount").items():
        assert account["automountServiceAccountToken"] == (name in talking)
        assert bool(_rights(name)) == (name in {*talking, cluster.RUN_EXECUTOR, cluster.KEYS_ACCOUNT})
    for function, _, service in services():
        # Knative takes no other value than False.
        assert pod(service).get("automountServiceAccountToken", "unset") == ("unset" if function.engine else False)


def test_no_role_names_a_wildcard_or_a_secret_but_the_one_that_makes_keys() -> None:
    for name, role in of_kind("Role").items():
        for rule in role["rules"]:
            named = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert "*" not in named
            assert "secrets" not in named or name == "make-keys"


def test_who_makes_keys_makes_secrets_and_reads_no_other_than_those() -> None:
    rules = {(*rule["resources"], *rule["verbs"]): rule for rule in of_kind("Role")["make-keys"]["rules"]}
    assert set(rules) == {
        ("secrets", "create"), ("secrets", "get"), ("configmaps", "create"), ("configmaps", "get", "patch")
    }  # fmt: skip
    assert rules["secrets", "get"]["resourceNames"] == [cluster.key_secret(role) for role in ROLES]
    assert rules["configmaps", "get", "patch"]["resourceNames"] == [cluster.PUBLIC_KEYS]
    assert [one["name"] for one in of_kind("RoleBinding")["make-keys"]["subjects"]] == [cluster.KEYS_ACCOUNT]


def test_every_binding_is_of_a_rendered_role_to_rendered_accounts() -> None:
    for binding in of_kind("RoleBinding").values():
        assert binding["roleRef"]["name"] in of_kind("Role")
        assert all(subject["name"] in of_kind("ServiceAccount") for subject in binding["subjects"])


def test_the_executor_only_reports() -> None:
    assert _rights(cluster.RUN_EXECUTOR) == {("workflowtaskresults", "create"), ("workflowtaskresults", "patch")}
    assert _rights(cluster.RUN_ACCOUNT) == set()
    token = of_kind("Secret")[f"{cluster.RUN_EXECUTOR}.service-account-token"]
    assert token["metadata"]["annotations"] == {"kubernetes.io/service-account.name": cluster.RUN_EXECUTOR}
    assert not {"data", "stringData"} & set(token)


def test_nothing_reaches_a_runs_pods_and_they_reach_names_and_one_thing() -> None:
    policies = of_kind("NetworkPolicy")
    selected = set()
    for policy in policies.values():
        spec = policy["spec"]
        (expression,) = spec["podSelector"]["matchExpressions"]
        assert expression["key"] == cluster.RUN_LABEL
        selected |= set(expression["values"])
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in spec
        names, other = spec["egress"]
        assert {one["port"] for one in names["ports"]} == {53}
        assert all("namespaceSelector" in one for one in other["to"])
    assert selected == {cluster.RUN_TRAINS, cluster.RUN_ANNOUNCES}


def test_the_training_pod_cannot_reach_the_broker() -> None:
    text = str(of_kind("NetworkPolicy")["run-trains"])
    assert cluster.STORAGE_LABEL in text
    assert "knative" not in text


def test_addresses_outside_are_a_tenants_own_policy() -> None:
    policy = tenant.outside(["203.0.113.7/32"], [443])
    assert policy["metadata"] == {"name": "run-outside"}
    assert policy["spec"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
