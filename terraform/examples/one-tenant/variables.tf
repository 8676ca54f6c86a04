# The tenant

variable "name" {
  description = "The tenant's name."
  type        = string
  default     = "acme"
}

variable "ledger_address" {
  description = "The tenant's AssetLedger; `polyglot ledger init` prints it."
  type        = string
}

variable "evidence_log_address" {
  description = "The tenant's EvidenceLog; `polyglot ledger init` prints it too."
  type        = string
}

variable "force_destroy" {
  description = "Remove the bucket with everything in it on `terraform destroy`."
  type        = bool
  default     = false
}

# The cluster

variable "kubeconfig" {
  description = "The kubeconfig file of the cluster."
  type        = string
  default     = "~/.kube/config"

  validation {
    condition     = fileexists(pathexpand(var.kubeconfig))
    error_message = "kubeconfig is no file."
  }
}

variable "context" {
  description = "A context of the kubeconfig; its current one if not set."
  type        = string
  default     = null
}

variable "images" {
  description = "The file with the images' references that `make images` has written."
  type        = string
  default     = "../../../build/images.json"

  validation {
    condition     = fileexists(var.images)
    error_message = "images is no file: `make images REGISTRY=… PUSH=1` writes build/images.json."
  }
}

variable "domain" {
  description = "Knative's domain: functions are at FUNCTION.TENANT.DOMAIN."
  type        = string
}

variable "ingress_namespaces" {
  description = "Where the ingress controller's pods are."
  type        = list(string)
}

variable "api_server" {
  description = "Addresses of the Kubernetes API server: `kubectl get endpointslices --namespace default`."
  type        = list(string)
}

# The object store and the chain, which run in the cluster here

variable "store_namespace" {
  description = "The namespace of the object store's pods."
  type        = string
  default     = "storage"
}

variable "store_url" {
  description = "The object store as functions reach it."
  type        = string
  default     = "http://s3.storage.svc.cluster.local"
}

variable "store_public_url" {
  description = "The object store as clients reach it, and this machine, as AWS_ACCESS_KEY_ID of the environment."
  type        = string

  validation {
    condition     = can(regex("^https?://", var.store_public_url))
    error_message = "store_public_url is an http or https address."
  }
}

variable "chain_namespace" {
  description = "The namespace of the EVM node's pods."
  type        = string
  default     = "ledger"
}

variable "rpc_url" {
  description = "The EVM node as functions reach it."
  type        = string
  default     = "http://evm.ledger.svc.cluster.local:8545"
}

variable "chain_id" {
  description = "The chain's number."
  type        = number
}
