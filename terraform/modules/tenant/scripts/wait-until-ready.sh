#!/usr/bin/env bash
# Waits until every Service, Broker, Trigger and PingSource of NAMESPACE that polyglot has rendered is ready; where one is
# not after SECONDS_AT_MOST, says why. Then compares the address of Service ROUTED with EXPECTED_URL.
set -euo pipefail
kubectl=(kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} --namespace "$NAMESPACE")
kinds=services.serving.knative.dev,brokers.eventing.knative.dev,triggers.eventing.knative.dev,pingsources.sources.knative.dev
ready='{range .items[*]}{.kind}/{.metadata.name} {.metadata.generation} {.status.observedGeneration} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}'

# What is not ready for the generation that was applied.
waiting() {
  "${kubectl[@]}" get "$kinds" --selector app.kubernetes.io/part-of=polyglot --output jsonpath="$ready" |
    awk '!($2 == $3 && $4 == "True") {print $1}' || echo "everything: the API server does not answer"
}

why() {
  echo "not ready in namespace $NAMESPACE after $SECONDS_AT_MOST s:" $1
  echo "What Knative says:"
  "${kubectl[@]}" get services.serving.knative.dev,revisions.serving.knative.dev --output \
    jsonpath='{range .items[*]}{.kind}/{.metadata.name}: {.status.conditions[?(@.status=="False")].message}{"\n"}{end}' | grep -v ': $' || true
  echo "What ReplicaSets were refused (a quota shows here only):"
  "${kubectl[@]}" get replicasets --output \
    jsonpath='{range .items[*]}{.metadata.name}: {.status.conditions[?(@.type=="ReplicaFailure")].message}{"\n"}{end}' | grep -v ': $' || true
  echo "What pods wait for:"
  "${kubectl[@]}" get pods --output \
    jsonpath='{range .items[*]}{.metadata.name}: {.status.conditions[?(@.reason=="Unschedulable")].message} {.status.containerStatuses[*].state.waiting.message}{"\n"}{end}' | grep -v ':  *$' || true
}

end=$((SECONDS + SECONDS_AT_MOST))
while left=$(waiting) && [ -n "$left" ]; do
  [ "$SECONDS" -lt "$end" ] || { why "$left" >&2; exit 1; }
  sleep 1
done

found=$("${kubectl[@]}" get services.serving.knative.dev "$ROUTED" --output jsonpath='{.status.url}')
[ "${found/$ROUTED/\{function\}}" = "$EXPECTED_URL" ] || {
  echo "functions are ready, at ${found/$ROUTED/\{function\}} and not at $EXPECTED_URL: set domain and scheme to what" \
    "Knative uses (ConfigMaps config-domain and config-network)" >&2
  exit 1
}
