"""A Lambda function without a framework: the whole Runtime API in a loop.

    cargo run --release --example demo -- --function 'python3 examples/demo/function.py'
"""

import json
import os
import sys
from urllib.request import Request, urlopen

RUNTIME_API = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation"


def handler(event, request_id):
    number = event["invocation"]
    for step in range(number % 20):
        print(f"INFO {request_id} step {step} of invocation {number}: {event['message']}")
    print(json.dumps({"level": "WARN", "requestId": request_id, "invocation": number}), file=sys.stderr)
    return {"ok": True}


while True:
    with urlopen(f"{RUNTIME_API}/next") as invocation:
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.load(invocation)
    response = handler(event, request_id)
    sys.stdout.flush()
    urlopen(Request(f"{RUNTIME_API}/{request_id}/response", data=json.dumps(response).encode())).close()
