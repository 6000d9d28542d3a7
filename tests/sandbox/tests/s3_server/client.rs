//! A client of S3 that shares nothing with the server or the product: SigV4 by hand over raw hyper.

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use sandbox::s3::S3Server;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub type Failure = Box<dyn Error + Send + Sync>;

/// What never takes this long has failed: a test then says so, where it would hang.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// One signed request; every part of it can be made wrong.
#[derive(Clone)]
pub struct Call {
    address: String,
    host: String,
    method: &'static str,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Bytes,
    payload: Payload,
    access_key_id: String,
    secret_access_key: String,
    region: String,
    at: OffsetDateTime,
}

/// What the signature says about the body.
#[derive(Clone, Copy)]
enum Payload {
    Unsigned,
    Signed,
    SignedFor(&'static [u8]),
}

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Status and `<Code>` of an error.
    pub fn error(&self) -> (u16, String) {
        (self.status, self.elements("Code").concat())
    }

    /// The contents of every element of that name, as they stand.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next().map(str::to_owned)).collect()
    }
}

/// A request for `/bucket/key`, with the server's own credentials.
pub fn call(s3: &S3Server, method: &'static str, bucket: &str, key: &str) -> Call {
    let address = s3.endpoint().replace("http://", "");
    Call {
        host: address.clone(),
        address,
        method,
        path: format!("/{bucket}/{}", encoded(key, true)),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: Bytes::new(),
        payload: Payload::Unsigned,
        access_key_id: s3.access_key_id().to_owned(),
        secret_access_key: s3.secret_access_key().to_owned(),
        region: s3.region().to_owned(),
        at: OffsetDateTime::now_utc(),
    }
}

/// An upload of `body` to the bucket `logs`.
pub fn put(s3: &S3Server, key: &str, body: impl Into<Bytes>) -> Call {
    call(s3, "PUT", "logs", key).body(body)
}

/// A page of the bucket `logs`.
pub fn list(s3: &S3Server, query: &[(&str, &str)]) -> Call {
    let mut list = call(s3, "GET", "logs", "");
    list.query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    list.query.insert("list-type".to_owned(), "2".to_owned());
    list
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same through another port.
    pub fn through(mut self, endpoint: &str) -> Self {
        self.address = endpoint.replace("http://", "");
        self.host.clone_from(&self.address);
        self
    }

    /// In place of `/bucket/key` at the address: `/key` at `bucket.localhost`.
    pub fn virtual_host(mut self, bucket: &str) -> Self {
        let port = self.address.rsplit(':').next().unwrap_or_default();
        self.host = format!("{bucket}.localhost:{port}");
        self.path = self.path.replacen(&format!("/{bucket}"), "", 1);
        self
    }

    pub fn payload_signed(mut self) -> Self {
        self.payload = Payload::Signed;
        self
    }

    pub fn payload_signed_for(mut self, other: &'static [u8]) -> Self {
        self.payload = Payload::SignedFor(other);
        self
    }

    pub fn access_key_id(mut self, id: &str) -> Self {
        self.access_key_id = id.to_owned();
        self
    }

    pub fn secret(mut self, secret: &str) -> Self {
        self.secret_access_key = secret.to_owned();
        self
    }

    pub fn region(mut self, region: &str) -> Self {
        self.region = region.to_owned();
        self
    }

    pub fn clock_off_by(mut self, minutes: i64) -> Self {
        self.at += Duration::minutes(minutes);
        self
    }

    /// On a connection of its own.
    pub async fn send(&self) -> Result<Reply, Failure> {
        Connection::open(&self.address).await?.send(self).await
    }

    /// Without a signature.
    pub async fn send_unsigned(&self) -> Result<Reply, Failure> {
        let mut request = self.request();
        request.headers_mut().remove("authorization");
        let mut connection = Connection::open(&self.address).await?;
        connection.send_request(request).await
    }

    /// The head as it goes over the wire: for a sender that does not get to the end of its body.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target());
        for (name, value) in self.signed_headers() {
            write!(head, "{name}: {value}\r\n").expect("writing to a string");
        }
        head + "\r\n"
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(self.target());
        for (name, value) in self.signed_headers() {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).expect("a request")
    }

    fn target(&self) -> String {
        let query = self.canonical_query();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{mark}{query}", self.path)
    }

    fn canonical_query(&self) -> String {
        let pairs = self.query.iter();
        let pairs = pairs.map(|(name, value)| format!("{}={}", encoded(name, false), encoded(value, false)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// All headers, the signature among them.
    fn signed_headers(&self) -> BTreeMap<String, String> {
        let (date, stamp) = dates(self.at);
        let hash = match self.payload {
            Payload::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
            Payload::Signed => hex(&Sha256::digest(&self.body)),
            Payload::SignedFor(other) => hex(&Sha256::digest(other)),
        };
        let mut headers = self.headers.clone();
        headers.insert("host".to_owned(), self.host.clone());
        headers.insert("x-amz-date".to_owned(), stamp.clone());
        headers.insert("x-amz-content-sha256".to_owned(), hash.clone());

        let names: Vec<&str> = headers.keys().map(String::as_str).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{}\n{}\n{lines}\n{names}\n{hash}", self.method, self.path, self.canonical_query());
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let canonical_hash = hex(&Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical_hash}");
        let secret = format!("AWS4{}", self.secret_access_key).into_bytes();
        let key = [date.as_str(), &self.region, "s3", "aws4_request"].iter().fold(secret, |key, part| hmac(&key, part));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.access_key_id,
            hex(&hmac(&key, &to_sign)),
        );
        headers.insert("authorization".to_owned(), authorization);
        if self.method == "PUT" {
            headers.entry("content-length".to_owned()).or_insert(self.body.len().to_string());
        }
        headers
    }
}

/// A kept connection.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub async fn open(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    pub async fn to(s3: &S3Server) -> Result<Self, Failure> {
        Self::open(&s3.endpoint().replace("http://", "")).await
    }

    pub async fn send(&mut self, call: &Call) -> Result<Reply, Failure> {
        self.send_request(call.request()).await
    }

    async fn send_request(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        timeout(PATIENCE, self.exchange(request)).await?
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let (head, body) = response.into_parts();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body: body.collect().await?.to_bytes() })
    }
}

/// The kind of the I/O error at the bottom of a failure.
pub fn io_error_kind(failure: &Failure) -> Option<std::io::ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(failure.as_ref());
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

fn dates(at: OffsetDateTime) -> (String, String) {
    let date = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    let stamp = format!("{date}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    (date, stamp)
}

fn encoded(text: &str, keep_slash: bool) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (keep_slash && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string");
        }
        encoded
    })
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string");
        hex
    })
}
