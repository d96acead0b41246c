//! A body made of a view: on demand, once for a view, off the network's thread.

use std::fmt;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::view::View;
use crate::worker::{Panicked, Worker};

/// What makes a body of a view, piece by piece.
type Encode = dyn Fn(&View, &mut dyn FnMut(&str)) + Send + Sync;

/// How a body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// For the rare client that takes no gzip.
    Plain,
}

/// The newest view's body in one form.
pub(super) struct Exposition {
    encode: Arc<Encode>,
    kept: Arc<Mutex<Kept>>,
    worker: Worker,
}

/// What was made of one poll.
#[derive(Default)]
struct Kept {
    poll: u64,
    gzip: Option<Bytes>,
    plain: Option<Bytes>,
}

impl Exposition {
    /// In the form that this makes.
    pub(super) fn new(
        worker: &Worker,
        encode: impl Fn(&View) -> String + Send + Sync + 'static,
    ) -> Self {
        Self::in_pieces(worker, move |view, take| take(&encode(view)))
    }

    /// In the form that this makes piece by piece, so that it never is there as a whole but gzipped.
    pub(super) fn in_pieces(
        worker: &Worker,
        encode: impl Fn(&View, &mut dyn FnMut(&str)) + Send + Sync + 'static,
    ) -> Self {
        Self { encode: Arc::new(encode), kept: Arc::default(), worker: worker.clone() }
    }

    /// The body of this view, or of a newer one. Plain it is unpacked: that is fast, and a client that takes gzip does not wait
    /// for a second encoding.
    pub(super) async fn body(&self, view: Arc<View>, coding: Coding) -> Result<Bytes, Panicked> {
        let wanted = view.poll.number;
        let kept = move |kept: &Kept| kept.gzip(wanted);
        let make = move |encode: &Encode, room| {
            let gzip = compress(room, |take| encode(&view, take));
            Kept { poll: view.poll.number, gzip: Some(gzip), plain: None }
        };
        let (poll, gzip) = self.kept_or(kept, make).await?;
        if coding == Coding::Gzip {
            return Ok(gzip);
        }
        let kept = move |kept: &Kept| kept.plain(poll);
        let unpack = move |_: &Encode, _| {
            let plain = Some(unpack(&gzip));
            Kept { poll, gzip: Some(gzip), plain }
        };
        Ok(self.kept_or(kept, unpack).await?.1)
    }

    /// What is kept, or else is made when it is this one's turn. The work keeps what it makes, so that a client that hangs
    /// up meanwhile does not have it made again for the next.
    async fn kept_or(
        &self,
        find: impl Fn(&Kept) -> Option<(u64, Bytes)> + Send + 'static,
        make: impl FnOnce(&Encode, usize) -> Kept + Send + 'static,
    ) -> Result<(u64, Bytes), Panicked> {
        if let Some(found) = find(&lock(&self.kept)) {
            return Ok(found);
        }
        let turn = self.worker.turn().await?;
        // It may have been made while this waited.
        if let Some(found) = find(&lock(&self.kept)) {
            return Ok(found);
        }
        let (encode, kept) = (Arc::clone(&self.encode), Arc::clone(&self.kept));
        let work = move || {
            let room = lock(&kept).room();
            let made = make(&*encode, room);
            let found = find(&made);
            lock(&kept).keep(made);
            found
        };
        turn.run(work).await?.ok_or(Panicked)
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

/// Every change of what is kept is whole.
fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// The body of that poll or of a later one, and of which.
    fn gzip(&self, wanted: u64) -> Option<(u64, Bytes)> {
        self.gzip.clone().filter(|_| self.poll >= wanted).map(|body| (self.poll, body))
    }

    fn plain(&self, wanted: u64) -> Option<(u64, Bytes)> {
        self.plain.clone().filter(|_| self.poll >= wanted).map(|body| (self.poll, body))
    }

    /// One view's body is about as long as the last one's.
    fn room(&self) -> usize {
        self.gzip.as_ref().map_or(0, |body| body.len() + body.len() / 8)
    }

    /// The newer one stays.
    fn keep(&mut self, made: Self) {
        if made.poll >= self.poll {
            *self = made;
        }
    }
}

fn unpack(gzip: &[u8]) -> Bytes {
    let mut text = Vec::new();
    // What was packed a moment ago can be unpacked.
    let _ = GzDecoder::new(gzip).read_to_end(&mut text);
    Bytes::from(text.into_boxed_slice())
}

/// Level 1: a third of the time of level 6 for a body a fifth larger.
fn compress(room: usize, pieces: impl FnOnce(&mut dyn FnMut(&str))) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(room), Compression::fast());
    pieces(&mut |piece| {
        // Writing into a Vec cannot fail.
        let _ = encoder.write_all(piece.as_bytes());
    });
    // It is kept until the next one, so without the room that it did not need.
    Bytes::from(encoder.finish().unwrap_or_default().into_boxed_slice())
}

