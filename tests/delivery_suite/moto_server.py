"""moto with its authorisation on, and eyes for a test that are not the product's: one JSON command a line of stdin, one answer
a line of stdout. It ends with its stdin, that is with the test's process, however that ends."""

import base64
import json
import logging
import os
import sys
from functools import partial

# Three calls make the user; from then on every signature is verified, unless whoever starts it wants none to be.
os.environ.setdefault("INITIAL_NO_AUTH_ACTION_COUNT", "3")
os.environ["S3_IGNORE_SUBDOMAIN_BUCKETNAME"] = "1"
logging.getLogger("werkzeug").setLevel(logging.ERROR)

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

REGION = "us-east-1"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def client(service, address, key_id, secret):
    return boto3.client(
        service,
        endpoint_url="http://" + address,
        region_name=REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}),
    )


def make_user(address):
    iam = client("iam", address, "nobody", "nothing")
    iam.create_user(UserName="logspool")
    iam.put_user_policy(UserName="logspool", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    return iam.create_access_key(UserName="logspool")["AccessKey"]


def create_bucket(s3, bucket, versioned, object_lock):
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=object_lock)
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if object_lock:
        # Without a period of retention moto asks for no digest.
        retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        s3.put_object_lock_configuration(
            Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": retention}
        )


def create_role(iam, name):
    """A role that everybody may assume, with every right. Its ARN."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    return role["Arn"]


def versions(s3, bucket):
    """Every version of every key, the newest of a key marked."""
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return [version for page in pages for version in page.get("Versions", [])]


def objects(s3, bucket):
    seen = versions(s3, bucket)
    found = []
    for key in sorted({version["Key"] for version in seen}):
        got = s3.get_object(Bucket=bucket, Key=key)
        tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        found.append(
            {
                "key": key,
                "bytes": base64.b64encode(got["Body"].read()).decode(),
                "content_type": got.get("ContentType"),
                "content_encoding": got.get("ContentEncoding"),
                "metadata": got["Metadata"],
                "sse": got.get("ServerSideEncryption"),
                "kms_key_id": got.get("SSEKMSKeyId"),
                "storage_class": got.get("StorageClass"),
                "tags": {tag["Key"]: tag["Value"] for tag in tags},
                "versions": sum(version["Key"] == key for version in seen),
            }
        )
    return found


def main():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "%s:%d" % server.get_host_and_port()
    key = make_user(address)
    s3 = client("s3", address, key["AccessKeyId"], key["SecretAccessKey"])
    iam = client("iam", address, key["AccessKeyId"], key["SecretAccessKey"])
    commands = {
        "create_bucket": partial(create_bucket, s3),
        "create_role": partial(create_role, iam),
        "objects": partial(objects, s3),
    }

    def say(answer):
        print(json.dumps(answer), flush=True)

    say({"address": address, "key_id": key["AccessKeyId"], "secret": key["SecretAccessKey"], "region": REGION})
    for line in sys.stdin:
        command = json.loads(line)
        say(commands[command.pop("do")](**command))


main()
