//! NDJSON as Lambda telemetry becomes it: function lines in JSON and text, platform events around every invocation. The same
//! seed gives the same lines.

use fastrand::Rng;
use spool::Meta;

const LEVELS: [&str; 6] = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"];
const MESSAGES: [&str; 6] = [
    "order accepted",
    "payment authorised by the provider",
    "cache miss, asking the database",
    "stock reserved in warehouse",
    "retrying after a timeout of the upstream service",
    "request finished",
];
const ROUTES: [&str; 4] = ["/v1/orders", "/v1/orders/{id}/items", "/v1/customers/{id}", "/v1/stock"];

/// The lines of one body.
pub struct Body {
    pub lines: Vec<u8>,
    pub records: u32,
    /// The request id in force behind it, as the extension tells it: it changes with every invocation.
    pub meta: Meta,
}

/// So many bodies of about so many bytes.
pub fn bodies(seed: u64, count: usize, bytes: usize) -> Vec<Body> {
    let mut lines =
        Lines { rng: Rng::with_seed(seed), seq: 0, time_ms: 1_790_000_000_000, request: String::new(), left: 0 };
    (0..count).map(|_| lines.body(bytes)).collect()
}

struct Lines {
    rng: Rng,
    seq: u64,
    time_ms: u64,
    request: String,
    /// Lines until this invocation is over.
    left: u32,
}

impl Lines {
    fn body(&mut self, bytes: usize) -> Body {
        let mut body = Body { lines: Vec::with_capacity(bytes + 1_024), records: 0, meta: Meta::default() };
        while body.lines.len() + 150 < bytes {
            let line = self.line();
            body.lines.extend_from_slice(line.as_bytes());
            body.records += 1;
        }
        body.meta.request_id = Some(self.request.clone());
        body
    }

    fn line(&mut self) -> String {
        self.time_ms += self.rng.u64(0..40);
        self.seq += 1;
        if self.left == 0 {
            self.left = self.rng.u32(4..14);
            self.request = uuid(&mut self.rng);
            return self.event("platform.start", &format!(r#"{{"requestId":"{}","version":"$LATEST"}}"#, self.request));
        }
        self.left -= 1;
        if self.left == 0 {
            let report = format!(
                r#"{{"requestId":"{}","status":"success","metrics":{{"durationMs":{}.{:03},"billedDurationMs":{},"memorySizeMB":512,"maxMemoryUsedMB":{}}}}}"#,
                self.request,
                self.rng.u32(3..900),
                self.rng.u32(0..1000),
                self.rng.u32(3..900),
                self.rng.u32(80..200)
            );
            return self.event("platform.report", &report);
        }
        let record = if self.rng.u8(0..4) == 0 { self.text() } else { self.json() };
        self.event("function", &record)
    }

    fn event(&self, kind: &str, record: &str) -> String {
        let (second, milli) = (self.time_ms / 1_000, self.time_ms % 1_000);
        let (hour, minute) = (second / 3_600 % 24, second / 60 % 60);
        format!(
            "{{\"time\":\"2026-09-21T{hour:02}:{minute:02}:{:02}.{milli:03}Z\",\"type\":\"{kind}\",\"seq\":{},\"requestId\":\"{}\",\"record\":{record}}}\n",
            second % 60,
            self.seq,
            self.request
        )
    }

    fn json(&mut self) -> String {
        let rng = &mut self.rng;
        format!(
            r#"{{"level":"{}","message":"{}","route":"{}","status":{},"latency_ms":{},"customer":"c-{:08}","trace":"1-{:08x}-{:024x}"}}"#,
            LEVELS[rng.usize(..LEVELS.len())],
            MESSAGES[rng.usize(..MESSAGES.len())],
            ROUTES[rng.usize(..ROUTES.len())],
            [200, 200, 200, 201, 404, 503][rng.usize(..6)],
            rng.u32(1..2_000),
            rng.u32(..100_000_000),
            rng.u32(..),
            rng.u128(..) >> 32,
        )
    }

    fn text(&mut self) -> String {
        let message = MESSAGES[self.rng.usize(..MESSAGES.len())];
        format!(r#""[INFO]\t{}\t{} after {} ms""#, self.request, message, self.rng.u32(1..2_000))
    }
}

fn uuid(rng: &mut Rng) -> String {
    let (a, b, c, d, e) = (rng.u32(..), rng.u16(..), rng.u16(..0x1000), rng.u16(0x8000..0xc000), rng.u64(..) >> 16);
    format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
}
