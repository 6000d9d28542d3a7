//! Which object a request is about, in both styles of address.

use hyper::HeaderMap;
use hyper::header::HOST;
use percent_encoding::percent_decode_str;
use s3s::host::{S3Host, SingleDomain};
use s3s::path::{S3Path, parse_path_style, parse_virtual_hosted_style};
use std::net::{IpAddr, SocketAddr};

/// Bucket and key, empty where the request names none (or nothing that S3 understands).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Target {
    /// Reads a request as `s3s` will: `/bucket/key` at an address or at the domain itself, `/key` at a subdomain of it.
    pub(super) fn of(uri_path: &str, headers: &HeaderMap, domain: &SingleDomain) -> Self {
        let Ok(path) = percent_decode_str(uri_path).decode_utf8() else {
            return Self::default();
        };
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let named = host.filter(|host| !is_address(host));
        let virtual_host = named.and_then(|host| domain.parse_host_header(host).ok());
        let parsed = match virtual_host {
            Some(host) => parse_virtual_hosted_style(host.bucket(), &path),
            None => parse_path_style(&path),
        };
        parsed.map(Self::from).unwrap_or_default()
    }
}

impl From<S3Path> for Target {
    fn from(path: S3Path) -> Self {
        Self {
            bucket: path.get_bucket_name().unwrap_or_default().to_owned(),
            key: path.get_object_key().unwrap_or_default().to_owned(),
        }
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_name_the_same_object() {
        let domain = SingleDomain::new("localhost:9000").expect("a domain");
        for (host, path, bucket, key) in [
            ("127.0.0.1:9000", "/logs/a%2Bb/c%20d", "logs", "a+b/c d"),
            ("localhost:9000", "/logs/a", "logs", "a"),
            ("logs.localhost:9000", "/a/b", "logs", "a/b"),
            ("127.0.0.1:9000", "/logs", "logs", ""),
            ("logs.localhost:9000", "/", "logs", ""),
            ("127.0.0.1:9000", "/", "", ""),
            ("127.0.0.1:9000", "/No_Bucket/a", "", ""),
            ("127.0.0.1:9000", "/logs/%FF", "", ""),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a header value"));
            let expected = Target { bucket: bucket.to_owned(), key: key.to_owned() };
            assert_eq!(Target::of(path, &headers, &domain), expected, "{host}{path}");
        }
    }
}
