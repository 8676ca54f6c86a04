output "set" {
  description = "What is set, by namespace/ConfigMap."
  value       = { for one in local.config_maps : "${one.namespace}/${one.name}" => one.data }

  # Whoever uses it waits until all of it is there.
  depends_on = [terraform_data.config_map, terraform_data.storage_namespace]
}

output "serving_namespace" {
  description = "The namespace of Knative Serving, for the tenants' network policies."
  value       = var.serving_namespace
}

output "gpu" {
  description = "Whether functions for GPU nodes can be deployed: false where a feature flag for them is off."
  value = alltrue([
    for flag in ["kubernetes.podspec-nodeselector", "kubernetes.podspec-tolerations"] :
    contains(["enabled", "allowed"], lookup(var.feature_flags, flag, "enabled"))
  ])
}
