//! The value of `AWS_LAMBDA_RUNTIME_API`: Lambda writes `host:port`; local emulators put a scheme before and a path behind it.

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery};

/// Port of an address that names none.
const HTTP_PORT: u16 = 80;

/// Where the platform listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`.
    pub(super) authority: String,
    /// What stands before the path of every call; empty, or with a slash in front and none behind.
    pub(super) path: String,
}

/// Why a value is no address of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing is encrypted between a function and its extensions.
    #[error("the platform is reached over plain HTTP only")]
    Scheme,
    /// Neither Lambda's form nor one of an emulator.
    #[error("host:port is expected; http:// before it and a path behind it are allowed")]
    Malformed,
}

impl Address {
    /// Reads the value of the variable.
    ///
    /// # Errors
    /// When nobody can be called by it.
    pub fn parse(value: &str) -> Result<Self, AddressError> {
        let value = value.trim();
        let value = match value.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(AddressError::Scheme),
            None => value,
        };
        let (authority, path) = value.split_at(value.find('/').unwrap_or(value.len()));
        Ok(Self { authority: with_port(authority)?, path: without_end(path)? })
    }
}

fn with_port(text: &str) -> Result<String, AddressError> {
    let authority: Authority = text.parse().map_err(|_| AddressError::Malformed)?;
    // What stands behind the host: nothing, or a colon and a number.
    let (host, port) = (authority.host(), text.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')));
    let port = match port {
        Some(port) => port.parse().map_err(|_| AddressError::Malformed)?,
        None if text == host => HTTP_PORT,
        None => return Err(AddressError::Malformed),
    };
    if host.is_empty() || port == 0 {
        return Err(AddressError::Malformed);
    }
    Ok(format!("{host}:{port}"))
}

fn without_end(path: &str) -> Result<String, AddressError> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Ok(String::new());
    }
    let parsed: PathAndQuery = path.parse().map_err(|_| AddressError::Malformed)?;
    // A query or a fragment would swallow the path of the call.
    if Uri::from(parsed).path() == path { Ok(path.to_owned()) } else { Err(AddressError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_may_have_a_scheme_and_a_path() {
        for (value, authority, path) in [
            ("127.0.0.1:9001", "127.0.0.1:9001", ""),
            ("  localhost:9001\n", "localhost:9001", ""),
            ("[::1]:9001", "[::1]:9001", ""),
            ("host.docker.internal", "host.docker.internal:80", ""),
            ("http://127.0.0.1:9001", "127.0.0.1:9001", ""),
            ("HTTP://127.0.0.1:9001/", "127.0.0.1:9001", ""),
            ("http://127.0.0.1:9000/.rt", "127.0.0.1:9000", "/.rt"),
            ("127.0.0.1:9000/.rt/one//", "127.0.0.1:9000", "/.rt/one"),
        ] {
            let expected = Address { authority: authority.into(), path: path.into() };
            assert_eq!(Address::parse(value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn whatever_nobody_can_be_called_by_is_refused() {
        for value in [
            "",
            " ",
            "/",
            "http://",
            ":9001",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:99999",
            "127.0.0.1:port",
            "user@127.0.0.1:9001",
            "two words",
            "127.0.0.1:9001/a path",
            "127.0.0.1:9001/?query",
            "127.0.0.1:9001?query",
            "127.0.0.1:9001/#fragment",
            "http://http://127.0.0.1:9001",
        ] {
            assert_eq!(Address::parse(value), Err(AddressError::Malformed), "{value}");
        }
        for value in ["https://127.0.0.1:9001", "unix:///run/runtime.sock", "://127.0.0.1:9001"] {
            assert_eq!(Address::parse(value), Err(AddressError::Scheme), "{value}");
        }
    }
}
