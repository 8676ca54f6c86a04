# What is planned for a tenant. Nothing is reached: both providers are mocked, and scripts run on apply only.

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

run "every_rendered_document_is_planned_once" {
  command = plan

  variables {
    gpu   = true
    quota = { gpus = 1 }
  }

  assert {
    condition     = length(local.texts) == length(kubectl_manifest.account) + length(kubectl_manifest.access) + length(kubectl_manifest.service) + length(kubectl_manifest.broker) + length(kubectl_manifest.delivery)
    error_message = "Some document of knative/rendered is planned never, or twice."
  }
  assert {
    condition     = toset(keys(local.documents)) == toset(concat(keys(kubectl_manifest.account), keys(kubectl_manifest.access), keys(kubectl_manifest.service), keys(kubectl_manifest.broker), keys(kubectl_manifest.delivery)))
    error_message = "Documents of knative/rendered and planned ones differ."
  }
  assert {
    condition = alltrue([for key, text in local.documents :
      text == merge(kubectl_manifest.account, kubectl_manifest.access, kubectl_manifest.broker, kubectl_manifest.delivery)[key].yaml_body if !contains(keys(local.image_of), key)
    ])
    error_message = "A document without an image is not applied as it is."
  }
  assert {
    condition = alltrue([for key, text in local.documents :
      kubectl_manifest.service[key].yaml_body == replace(text, "image: ${local.image_of[key]}\n", "image: ${var.images[local.image_of[key]]}\n") if contains(keys(local.image_of), key)
    ])
    error_message = "A Service is not applied as it is with its image's reference."
  }
  assert {
    condition     = !anytrue([for one in kubectl_manifest.service : can(regex("image: polyglot-", one.yaml_body))])
    error_message = "A Service keeps the image's rendered name."
  }
  assert {
    condition     = alltrue([for one in concat(values(kubectl_manifest.account), values(kubectl_manifest.access), values(kubectl_manifest.service), values(kubectl_manifest.broker), values(kubectl_manifest.delivery)) : one.override_namespace == "acme"])
    error_message = "Something is applied to another namespace."
  }
}

run "without_gpu_nothing_waits_for_a_gpu_node" {
  command = plan

  assert {
    condition     = !anytrue([for one in concat(values(kubectl_manifest.service), values(kubectl_manifest.delivery)) : can(regex("gpu", one.yaml_body))])
    error_message = "A part for GPU nodes is planned."
  }
  assert {
    condition     = yamldecode(kubectl_manifest.bounds["quota"].yaml_body).spec.hard["requests.nvidia.com/gpu"] == "0"
    error_message = "The quota gives a GPU."
  }
}

run "accounts_and_keys_come_before_services_and_the_broker_before_triggers" {
  command = plan

  assert {
    condition     = toset([for key in keys(kubectl_manifest.access) : split("/", key)[0]]) == toset(["Secret", "Role", "RoleBinding", "NetworkPolicy"])
    error_message = "What comes first is not what is expected."
  }
  assert {
    condition     = toset([for key in keys(kubectl_manifest.delivery) : split("/", key)[0]]) == toset(["Trigger", "PingSource"])
    error_message = "What comes last is not what is expected."
  }
  assert {
    condition     = length(kubectl_manifest.broker) == 1
    error_message = "There is one Broker."
  }
}

run "the_namespace_is_bounded" {
  command = plan

  variables {
    quota     = { cpu = "8", memory = "32Gi", pods = 50, workflows = 7 }
    container = { max_memory = "8Gi" }
    labels    = { team = "research" }
  }

  assert {
    condition     = yamldecode(kubectl_manifest.namespace.yaml_body).metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"
    error_message = "The namespace does not enforce the restricted standard."
  }
  assert {
    condition     = yamldecode(kubectl_manifest.namespace.yaml_body).metadata.labels["team"] == "research"
    error_message = "The namespace lacks a label."
  }
  assert {
    condition = yamldecode(kubectl_manifest.bounds["quota"].yaml_body).spec.hard == {
      "requests.cpu"                       = "8"
      "requests.memory"                    = "32Gi"
      "requests.ephemeral-storage"         = "64Gi"
      "requests.nvidia.com/gpu"            = "0"
      "limits.cpu"                         = "96"
      "limits.memory"                      = "64Gi"
      "pods"                               = "50"
      "count/services.serving.knative.dev" = "40"
      "count/workflows.argoproj.io"        = "7"
      "secrets"                            = "20"
      "services.loadbalancers"             = "0"
      "services.nodeports"                 = "0"
      "persistentvolumeclaims"             = "0"
    }
    error_message = "The quota is another."
  }
  assert {
    condition = yamldecode(kubectl_manifest.bounds["limits"].yaml_body).spec.limits == [{
      type           = "Container"
      default        = { cpu = "1", memory = "256Mi" }
      defaultRequest = { cpu = "25m", memory = "64Mi", "ephemeral-storage" = "64Mi" }
      max            = { memory = "8Gi" }
    }]
    error_message = "The defaults of containers are others."
  }
}

