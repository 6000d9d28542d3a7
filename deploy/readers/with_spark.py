"""The lines of logspool in Spark, from a directory or from s3a://bucket/prefix.

    pip install pyspark   # and a Java runtime
    python with_spark.py logs 79b4f56e-95b1-4643-9700-2807f4e68189

Every Spark reads gzip, and Spark 4.1 and later zstd. An older one reads zstd only with Hadoop's native libraries, which
most installations lack; it says so then. For those set LOGSPOOL_COMPRESSION=gzip.
"""

import json
import sys

from pyspark.sql import SparkSession, functions

# Objects of any shape are taken as their JSON text: get_json_object("record", "$.level"). Folders are columns, too.
SCHEMA = """
    time string, type string, seq bigint, requestId string, tenantId string,
    message string, record string, value string, encoding string,
    version string, region string, account string, memory bigint, architecture string, traceId string, labels string,
    losses string, unknownTail boolean,
    last bigint, records bigint, bytes bigint, cause string, maybeDelivered boolean
"""


def read(spark, place):
    lines = spark.read.json(place, schema=SCHEMA, pathGlobFilter="*.{ndjson,ndjson.gz,ndjson.zst,dropped}")
    spool = functions.regexp_extract(functions.input_file_name(), "([0-9A-Z]{26})-[^/]*$", 1)
    return lines.withColumn("spool", spool)


def main(place, request):
    logs = read(SparkSession.builder.getOrCreate(), place)
    duration_ms = functions.get_json_object("record", "$.metrics.durationMs").cast("double")
    lines, seq, requests = logs.select(
        functions.count("*"), functions.sum("seq"), functions.countDistinct("requestId")
    ).first()
    reports = logs.where("type = 'platform.report'").select(functions.sum(duration_ms)).first()
    mine = logs.where(functions.col("requestId") == request).orderBy("time", "seq")
    print(json.dumps({
        "columns": logs.columns,
        "lines": lines,
        "types": {row["type"]: row["count"] for row in logs.groupBy("type").count().collect()},
        "seq": seq,
        "requests": requests,
        "durationMs": reports[0],
        "request": [row[0] for row in mine.select(functions.coalesce("message", "record", "value")).collect()],
    }))


main(*sys.argv[1:])