/// Whether an Accept-Encoding header takes gzip: `gzip`, `deflate, gzip;q=0.5`, `*`, but not `gzip;q=0`.
pub(super) fn accepts_gzip(header: &str) -> bool {
    let quality = |wanted: &str| {
        header.split(',').find_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next()?;
            let quality =
                parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok());
            name.eq_ignore_ascii_case(wanted).then(|| quality.unwrap_or(1.0))
        })
    };
    quality("gzip").or_else(|| quality("*")).is_some_and(|quality| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn gzip_is_sent_only_to_those_who_take_it() {
        for header in [
            "gzip",
            "GZIP",
            "deflate, gzip",
            "gzip;q=0.5",
            "gzip; q=1.0, *;q=0",
            "*",
            "br , gzip ;q=0.1",
        ] {
            assert!(accepts_gzip(header), "{header}");
        }
        for header in ["", "identity", "gzip;q=0", "gzip;q=0.0, *", "deflate", "*;q=0", "xgzip"] {
            assert!(!accepts_gzip(header), "{header}");
        }
    }

    #[test]
    fn pieces_are_gzipped_as_one_body_that_takes_no_more_memory_than_it_has_bytes() {
        let piece = "hugetlb_pool_free_bytes{pagesize=\"2Mi\"} 0\n".repeat(1000);
        let body = compress(0, |take| {
            take(&piece);
            take("");
            take(&piece);
        });
        let mut text = String::new();
        GzDecoder::new(&*body).read_to_string(&mut text).expect("one gzip member");
        assert_eq!(text, [&*piece, &*piece].concat());
        let roomy = Vec::from(compress(1 << 20, |take| take(&piece)));
        assert_eq!(roomy.capacity(), roomy.len());
    }

    /// The view of a poll of a machine where nothing is.
    fn view(number: u64) -> Arc<View> {
        let nowhere = PathBuf::from("/nonexistent");
        let mut view = crate::look(crate::Looking::at(crate::Roots {
            proc: nowhere.clone(),
            sys: nowhere.clone(),
            cgroup: Some(nowhere.clone()),
            pod_logs: nowhere.clone(),
            container_logs: nowhere,
        }));
        view.poll.number = number;
        Arc::new(view)
    }

    #[tokio::test]
    async fn a_view_is_encoded_once_whoever_hangs_up() {
        let encoded = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&encoded);
        let worker = Worker::start("test").expect("a thread");
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let form = Exposition::new(&worker, move |view| {
            // Until the gate is gone, every encoding waits for it.
            let _ = gate.lock().expect("the gate").recv();
            counted.fetch_add(1, Ordering::SeqCst);
            view.poll.number.to_string()
        });
        for _ in 0..20 {
            let hasty = timeout(Duration::from_millis(2), form.body(view(7), Coding::Gzip));
            assert!(hasty.await.is_err(), "it hangs up");
        }
        drop(go);
        for _ in 0..3 {
            let plain = form.body(view(7), Coding::Plain).await.expect("a body");
            assert_eq!(&*plain, b"7");
            form.body(view(7), Coding::Gzip).await.expect("a body");
        }
        assert_eq!(encoded.load(Ordering::SeqCst), 1, "once, and unpacked for the rare client");
        assert_eq!(&*form.body(view(8), Coding::Plain).await.expect("a body"), b"8");
        assert_eq!(
            &*form.body(view(7), Coding::Plain).await.expect("a body"),
            b"8",
            "who has waited gets the newest"
        );
        form.body(view(8), Coding::Gzip).await.expect("a body");
        assert_eq!(encoded.load(Ordering::SeqCst), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(header in "\\PC*") {
            let _ = accepts_gzip(&header);
        }
    }
}
