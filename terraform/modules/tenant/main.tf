# One tenant. What is its own is said here; Services, Triggers, Broker, accounts, roles and the policies of trainings are
# applied as knative/rendered has them, so nothing is written twice. No secret goes through Terraform: a script makes
# the bucket's users, and a Job in the namespace the roles' keys.

locals {
  environment = merge(
    var.kubectl.kubeconfig == null ? {} : { KUBECONFIG = pathexpand(var.kubectl.kubeconfig) },
    var.kubectl.context == null ? {} : { KUBE_CONTEXT = var.kubectl.context },
  )
  managed = { "app.kubernetes.io/managed-by" = "terraform" }
  bucket  = coalesce(var.bucket, "${var.name}-models")

  # The users as the object store and as its policies know them.
  users      = { functions = var.name, erase = "${var.name}-erase" }
  principals = var.store.principals == null ? local.users : var.store.principals
}

# What is rendered

locals {
  rendered = "${path.module}/../../../knative/rendered"
  files    = [for file in fileset(local.rendered, "*.yaml") : file if var.gpu || !endswith(file, "-gpu.yaml")]
  texts    = flatten([for file in local.files : split("\n---\n", file("${local.rendered}/${file}"))])
  decoded  = [for text in local.texts : yamldecode(text)]

  documents = { for place, one in local.decoded : "${one.kind}/${one.metadata.name}" => local.texts[place] }
  services  = { for one in local.decoded : "${one.kind}/${one.metadata.name}" => one if one.kind == "Service" }
  image_of  = { for key, one in local.services : key => one.spec.template.spec.containers[0].image }

  image_names   = toset(values(local.image_of))
  service_names = [for one in local.services : one.metadata.name]
  # Functions that talk to the API server, and those that are asked over HTTP: several Services can be one function.
  engine = toset([for one in local.services : one.metadata.labels["app.kubernetes.io/name"] if try(one.spec.template.spec.automountServiceAccountToken, true)])
  routed = toset([for one in local.services : one.metadata.labels["app.kubernetes.io/name"] if try(one.metadata.labels["networking.knative.dev/visibility"], "") == ""])

  manifests = { for key, text in local.documents : key =>
    contains(keys(local.image_of), key) ? replace(text, "image: ${local.image_of[key]}\n", "image: ${lookup(var.images, local.image_of[key], "")}\n") : text
  }

  accounts = { for key, text in local.manifests : key => text if startswith(key, "ServiceAccount/") }
  access   = { for key, text in local.manifests : key => text if contains(["Secret", "Role", "RoleBinding", "NetworkPolicy"], split("/", key)[0]) }
  applied  = { for key, text in local.manifests : key => text if contains(keys(local.services), key) }
  brokers  = { for key, text in local.manifests : key => text if startswith(key, "Broker/") }
  delivery = { for key, text in local.manifests : key => text if !contains(keys(merge(local.accounts, local.access, local.applied, local.brokers)), key) }
}

# The namespace and its bounds

resource "kubectl_manifest" "namespace" {
  yaml_body = yamlencode({
    apiVersion = "v1"
    kind       = "Namespace"
    metadata = {
      name = var.name
      labels = merge(var.labels, local.managed, {
        "polyglot.io/tenant"                 = var.name
        "pod-security.kubernetes.io/enforce" = var.pod_security
        "pod-security.kubernetes.io/warn"    = "restricted"
      })
    }
  })

  # So that `terraform destroy` ends when nothing is left.
  wait = true

  lifecycle {
    precondition {
      condition     = length(local.files) > 0
      error_message = "knative/rendered is not there: take this module by a relative path in a checkout, or from git with the whole repository (git::https://…//terraform/modules/tenant); Terraform copies a module that is named by an absolute path without what is beside it."
    }
  }
}

