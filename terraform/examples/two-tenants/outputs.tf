output "tenants" {
  description = "By tenant: where the functions are (POLYGLOT_URL), the bucket, and what is done then, outside: let the roles act, and make the first token."
  value = { for name, one in module.tenant : name => {
    url    = one.url
    bucket = one.bucket
    next   = [one.appoint_command, one.first_token_command]
  } }
}
