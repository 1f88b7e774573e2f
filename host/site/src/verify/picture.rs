//! Whether the pixels of a picture decode: of PNG, JPEG, GIF and WebP files, of whose structure
//! `images` has found nothing wrong but that it may be cut.
//!
//! | file | answers |
//! |---|---|
//! | `png` | the rows of a PNG, which `flate2` unpacks into a buffer of fixed size |
//! | `jpeg` | the entropy-coded data of a JPEG: its Huffman codes, without the pixels they stand for |
//! | `gif` | the first frame of a GIF, which `weezl` unpacks into a buffer of fixed size |
//! | `webp` | a WebP, or its first frame, which `image-webp` decodes |
//!
//! Decoders of whole pictures are made to show what they can: of a JPEG that ends in the middle
//! they give a picture with a grey half, and no error. And they hold the picture in memory. So only
//! WebP, whose data cannot be told from other data without decoding it, is decoded into pixels.
//!
//! A fault is what keeps data from being that of the picture. What browsers overlook is none:
//! data behind the last row, checksums of what is not needed to show it, marks without meaning.
//!
//! Each decoder counts its steps before it makes them, and knows the memory it needs before it
//! allocates.

mod gif;
mod jpeg;
mod png;
mod webp;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::images::Format;
use super::work::Work;

pub(super) use self::jpeg::MAX_SCANS;

/// Bytes of memory that decoding a picture may take: 192 MiB, of the 512 MiB of a check.
const MAX_MEMORY: u64 = 192 << 20;
/// The same where nothing can stop the check: 1 MiB.
pub(super) const QUICK_MEMORY: usize = 1 << 20;
/// Bytes of the buffer for what is unpacked. 32 KiB: what `flate2` gives at once.
const BUFFER: usize = 32 << 10;

/// What decoding a picture may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort<'a> {
    work: &'a Work,
    /// Bytes, beside those of the file.
    memory: u64,
}

impl<'a> Effort<'a> {
    /// At most `memory` bytes, and less where nothing can stop the check.
    pub(super) fn new(work: &'a Work, memory: u64) -> Self {
        let max = if work.is_quick() { QUICK_MEMORY as u64 } else { MAX_MEMORY };
        Effort { work, memory: memory.min(max) }
    }

    /// Counts steps that follow, unless they are too many.
    fn spend(&self, steps: u64) -> Result<(), Stop> {
        self.work.spend(usize::try_from(steps).unwrap_or(usize::MAX));
        if self.work.is_exhausted() { Err(Stop::Unknown) } else { Ok(()) }
    }

    /// Asks for memory.
    fn hold(&self, bytes: u64) -> Result<(), Stop> {
        if bytes <= self.memory {
            return Ok(());
        }
        // A child has more.
        if self.work.is_quick() {
            self.work.exhaust();
        }
        Err(Stop::Unknown)
    }

    /// Lets a child decode the picture, if nothing can stop the check here.
    fn wait_for_child(&self) -> Result<(), Stop> {
        if self.work.is_quick() {
            self.work.exhaust();
            return Err(Stop::Unknown);
        }
        Ok(())
    }
}

/// Where in the data of a picture something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Rows before it.
    row: u64,
    /// All rows: of the picture, or of the pass of an interlaced PNG.
    rows: u64,
    /// In which of several passes over the picture, from 1 on; 0 if there is one.
    pass: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { row, rows, pass } = self;
        match row {
            0 => write!(f, "before the first of {rows} rows")?,
            row => write!(f, "after row {row} of {rows}")?,
        }
        match pass {
            0 => Ok(()),
            pass => write!(f, " in pass {pass}"),
        }
    }
}

/// What is wrong with the data of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PictureFault {
    /// It ends too early.
    Ends(Place),
    /// It cannot be that of a picture.
    Corrupt(Place),
    /// The checksum of a part is another one: bytes of it were changed.
    Checksum(Place),
    /// The same of a format whose decoder does not say where.
    Undecodable,
    /// The colours of a picture that has numbers of colours are missing.
    NoPalette,
    /// It goes over the picture more often than any encoder does.
    TooManyScans,
}

/// Why decoding did not get to the end of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Broken(PictureFault),
    /// It takes too much, or is of a kind that is not known here.
    Unknown,
}

impl From<PictureFault> for Stop {
    fn from(fault: PictureFault) -> Self {
        Stop::Broken(fault)
    }
}

/// What is wrong with the pixels of a whole file. `None` as well for pictures that take more than
/// `effort`, and for other formats.
pub(super) fn fault(format: Format, file: &[u8], effort: Effort<'_>) -> Option<PictureFault> {
    let decoded = match format {
        Format::Png => png::decode(file, effort),
        Format::Jpeg => jpeg::decode(file, effort),
        Format::Gif => gif::decode(file, effort),
        Format::WebP => webp::decode(file, effort),
        Format::Avif | Format::Ico | Format::Bmp => Ok(()),
    };
    match decoded {
        Err(Stop::Broken(fault)) => Some(fault),
        Ok(()) | Err(Stop::Unknown) => None,
    }
}
