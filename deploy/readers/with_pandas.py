"""The lines of logspool in pandas, zstd and gzip alike, from a directory or from s3://bucket/prefix.

    pip install pandas fsspec zstandard   # and s3fs for s3://
    python with_pandas.py logs 79b4f56e-95b1-4643-9700-2807f4e68189
"""

import gzip
import io
import json
import re
import sys

import fsspec
import pandas
import zstandard

COLUMNS = [
    "function", "dt", "hour", "spool",  # of the object's name
    "time", "type", "seq", "requestId", "tenantId",
    "message", "record", "value", "encoding",  # one of the first three
    "version", "region", "account", "memory", "architecture", "traceId", "labels",  # LOGSPOOL_FIELDS, LOGSPOOL_LABELS
    "losses", "unknownTail",  # type logspool.end
    "last", "records", "bytes", "cause", "maybeDelivered",  # type logspool.dropped
]


def text(path, file):
    if path.endswith(".zst"):
        # With LOGSPOOL_FRAME_SIZE there are many frames; ZstdDecompressor.decompress() would stop behind the first one.
        file = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    elif path.endswith(".gz"):
        file = gzip.open(file)
    return io.TextIOWrapper(file, encoding="utf-8", newline="\n")


def rows(place):
    files, root = fsspec.core.url_to_fs(place)
    for path in files.find(root):
        folder, _, name = path.rpartition("/")
        if ".ndjson" not in name and not name.endswith(".dropped"):
            continue
        told = dict(re.findall(r"(\w+)=([^/]+)", folder), spool=name[:26])
        with files.open(path) as file, text(path, file) as lines:
            for line in lines:
                yield json.loads(line) | told


def read(place):
    # json.loads instead of pandas.read_json, which makes numbers and times of texts that look like them.
    return pandas.DataFrame.from_records(list(rows(place))).reindex(columns=COLUMNS)


def said(line):
    if isinstance(line.message, str):
        return line.message
    return json.dumps(line.record if isinstance(line.record, dict) else line.value)


def main(place, request):
    logs = read(place)
    reports = logs[logs["type"] == "platform.report"]
    mine = logs[logs["requestId"] == request].sort_values(["time", "seq"])
    print(json.dumps({
        "columns": list(logs.columns),
        "lines": len(logs),
        "types": logs["type"].value_counts().to_dict(),
        "seq": int(logs["seq"].sum()),
        "requests": logs["requestId"].nunique(),
        "durationMs": sum(report["metrics"]["durationMs"] for report in reports["record"]),
        "request": [said(line) for line in mine.itertuples()],
    }))


main(*sys.argv[1:])