locals {
  bounds = {
    quota = {
      apiVersion = "v1"
      kind       = "ResourceQuota"
      metadata   = { name = "tenant", labels = local.managed }
      spec = { hard = {
        "requests.cpu"                       = var.quota.cpu
        "requests.memory"                    = var.quota.memory
        "requests.ephemeral-storage"         = var.quota.ephemeral_storage
        "requests.nvidia.com/gpu"            = tostring(var.quota.gpus)
        "limits.cpu"                         = var.quota.cpu_limit
        "limits.memory"                      = var.quota.memory_limit
        "pods"                               = tostring(var.quota.pods)
        "count/services.serving.knative.dev" = tostring(var.quota.services)
        "count/workflows.argoproj.io"        = tostring(var.quota.workflows)
        "secrets"                            = tostring(var.quota.secrets)
        # Nothing of ours needs one, and each is a way in, or a disk that stays.
        "services.loadbalancers" = "0"
        "services.nodeports"     = "0"
        "persistentvolumeclaims" = "0"
      } }
    }
    # No limit of ephemeral storage: it would count the volumes of trainings and translators, whose sizes are bounded.
    limits = {
      apiVersion = "v1"
      kind       = "LimitRange"
      metadata   = { name = "tenant", labels = local.managed }
      spec = { limits = [merge(
        {
          type           = "Container"
          default        = { cpu = var.container.cpu_limit, memory = var.container.memory_limit }
          defaultRequest = { cpu = var.container.cpu_request, memory = var.container.memory_request, "ephemeral-storage" = var.container.ephemeral_storage }
        },
        { for key, most in { max = { for name, value in { cpu = var.container.max_cpu, memory = var.container.max_memory } : name => value if value != null } } : key => most if length(most) > 0 },
      )] }
    }
  }
}

resource "kubectl_manifest" "bounds" {
  for_each = local.bounds

  yaml_body          = yamlencode(each.value)
  override_namespace = var.name

  depends_on = [kubectl_manifest.namespace]
}

# The network: closed, and opened for what each pod needs. What a training's pods reach, knative/rendered says; two
# addresses that no label tells are added here.

locals {
  names       = [{ to = [{ namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = var.network.dns_namespace } } }], ports = [for protocol in ["UDP", "TCP"] : { protocol = protocol, port = 53 }] }]
  broker_pods = { namespace = var.network.eventing_namespace, cidrs = [], ports = [] }
  parts       = { store = var.network.store, rpc = var.network.rpc, api_server = var.network.api_server, oidc = var.network.oidc, telemetry = var.network.telemetry, broker = local.broker_pods }

  # Egress rules for a part: its pods with all their ports, since a Service's port is not the pod's; addresses with ports.
  inside  = { for name, part in local.parts : name => [for namespace in part == null ? [] : compact([part.namespace]) : { to = [{ namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = namespace } } }] }] }
  outside = { for name, part in local.parts : name => [for cidrs in part == null ? [] : [part.cidrs] : { to = [for cidr in cidrs : { ipBlock = { cidr = cidr } }], ports = [for port in part.ports : { protocol = "TCP", port = port }] } if length(cidrs) > 0] }
  to      = { for name in keys(local.parts) : name => concat(local.inside[name], local.outside[name]) }

  # What Knative's own parts ask of a function's pod: requests (also HTTP/2 and TLS), its queue's state, its metrics.
  pod_ports = [8012, 8013, 8112, 8022, 9090]
  knative   = distinct(concat([var.network.serving_namespace, var.network.eventing_namespace], var.network.ingress_namespaces))

  of_functions = { matchExpressions = [{ key = "serving.knative.dev/service", operator = "Exists" }] }
  policies = { for name, spec in {
    "default-deny" = { podSelector = {}, policyTypes = ["Ingress", "Egress"] }
    "functions" = {
      podSelector = local.of_functions
      policyTypes = ["Ingress", "Egress"]
      ingress = [{
        from  = [for namespace in local.knative : { namespaceSelector = { matchLabels = { "kubernetes.io/metadata.name" = namespace } } }]
        ports = [for port in local.pod_ports : { protocol = "TCP", port = port }]
      }]
      egress = concat(local.names, local.to.store, local.to.rpc, local.to.broker, local.to.telemetry)
    }
    "functions-of-the-engine" = {
      podSelector = { matchExpressions = concat(local.of_functions.matchExpressions, [{ key = "app.kubernetes.io/name", operator = "In", values = sort(local.engine) }]) }
      policyTypes = ["Egress"]
      egress      = local.to.api_server
    }
    "functions-with-routes" = {
      podSelector = { matchExpressions = concat(local.of_functions.matchExpressions, [{ key = "app.kubernetes.io/name", operator = "In", values = sort(local.routed) }]) }
      policyTypes = ["Egress"]
      egress      = local.to.oidc
    }
    "keys" = {
      podSelector = { matchLabels = { "batch.kubernetes.io/job-name" = "keys" } }
      policyTypes = ["Egress"]
      egress      = concat(local.names, local.to.api_server)
    }
    "run-outside" = {
      podSelector = { matchExpressions = [{ key = "polyglot.io/run", operator = "In", values = ["trains", "announces"] }] }
      policyTypes = ["Ingress", "Egress"]
      egress      = concat(local.to.api_server, local.outside.store)
    }
  } : name => spec if length(try(spec.egress, ["closed"])) > 0 }
}

