//! Where objects go and how, as plain values; what of it makes no sense by itself.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::super::one_line;
use super::super::peer::is_near;
use super::super::proxy::ProxySettings;
use super::bucket::Bucket;
use crate::upload::object_key::Prefix;

/// A whole attempt: S3 answers a PUT of a few MB in well below a second, and a function's shutdown lasts two.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// S3 closes connections that idle for some 20 seconds; what idled as long was frozen or is about to be closed.
pub const CONNECTION_IDLE_MAX_DEFAULT: Duration = Duration::from_secs(20);

/// Where objects go and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket, or an access point to it.
    pub bucket: Bucket,
    /// What all keys begin with.
    pub prefix: Prefix,
    /// The region of the bucket: part of every signature. That of an access point is in its name.
    pub region: String,
    /// `http://…` or `https://…` of another store than S3, or of S3 by another way.
    pub endpoint: Option<String>,
    /// The bucket's name is in the path instead of the host name.
    pub path_style: bool,
    /// Endpoints of S3 with cryptography validated under FIPS 140.
    pub fips: bool,
    /// Endpoints of S3 that have IPv6 addresses, too.
    pub dual_stack: bool,
    /// Certificates that are trusted besides Mozilla's, PEM.
    pub ca_file: Option<PathBuf>,
    /// Proxies between us and the store.
    pub proxies: ProxySettings,
    /// Logs may travel unencrypted to any host, not only to this machine and link-local addresses.
    pub allow_http: bool,
    /// The longest an attempt may take.
    pub request_timeout: Duration,
    /// The longest a connection may idle, by the wall clock, and still be used.
    pub connection_idle_max: Duration,
    /// What the store can check the bytes by.
    pub checksum: Checksum,
    /// Whether an object that is there is left alone.
    pub if_none_match: IfNoneMatch,
    /// How the object is encrypted; the bucket's own way unless said.
    pub encryption: Option<Encryption>,
    /// `STANDARD_IA`, `GLACIER_IR`, …
    pub storage_class: Option<String>,
    /// The account that the bucket must belong to, else it is refused.
    pub bucket_owner: Option<String>,
    /// Tags of every object.
    pub tags: Vec<(String, String)>,
    /// User metadata of every object beside ours.
    pub metadata: Vec<(String, String)>,
}

/// What the store can check the bytes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// `x-amz-checksum-crc64nvme`: the digest that is in the key, so the store refuses bytes that do not match their key.
    #[default]
    Crc64Nvme,
    /// `x-amz-checksum-crc32`, for stores that do not know the other one.
    Crc32,
    /// `Content-MD5`, which every store knows.
    Md5,
    /// None.
    None,
}

/// Whether `If-None-Match: *` is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IfNoneMatch {
    /// Until a store says that it cannot do that.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How an object is encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of S3: `AES256`.
    S3,
    /// With a key of KMS: `aws:kms`.
    Kms {
        /// The key: its id, its ARN or an alias; that of the account unless said.
        key_id: Option<String>,
        /// Keys of the bucket's own are derived from it, so that KMS is asked less often; as the bucket has it unless said.
        bucket_key: Option<bool>,
    },
    /// Twice, with a key of KMS: `aws:kms:dsse`.
    KmsTwice {
        /// As above.
        key_id: Option<String>,
    },
}

impl S3Settings {
    /// A bucket of S3, with every other setting at its default.
    #[must_use]
    pub fn new(bucket: Bucket, region: impl Into<String>) -> Self {
        Self {
            bucket,
            prefix: Prefix::default(),
            region: region.into(),
            endpoint: None,
            path_style: false,
            fips: false,
            dual_stack: false,
            ca_file: None,
            proxies: ProxySettings::default(),
            allow_http: false,
            request_timeout: REQUEST_TIMEOUT_DEFAULT,
            connection_idle_max: CONNECTION_IDLE_MAX_DEFAULT,
            checksum: Checksum::default(),
            if_none_match: IfNoneMatch::default(),
            encryption: None,
            storage_class: None,
            bucket_owner: None,
            tags: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// The region that requests are signed for at first.
    #[must_use]
    pub fn first_region(&self) -> &str {
        self.bucket.region().unwrap_or(&self.region)
    }

    /// What all of it together must hold.
    ///
    /// # Errors
    /// Settings of which no request can be made.
    pub fn check(&self) -> Result<(), StoreError> {
        if !is_region(self.first_region()) {
            return Err(StoreError::Region(self.region.clone()));
        }
        if self.request_timeout.is_zero() {
            return Err(StoreError::RequestTimeout);
        }
        if let Some(endpoint) = &self.endpoint {
            if !is_endpoint(endpoint) {
                return Err(StoreError::Endpoint);
            }
            if !self.allow_http && is_open_to_others(endpoint) {
                return Err(StoreError::PlainHttp);
            }
            if self.fips || self.dual_stack {
                return Err(StoreError::EndpointOfItsOwn);
            }
        }
        if self.path_style && self.bucket.region().is_some() {
            return Err(StoreError::AccessPointInPath);
        }
        Ok(())
    }
}

/// Names of regions become part of host names.
pub(super) fn is_region(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_endpoint(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<hyper::Uri>() else {
        return false;
    };
    matches!(uri.scheme_str(), Some("http" | "https"))
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.query().is_none()
        && !uri.authority().is_some_and(|authority| authority.as_str().contains('@'))
}

/// Whether what is sent there can be read on its way.
#[must_use]
pub fn is_open_to_others(endpoint: &str) -> bool {
    let uri: Option<hyper::Uri> = endpoint.parse().ok();
    uri.is_some_and(|uri| uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_near))
}

/// Why there can be no store of these settings. What only the store itself can know is told by the first put.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The region's name is empty or has characters that no region has.
    Region(String),
    /// The endpoint is not `http://host[:port][/path]` or `https://…`.
    Endpoint,
    /// Logs would travel unencrypted to another machine.
    PlainHttp,
    /// FIPS and dual-stack are endpoints of S3; another one was named.
    EndpointOfItsOwn,
    /// The name of an access point cannot stand in a path.
    AccessPointInPath,
    /// Attempts may take no time at all.
    RequestTimeout,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => write!(f, "`{}` is no name of a region", one_line(region)),
            // It may hold a password: only the rule is told.
            Self::Endpoint => {
                write!(f, "the endpoint is not of the form http://host[:port][/path] or https://host[:port][/path]")
            }
            Self::PlainHttp => write!(
                f,
                "the endpoint is plain http on another machine: logs could be read on their way; use https, or set S3_ALLOW_HTTP=true"
            ),
            Self::EndpointOfItsOwn => {
                write!(
                    f,
                    "FIPS and dual-stack choose an endpoint of S3: they cannot be had with an endpoint that is named"
                )
            }
            Self::AccessPointInPath => write!(f, "an access point has no path style: its name is in the host name"),
            Self::RequestTimeout => write!(f, "the request timeout is 0: it must be longer"),
        }
    }
}

impl std::error::Error for StoreError {}
