output "url" {
  description = "Where the functions are: POLYGLOT_URL."
  value       = module.tenant.url
}

output "bucket" {
  description = "The tenant's bucket."
  value       = module.tenant.bucket
}

output "next" {
  description = "What is done then, outside: let the roles act, and make the first token."
  value       = [module.tenant.appoint_command, module.tenant.first_token_command]
}
