//! A request's body on its way to the backend: counted, cut at will, and read to its end in any case.

use super::connection::Link;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The body, shared by the backend, which reads it, and the layer before it, which reads what the backend left.
#[derive(Clone)]
pub(super) struct Upload(Arc<Mutex<Source>>);

struct Source {
    incoming: Incoming,
    taken_bytes: u64,
    cut: Option<Cut>,
}

/// Resets the connection as soon as so many bytes were taken.
struct Cut {
    after_bytes: u64,
    link: Link,
}

impl Upload {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self(Arc::new(Mutex::new(Source { incoming, taken_bytes: 0, cut: None })))
    }

    /// Half of the body passes, then the connection is reset and nothing passes any more.
    pub(super) fn cut_in_the_middle(&self, link: Link) {
        self.with(|source| {
            let announced_bytes = source.incoming.size_hint().lower();
            source.cut = Some(Cut { after_bytes: announced_bytes / 2, link });
        });
    }

    pub(super) fn taken_bytes(&self) -> u64 {
        self.with(|source| source.taken_bytes)
    }

    /// Reads what is left. A sender that is answered early would run into a reset while it still writes, and might
    /// never see the answer.
    pub(super) async fn drain(&self) {
        while let Some(Ok(_)) = poll_fn(|context| self.with(|it| it.poll_frame(context))).await {}
    }

    fn with<T>(&self, use_source: impl FnOnce(&mut Source) -> T) -> T {
        use_source(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|source| source.poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|source| source.cut.is_none() && source.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|source| source.incoming.size_hint())
    }
}

impl Source {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let left_bytes = match &self.cut {
            Some(cut) if self.taken_bytes >= cut.after_bytes => {
                cut.link.reset();
                return Poll::Pending; // until the connection is dropped, and this with it
            }
            Some(cut) => cut.after_bytes - self.taken_bytes,
            None => u64::MAX,
        };
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        polled.map_ok(|frame| {
            let frame = frame.map_data(|data| shortened(data, left_bytes));
            if let Some(data) = frame.data_ref() {
                self.taken_bytes += data.len() as u64;
            }
            frame
        })
    }
}

fn shortened(mut data: Bytes, bytes_max: u64) -> Bytes {
    data.truncate(usize::try_from(bytes_max).unwrap_or(usize::MAX));
    data
}