run "no_secret_is_planned" {
  command = plan

  assert {
    condition = !anytrue([for one in concat([kubectl_manifest.namespace, kubectl_manifest.settings, kubectl_manifest.keys], values(kubectl_manifest.bounds), values(kubectl_manifest.policy), values(kubectl_manifest.account), values(kubectl_manifest.access), values(kubectl_manifest.service), values(kubectl_manifest.broker), values(kubectl_manifest.delivery)) :
      can(regex("(?m)^(data|stringData):", one.yaml_body)) && yamldecode(one.yaml_body).kind == "Secret"
    ])
    error_message = "A Secret is planned with what it holds."
  }
  assert {
    condition = !anytrue([for one in concat([kubectl_manifest.namespace, kubectl_manifest.settings, kubectl_manifest.keys], values(kubectl_manifest.bounds), values(kubectl_manifest.policy), values(kubectl_manifest.account), values(kubectl_manifest.access), values(kubectl_manifest.service)) :
      can(regex("AWS_(SECRET_)?ACCESS_KEY|PRIVATE KEY|(?i:password)|\\b[0-9a-f]{64}\\b", replace(one.yaml_body, "/@sha256:[0-9a-f]{64}/", "")))
    ])
    error_message = "Something that looks like a secret is planned."
  }
  assert {
    condition     = !can(regex("SECRET|ACCESS_KEY", join(" ", concat(keys(terraform_data.users.input), keys(terraform_data.users.triggers_replace)))))
    error_message = "The script's secrets are in what Terraform keeps."
  }
}

run "only_erase_deletes_below_assets_and_nobody_changes_the_rules" {
  command = plan

  assert {
    condition = jsondecode(aws_s3_bucket_policy.this[0].policy).Statement == [
      {
        Sid      = "BothOpenTheBucket", Effect = "Allow", Principal = { AWS = ["acme", "acme-erase"] }, Action = "s3:*"
        Resource = ["arn:aws:s3:::acme-models", "arn:aws:s3:::acme-models/*"]
      },
      {
        Sid    = "OnlyEraseDeletesBelowAssets", Effect = "Deny", Principal = { AWS = ["acme"] }
        Action = ["s3:DeleteObject", "s3:DeleteObjectVersion"], Resource = "arn:aws:s3:::acme-models/assets/*"
      },
      {
        Sid    = "NeitherChangesTheRules", Effect = "Deny", Principal = { AWS = ["acme", "acme-erase"] }
        Action = ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketVersioning"], Resource = "arn:aws:s3:::acme-models"
      },
    ]
    error_message = "The bucket's policy is another."
  }
  assert {
    condition     = aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled" && length(aws_s3_bucket_object_lock_configuration.this) == 0
    error_message = "The bucket is versioned, and not locked."
  }
  assert {
    condition     = aws_s3_bucket.this.force_destroy == false
    error_message = "A bucket with something in it would be destroyed."
  }
}

run "a_store_without_policies_and_versions_gets_none_and_one_with_locks_gets_one" {
  command = plan

  variables {
    bucket        = "of-acme"
    bucket_policy = false
    object_lock   = { mode = "GOVERNANCE", days = 30 }
  }

  assert {
    condition     = length(aws_s3_bucket_policy.this) == 0
    error_message = "There is a policy."
  }
  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && one(aws_s3_bucket_object_lock_configuration.this).rule[0].default_retention[0].days == 30
    error_message = "The bucket is not locked."
  }
  assert {
    condition     = yamldecode(kubectl_manifest.settings.yaml_body).data.POLYGLOT_BUCKET == "of-acme"
    error_message = "Functions look for another bucket."
  }
}

run "users_of_aws_are_named_by_their_arns" {
  command = plan

  variables {
    store = {
      kind       = "existing"
      principals = { functions = "arn:aws:iam::111122223333:user/acme", erase = "arn:aws:iam::111122223333:user/acme-erase" }
    }
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.this[0].policy).Statement[1].Principal.AWS == ["arn:aws:iam::111122223333:user/acme"]
    error_message = "The policy names somebody else."
  }
  assert {
    condition     = !contains(keys(yamldecode(kubectl_manifest.settings.yaml_body).data), "POLYGLOT_S3_URL")
    error_message = "AWS has no address of its own."
  }
}

