//! The layer before S3: sees every request first, notes it, and lets it pass or makes it fail.

use super::answer::ErrorAnswer;
use super::auth::check_region;
use super::connection::Link;
use super::fault::Fault;
use super::faults::Faults;
use super::log::{RequestLog, RequestSeen};
use super::target::Target;
use super::upload::Upload;
use super::upstream::Upstream;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request};
use s3s::host::SingleDomain;
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const SECURITY_TOKEN: &str = "x-amz-security-token";

pub(super) struct Layer {
    pub(super) behind: Behind,
    pub(super) domain: SingleDomain,
    pub(super) region: String,
    pub(super) faults: Faults,
    pub(super) log: Arc<RequestLog>,
    pub(super) latency: Arc<Latency>,
}

/// Who makes something of a request.
pub(super) enum Behind {
    /// S3 in this process.
    Service(S3Service),
    /// A server of somebody else's.
    Upstream(Upstream),
}

/// How long every answer is kept back.
#[derive(Default)]
pub(super) struct Latency {
    ms: AtomicU64,
}

impl Latency {
    pub(super) fn set(&self, latency: Duration) {
        self.ms.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }
}

/// What is done with a request.
enum Course {
    /// S3 answers.
    Serve,
    /// The body is read and this answered; S3 never hears of it.
    Refuse(ErrorAnswer),
    /// S3 carries it out, but the answer is this.
    ServeAndAnswer(ErrorAnswer),
    /// S3 carries it out, then the connection is reset.
    ServeAndReset,
    /// The body is read, then the connection is reset; S3 never hears of it.
    ReadAndReset,
    /// S3 gets half of the body, then the connection is reset.
    ServeHalfAndReset,
    /// The body is read, and then nothing.
    Hang,
    /// The connection is reset at once.
    Reset,
}

impl Course {
    fn of(fault: Option<Fault>, region: &str) -> Self {
        let Some(fault) = fault else {
            return Self::Serve;
        };
        match (fault, ErrorAnswer::of(fault, region)) {
            (Fault::InternalErrorAfterStoring, Some(answer)) => Self::ServeAndAnswer(answer),
            (_, Some(answer)) => Self::Refuse(answer),
            (Fault::ResetBeforeAnswer, None) => Self::ReadAndReset,
            (Fault::ResetAfterStoring, None) => Self::ServeAndReset,
            (Fault::ResetMidBody, None) => Self::ServeHalfAndReset,
            (Fault::Hang, None) => Self::Hang,
            // A request that was on its way when the port closed.
            (_, None) => Self::Reset,
        }
    }
}

impl Layer {
    pub(super) async fn answer(&self, request: Request<Incoming>, link: Link) -> Result<HttpResponse, HttpError> {
        let (head, incoming) = request.into_parts();
        let upload = Upload::new(incoming);
        let noted = self.note(&head, &link, upload.clone());
        let course = Course::of(noted.fault, &self.region);

        // Of the moment in which the request comes: that it was carried out is seen before its answer.
        let latency = self.latency.get();
        let mut response = match course {
            Course::Refuse(answer) => {
                upload.drain().await;
                answer.into_response()
            }
            Course::Serve => self.serve(head, &upload, &noted).await?,
            Course::ServeAndAnswer(answer) => {
                self.serve(head, &upload, &noted).await?;
                answer.into_response()
            }
            Course::ServeAndReset => {
                self.serve(head, &upload, &noted).await?;
                link.reset();
                pending().await
            }
            Course::ReadAndReset => {
                upload.drain().await;
                link.reset();
                pending().await
            }
            Course::ServeHalfAndReset => {
                upload.cut_in_the_middle(link.clone());
                self.serve(head, &upload, &noted).await?;
                // Not reached: `serve` reads on to the cut, also when S3 refused the request by its head.
                pending().await
            }
            Course::Hang => {
                upload.drain().await;
                noted.took_all();
                pending().await
            }
            Course::Reset => {
                link.reset();
                pending().await
            }
        };
        tokio::time::sleep(latency).await;
        let request_id = HeaderValue::from(noted.number);
        response.headers_mut().insert(REQUEST_ID, request_id);
        noted.answered(response.status().as_u16());
        Ok(response)
    }

    /// What S3 makes of it, with the whole body read.
    async fn serve(&self, head: Parts, upload: &Upload, noted: &Noted<'_>) -> Result<HttpResponse, HttpError> {
        let response = match &self.behind {
            Behind::Service(s3) => match check_region(&head.headers, &self.region) {
                Ok(()) => {
                    let body = Body::http_body(upload.clone());
                    s3.call(Request::from_parts(head, body)).await?
                }
                Err(wrong) => wrong.into_response(),
            },
            Behind::Upstream(upstream) => upstream.call(head, upload.clone()).await,
        };
        upload.drain().await;
        if noted.is_put && response.status().is_success() {
            noted.stored();
        }
        Ok(response)
    }

    fn note(&self, head: &Parts, link: &Link, upload: Upload) -> Noted<'_> {
        let target = Target::of(head.uri.path(), &head.headers, &self.domain);
        let is_put = head.method == Method::PUT && !target.key.is_empty();
        let fault = self.faults.take(is_put);
        let number = self.log.note(RequestSeen {
            method: head.method.to_string(),
            bucket: target.bucket,
            key: target.key,
            query: head.uri.query().unwrap_or_default().to_owned(),
            status: None,
            fault,
            stored: false,
            if_none_match: head.headers.get(IF_NONE_MATCH).is_some_and(|it| it == "*"),
            head_bytes: head_bytes(head),
            body_bytes: 0,
            headers: without_secrets(&head.headers),
            connection: link.connection,
            at: Instant::now(),
            answered_at: None,
        });
        Noted { log: &self.log, number, is_put, fault, upload }
    }
}

/// A request in the log while it is served. What is known of it is written down also if it is cut off.
struct Noted<'log> {
    log: &'log RequestLog,
    number: usize,
    is_put: bool,
    fault: Option<Fault>,
    upload: Upload,
}

impl Noted<'_> {
    /// The body is here; nothing more will be known of this request.
    fn took_all(&self) {
        self.update(|_| {});
    }

    fn stored(&self) {
        self.update(|seen| seen.stored = true);
    }

    fn answered(&self, status: u16) {
        self.update(|seen| {
            seen.status = Some(status);
            seen.answered_at = Some(Instant::now());
        });
    }

    fn update(&self, change: impl FnOnce(&mut RequestSeen)) {
        let body_bytes = self.upload.taken_bytes();
        self.log.update(self.number, |seen| {
            seen.body_bytes = body_bytes;
            change(seen);
        });
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.update(|_| {});
    }
}

/// `PUT /path HTTP/1.1`, then a line for each header, then an empty one.
fn head_bytes(head: &Parts) -> u64 {
    let line = format!("{} {} HTTP/1.1\r\n", head.method, head.uri).len();
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len());
    (line + headers.sum::<usize>() + "\r\n".len()) as u64
}

fn without_secrets(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| *name != AUTHORIZATION && *name != SECURITY_TOKEN)
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect()
}
