#!/usr/bin/env bash
# Ends with an error that names each kind of KINDS ("NAME WHAT-BRINGS-IT" a line) that the cluster does not know.
set -euo pipefail
kubectl=(kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"})

known=$("${kubectl[@]}" get customresourcedefinitions --output name) || {
  echo "the cluster does not answer: is kubectl.kubeconfig right, and may you list custom resource definitions?" >&2
  exit 1
}
missing=$(while read -r name part; do
  [ -z "$name" ] || grep -qx "customresourcedefinition.apiextensions.k8s.io/$name" <<<"$known" ||
    echo "  $name: install $part first"
done <<<"$KINDS")
[ -z "$missing" ] || { printf 'the cluster does not know these kinds:\n%s\n' "$missing" >&2; exit 1; }
