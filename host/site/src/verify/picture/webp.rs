//! A WebP, or the first frame of one that moves.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image_webp::{DecodingError, WebPDecoder};

use super::{Effort, PictureFault, Stop};
use crate::verify::images::little;

/// Steps for each pixel, and for each byte of the file.
const STEPS: (u64, u64) = (12, 8);
/// Bytes of memory for each pixel of the kind that takes the most: the picture in brightness and
/// colours (2), and three times in red, green, blue and opacity for one that moves.
const MEMORY: u64 = 14;

pub(super) fn decode(file: &[u8], effort: Effort<'_>) -> Result<(), Stop> {
    // What the decoder does for a byte is not known.
    effort.wait_for_child()?;
    // It is not ours: a bug in it says nothing about the picture.
    catch_unwind(AssertUnwindSafe(|| read(file, effort))).unwrap_or(Err(Stop::Unknown))
}

fn read(file: &[u8], effort: Effort<'_>) -> Result<(), Stop> {
    effort.spend(STEPS.1 * file.len() as u64)?;
    let mut decoder = match WebPDecoder::new(Cursor::new(file)) {
        Ok(decoder) => decoder,
        // That the file is cut is known from its structure.
        Err(DecodingError::IoError(_)) => return Err(Stop::Unknown),
        Err(error) => return Err(stop(&error)),
    };
    let (width, height) = decoder.dimensions();
    // The decoder compares the two when it has decoded the picture.
    let pixels = (u64::from(width) * u64::from(height)).max(most_pixels(file));
    effort.hold(MEMORY.saturating_mul(pixels))?;
    effort.spend(STEPS.0.saturating_mul(pixels))?;
    let bytes = decoder.output_buffer_size().ok_or(Stop::Unknown)?;
    decoder.read_image(&mut vec![0; bytes]).map_err(|error| stop(&error))
}

/// The most pixels of a lossy picture in the file, whose data says its size once more.
fn most_pixels(file: &[u8]) -> u64 {
    let chunks = Chunks { rest: file.get(12..).unwrap_or_default() };
    let pixels = chunks.map(|(name, data)| match name {
        // A frame: where it is and how long, then its picture.
        b"ANMF" => {
            let inner = Chunks { rest: data.get(16..).unwrap_or_default() };
            inner.map(|(name, data)| pixels(name, data)).max().unwrap_or_default()
        }
        _ => pixels(name, data),
    });
    pixels.max().unwrap_or_default()
}

/// The pixels of a lossy picture; 0 for other chunks.
fn pixels(name: &[u8], data: &[u8]) -> u64 {
    match data.get(6..10) {
        Some(size) if name == b"VP8 " => {
            (little(&size[..2]) & 0x3fff) * (little(&size[2..]) & 0x3fff)
        }
        _ => 0,
    }
}

/// The chunks of a WebP, or of a frame: names and data, as far as the file has them.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.rest.split_at_checked(4)?;
        let (length, rest) = rest.split_at_checked(4)?;
        // Filled to an even length.
        let length = usize::try_from(little(length).next_multiple_of(2)).unwrap_or(usize::MAX);
        let (data, rest) = rest.split_at_checked(length).unwrap_or((rest, Default::default()));
        self.rest = rest;
        Some((name, data))
    }
}

/// What an error says about the file. Browsers overlook what is not listed, or it is a limit of the
/// decoder.
fn stop(error: &DecodingError) -> Stop {
    match error {
        DecodingError::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => Stop::Unknown,
        DecodingError::IoError(_)
        | DecodingError::BitStreamError
        | DecodingError::HuffmanError
        | DecodingError::TransformError
        | DecodingError::LosslessSignatureInvalid(_)
        | DecodingError::VersionNumberInvalid(_)
        | DecodingError::InvalidColorCacheBits(_)
        | DecodingError::Vp8MagicInvalid(_)
        | DecodingError::NotEnoughInitData
        | DecodingError::InconsistentImageSizes
        | DecodingError::LumaPredictionModeInvalid(_)
        | DecodingError::IntraPredictionModeInvalid(_)
        | DecodingError::ChromaPredictionModeInvalid(_)
        | DecodingError::AlphaChunkSizeMismatch
        | DecodingError::InvalidCompressionMethod => PictureFault::Undecodable.into(),
        _ => Stop::Unknown,
    }
}
