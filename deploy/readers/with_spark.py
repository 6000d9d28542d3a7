"""The lines of logspool in Spark, from a directory or from s3a://bucket/prefix.

    pip install pyspark   # and a Java runtime
    python with_spark.py logs 79b4f56e-95b1-4643-9700-2807f4e68189

gzip can be read by every Spark. zstd can be read since Spark 4.1; an older one needs a Hadoop that was built with its native
libraries and zstd, which many distributions do not have, and says so: set LOGSPOOL_COMPRESSION=gzip for those.
"""

import json
import sys

from pyspark.sql import SparkSession, functions

# Objects of any shape are taken as their JSON text: get_json_object("record", "$.level"). Folders become columns by themselves.
SCHEMA = """
    time string, type string, seq bigint, requestId string, tenantId string, traceId string, labels string,
    message string, record string, value string,
    losses string, unknownTail boolean,
    last bigint, records bigint, bytes bigint, cause string, maybeDelivered boolean
"""


def read(spark, place):
    return spark.read.json(place, schema=SCHEMA, pathGlobFilter="*.{ndjson,ndjson.gz,ndjson.zst,dropped}")


def main(place, request):
    logs = read(SparkSession.builder.getOrCreate(), place)
    duration_ms = functions.get_json_object("record", "$.metrics.durationMs").cast("double")
    lines, seq, requests = logs.select(
        functions.count("*"), functions.sum("seq"), functions.countDistinct("requestId")
    ).first()
    reports = logs.where("type = 'platform.report'").select(functions.sum(duration_ms)).first()
    mine = logs.where(functions.col("requestId") == request).orderBy("time", "seq")
    print(json.dumps({
        "lines": lines,
        "types": {row["type"]: row["count"] for row in logs.groupBy("type").count().collect()},
        "seq": seq,
        "requests": requests,
        "durationMs": reports[0],
        "request": [row[0] for row in mine.select(functions.coalesce("message", "record", "value")).collect()],
    }))


main(*sys.argv[1:])
