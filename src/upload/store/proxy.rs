//! A proxy between us and the store: which connections go through one, and how one is asked for a tunnel.
//!
//! * **Only tunnels.** Every connection that goes through a proxy is asked for with `CONNECT`, also one without TLS: what the
//!   store is sent and what it answers stays the same byte for byte, and so does the signed `Host`.
//! * The proxy itself is spoken to in plain HTTP. Its user and password go to it and to nobody else, stand in no `Debug`, and no
//!   error repeats the value of a setting, which may hold them.
//! * Nothing is read from the environment: values are passed in.

use std::fmt;

use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;

use super::connector::{BUFFER_BYTES_MAX, Driver, TransportError, Wire};
use super::peer::Peer;

/// Names of the variables with the proxy for `https` endpoints; the first that has a value counts.
pub const HTTPS_PROXY: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
/// Names of the variables with the hosts that are reached without [`HTTPS_PROXY`]; the first that has a value counts.
pub const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy without a port in its URL listens where HTTP does.
const PORT_DEFAULT: u16 = 80;

/// A proxy that speaks plain HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    authority: Authority,
    authorization: Option<HeaderValue>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`, user and password percent-encoded. The scheme may be left out, as many do
    /// in [`HTTPS_PROXY`].
    ///
    /// # Errors
    /// Anything else, proxies of other kinds included.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let rest = match text.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyError),
            None => text.trim(),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, address) = match rest.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, rest),
        };
        let authority: Authority = address.parse().map_err(|_| ProxyError)?;
        // `host:` and `host:99999` are an authority, too.
        let has_port = authority.port_u16().is_some_and(|port| port != 0);
        if authority.host().is_empty() || (!has_port && authority.as_str() != authority.host()) {
            return Err(ProxyError);
        }
        Ok(Self { authority, authorization: user.map(basic).transpose()? })
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(PORT_DEFAULT)
    }

    /// Whom to connect to instead of the store.
    pub(super) fn peer(&self) -> Peer {
        Peer { tls: false, host: self.authority.host().to_owned(), port: self.port() }
    }

    /// Asks for a tunnel to `peer` over a connection to this proxy: afterwards it is a connection to `peer`.
    pub(super) async fn tunnel(&self, wire: Wire, peer: &Peer) -> Result<Wire, TransportError> {
        let lost = |error: hyper::Error| TransportError::Connect {
            peer: format!("{} through the proxy {self}", peer.with_port()),
            source: std::io::Error::other(error),
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES_MAX)
            .handshake::<_, SdkBody>(TokioIo::new(wire))
            .await
            .map_err(lost)?;
        // Its result says nothing that the request does not say.
        let _driver = Driver::spawn(async { drop(connection.with_upgrades().await) });
        let response = sender.send_request(self.request(peer)?).await.map_err(lost)?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(TransportError::Proxy { proxy: self.to_string(), peer: peer.with_port(), status });
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(lost)?;
        let parts = upgraded.downcast::<TokioIo<Wire>>().map_err(|_| unusable("the tunnel is no connection"))?;
        // Through the tunnel the store only ever answers.
        if !parts.read_buf.is_empty() {
            return Err(unusable("the proxy sent more than its answer"));
        }
        Ok(parts.io.into_inner())
    }

    fn request(&self, peer: &Peer) -> Result<Request<SdkBody>, TransportError> {
        let target = peer.with_port();
        let mut request = Request::connect(&target).header(HOST, &target);
        if let Some(authorization) = &self.authorization {
            request = request.header(PROXY_AUTHORIZATION, authorization);
        }
        request.body(SdkBody::empty()).map_err(|error| TransportError::Request(error.to_string()))
    }
}

fn unusable(what: &str) -> TransportError {
    TransportError::Response(what.to_owned())
}

/// RFC 7617.
fn basic(user: &str) -> Result<HeaderValue, ProxyError> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut pair: Vec<u8> = percent_decode_str(name).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair))).map_err(|_| ProxyError)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `host:port`, nothing of the user.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.authority.host(), self.port())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&format_args!("{self}")).finish()
    }
}

/// The value of a setting is no proxy. The value may hold a password: only the rule is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyError;

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a proxy of the form http://[user:password@]host[:port] is expected")
    }
}

impl std::error::Error for ProxyError {}

/// What an answer other than 2xx to `CONNECT` means, for a person.
pub(super) fn refusal(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => "it wants authorization: a user and password that it knows",
        StatusCode::FORBIDDEN => "it forbids this connection",
        _ => "no tunnel",
    }
}

/// Whether such an answer stays the same until a person changes something.
pub(super) fn is_final(status: StatusCode) -> bool {
    matches!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::FORBIDDEN)
}

/// Which connections go through which proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Our own setting: holds for every host.
    pub every: Option<Proxy>,
    /// The one of the environment ([`HTTPS_PROXY`]): holds for connections with TLS to hosts that `except` does not name.
    pub https: Option<Proxy>,
    /// The value of [`NO_PROXY`]: names (which stand for everything below them, too), addresses, networks like `10.0.0.0/8`, or
    /// `*`, separated by commas.
    pub except: Option<String>,
}

impl ProxySettings {
    /// The proxy between us and `host`, if there is one.
    #[must_use]
    pub fn proxy_for(&self, tls: bool, host: &str) -> Option<&Proxy> {
        self.every.as_ref().or_else(|| self.https.as_ref().filter(|_| tls && !self.is_excepted(host)))
    }

    fn is_excepted(&self, host: &str) -> bool {
        let Some(except) = &self.except else {
            return false;
        };
        let Ok(uri) = Uri::builder().scheme("https").authority(host).path_and_query("/").build() else {
            return false;
        };
        // Any proxy will do: asked is only whether it would be left out.
        Matcher::builder().https("http://proxy").no(except.as_str()).build().intercept(&uri).is_none()
    }
}

#[cfg(test)]
mod tests;
