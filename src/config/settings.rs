//! Every setting there is: its name, its default as a person would write it, what it means. The README's table is made
//! from this list.

macro_rules! prefix {
    () => {
        "LOGSPOOL_"
    };
}

/// How the variables of the settings begin.
pub const PREFIX: &str = prefix!();

/// One setting. Its default is read by the same code as a given value, so it obeys the same rule.
#[derive(Debug)]
pub struct Setting {
    /// The name of the variable. Whole, since some seventy are looked up before the first `next`.
    pub variable: &'static str,
    /// The default as it would be written; `None` if there is none.
    pub default: Option<&'static str>,
}

impl Setting {
    /// The name without [`PREFIX`].
    pub fn name(&self) -> &'static str {
        &self.variable[PREFIX.len()..]
    }
}

macro_rules! settings {
    ($($name:ident = $default:expr, $meaning:expr;)+) => {
        $(
            #[doc = $meaning]
            pub static $name: Setting = Setting { variable: concat!(prefix!(), stringify!($name)), default: $default };
        )+
        /// All settings, in the order of the table.
        pub static ALL: &[&Setting] = &[$(&$name),+];
        /// What each of them means, with the reason for its default: for the README's table, and for no program.
        pub const MEANINGS: &[&str] = &[$($meaning),+];
    };
}

