"""A runtime that streams: each invocation answers in pieces, and logs between them."""

import http.client
import os
import sys
import time

API, PATH = os.environ["AWS_LAMBDA_RUNTIME_API"], "/2018-06-01/runtime/invocation"


def call(method, path, body=None, headers={}):
    connection = http.client.HTTPConnection(API)
    # A body that is an iterator is sent in chunks.
    connection.request(method, path, body=body, headers=headers, encode_chunked=body is not None)
    response = connection.getresponse()
    response.read()
    return response


def pieces(request_id):
    for number in range(5):
        print(f"piece {number} of {request_id}", flush=True)
        yield f"piece {number}\n".encode()
        time.sleep(0.05)


while True:
    request_id = call("GET", f"{PATH}/next").headers["Lambda-Runtime-Aws-Request-Id"]
    streaming = {"Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked"}
    answer = call("POST", f"{PATH}/{request_id}/response", pieces(request_id), streaming)
    if answer.status != 202:
        sys.exit(f"the platform answered {answer.status}")
