//! Tokens, certificates and keys: files that are read whole, anew for every use, since they rotate.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A token or a bundle of authorities that never ends must not cost us our memory.
const MOST_BYTES: u64 = 4 << 20;

/// A file whole. A pipe or a device would never end.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
