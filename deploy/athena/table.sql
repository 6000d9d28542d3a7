-- A table over the objects of logspool in the default layout <prefix>/function=…/dt=…/hour=…/, zstd, gzip or plain.
-- Put your bucket and prefix into both locations. Nothing is loaded or refreshed: partitions are computed from the query.
--
-- * `function` is injected: a query names the functions that it asks about, with = or IN, and is refused otherwise.
--   With an enum ('projection.function.type' = 'enum', 'projection.function.values' = 'orders,payments') it need not,
--   but whoever forgets a function in that list is never told.
-- * A query should name days, too: every hour of all days since the beginning of the range is a folder to look into.
-- * Objects of any shape are taken as their JSON text: json_extract_scalar(record, '$.level'). Names in it keep their
--   case because case.insensitive is off, so each column whose member is not in lower case has a mapping.
-- * A line that is no JSON is a row of NULLs. With LOGSPOOL_FORMAT=text or raw all but the declared losses are.
-- * The member `function` of LOGSPOOL_FIELDS is the partition.

CREATE EXTERNAL TABLE logspool (
    `time` string,
    `type` string,
    `seq` bigint COMMENT 'number of the line in its life of the process',
    `requestid` string,
    `tenantid` string,
    `message` string COMMENT 'the record, if it is a text',
    `record` string COMMENT 'the record, if it is an object',
    `value` string COMMENT 'the record, if it is anything else',
    `encoding` string COMMENT 'logspool.unparsed: base64, if the bytes in message were no UTF-8',
    `version` string COMMENT 'LOGSPOOL_FIELDS',
    `region` string COMMENT 'LOGSPOOL_FIELDS',
    `account` string COMMENT 'LOGSPOOL_FIELDS',
    `spool` string COMMENT 'LOGSPOOL_FIELDS',
    `memory` bigint COMMENT 'LOGSPOOL_FIELDS',
    `architecture` string COMMENT 'LOGSPOOL_FIELDS',
    `traceid` string COMMENT 'LOGSPOOL_FIELDS',
    `labels` string COMMENT 'LOGSPOOL_LABELS',
    `losses` string COMMENT 'logspool.end: lost in this life of the process, by cause',
    `unknowntail` boolean COMMENT 'logspool.end: more may have been lost than is known',
    `last` bigint COMMENT 'logspool.dropped: last number of the range, seq is the first one',
    `records` bigint COMMENT 'logspool.dropped',
    `bytes` bigint COMMENT 'logspool.dropped',
    `cause` string COMMENT 'logspool.dropped',
    `maybedelivered` boolean COMMENT 'logspool.dropped: an upload was under way'
)
PARTITIONED BY (`function` string, `dt` string, `hour` int)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
WITH SERDEPROPERTIES (
    'ignore.malformed.json' = 'TRUE',
    'case.insensitive' = 'FALSE',
    'mapping.requestid' = 'requestId',
    'mapping.tenantid' = 'tenantId',
    'mapping.traceid' = 'traceId',
    'mapping.unknowntail' = 'unknownTail',
    'mapping.maybedelivered' = 'maybeDelivered'
)
LOCATION 's3://your-bucket/your-prefix/'
TBLPROPERTIES (
    'projection.enabled' = 'true',
    'projection.function.type' = 'injected',
    'projection.dt.type' = 'date',
    'projection.dt.format' = 'yyyy-MM-dd',
    'projection.dt.range' = '2026-01-01,NOW',
    'projection.hour.type' = 'integer',
    'projection.hour.range' = '0,23',
    'projection.hour.digits' = '2',
    'storage.location.template' = 's3://your-bucket/your-prefix/function=${function}/dt=${dt}/hour=${hour}/'
);