run "settings_are_complete_and_those_of_oidc_are_there_where_an_issuer_is" {
  command = plan

  variables {
    oidc     = { issuer = "https://id.example.org", audience = "polyglot", roles_claim = "realm_access.roles", role_prefix = "polyglot-" }
    settings = { POLYGLOT_LOG_LEVEL = "DEBUG" }
    network = {
      ingress_namespaces = ["ingress"]
      store              = { namespace = "storage" }
      rpc                = { cidrs = ["198.51.100.0/24"], ports = [8545] }
      api_server         = { cidrs = ["192.0.2.1/32"] }
      oidc               = { cidrs = ["203.0.113.7/32"] }
    }
  }

  assert {
    condition = yamldecode(kubectl_manifest.settings.yaml_body).data == {
      POLYGLOT_TENANT             = "acme"
      POLYGLOT_BUCKET             = "acme-models"
      POLYGLOT_S3_URL             = "http://s3.storage.svc.cluster.local"
      POLYGLOT_S3_PUBLIC_URL      = "https://s3.example.org"
      AWS_REGION                  = "us-east-1"
      POLYGLOT_RPC_URL            = "http://evm.ledger.svc.cluster.local:8545"
      POLYGLOT_CHAIN_ID           = "1337"
      POLYGLOT_LEDGER             = "0x1111111111111111111111111111111111111111"
      POLYGLOT_EVIDENCE_LOG       = "0x2222222222222222222222222222222222222222"
      POLYGLOT_BROKER_URL         = "http://broker-ingress.knative-eventing.svc.cluster.local/acme/polyglot"
      POLYGLOT_ENGINE             = "argo"
      POLYGLOT_TRAINING_DISK      = "10737418240"
      POLYGLOT_LOG_FORMAT         = "json"
      POLYGLOT_LOG_LEVEL          = "DEBUG"
      POLYGLOT_OIDC_ISSUER        = "https://id.example.org"
      POLYGLOT_OIDC_AUDIENCE      = "polyglot"
      POLYGLOT_OIDC_SUBJECT_CLAIM = "sub"
      POLYGLOT_OIDC_ROLES_CLAIM   = "realm_access.roles"
      POLYGLOT_OIDC_ROLE_PREFIX   = "polyglot-"
    }
    error_message = "The settings are others."
  }
  assert {
    condition     = yamldecode(kubectl_manifest.policy["functions-with-routes"].yaml_body).spec.egress == [{ to = [{ ipBlock = { cidr = "203.0.113.7/32" } }], ports = [{ protocol = "TCP", port = 443 }] }]
    error_message = "Functions with routes do not reach the issuer."
  }
}

run "everything_is_closed_and_opened_for_what_is_needed" {
  command = plan

  assert {
    condition     = yamldecode(kubectl_manifest.policy["default-deny"].yaml_body).spec == { podSelector = {}, policyTypes = ["Ingress", "Egress"] }
    error_message = "Not everything is closed."
  }
  assert {
    condition = yamldecode(kubectl_manifest.policy["functions"].yaml_body).spec.ingress == [{
      from  = [for namespace in ["knative-serving", "knative-eventing", "ingress"] : { namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = namespace } } }]
      ports = [for port in [8012, 8013, 8112, 8022, 9090] : { protocol = "TCP", port = port }]
    }]
    error_message = "Somebody else reaches functions, or Knative does not."
  }
  assert {
    condition     = yamldecode(kubectl_manifest.policy["functions-of-the-engine"].yaml_body).spec.podSelector.matchExpressions[1].values == ["collect", "retrieve", "train"]
    error_message = "Other functions reach the API server."
  }
  assert {
    condition     = yamldecode(kubectl_manifest.policy["run-outside"].yaml_body).spec.egress == [{ to = [{ ipBlock = { cidr = "192.0.2.1/32" } }], ports = [for port in [443, 6443] : { protocol = "TCP", port = port }] }]
    error_message = "A training reaches something else outside."
  }
  assert {
    condition     = toset(keys(kubectl_manifest.policy)) == toset(["default-deny", "functions", "functions-of-the-engine", "keys", "run-outside"])
    error_message = "There is another policy, of an issuer that is not given for example."
  }
}

run "outputs_say_what_is_done_next" {
  command = plan

  variables {
    scheme = "https"
  }

  assert {
    condition     = output.url == "https://{function}.acme.example.org"
    error_message = "The address is another."
  }
  assert {
    condition     = output.appoint_command == "polyglot ledger appoint all --namespace acme --keys DIR" && output.first_token_command == "polyglot token create --namespace acme --role operator --subject you@example.org"
    error_message = "The commands are others."
  }
}
