"""The lines of logspool in polars, zstd and gzip alike, from a directory or from s3://bucket/prefix.

    pip install polars
    python with_polars.py logs 79b4f56e-95b1-4643-9700-2807f4e68189
"""

import json
import sys

import polars

# Objects of any shape are taken as their JSON text: polars.col("record").str.json_path_match("$.level").
SCHEMA = {
    "time": polars.String, "type": polars.String, "seq": polars.Int64,
    "requestId": polars.String, "tenantId": polars.String,
    "message": polars.String, "record": polars.String, "value": polars.String,  # one of them
    "encoding": polars.String,  # base64, if the bytes in message were no UTF-8
    # LOGSPOOL_FIELDS and LOGSPOOL_LABELS; function and spool are in the path
    "version": polars.String, "region": polars.String, "account": polars.String, "memory": polars.Int64,
    "architecture": polars.String, "traceId": polars.String, "labels": polars.String,
    "losses": polars.String, "unknownTail": polars.Boolean,  # type logspool.end
    "last": polars.Int64, "records": polars.Int64, "bytes": polars.Int64,  # type logspool.dropped
    "cause": polars.String, "maybeDelivered": polars.Boolean,
}


def scan(place):
    # .ndjson, .ndjson.zst, .ndjson.gz and .dropped, not .log
    lines = polars.scan_ndjson(f"{place}/**/*.[dn][rd][oj]*", schema=SCHEMA, include_file_paths="path")
    path = polars.col("path")
    return lines.with_columns(
        function=path.str.extract(r"function=([^/\\]+)"),
        dt=path.str.extract(r"dt=([^/\\]+)"),
        hour=path.str.extract(r"hour=([^/\\]+)"),
        spool=path.str.extract(r"([0-9A-Z]{26})-[^/\\]*$"),
    ).drop("path")


def main(place, request):
    logs = scan(place).collect()
    reports = logs.filter(type="platform.report")
    duration_ms = reports["record"].str.json_path_match("$.metrics.durationMs").cast(polars.Float64)
    mine = logs.filter(requestId=request).sort("time", "seq")
    print(json.dumps({
        "columns": logs.columns,
        "lines": logs.height,
        "types": dict(logs.group_by("type").len().iter_rows()),
        "seq": logs["seq"].sum(),
        "requests": logs["requestId"].drop_nulls().n_unique(),
        "durationMs": duration_ms.sum(),
        "request": mine.select(polars.coalesce("message", "record", "value")).to_series().to_list(),
    }))


main(*sys.argv[1:])
