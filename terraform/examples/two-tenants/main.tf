provider "kubectl" {
  config_path    = pathexpand(var.kubeconfig)
  config_context = var.context
  # Knative's webhooks may be busy, and learn of a changed setting a moment later.
  apply_retry_count = 10
}

# The account of AWS_ACCESS_KEY_ID, which owns the buckets. For AWS itself only the region is needed.
provider "aws" {
  region                      = "us-east-1"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  skip_requesting_account_id  = true

  endpoints {
    s3 = var.store_public_url
  }
}

locals {
  kubectl = { kubeconfig = pathexpand(var.kubeconfig), context = var.context }
}

module "platform" {
  source = "../../modules/platform"

  kubectl           = local.kubectl
  storage_namespace = var.store_namespace
}

module "tenant" {
  source   = "../../modules/tenant"
  for_each = var.tenants

  name                 = each.key
  images               = jsondecode(file(var.images))
  domain               = var.domain
  ledger_address       = each.value.ledger_address
  evidence_log_address = each.value.evidence_log_address
  chain_id             = var.chain_id
  rpc_url              = var.rpc_url
  force_destroy        = var.force_destroy
  kubectl              = local.kubectl

  gpu   = each.value.gpus > 0
  quota = { memory = each.value.memory, gpus = each.value.gpus }

  store = {
    url        = var.store_url
    public_url = var.store_public_url
    admin_url  = var.store_public_url
  }

  network = {
    ingress_namespaces = var.ingress_namespaces
    store              = { namespace = var.store_namespace }
    rpc                = { namespace = var.chain_namespace }
    api_server         = { cidrs = var.api_server }
  }

  depends_on = [module.platform]
}
