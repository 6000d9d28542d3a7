"""A stand-in for AWS, filled with what the documents speak of: moto, with buckets that the extension has written.

`your-bucket/your-prefix` holds logs of the function `orders`, today's and the same of a day that examples name, one request of
a known id among them; `other-bucket/rescued` what a fallback took; the log group what went to `stdout:`.
"""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

# As the documents have them.
REQUEST = "79b4f56e-95b1-4643-9700-2807f4e68189"
DAY = "2026-11-23"
BUCKETS = ["your-bucket", "other-bucket"]
PLACE = "s3://your-bucket/your-prefix"
RESCUED = "s3://other-bucket/rescued"
# There is no such bucket, so everything goes to the fallback.
NOWHERE = "s3://no-such-bucket/nothing"
LOG_GROUP = "/aws/lambda/orders"
# What an invocation that went wrong has printed, as Python's runtime does.
EXCEPTION = {"says": "[ERROR] ValueError: no such order\rTraceback (most recent call last):"}
# A command of the preparation takes a second or two; a busy machine is given this.
LIMIT_SECONDS = 60
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class StandIn:
    """It ends with this process, since it ends with its stdin."""

    def __init__(self, root, python, work, base):
        """`work`: a directory for what it needs; `base`: the environment of every command."""
        server = [python, root / "tests/delivery_suite/moto_server.py"]
        # Not every service of moto verifies signatures as AWS does.
        env = base | {"INITIAL_NO_AUTH_ACTION_COUNT": "inf"}
        self.process = subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        self.work = work
        served = json.loads(self.process.stdout.readline())
        self.base = base
        self.variables = {
            "AWS_ENDPOINT_URL": "http://" + served["address"],
            "AWS_ACCESS_KEY_ID": served["key_id"],
            "AWS_SECRET_ACCESS_KEY": served["secret"],
            "AWS_REGION": served["region"],
            "AWS_DEFAULT_REGION": served["region"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def aws(self, *words):
        return self.finish(self.start(["aws", *words]))

    def start(self, words):
        env = self.base | self.variables
        return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, process):
        try:
            output, _ = process.communicate(timeout=LIMIT_SECONDS)
        finally:
            process.kill()
        if process.returncode != 0:
            raise RuntimeError(f"{Path(process.args[0]).name} ended with {process.returncode}: {output}")
        return output

    def finish_all(self, processes):
        """As `finish`; when one fails the others are waited for all the same, since they write where somebody clears up then."""
        outputs, failures = [], []
        for process in processes:
            try:
                outputs.append(self.finish(process))
            except (RuntimeError, subprocess.SubprocessError) as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return outputs

    def life(self, sandbox, extension, settings, *words):
        """Begins one life of the function `orders` with the extension, on a disk of its own."""
        settings = settings | {"DIR": tempfile.mkdtemp(prefix="spool-", dir=self.work)}
        variables = {f"LOGSPOOL_{name}": value for name, value in settings.items()} | self.variables
        env = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        return self.start([sandbox, "--extension", extension, "--name", "orders", *env, *words])

    def fill(self, sandbox, extension):
        for bucket in BUCKETS:
            self.ask(do="create_bucket", bucket=bucket, versioned=False, object_lock=False)
        one_that_went_wrong = ["--request-id", REQUEST, "--work", json.dumps(EXCEPTION)]
        lives = [
            self.life(sandbox, extension, {"DESTINATION": PLACE, "INVOCATIONS": "true"}, *one_that_went_wrong),
            self.life(sandbox, extension, {"DESTINATION": NOWHERE, "FALLBACK": RESCUED}),
            self.life(sandbox, extension, {"DESTINATION": NOWHERE, "FALLBACK": "stdout:"}),
        ]
        outputs = self.finish_all(lives)
        self.log(line.removeprefix("extension: ") for line in outputs[-1].split("\n") if "logspool-part" in line)
        days = {line.split("/")[2] for line in self.keys("your-bucket")}
        for day in days - {f"dt={DAY}"}:
            function = f"{PLACE}/function=orders"
            self.aws("s3", "cp", "--recursive", f"{function}/{day}/", f"{function}/dt={DAY}/")
        self.function()

    def keys(self, bucket):
        listed = self.aws("s3api", "list-objects-v2", "--bucket", bucket, "--query", "Contents[].Key", "--output", "text")
        return listed.split()

    def log(self, lines):
        """What the function's log holds."""
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in lines]
        if not events:
            raise RuntimeError("nothing went to stdout:")
        stream = ["--log-group-name", LOG_GROUP, "--log-stream-name", "stream"]
        self.aws("logs", "create-log-group", *stream[:2])
        self.aws("logs", "create-log-stream", *stream)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(events, file)
            file.flush()
            self.aws("logs", "put-log-events", *stream, "--log-events", f"file://{file.name}")

    def function(self):
        """The function and the layer, as far as they can be asked for."""
        role = ["iam", "create-role", "--role-name", "orders", "--assume-role-policy-document", json.dumps(TRUST)]
        arn = self.aws(*role, "--query", "Role.Arn", "--output", "text").strip()
        settings = {"Variables": {"LOGSPOOL_DESTINATION": PLACE, "OTHER": "a 'quoted' value"}}
        with tempfile.TemporaryDirectory() as directory:
            code = Path(directory, "code.zip")
            # An empty archive.
            code.write_bytes(b"PK\5\6" + bytes(18))
            layer = ["lambda", "publish-layer-version", "--layer-name", "logspool"]
            self.aws(*layer, "--zip-file", f"fileb://{code}", "--compatible-architectures", "x86_64")
            self.aws(
                *("lambda", "create-function", "--function-name", "orders", "--runtime", "python3.13"),
                *("--role", arn, "--handler", "app.handler", "--zip-file", f"fileb://{code}"),
                *("--environment", json.dumps(settings)),
            )


def outside(**variables):
    """The environment without what would lead a command elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LOGSPOOL_"))}
    return kept | variables
