"""The lines of logspool in DuckDB from Python; with_duckdb.sql lies beside this file.

    pip install duckdb
    python with_duckdb.py logs 79b4f56e-95b1-4643-9700-2807f4e68189
"""

import json
import sys
from pathlib import Path

import duckdb

OVERVIEW = """
SELECT count(*), sum(seq), count(DISTINCT requestId),
       sum((record->>'$.metrics.durationMs')::DOUBLE) FILTER (type = 'platform.report')
FROM logs($place)
"""
TYPES = "SELECT type, count(*) FROM logs($place) GROUP BY type"
REQUEST = """
SELECT coalesce(message, record::VARCHAR, value::VARCHAR)
FROM logs($place) WHERE requestId = $request ORDER BY time, seq
"""


def main(place, request):
    database = duckdb.connect()
    database.execute(Path(__file__).with_name("with_duckdb.sql").read_text())
    lines, seq, requests, duration_ms = database.execute(OVERVIEW, {"place": place}).fetchone()
    types = database.execute(TYPES, {"place": place}).fetchall()
    mine = database.execute(REQUEST, {"place": place, "request": request}).fetchall()
    columns = [column[0] for column in database.execute("FROM logs($place) LIMIT 0", {"place": place}).description]
    print(json.dumps({
        "columns": columns,
        "lines": lines,
        "types": dict(types),
        "seq": int(seq),
        "requests": requests,
        "durationMs": duration_ms,
        "request": [text for (text,) in mine],
    }))


main(*sys.argv[1:])