resource "kubectl_manifest" "policy" {
  for_each = local.policies

  yaml_body = yamlencode({
    apiVersion = "networking.k8s.io/v1"
    kind       = "NetworkPolicy"
    metadata   = { name = each.key, labels = local.managed }
    spec       = each.value
  })
  override_namespace = var.name

  depends_on = [kubectl_manifest.namespace]
}

# Settings

locals {
  own_settings = {
    POLYGLOT_TENANT             = var.name
    POLYGLOT_BUCKET             = local.bucket
    POLYGLOT_S3_URL             = var.store.url
    POLYGLOT_S3_PUBLIC_URL      = var.store.public_url
    AWS_REGION                  = var.store.region
    POLYGLOT_RPC_URL            = var.rpc_url
    POLYGLOT_CHAIN_ID           = format("%d", var.chain_id)
    POLYGLOT_LEDGER             = var.ledger_address
    POLYGLOT_EVIDENCE_LOG       = var.evidence_log_address
    POLYGLOT_BROKER_URL         = coalesce(var.broker_url, "http://broker-ingress.${var.network.eventing_namespace}.svc.cluster.local/${var.name}/polyglot")
    POLYGLOT_ENGINE             = "argo"
    POLYGLOT_TRAINING_DISK      = format("%d", var.training_disk)
    POLYGLOT_LOG_FORMAT         = var.log_format
    POLYGLOT_OIDC_ISSUER        = try(var.oidc.issuer, null)
    POLYGLOT_OIDC_AUDIENCE      = try(var.oidc.audience, null)
    POLYGLOT_OIDC_SUBJECT_CLAIM = try(var.oidc.subject_claim, null)
    POLYGLOT_OIDC_ROLES_CLAIM   = try(var.oidc.roles_claim, null)
    POLYGLOT_OIDC_ROLE_PREFIX   = try(var.oidc.role_prefix, null)
  }
}

resource "kubectl_manifest" "settings" {
  yaml_body = yamlencode({
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "polyglot", labels = local.managed }
    data       = merge({ for name, value in local.own_settings : name => value if value != null && value != "" }, var.settings)
  })
  override_namespace = var.name

  depends_on = [kubectl_manifest.namespace]
}

# The bucket and who may open it. It belongs to whoever applies this, whose policy its users cannot change.

resource "aws_s3_bucket" "this" {
  bucket              = local.bucket
  force_destroy       = var.force_destroy
  object_lock_enabled = var.object_lock != null
}

resource "aws_s3_bucket_versioning" "this" {
  count = var.versioning ? 1 : 0

  bucket = aws_s3_bucket.this.bucket

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "this" {
  count = var.object_lock == null ? 0 : 1

  bucket = aws_s3_bucket.this.bucket

  rule {
    default_retention {
      mode = var.object_lock.mode
      days = var.object_lock.days
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

resource "terraform_data" "users" {
  # Other users where one of these changes; how to reach cluster and store may change without.
  triggers_replace = { NAMESPACE = var.name, STORE = var.store.kind, STORE_USER = local.users.functions, STORE_USER_ERASE = local.users.erase }
  input            = merge(local.environment, { S3_ADMIN_URL = coalesce(var.store.admin_url, "none"), S3_REGION = var.store.region })

  provisioner "local-exec" {
    command     = "bash '${path.module}/scripts/users.sh' make"
    environment = merge(self.input, self.triggers_replace)
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "bash '${path.module}/scripts/users.sh' remove"
    environment = merge(self.input, self.triggers_replace)
  }

  depends_on = [kubectl_manifest.namespace]
}

resource "aws_s3_bucket_policy" "this" {
  count = var.bucket_policy ? 1 : 0

  bucket = aws_s3_bucket.this.bucket
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "BothOpenTheBucket"
        Effect    = "Allow"
        Principal = { AWS = [local.principals.functions, local.principals.erase] }
        Action    = "s3:*"
        Resource  = ["arn:aws:s3:::${local.bucket}", "arn:aws:s3:::${local.bucket}/*"]
      },
      {
        Sid       = "OnlyEraseDeletesBelowAssets"
        Effect    = "Deny"
        Principal = { AWS = [local.principals.functions] }
        Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        Resource  = "arn:aws:s3:::${local.bucket}/assets/*"
      },
      {
        Sid       = "NeitherChangesTheRules"
        Effect    = "Deny"
        Principal = { AWS = [local.principals.functions, local.principals.erase] }
        Action    = ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketVersioning"]
        Resource  = "arn:aws:s3:::${local.bucket}"
      },
    ]
  })

  # A store refuses a policy that names nobody it knows.
  depends_on = [terraform_data.users]
}

