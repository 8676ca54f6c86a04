#!/usr/bin/env bash
# Adds the keys of MANIFEST to ConfigMap NAME of NAMESPACE by server-side apply as the field manager polyglot-platform,
# without force. `kubectl apply --server-side` cannot be used: where the object was once applied by the client, it takes
# over all of that manager's fields and removes those that are not sent. So the API server is asked directly, through
# kubectl's proxy, which knows how to log in.
# https://kubernetes.io/docs/reference/using-api/server-side-apply/
set -euo pipefail
kubectl=(kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"})
fail() { printf '%s\n' "$*" >&2; exit 1; }

there=$("${kubectl[@]}" get configmap "$NAME" --namespace "$NAMESPACE" --ignore-not-found \
  --output go-template='{{.metadata.name}}{{if .data}}{{if .data.config}} one-key{{end}}{{end}}') ||
  fail "ConfigMap $NAMESPACE/$NAME cannot be read: may you read and patch it?"
[ -n "$there" ] ||
  fail "ConfigMap $NAMESPACE/$NAME is not there: is this part installed, and in that namespace? (the module's variables)"
[ "$there" = "$NAME" ] ||
  fail "ConfigMap $NAMESPACE/$NAME holds everything in one key, 'config', beside which Argo takes no other:" \
    "write workflowDefaults into it by hand and set argo = null"

work=$(mktemp -d)
"${kubectl[@]}" proxy --unix-socket="$work/api" >"$work/log" 2>&1 &
proxy=$!
trap 'kill "$proxy" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [ -S "$work/api" ] && break || sleep 0.1; done
[ -S "$work/api" ] || fail "kubectl proxy does not start: $(cat "$work/log")"

status=$(curl --silent --show-error --unix-socket "$work/api" --request PATCH --data-binary @- \
  --header 'Content-Type: application/apply-patch+yaml' --output "$work/answer" --write-out '%{http_code}' \
  "http://localhost/api/v1/namespaces/$NAMESPACE/configmaps/$NAME?pretty=true&fieldManager=polyglot-platform" <<<"$MANIFEST")
message=$(sed -n 's/^ *"message": "\(.*\)",\{0,1\}$/\1/p' "$work/answer" | head -n 1 | sed 's/\\"/"/g')
case $status in
2??) ;;
409)
  fail "ConfigMap $NAMESPACE/$NAME has another value already, which somebody else has set and which is left as it is:" \
    "$message. What it has: $("${kubectl[@]}" get configmap "$NAME" --namespace "$NAMESPACE" --output jsonpath='{.data}' |
      cut -c 1-2000). Change it there, or let the module's variable say the same, or leave that variable out."
  ;;
*) fail "ConfigMap $NAMESPACE/$NAME was not changed: the API server answered $status: ${message:-$(cat "$work/answer")}" ;;
esac
