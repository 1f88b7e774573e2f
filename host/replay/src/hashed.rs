//! Copies bytes and hashes them on the way.

use std::io::{Read, Result, Write};

use sha2::{Digest as _, Sha256};

/// Size of the buffer.
const BUFFER_BYTES: usize = 64 << 10;

/// Copies everything, and returns its SHA-256 in hexadecimal digits and its length.
///
/// # Errors
/// If reading or writing fails.
pub(super) fn copy_hashed(mut from: impl Read, mut to: impl Write) -> Result<(String, u64)> {
    let (mut sha256, mut copied) = (Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sha256.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        copied += read as u64;
    }
    Ok((hex::encode(sha256.finalize()), copied))
}
