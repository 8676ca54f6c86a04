#!/usr/bin/env bash
# Labels NAMESPACE with LABEL; another value of the same label stays, and is an error.
set -euo pipefail
kubectl=(kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"})

"${kubectl[@]}" label namespace "$NAMESPACE" "$LABEL" >/dev/null || {
  echo "namespace $NAMESPACE could not be labelled $LABEL: is the object store there? If it is elsewhere, say where" \
    "(storage_namespace), or set it to null where it is outside the cluster" >&2
  exit 1
}
