//! A body made of a view: on demand, once for a view, off the network's thread.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Mutex;
use tokio::task::{self, JoinError};

use crate::view::View;

/// What makes a body of a view, piece by piece.
type Encode = dyn Fn(&View, &mut dyn FnMut(&str)) + Send + Sync;

/// The newest view's body in one form.
pub(super) struct Exposition {
    encode: Arc<Encode>,
    /// Of which poll, and its gzip body. Held while one is made, so that it is made once.
    newest: Mutex<Option<(u64, Bytes)>>,
}

impl Exposition {
    /// In the form that this makes.
    pub(super) fn new(encode: impl Fn(&View) -> String + Send + Sync + 'static) -> Self {
        Self::in_pieces(move |view, take| take(&encode(view)))
    }

    /// In the form that this makes piece by piece, so that it never is there as a whole but gzipped.
    pub(super) fn in_pieces(
        encode: impl Fn(&View, &mut dyn FnMut(&str)) + Send + Sync + 'static,
    ) -> Self {
        Self { encode: Arc::new(encode), newest: Mutex::default() }
    }

    /// The body, gzipped.
    pub(super) async fn gzip(&self, view: Arc<View>) -> Result<Bytes, JoinError> {
        let mut newest = self.newest.lock().await;
        let number = view.poll.number;
        if let Some((of, body)) = &*newest
            && *of == number
        {
            return Ok(body.clone());
        }
        // One view's body is about as long as the last one's.
        let room = newest.as_ref().map_or(0, |(_, body)| body.len() + body.len() / 8);
        let encode = Arc::clone(&self.encode);
        let body = task::spawn_blocking(move || compress(room, |take| encode(&view, take))).await?;
        *newest = Some((number, body.clone()));
        Ok(body)
    }

    /// The body as it is, for the rare client that takes no gzip. One at a time, and not kept.
    pub(super) async fn plain(&self, view: Arc<View>) -> Result<Bytes, JoinError> {
        let _one_at_a_time = self.newest.lock().await;
        let encode = Arc::clone(&self.encode);
        let whole = move || {
            let mut text = String::new();
            encode(&view, &mut |piece| text.push_str(piece));
            Bytes::from(text)
        };
        task::spawn_blocking(whole).await
    }
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
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
    use std::io::Read;

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
        flate2::read::GzDecoder::new(&*body).read_to_string(&mut text).expect("one gzip member");
        assert_eq!(text, [&*piece, &*piece].concat());
        let roomy = Vec::from(compress(1 << 20, |take| take(&piece)));
        assert_eq!(roomy.capacity(), roomy.len());
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(header in "\\PC*") {
            let _ = accepts_gzip(&header);
        }
    }
}
