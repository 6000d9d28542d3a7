-- The lines of logspool in DuckDB, zstd and gzip alike, from a directory or from s3://bucket/prefix:
--
--     duckdb -init with_duckdb.sql -c "FROM logs('logs') WHERE requestId = '79b4f56e-95b1-4643-9700-2807f4e68189'"
--
-- For S3 first: INSTALL httpfs; CREATE SECRET (TYPE s3, PROVIDER credential_chain);
-- Only folders that match a filter by function, dt or hour are read. Times are texts, since a line keeps what it was
-- given; they sort alike: ORDER BY time, seq

CREATE OR REPLACE MACRO logs(place) AS TABLE
SELECT * EXCLUDE (filename) REPLACE (regexp_extract(filename, '([0-9A-Z]{26})-[^/\\]*$', 1) AS spool)
FROM read_json(
    place || '/**/*.[dn][rd][oj]*', -- .ndjson, .ndjson.zst, .ndjson.gz and .dropped, not .log
    format = 'newline_delimited', hive_partitioning = true, hive_types_autocast = false, filename = true,
    columns = {
        time: 'VARCHAR', type: 'VARCHAR', seq: 'BIGINT', requestId: 'VARCHAR', tenantId: 'VARCHAR',
        message: 'VARCHAR', record: 'JSON', value: 'JSON', encoding: 'VARCHAR', -- one of the first three
        -- LOGSPOOL_FIELDS and LOGSPOOL_LABELS; the function is in the path
        version: 'VARCHAR', region: 'VARCHAR', account: 'VARCHAR', spool: 'VARCHAR', memory: 'BIGINT',
        architecture: 'VARCHAR', traceId: 'VARCHAR', labels: 'JSON',
        losses: 'JSON', unknownTail: 'BOOLEAN', -- type logspool.end
        -- type logspool.dropped
        last: 'BIGINT', records: 'BIGINT', bytes: 'BIGINT', cause: 'VARCHAR', maybeDelivered: 'BOOLEAN'
    }
);
