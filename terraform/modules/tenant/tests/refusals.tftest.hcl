# What is refused before anything is planned: each validated variable with values that are wrong, and nothing else.

mock_provider "kubectl" {}
mock_provider "aws" {}

variables {
  name                 = "acme"
  domain               = "example.org"
  ledger_address       = "0x1111111111111111111111111111111111111111"
  evidence_log_address = "0x2222222222222222222222222222222222222222"
  chain_id             = 1337
  rpc_url              = "http://evm.ledger.svc.cluster.local:8545"

  images = { for image in ["plain", "ledger", "argo", "torch", "torch-gpu", "tensorflow", "keras", "jax", "sklearn", "xgboost", "lightgbm", "onnx"] :
    "polyglot-${image}" => "registry.example.org/polyglot-${image}@sha256:${sha256(image)}"
  }
  store = {
    url        = "http://s3.storage.svc.cluster.local"
    public_url = "https://s3.example.org"
    admin_url  = "https://s3.example.org"
  }
  network = {
    ingress_namespaces = ["ingress"]
    store              = { namespace = "storage" }
    rpc                = { namespace = "ledger" }
    api_server         = { cidrs = ["192.0.2.1/32"] }
  }
}

run "values_that_are_wrong_in_themselves_are_refused" {
  command = plan

  variables {
    # a name with a capital letter
    name = "Acme"
    # a label of pod security
    labels = { "pod-security.kubernetes.io/enforce" = "privileged" }
    # privileged pods
    pod_security = "privileged"
    # images that are missing
    images = { polyglot-plain = "registry.example.org/polyglot-plain:1" }
    # another log format
    log_format = "xml"
    # half a byte
    training_disk = 0.5
    # a short address
    ledger_address = "0x11"
    # chain zero
    chain_id = 0
    # a node with a password
    rpc_url = "http://me:secret@evm:8545"
    # another store
    store = { kind = "minio", admin_url = "https://s3.example.org" }
    # a bucket with an underscore
    bucket = "acme_models"
    # a lock of no kind
    object_lock = { mode = "FOREVER", days = 1 }
    # a domain with a scheme
    domain = "http://example.org"
    # another scheme
    scheme = "ftp"
    # an issuer without audience
    oidc    = { issuer = "https://id.example.org", audience = "" }
    network = { ingress_namespaces = ["ingress"], store = { namespace = "storage" }, rpc = { namespace = "ledger" }, api_server = { cidrs = ["192.0.2.1/32"] }, oidc = { cidrs = ["192.0.2.7/32"] } }
    # a quota in words
    quota = { memory = "much" }
    # a container in words
    container = { max_cpu = "all" }
    # a kubeconfig that is not there
    kubectl = { kubeconfig = "/nowhere/config" }
    # no time to get ready
    ready_timeout = 1
  }

  expect_failures = [var.name, var.labels, var.pod_security, var.images, var.log_format, var.training_disk, var.ledger_address, var.chain_id, var.rpc_url, var.store, var.bucket, var.object_lock, var.domain, var.scheme, var.oidc, var.quota, var.container, var.kubectl, var.ready_timeout]
}

run "names_of_others_and_what_could_not_work_are_refused" {
  command = plan

  variables {
    # a name that is the cluster's
    name = "knative-serving"
    # an image without a version
    images = merge({ for image in ["ledger", "argo", "torch", "tensorflow", "keras", "jax", "sklearn", "xgboost", "lightgbm", "onnx"] : "polyglot-${image}" => "registry.example.org/polyglot-${image}:1" }, { polyglot-plain = "registry.example.org/polyglot-plain" })
    # the address of nobody
    ledger_address = "0x0000000000000000000000000000000000000000"
    # users made nowhere
    store = { kind = "versitygw" }
    # a lock without versions
    object_lock = { mode = "GOVERNANCE", days = 1 }
    versioning  = false
    # half a pod
    quota = { pods = 0.5 }
    # no way in
    network = { ingress_namespaces = [], store = { namespace = "storage" }, rpc = { namespace = "ledger" }, api_server = { cidrs = ["192.0.2.1/32"] } }
  }

  expect_failures = [var.name, var.images, var.ledger_address, var.store, var.object_lock, var.quota, var.network]
}

run "a_setting_that_has_a_variable_is_refused" {
  command = plan

  variables {
    # a setting with a variable of its own
    settings = { POLYGLOT_BUCKET = "other" }
  }

  expect_failures = [var.settings]
}

run "a_secret_among_settings_is_refused" {
  command = plan

  variables {
    # a secret among settings
    settings = { AWS_SECRET_ACCESS_KEY = "x" }
  }

  expect_failures = [var.settings]
}

run "an_address_that_is_none_the_broker_of_another_and_an_issuer_in_the_open_are_refused" {
  command = plan

  variables {
    # a log without address
    evidence_log_address = "2222"
    # the broker of another tenant
    broker_url = "http://broker-ingress.knative-eventing/globex/polyglot"
    # an issuer whose keys anybody on the way could replace
    oidc    = { issuer = "http://id.example.org", audience = "polyglot" }
    network = { ingress_namespaces = ["ingress"], store = { namespace = "storage" }, rpc = { namespace = "ledger" }, api_server = { cidrs = ["192.0.2.1/32"] }, oidc = { cidrs = ["192.0.2.7/32"] } }
  }

  expect_failures = [var.evidence_log_address, var.broker_url, var.oidc]
}

run "one_address_for_two_contracts_is_refused" {
  command = plan

  variables {
    # one address for two
    evidence_log_address = "0x1111111111111111111111111111111111111111"
  }

  expect_failures = [var.evidence_log_address]
}

run "a_store_that_is_nowhere_and_too_small_a_quota_are_refused" {
  command = plan

  variables {
    # a store without scheme
    store = { kind = "existing", url = "s3.example.org" }
    # fewer services than there are
    quota = { services = 5 }
    # a store that is nowhere
    network = { ingress_namespaces = ["ingress"], store = {}, rpc = { namespace = "ledger" }, api_server = { cidrs = ["192.0.2.1/32"] } }
  }

  expect_failures = [var.store, var.quota, var.network]
}

run "gpus_without_a_quota_and_addresses_without_a_prefix_are_refused" {
  command = plan

  variables {
    # a GPU that the quota does not give
    gpu = true
    # an address without prefix
    network = { ingress_namespaces = ["ingress"], store = { namespace = "storage" }, rpc = { namespace = "ledger" }, api_server = { cidrs = ["192.0.2.1"] } }
  }

  expect_failures = [var.quota, var.network]
}

run "an_issuer_that_nobody_reaches_is_refused" {
  command = plan

  variables {
    # an issuer that nobody reaches
    oidc = { issuer = "https://id.example.org", audience = "polyglot" }
  }

  expect_failures = [var.network]
}
