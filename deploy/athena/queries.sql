-- Questions to the table of table.sql. Each names functions and days, since only what it names is read.

-- name: one_request
-- Everything about one request.
SELECT time, type, coalesce(message, record, value) AS line
FROM logspool
WHERE "function" = 'orders' AND dt = '2026-11-23'
    AND requestid = '79b4f56e-95b1-4643-9700-2807f4e68189'
ORDER BY time, seq;

-- name: errors_by_function
-- What the functions have logged as an error, in JSON or as the runtimes of Python and Node.js write it; and
-- invocations that failed.
SELECT "function",
    count_if(type = 'function') AS logged,
    count_if(type = 'platform.report') AS failed_invocations,
    count(DISTINCT requestid) AS requests,
    max(time) AS latest
FROM logspool
WHERE "function" IN ('orders', 'payments') AND dt BETWEEN '2026-11-23' AND '2026-11-24'
    AND CASE type
        WHEN 'function' THEN upper(json_extract_scalar(record, '$.level')) IN ('ERROR', 'FATAL', 'CRITICAL')
            OR message LIKE '[ERROR]%' OR split_part(message, chr(9), 3) = 'ERROR'
        WHEN 'platform.report' THEN json_extract_scalar(record, '$.status') <> 'success'
    END
GROUP BY "function"
ORDER BY logged DESC, "function";

-- name: slowest_reports
SELECT time, requestid,
    CAST(json_extract_scalar(record, '$.metrics.durationMs') AS double) AS duration_ms,
    CAST(json_extract_scalar(record, '$.metrics.initDurationMs') AS double) AS init_duration_ms,
    CAST(json_extract_scalar(record, '$.metrics.maxMemoryUsedMB') AS bigint) AS memory_used_mb
FROM logspool
WHERE "function" = 'orders' AND dt = '2026-11-23' AND type = 'platform.report'
ORDER BY duration_ms DESC
LIMIT 20;

-- name: invocations
-- How many invocations each hour, how many of them were cold starts, how long they took.
SELECT "function", dt, hour,
    count(*) AS invocations,
    count(json_extract_scalar(record, '$.metrics.initDurationMs')) AS cold_starts,
    round(avg(CAST(json_extract_scalar(record, '$.metrics.durationMs') AS double)), 3) AS duration_ms_avg,
    max(CAST(json_extract_scalar(record, '$.metrics.durationMs') AS double)) AS duration_ms_max,
    sum(CAST(json_extract_scalar(record, '$.metrics.billedDurationMs') AS double)) AS billed_ms
FROM logspool
WHERE "function" IN ('orders', 'payments') AND dt BETWEEN '2026-11-23' AND '2026-11-24' AND type = 'platform.report'
GROUP BY "function", dt, hour
ORDER BY "function", dt, hour;

-- name: lost_ranges
-- Which records were lost: each range once, also where its declaration lies in two places.
SELECT DISTINCT regexp_extract("$path", '([0-9A-Z]{26})-[^/]*$', 1) AS spool_id,
    seq AS first_seq, "last" AS last_seq, records, bytes, cause, coalesce(maybedelivered, false) AS maybe_delivered
FROM logspool
WHERE "function" IN ('orders', 'payments') AND dt BETWEEN '2026-11-23' AND '2026-11-24' AND type = 'logspool.dropped'
ORDER BY spool_id, first_seq;

-- name: losses_by_life
-- What each life of the process has lost in all: the ranges of the query above, and what the platform has dropped
-- before it came to us. Of several ends the highest counts.
SELECT regexp_extract("$path", '([0-9A-Z]{26})-[^/]*$', 1) AS spool_id,
    max(seq) AS end_seq,
    max_by(losses, seq) AS losses,
    CAST(json_extract_scalar(max_by(losses, seq), '$.platform.records') AS bigint) AS dropped_by_platform,
    max_by(coalesce(unknowntail, false), seq) AS unknown_tail
FROM logspool
WHERE "function" IN ('orders', 'payments') AND dt BETWEEN '2026-11-23' AND '2026-11-24' AND type = 'logspool.end'
GROUP BY 1
HAVING max_by(losses, seq) <> '{}' OR max_by(coalesce(unknowntail, false), seq)
ORDER BY 1;
