"""Reads deploy/athena/ as Athena would, as far as that can be done without it.

Table and queries are parsed in its dialect. The table is a view of DuckDB that takes members of lines for columns by
the rules of the SerDe, and the queries are asked in DuckDB's dialect.

Arguments: the folder with table.sql and queries.sql, the directory with the objects. On standard input: a JSON object
of texts that are replaced in the queries. Prints a JSON object.
"""

import json
import re
import sys
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

READ = {
    "TEXT": "json->>{member}",
    "BIGINT": "try_cast(json->>{member} AS BIGINT)",
    "BOOLEAN": "json->>{member} = 'true'",
}


def parse_table(text):
    [create] = [tree for tree in sqlglot.parse(text, dialect="athena") if tree]
    texts = {key.name: key.args["value"].name for key in create.find_all(exp.Property) if type(key) is exp.Property}
    columns = {}
    for column in create.this.expressions:
        member = texts.get(f"mapping.{column.name}", column.name)
        columns[column.name] = (member, column.args["kind"].sql())
    partitions = [column.name for column in create.find(exp.PartitionedByProperty).this.expressions]
    texts["LOCATION"] = create.find(exp.LocationProperty).this.name
    return create.this.this.name, columns, partitions, texts


def serde_view(name, columns, directory):
    selected = []
    for column, (member, kind) in columns.items():
        selected.append(f"{READ[kind].format(member=repr('$.' + member))} AS {column}")
    for partition, kind in [("function", "VARCHAR"), ("dt", "VARCHAR"), ("hour", "INT")]:
        selected.append(f"regexp_extract(filename, '/{partition}=([^/]+)/', 1)::{kind} AS \"{partition}\"")
    options = "format = 'newline_delimited', ignore_errors = true, filename = true"
    lines = f"read_json_objects('{directory}/**/*.*', {options})"
    return f"CREATE VIEW {name} AS SELECT {', '.join(selected)}, filename AS \"$path\" FROM {lines}"


def parse_queries(text, replaced):
    named = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    for name, query in zip(named[::2], named[1::2]):
        for old, new in replaced.items():
            query = query.replace(old, new)
        [statement] = [tree for tree in sqlglot.parse(query, dialect="athena") if tree]
        yield name, statement.sql("duckdb")


def main(folder, directory):
    name, columns, partitions, texts = parse_table(Path(folder, "table.sql").read_text())
    database = duckdb.connect()
    database.execute(serde_view(name, columns, directory))
    answers = {}
    for query, sql in parse_queries(Path(folder, "queries.sql").read_text(), json.load(sys.stdin)):
        cursor = database.execute(sql)
        names = [column[0] for column in cursor.description]
        answers[query] = [dict(zip(names, row)) for row in cursor.fetchall()]
    members = [member for member, _ in columns.values()]
    print(json.dumps({"members": members, "partitions": partitions, "properties": texts, "answers": answers}))


main(*sys.argv[1:])