# What is rendered, in the order in which one part needs the other.

resource "kubectl_manifest" "account" {
  for_each = local.accounts

  yaml_body          = each.value
  override_namespace = var.name

  depends_on = [kubectl_manifest.namespace]
}

resource "kubectl_manifest" "access" {
  for_each = local.access

  yaml_body          = each.value
  override_namespace = var.name

  # A token's Secret is removed at once where its account is missing.
  depends_on = [kubectl_manifest.account]
}

resource "kubectl_manifest" "keys" {
  yaml_body = yamlencode({
    apiVersion = "batch/v1"
    kind       = "Job"
    metadata   = { name = "keys", labels = local.managed }
    spec = {
      backoffLimit = 5
      template = {
        metadata = { labels = local.managed }
        spec = {
          serviceAccountName           = "keys"
          automountServiceAccountToken = true
          enableServiceLinks           = false
          restartPolicy                = "Never"
          securityContext              = { runAsNonRoot = true, seccompProfile = { type = "RuntimeDefault" } }
          containers = [{
            name    = "keys"
            image   = lookup(var.images, "polyglot-argo", "")
            command = ["python", "-I", "-m", "functions", "key", "create", "all", "--secret", var.name]
            resources = {
              requests = { cpu = "50m", memory = "256Mi" }
              limits   = { cpu = "1", memory = "256Mi" }
            }
            securityContext = {
              allowPrivilegeEscalation = false
              readOnlyRootFilesystem   = true
              capabilities             = { drop = ["ALL"] }
            }
            volumeMounts = [{ name = "scratch", mountPath = "/tmp" }]
          }]
          # In memory: the keys' files are there for a moment.
          volumes = [{ name = "scratch", emptyDir = { medium = "Memory", sizeLimit = "16Mi" } }]
        }
      }
    }
  })
  override_namespace = var.name

  # A Job cannot be changed. Run again, it leaves the keys that are there.
  force_new = true
  wait      = true

  depends_on = [kubectl_manifest.access, kubectl_manifest.bounds, kubectl_manifest.policy]
}

resource "terraform_data" "keys" {
  triggers_replace = sha256(kubectl_manifest.keys.yaml_body)

  provisioner "local-exec" {
    command     = "bash '${path.module}/scripts/wait-for-job.sh'"
    environment = merge(local.environment, { NAMESPACE = var.name, JOB = "keys", SECONDS_AT_MOST = var.ready_timeout })
  }
}

resource "kubectl_manifest" "service" {
  for_each = local.applied

  yaml_body          = each.value
  override_namespace = var.name

  depends_on = [kubectl_manifest.settings, terraform_data.users, aws_s3_bucket_policy.this, terraform_data.keys]
}

resource "kubectl_manifest" "broker" {
  for_each = local.brokers

  yaml_body          = each.value
  override_namespace = var.name

  depends_on = [kubectl_manifest.bounds]
}

resource "kubectl_manifest" "delivery" {
  for_each = local.delivery

  yaml_body          = each.value
  override_namespace = var.name

  depends_on = [kubectl_manifest.service, kubectl_manifest.broker]
}

resource "terraform_data" "ready" {
  triggers_replace = { manifests = sha256(jsonencode(local.manifests)), url = local.url }

  provisioner "local-exec" {
    command     = "bash '${path.module}/scripts/wait-until-ready.sh'"
    environment = merge(local.environment, { NAMESPACE = var.name, EXPECTED_URL = local.url, ROUTED = try(sort(local.routed)[0], ""), SECONDS_AT_MOST = var.ready_timeout })
  }

  depends_on = [kubectl_manifest.service, kubectl_manifest.broker, kubectl_manifest.delivery]
}
