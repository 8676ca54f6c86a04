locals {
  url = "${var.scheme}://{function}.${var.name}.${var.domain}"
}

output "namespace" {
  description = "The tenant's namespace, which is its name."
  value       = var.name

  # Whoever uses it finds the namespace there.
  depends_on = [kubectl_manifest.namespace]
}

output "url" {
  description = "Where the functions are: POLYGLOT_URL."
  value       = local.url

  # Whoever uses it can ask at once.
  depends_on = [terraform_data.ready]
}

output "bucket" {
  description = "The tenant's bucket."
  value       = aws_s3_bucket.this.bucket
}

output "users" {
  description = "The bucket's users: of the functions, and of the one that may delete. Their keys are in the Secrets polyglot-s3 and polyglot-s3-erase."
  value       = local.users
}

output "ledger_address" {
  description = "The tenant's AssetLedger: POLYGLOT_LEDGER."
  value       = var.ledger_address
}

output "evidence_log_address" {
  description = "The tenant's EvidenceLog: POLYGLOT_EVIDENCE_LOG."
  value       = var.evidence_log_address
}

output "appoint_command" {
  description = "Lets the roles' keys act on the ledger. DIR holds the tenant's admin key; POLYGLOT_RPC_URL and POLYGLOT_LEDGER say where."
  value       = "polyglot ledger appoint all --namespace ${var.name} --keys DIR"
}

output "first_token_command" {
  description = "Makes the first API token; it is shown once."
  value       = "polyglot token create --namespace ${var.name} --role operator --subject you@example.org"
}