settings! {
    ENABLED = Some("true"), "`false`: register, ask for no events but the last, do nothing";
    STRICT = Some("false"), "`true`: a bad setting fails the function's init, with the message; `false`: it falls back to its default, with the message";
    CONFIG = None, "TOML file with further settings; the environment wins over it";
    DESTINATION = None, "`s3://bucket/prefix` or `file:///path`; without one nothing is collected, and one line says so";
    FALLBACK = None, "destinations with commas between them, tried in order for what `DESTINATION` does not take, at SHUTDOWN and after `RETRY_ATTEMPTS`; the last one may be `stdout:`, the log of the function, at SHUTDOWN only";
    FALLBACK_STDOUT_TRUSTED = Some("false"), "`true`: what was written to `stdout:` counts as delivered; `false`: it stays in the spool as well";
    TYPES = Some("platform,function"), "streams that are shipped: `platform`, `function`, `extension`";
    LEVEL = Some("all"), "least important level that is shipped: `trace`, `debug`, `info`, `warn`, `error`, `fatal`; records without one pass";
    DROP = None, "regular expressions, with `;;` between them; records that hold a match are not shipped";
    SAMPLE = Some("1"), "share of the requests whose records are shipped, from 0 to 1";
    REDACT = None, "regular expressions, with `;;` between them; what they match in strings becomes `***`";
    INVOCATIONS = Some("false"), "`true`: behind every `platform.report` a line of type `logspool.invocation` says what the invocation did";
    FORMAT = Some("json"), "how lines are written: `json`; `text`: time, request id and message with tabs between them; `raw`: the message alone";
    FIELDS = None, "extra members of every line: `function`, `version`, `region`, `account`, `spool`, `memory`, `architecture`, `traceId`";
    LABELS = None, "`name=value`, with commas between them: an object `labels` in every line, at most 16 labels and 512 bytes";
    SEAL_INVOCATIONS = Some("off"), "seal after so many invocations; `off`: with `DRAIN=end` after every one, else by the other rules alone";
    SEAL_AGE = Some("60s"), "seal at the first moment the process runs when the oldest record of the segment has this age";
    SEAL_SIZE = Some("4MiB"), "seal at so many compressed bytes: one PUT costs as much as the CloudWatch ingestion of 10 KB";
    DRAIN = Some("adaptive"), "`end`: wait for the end of the invocation, seal, upload, then let the environment go; `background`: let it go at once, upload in the shadow of later invocations; `adaptive`: `end` when logs would otherwise be older than `SEAL_AGE` before they could leave, or when an invocation has failed, else `background`";
    DRAIN_BUDGET = Some("2s"), "the longest that an environment is held for uploads after its function has finished";
    COMPRESSION = Some("zstd"), "`zstd`, `gzip` or `none`";
    COMPRESSION_LEVEL = Some("1"), "zstd 1-19, gzip 1-9; on log lines a higher zstd level costs more than it saves below 6";
    FRAME_SIZE = Some("off"), "bound zstd frames to so many raw bytes, so that damage reaches less far; `off`: one frame a segment, which every reader understands";
    KEY = Some("function={function}/dt={date}/hour={hour}"), "folder of an object below the prefix: text with the fields `{function}`, `{version}`, `{region}`, `{account}`, `{date}`, `{year}`, `{month}`, `{day}`, `{hour}` (UTC, of the first line) and `{shard}` (one of 256, by spool)";
    DIR = Some("/tmp/.logspool"), "where the spool lives; a local file system";
    SPOOL_MAX = Some("auto"), "the most that the spool takes on disk; `auto`: 20 % of the file system, at most 256 MiB";
    KEEP_FREE = Some("64MiB"), "left free on the file system for the function, whatever `SPOOL_MAX` says";
    WHEN_FULL = Some("drop-oldest"), "who gives way when there is no room: `drop-oldest` or `drop-newest`; what is dropped is declared";
    RETRY_BASE = Some("100ms"), "ceiling of the first wait after a failed upload; it doubles with every failure, the wait is uniform below it";
    RETRY_MAX = Some("20s"), "the highest ceiling, and the pause after an error that only a person can mend";
    RETRY_ATTEMPTS = Some("unlimited"), "after so many attempts in one life of the process a segment goes to `FALLBACK`; without one it waits for the next life; nothing is dropped by it";
    REQUEST_TIMEOUT = Some("5s"), "the longest that one upload may take, connection and TLS included";
    BUFFER_ITEMS = Some("10000"), "Telemetry API: records per body, 1000-10000; the platform drops less with large buffers";
    BUFFER_BYTES = Some("1MiB"), "Telemetry API: bytes per body, 256KiB-1MiB; larger records are cut by the platform";
    BUFFER_MS = Some("25"), "Telemetry API: longest delay of a body in milliseconds, 25-30000; short, so that logs arrive before the freeze";
    PORT = Some("free"), "port of the telemetry listener; `free`: one that the system chooses";
    BODY_MAX = Some("8MiB"), "the longest body kept whole, 1MiB-12MiB; the platform sends up to twice `BUFFER_BYTES` and more";
    S3_REGION = None, "region of the bucket; the default is `AWS_REGION`; an access point has its own";
    S3_ENDPOINT = None, "URL of another store than S3; the default is `AWS_ENDPOINT_URL_S3`, then `AWS_ENDPOINT_URL`";
    S3_PATH_STYLE = Some("auto"), "bucket in the path instead of the host name; `auto`: with an endpoint of your own";
    S3_FIPS = None, "`true`: endpoints with cryptography validated under FIPS 140; the default is `AWS_USE_FIPS_ENDPOINT`";
    S3_DUALSTACK = None, "`true`: endpoints with IPv6 addresses, too; the default is `AWS_USE_DUALSTACK_ENDPOINT`";
    S3_CA_FILE = None, "PEM file with further certificates to trust";
    S3_PROXY = None, "`http://[user:password@]host:port`: connections go through it (HTTP CONNECT); the default for `https` is `HTTPS_PROXY`, but for what `NO_PROXY` names";
    S3_ALLOW_HTTP = Some("false"), "`true`: logs may travel unencrypted to any host; otherwise to this machine and link-local addresses only";
    S3_SSE = None, "encryption of objects: `AES256`, `aws:kms` or `aws:kms:dsse`; the default is the bucket's";
    S3_KMS_KEY_ID = None, "id, ARN or alias of the KMS key; implies `aws:kms`";
    S3_BUCKET_KEY = None, "`true` or `false`: bucket keys, so that KMS is asked less often; the default is the bucket's";
    S3_STORAGE_CLASS = None, "storage class, like `STANDARD_IA`";
    S3_BUCKET_OWNER = None, "account that the bucket must belong to, else it gets nothing";
    S3_TAGS = None, "`name=value`, with commas between them: at most 10 tags of every object; needs `s3:PutObjectTagging`";
    S3_METADATA = None, "`name=value`, with commas between them: user metadata of every object, at most 1 KiB";
    S3_ROLE_ARN = None, "role to assume for the bucket, such as one in its account; needs a build with the feature `assume-role`";
    S3_EXTERNAL_ID = None, "external id that the role asks for";
    S3_CHECKSUM = Some("crc64nvme"), "checksum that the store verifies: `crc64nvme`, `crc32`, `md5` (`Content-MD5`, which every store knows) or `none`";
    S3_IF_NONE_MATCH = Some("auto"), "conditional puts: an object that is there is never written again; `auto`: until the store says that it cannot do that; `true` and `false`: always and never";
    EMF = Some("false"), "`true`: own metrics in CloudWatch's embedded metric format, as lines in the log of the function: what was stored, lost, uploaded and held since the line before; such lines are never shipped; CloudWatch charges for each metric";
    EMF_INTERVAL = Some("60s"), "the shortest time between two such lines, 1s-1h, but for the last one of a life; CloudWatch keeps metrics by the minute";
    LOG = Some("warn"), "least important own log line: `error`, `warn`, `info`, `debug`";
}
