//! The first frame of a GIF. What follows it is not decoded, however many frames there are.

use weezl::decode::Decoder;
use weezl::{BitOrder, LzwStatus};

use super::{BUFFER, Effort, PictureFault, Place, Stop};
use crate::verify::images::{little, palette};

/// Bits of a colour's number. With more, a code does not fit into its 12 bits.
const BITS: std::ops::RangeInclusive<u8> = 1..=11;

pub(super) fn decode(file: &[u8], effort: Effort<'_>) -> Result<(), Stop> {
    let flags = *file.get(10).ok_or(Stop::Unknown)?;
    let mut at = 13 + usize::try_from(palette(flags)).unwrap_or_default();
    loop {
        match file.get(at) {
            Some(0x2c) => return frame(file, at, effort),
            Some(0x21) => {
                let mut blocks = Blocks { file, at: at + 2 };
                while blocks.next().is_some() {}
                at = blocks.at;
            }
            // Some encoders write one end of blocks too many.
            Some(0) => at += 1,
            _ => return Err(Stop::Unknown),
        }
    }
}

/// The blocks of a part of a GIF, as far as they are in the file.
struct Blocks<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = &'a [u8];

    /// Afterwards `at` is behind the block, or behind the last one.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.file.get(self.at..)?.split_first()?;
        self.at += 1 + usize::from(*length);
        let block = rest.get(..usize::from(*length)).unwrap_or(rest);
        (*length > 0).then_some(block)
    }
}

/// Decodes the frame that begins at `at`.
fn frame(file: &[u8], at: usize, effort: Effort<'_>) -> Result<(), Stop> {
    let head = file.get(at..).and_then(|frame| frame.get(..10)).ok_or(Stop::Unknown)?;
    let (width, height) = (little(&head[5..7]), little(&head[7..9]));
    let at = at + 10 + usize::try_from(palette(head[9])).unwrap_or_default();
    let mut left = width * height;
    let place = |left: u64| Place {
        row: (width * height - left).checked_div(width).unwrap_or_default(),
        rows: height,
        pass: 0,
    };
    let Some(bits) = file.get(at) else { return Err(PictureFault::Ends(place(left)).into()) };
    if !BITS.contains(bits) {
        return Err(PictureFault::Corrupt(place(left)).into());
    }
    effort.spend(left)?;
    let mut decoder = Decoder::new(BitOrder::Lsb, *bits);
    let mut buffer = vec![0; BUFFER];
    let blocks = Blocks { file, at: at + 1 };
    for mut block in blocks {
        effort.spend(block.len() as u64)?;
        loop {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
            let decoded = decoder.decode_bytes(block, &mut buffer[..room]);
            block = block.get(decoded.consumed_in..).unwrap_or_default();
            left = left.saturating_sub(decoded.consumed_out as u64);
            if left == 0 {
                return Ok(());
            }
            match decoded.status {
                Err(_) => return Err(PictureFault::Corrupt(place(left)).into()),
                Ok(LzwStatus::Done) => return Err(PictureFault::Ends(place(left)).into()),
                Ok(LzwStatus::Ok) if decoded.consumed_in + decoded.consumed_out > 0 => {}
                // The rest is in the next block.
                Ok(LzwStatus::Ok | LzwStatus::NoProgress) => break,
            }
        }
    }
    Err(PictureFault::Ends(place(left)).into())
}
