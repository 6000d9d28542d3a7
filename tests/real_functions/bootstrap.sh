#!/usr/bin/env bash
# A custom runtime: the Runtime API by curl. The event is a number: so many lines are written, and one of 300 KB. Zero fails.
set -euo pipefail

API="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
HEADERS=$(mktemp)
trap 'rm -f "$HEADERS"' EXIT

handle() { # handle REQUEST_ID COUNT
    local number
    for ((number = 0; number < $2; number++)); do
        echo "$1 line $number of $2: größer, 日本語 \"🚀\" \\ <&>"
    done
    echo "$1 (stderr)" >&2
    printf '%s %0300000d\n' "$1" 7
    if (($2 == 0)); then
        echo "[ERROR] Bash.NothingToDo: $1 has nothing to do"
        return 1
    fi
}

echo "the bootstrap runs"
while true; do
    event=$(curl --silent --show-error --fail --max-time 0 --dump-header "$HEADERS" "$API/next")
    request_id=$(grep -i '^Lambda-Runtime-Aws-Request-Id:' "$HEADERS" | tr -d '[:space:]' | cut -d: -f2)
    if handle "$request_id" "$event"; then
        curl --silent --show-error --fail --data "{\"said\":$event}" "$API/$request_id/response" --output /dev/null
    else
        curl --silent --show-error --fail --data '{"errorType":"Bash.NothingToDo","errorMessage":"nothing to do"}' \
            "$API/$request_id/error" --output /dev/null
    fi
done
