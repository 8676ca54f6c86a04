#!/usr/bin/env bash
# Makes or removes the two users of a tenant's bucket, with the Secrets that hold their keys: `users.sh make|remove`.
#
# A key is made here and goes into the Secret first, then to the store, so a run that was cut off can be run again; it is
# never an argument of a program, nor printed, nor known to Terraform. STORE=versitygw: users by its admin API, as
# AWS_ACCESS_KEY_ID of the environment (https://github.com/versity/versitygw/wiki/Multi-Tenant). STORE=existing: both
# Secrets have to be there, and nothing is made or removed.
set -euo pipefail
kubectl=(kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} --namespace "$NAMESPACE")
fail() { printf '%s\n' "$*" >&2; exit 1; }

# field SECRET NAME: what a Secret has under a name; empty where it has none.
field() { "${kubectl[@]}" get secret "$1" --ignore-not-found --output "go-template={{with .data}}{{with .$2}}{{. | base64decode}}{{end}}{{end}}"; }

# ask PATH [BODY]: one signed request to the admin API; prints the status. curl reads all of it from its standard input.
ask() {
  local body=${2:-}
  curl --silent --show-error --config - <<REQUEST
url = "${S3_ADMIN_URL%/}$1"
request = "PATCH"
aws-sigv4 = "aws:amz:$S3_REGION:s3"
user = "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"
header = "x-amz-content-sha256: $(printf %s "$body" | sha256sum | cut -d ' ' -f 1)"
header = "Content-Type: application/xml"
data = "$body"
output = "/dev/null"
write-out = "%{http_code}"
REQUEST
}

# there USER: whether the store knows a user. A change of nothing tells it without anybody's key being read.
there() {
  local status
  status=$(ask "/update-user?access=$1" "<MutableProps></MutableProps>")
  case $status in
  200) return 0 ;;
  404) return 1 ;;
  *) fail "the admin API of $S3_ADMIN_URL answers $status: is it versitygw's, and AWS_ACCESS_KEY_ID its root account?" ;;
  esac
}

# secret_for SECRET USER: make the Secret with a new key, unless it is there.
secret_for() {
  [ -z "$(field "$1" AWS_SECRET_ACCESS_KEY)" ] || return 0
  ! there "$2" || fail "the object store has a user $2 already, and namespace $NAMESPACE no Secret $1 with its key:" \
    "remove that user if nothing uses it, or give the tenant another name"
  "${kubectl[@]}" create --filename - >/dev/null <<SECRET
apiVersion: v1
kind: Secret
metadata:
  name: $1
  labels: {app.kubernetes.io/managed-by: terraform}
stringData:
  AWS_ACCESS_KEY_ID: "$2"
  AWS_SECRET_ACCESS_KEY: "$(head -c 30 /dev/urandom | base64 | tr '+/' '-_')"
SECRET
}

# make SECRET USER: the user, with the key that its Secret holds.
make() {
  secret_for "$1" "$2"
  [ "$(field "$1" AWS_ACCESS_KEY_ID)" = "$2" ] ||
    fail "Secret $1 of namespace $NAMESPACE is of another user than $2: mend it, or remove it to get a new one"
  local status key
  key=$(field "$1" AWS_SECRET_ACCESS_KEY)
  if there "$2"; then
    status=$(ask "/update-user?access=$2" "<MutableProps><Secret>$key</Secret><Role>user</Role></MutableProps>")
  else
    status=$(ask /create-user "<Account><Access>$2</Access><Secret>$key</Secret><Role>user</Role></Account>")
  fi
  case $status in 2??) ;; *) fail "user $2 was not made: the admin API of $S3_ADMIN_URL answers $status" ;; esac
}

remove() {
  "${kubectl[@]}" delete secret "$1" --ignore-not-found >/dev/null
  ! there "$2" || case $(ask "/delete-user?access=$2") in 2??) ;; *) fail "user $2 was not removed from the store" ;; esac
}

given() {
  for key in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do
    [ -n "$(field "$1" $key)" ] || fail "Secret $1 of namespace $NAMESPACE has no $key: with store.kind = \"existing\"" \
      "make the namespace and both Secrets before (knative/settings.example.yaml shows them), then apply again"
  done
}

case $1-$STORE in
make-existing) given polyglot-s3; given polyglot-s3-erase ;;
remove-existing) ;;
*-versitygw)
  : "${AWS_ACCESS_KEY_ID:?set it and AWS_SECRET_ACCESS_KEY to the account of the object store that may make users}"
  : "${AWS_SECRET_ACCESS_KEY:?set it to the key of AWS_ACCESS_KEY_ID}"
  "$1" polyglot-s3 "$STORE_USER"
  "$1" polyglot-s3-erase "$STORE_USER_ERASE"
  ;;
*) fail "users.sh: $1 and $STORE are expected to be make or remove, and versitygw or existing" ;;
esac
