variable "kubectl" {
  description = "How kubectl, which the scripts call, reaches the cluster: a kubeconfig and one of its contexts. What is not set is kubectl's own default (KUBECONFIG, the current context)."
  type = object({
    kubeconfig = optional(string)
    context    = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.kubectl.kubeconfig == null || try(fileexists(pathexpand(var.kubectl.kubeconfig)), false)
    error_message = "kubectl.kubeconfig is no file: give the path of a kubeconfig, or leave it out to use KUBECONFIG."
  }
}

variable "serving_namespace" {
  description = "The namespace of Knative Serving."
  type        = string
  default     = "knative-serving"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.serving_namespace))
    error_message = "serving_namespace is no namespace's name: lower-case letters, digits and dashes."
  }
}

variable "feature_flags" {
  description = "Knative's feature flags that functions on GPU nodes need (config-features). Empty where there are none."
  type        = map(string)
  default = {
    "kubernetes.podspec-nodeselector" = "enabled"
    "kubernetes.podspec-tolerations"  = "enabled"
  }
  nullable = false

  validation {
    condition     = alltrue([for value in values(var.feature_flags) : contains(["enabled", "allowed", "disabled"], value)])
    error_message = "feature_flags: each is enabled, allowed or disabled."
  }
}

variable "zero_initial_scale" {
  description = "Let Services begin at zero pods (config-autoscaler), without which those of translators are refused. Leave it off only where the cluster allows it already."
  type        = bool
  default     = true
  nullable    = false
}

variable "queue_proxy" {
  description = "What Knative's queue-proxy reserves and may use in each pod of the cluster (config-deployment). Running pods are replaced, one after the other, when it changes. Null leaves it alone; tenants' LimitRanges then give defaults to their own pods."
  type = object({
    cpu_request    = optional(string, "25m")
    cpu_limit      = optional(string, "1")
    memory_request = optional(string, "64Mi")
    memory_limit   = optional(string, "256Mi")
  })
  default = {}

  validation {
    condition = var.queue_proxy == null ? true : alltrue([
      for value in values(var.queue_proxy) : can(regex("^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|k|M|G)?$", value))
    ])
    error_message = "queue_proxy: each is a quantity of Kubernetes, such as 25m, 1 or 256Mi."
  }
}

variable "argo" {
  description = "Defaults for Workflows that say nothing themselves (workflowDefaults of Argo's controller). Finished pods are deleted after pod_gc_delay; those of trainings never are, since their logs are read later and they have a time to live of their own. non_root concerns everybody's Workflows: one that runs as root then ends with an error. Null leaves Argo's settings alone."
  type = object({
    namespace    = optional(string, "argo")
    config_map   = optional(string, "workflow-controller-configmap")
    pod_gc_delay = optional(string, "24h")
    non_root     = optional(bool, false)
  })
  default = {}

  validation {
    condition     = var.argo == null ? true : can(regex("^([0-9]+(h|m|s))+$", var.argo.pod_gc_delay))
    error_message = "argo.pod_gc_delay is no duration: write it as 24h or 1h30m."
  }
}

variable "storage_namespace" {
  description = "The namespace of an object store that runs in this cluster, which is labelled polyglot.io/storage=true: network policies know the store by it. Null where the store is outside."
  type        = string
  default     = null

  validation {
    condition     = var.storage_namespace == null ? true : can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.storage_namespace))
    error_message = "storage_namespace is no namespace's name: lower-case letters, digits and dashes."
  }
}

variable "required_kinds" {
  description = "Kinds that the cluster has to know before anything is set, by what brings them."
  type        = map(string)
  default = {
    "services.serving.knative.dev"    = "Knative Serving"
    "brokers.eventing.knative.dev"    = "Knative Eventing"
    "triggers.eventing.knative.dev"   = "Knative Eventing"
    "pingsources.sources.knative.dev" = "Knative Eventing"
    "workflows.argoproj.io"           = "Argo Workflows"
    "workflowtaskresults.argoproj.io" = "Argo Workflows"
  }
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.required_kinds) : can(regex("^[a-z]+\\.[a-z0-9.]+$", name))])
    error_message = "required_kinds: each key is the name of a custom resource definition, such as workflows.argoproj.io."
  }
}
