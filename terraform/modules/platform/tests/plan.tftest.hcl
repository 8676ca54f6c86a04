# What is set, what is left alone, and what is refused. Nothing is reached: scripts run on apply only.

run "what_functions_need_is_set_and_nothing_else" {
  command = plan

  variables {
    storage_namespace = "storage"
  }

  assert {
    condition = jsonencode({ for key, one in terraform_data.config_map : key => one.triggers_replace.data if key != "argo" }) == jsonencode({
      features   = { "kubernetes.podspec-nodeselector" = "enabled", "kubernetes.podspec-tolerations" = "enabled" }
      autoscaler = { allow-zero-initial-scale = "true" }
      deployment = {
        queue-sidecar-cpu-request    = "25m", queue-sidecar-cpu-limit = "1"
        queue-sidecar-memory-request = "64Mi", queue-sidecar-memory-limit = "256Mi"
      }
    })
    error_message = "Other keys of Knative are set."
  }
  assert {
    condition     = length(terraform_data.storage_namespace) == 1
    error_message = "The object store's namespace is not labelled."
  }
  assert {
    condition     = output.gpu
    error_message = "Functions for GPU nodes cannot be deployed."
  }
}

run "the_pods_and_logs_of_trainings_outlive_argos_defaults" {
  command = plan

  assert {
    condition = yamldecode(terraform_data.config_map["argo"].triggers_replace.data.workflowDefaults) == {
      spec = {
        podGC = {
          strategy            = "OnWorkflowCompletion"
          deleteDelayDuration = "24h"
          labelSelector       = { matchExpressions = [{ key = "polyglot.io/run", operator = "DoesNotExist" }] }
        }
      }
    }
    error_message = "Pods of trainings are deleted, Workflows have a time to live, or those of others may not run as root."
  }
}

run "each_part_can_be_left_alone" {
  command = plan

  variables {
    feature_flags      = {}
    zero_initial_scale = false
    queue_proxy        = null
    argo               = null
  }

  assert {
    condition     = length(terraform_data.config_map) == 0 && length(terraform_data.storage_namespace) == 0
    error_message = "Something is set all the same."
  }
}

run "a_flag_that_is_off_says_that_gpus_are" {
  command = plan

  variables {
    feature_flags = { "kubernetes.podspec-nodeselector" = "disabled" }
  }

  assert {
    condition     = !output.gpu
    error_message = "Functions for GPU nodes could be deployed."
  }
}

run "workflows_of_all_can_be_kept_from_running_as_root" {
  command = plan

  variables {
    argo = { non_root = true, pod_gc_delay = "1h30m" }
  }

  assert {
    condition     = yamldecode(terraform_data.config_map["argo"].triggers_replace.data.workflowDefaults).spec.securityContext.runAsNonRoot
    error_message = "They run as root."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    kubectl           = { kubeconfig = "/nowhere/config" }
    serving_namespace = "Knative Serving"
    feature_flags     = { "kubernetes.podspec-nodeselector" = "yes" }
    queue_proxy       = { memory_limit = "much" }
    argo              = { pod_gc_delay = "a day" }
    storage_namespace = "Storage"
    required_kinds    = { Workflow = "Argo Workflows" }
  }

  expect_failures = [
    var.kubectl, var.serving_namespace, var.feature_flags, var.queue_proxy, var.argo, var.storage_namespace, var.required_kinds,
  ]
}
