#!/usr/bin/env bash
# Waits until Job JOB of NAMESPACE is complete; where it failed or takes longer than SECONDS_AT_MOST, says why.
set -euo pipefail
kubectl=(kubectl ${KUBE_CONTEXT:+--context "$KUBE_CONTEXT"} --namespace "$NAMESPACE")

end=$((SECONDS + SECONDS_AT_MOST))
while :; do
  said=$("${kubectl[@]}" get job "$JOB" --output jsonpath='{range .status.conditions[?(@.status=="True")]}{.type} {end}')
  case " $said" in
  *" Complete "*) exit 0 ;;
  *" Failed "*) break ;;
  esac
  [ "$SECONDS" -lt "$end" ] || break
  sleep 1
done
{
  echo "Job $JOB of namespace $NAMESPACE is not complete. Its events and log:"
  "${kubectl[@]}" get events --sort-by .lastTimestamp --output custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message |
    grep -E "^(OBJECT|$JOB)" | tail -n 10 || true
  "${kubectl[@]}" logs "job/$JOB" --tail 20 || true
} >&2
exit 1
