#!/usr/bin/env bash
# What can be checked of the modules and examples without a cluster: their form, that they are valid, and the modules'
# tests with mocked providers. Providers come from the registry, or from a mirror that TF_CLI_CONFIG_FILE names.
set -euo pipefail
cd "$(dirname "$0")"
fail() { printf '%s\n' "$*" >&2; exit 1; }

command -v terraform >/dev/null || fail "terraform is not on the PATH: install 1.9 or newer" \
  "(https://developer.hashicorp.com/terraform/install)"

# A test cluster has built a mirror for itself.
mirror="${EDGE_CLUSTER_HOME:-$HOME/.cache/edge-cluster}/terraform/terraformrc"
if [ ! -f "${TF_CLI_CONFIG_FILE:-/nowhere}" ] && [ -f "$mirror" ]; then export TF_CLI_CONFIG_FILE="$mirror"; fi
export TF_IN_AUTOMATION=1

terraform fmt -check -diff -recursive || fail "not formatted as it should be: terraform fmt -recursive terraform"
for folder in modules/* examples/*; do
  echo "== $folder"
  said=$(terraform -chdir="$folder" init -backend=false -input=false -no-color 2>&1) || {
    echo "$said"
    fail "the providers of $folder cannot be had: from registry.terraform.io, or from a mirror by a configuration" \
      "that TF_CLI_CONFIG_FILE names (https://developer.hashicorp.com/terraform/cli/config/config-file)"
  }
  terraform -chdir="$folder" validate -no-color
  [ ! -d "$folder/tests" ] || terraform -chdir="$folder" test -no-color
done
