"""Says what its event asks for, in each way that a Python function can."""

import logging
import sys

logger = logging.getLogger()
logger.setLevel(logging.INFO)
print("the function is loaded")


def say(how, text):
    if how == "print":
        print(text)
    elif how == "stderr":
        print(text, file=sys.stderr)
    elif how == "log":
        logger.info(text)
    elif how == "latin1":
        sys.stdout.buffer.write(text.encode("latin-1") + b"\n")
        sys.stdout.flush()
    else:
        raise NotImplementedError(how)


def handler(event, context):
    for how, text in event["says"]:
        say(how, text.replace("REQUEST_ID", context.aws_request_id))
    if event["fails"] is not None:
        raise ValueError(event["fails"].replace("REQUEST_ID", context.aws_request_id))
    return {"said": len(event["says"])}
