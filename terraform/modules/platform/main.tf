# What all tenants of a cluster need of it, set once. Each key is added to what is there by server-side apply, by a
# field manager of its own and without force: another manager's different value is an error that names both, other keys
# stay, and nothing is taken back by `terraform destroy`.
#
# Why scripts and not kubectl_manifest: it applies as the field manager "kubectl", as whoever installed Knative did, and
# server-side apply then removes the keys of that manager that are not sent again, all the others.

locals {
  environment = merge(
    var.kubectl.kubeconfig == null ? {} : { KUBECONFIG = pathexpand(var.kubectl.kubeconfig) },
    var.kubectl.context == null ? {} : { KUBE_CONTEXT = var.kubectl.context },
  )

  queue_proxy = var.queue_proxy == null ? {} : {
    for name, value in var.queue_proxy : "queue-sidecar-${replace(name, "_", "-")}" => value
  }

  # Null where there is nothing to say.
  workflow_defaults = {
    podGC = {
      strategy            = "OnWorkflowCompletion"
      deleteDelayDuration = try(var.argo.pod_gc_delay, "")
      labelSelector       = { matchExpressions = [{ key = "polyglot.io/run", operator = "DoesNotExist" }] }
    }
    securityContext = try(var.argo.non_root, false) ? { runAsNonRoot = true, seccompProfile = { type = "RuntimeDefault" } } : null
  }
  workflow_spec = { for name, value in local.workflow_defaults : name => value if value != null }

  config_maps = { for key, one in {
    features   = { namespace = var.serving_namespace, name = "config-features", data = var.feature_flags }
    autoscaler = { namespace = var.serving_namespace, name = "config-autoscaler", data = var.zero_initial_scale ? { allow-zero-initial-scale = "true" } : {} }
    deployment = { namespace = var.serving_namespace, name = "config-deployment", data = local.queue_proxy }
    argo = {
      namespace = try(var.argo.namespace, "")
      name      = try(var.argo.config_map, "")
      data      = var.argo == null ? {} : { workflowDefaults = yamlencode({ spec = local.workflow_spec }) }
    }
  } : key => one if length(one.data) > 0 }
}

# What is installed, in a version whose kinds are known.
resource "terraform_data" "requirements" {
  triggers_replace = var.required_kinds

  provisioner "local-exec" {
    command     = "bash '${path.module}/scripts/require-kinds.sh'"
    environment = merge(local.environment, { KINDS = join("\n", [for name, part in var.required_kinds : "${name} ${part}"]) })
  }
}

resource "terraform_data" "config_map" {
  for_each = local.config_maps

  triggers_replace = each.value

  provisioner "local-exec" {
    command = "bash '${path.module}/scripts/apply-config-map.sh'"
    environment = merge(local.environment, {
      NAMESPACE = each.value.namespace
      NAME      = each.value.name
      MANIFEST = jsonencode({
        apiVersion = "v1"
        kind       = "ConfigMap"
        metadata   = { name = each.value.name, namespace = each.value.namespace }
        data       = each.value.data
      })
    })
  }

  depends_on = [terraform_data.requirements]
}

resource "terraform_data" "storage_namespace" {
  count = var.storage_namespace == null ? 0 : 1

  triggers_replace = var.storage_namespace

  provisioner "local-exec" {
    command     = "bash '${path.module}/scripts/label-namespace.sh'"
    environment = merge(local.environment, { NAMESPACE = var.storage_namespace, LABEL = "polyglot.io/storage=true" })
  }
}
