//! The other end of a connection: what a URI says of it, and whether it is near enough to be spoken to without TLS.
//!
//! Pure: no name is ever resolved here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Uri;
use hyper::http::uri::Scheme;

use super::connector::TransportError;

/// Whether plain HTTP to `host` stays on this machine or its own link: loopback and link-local addresses, IPv6 with or
/// without brackets, and the name `localhost`. Of any other name nobody knows where it leads, whatever it resolves to today.
#[must_use]
pub fn is_near(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match without_brackets(host).parse() {
        Ok(IpAddr::V4(address)) => is_near_v4(address),
        Ok(IpAddr::V6(address)) => address.to_ipv4_mapped().map_or_else(|| is_near_v6(address), is_near_v4),
        Err(_) => false,
    }
}

fn is_near_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_link_local()
}

fn is_near_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unicast_link_local()
}

/// The host as resolvers and parsers of addresses want it.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Peer {
    pub(super) fn of(uri: &Uri) -> Result<Self, TransportError> {
        let tls = uri.scheme() != Some(&Scheme::HTTP);
        let host = uri.host().ok_or_else(|| TransportError::Request(format!("no host in {uri}")))?;
        Ok(Self { tls, host: host.to_owned(), port: uri.port_u16().unwrap_or(Self::default_port(tls)) })
    }

    const fn default_port(tls: bool) -> u16 {
        if tls { 443 } else { 80 }
    }

    /// The host as the resolver wants it: an IPv6 address without its brackets.
    pub(super) fn address(&self) -> &str {
        without_brackets(&self.host)
    }

    /// As a proxy is told it: always with a port.
    pub(super) fn with_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// As in a `Host` header, which must be the one that was signed: the default port is left out.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.port != Self::default_port(self.tls) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_what_the_uri_says() {
        let table = [
            ("http://localhost/k", false, "localhost", 80, "localhost", "localhost:80"),
            ("https://b.amazonaws.com/k", true, "b.amazonaws.com", 443, "b.amazonaws.com", "b.amazonaws.com:443"),
            ("http://127.0.0.1:9000/k", false, "127.0.0.1", 9000, "127.0.0.1:9000", "127.0.0.1:9000"),
            ("https://h:443/", true, "h", 443, "h", "h:443"),
            ("http://h:443/", false, "h", 443, "h:443", "h:443"),
            ("http://[::1]:9000/k", false, "::1", 9000, "[::1]:9000", "[::1]:9000"),
            ("https://[::1]/k", true, "::1", 443, "[::1]", "[::1]:443"),
        ];
        for (uri, tls, address, port, host, with_port) in table {
            let peer = Peer::of(&uri.parse().expect(uri)).expect(uri);
            assert_eq!((peer.tls, peer.address(), peer.port), (tls, address, port), "{uri}");
            assert_eq!((peer.to_string().as_str(), peer.with_port().as_str()), (host, with_port), "{uri}");
        }
        assert!(Peer::of(&Uri::from_static("/path")).is_err());
    }

    #[test]
    fn near_is_loopback_and_link_local_and_no_other_name_or_address() {
        for host in [
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.255.255",
            "::1",
            "[::1]",
            "0:0:0:0:0:0:0:1",
            "fe80::1",
            "[febf:ffff::1]",
            "::ffff:127.0.0.1",
            "[::ffff:169.254.170.2]",
        ] {
            assert!(is_near(host), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "localhost.example.com",
            "example.com",
            "127.0.0.1.nip.io",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0.0.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "10.0.0.1",
            "192.168.0.1",
            "8.8.8.8",
            "::",
            "[::1",
            "fe7f::1",
            "fec0::1",
            "fd00:ec2::23",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1%eth0",
        ] {
            assert!(!is_near(host), "{host}");
        }
    }
}
