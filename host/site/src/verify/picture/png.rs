//! The rows of a PNG.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{BUFFER, Effort, PictureFault, Place, Stop};
use crate::verify::images::big;

/// The seven passes of an interlaced picture: the first column and row, and the steps from one to
/// the next.
const PASSES: [[u64; 4]; 7] = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
];
/// The whole picture as one pass.
const ONE_PASS: [[u64; 4]; 1] = [[0, 0, 1, 1]];

pub(super) fn decode(file: &[u8], effort: Effort<'_>) -> Result<(), Stop> {
    let mut chunks = Chunks { rest: file.get(8..).unwrap_or_default() };
    let head = chunks.next().filter(|chunk| chunk.name == b"IHDR").ok_or(Stop::Unknown)?;
    let header = Header::read(head.data).ok_or(Stop::Unknown)?;
    let mut rows = Rows::new(&header);
    let changed = |place: Place| Stop::from(PictureFault::Checksum(place));
    if !head.is_intact {
        return Err(changed(rows.place()));
    }
    effort.spend(rows.bytes())?;
    let mut stream = Stream::new();
    let mut has_palette = false;
    for chunk in chunks {
        match chunk.name {
            b"PLTE" => {
                if !chunk.is_intact {
                    return Err(changed(rows.place()));
                }
                has_palette = true;
            }
            b"IDAT" => {
                if header.needs_palette && !has_palette {
                    return Err(PictureFault::NoPalette.into());
                }
                effort.spend(chunk.data.len() as u64)?;
                let before = rows.place();
                stream.unpack(chunk.data, &mut rows)?;
                if !chunk.is_intact {
                    return Err(changed(before));
                }
            }
            b"IEND" => break,
            _ => {}
        }
        if rows.are_complete() {
            return Ok(());
        }
    }
    Err(PictureFault::Ends(rows.place()).into())
}

/// A chunk of a PNG.
struct Chunk<'a> {
    name: &'a [u8],
    data: &'a [u8],
    /// Whether its checksum is that of its data, if that matters and the file has both.
    is_intact: bool,
}

/// The chunks of a PNG, up to the end of the file.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (length, rest) = self.rest.split_at_checked(4)?;
        let (name, rest) = rest.split_at_checked(4)?;
        let length = usize::try_from(big(length)).unwrap_or(usize::MAX);
        let (data, rest) = rest.split_at_checked(length).unwrap_or((rest, Default::default()));
        let (sum, rest) = rest.split_at_checked(4).unwrap_or_default();
        self.rest = rest;
        // Browsers ignore the checksums of what they can do without.
        let matters = matches!(name, b"IHDR" | b"PLTE" | b"IDAT") && !sum.is_empty();
        let is_intact = !matters || big(sum) == u64::from(checksum(name, data));
        Some(Chunk { name, data, is_intact })
    }
}

fn checksum(name: &[u8], data: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(name);
    sum.update(data);
    sum.sum()
}

struct Header {
    width: u64,
    height: u64,
    /// Of each pixel.
    bits: u64,
    needs_palette: bool,
    passes: &'static [[u64; 4]],
}

impl Header {
    /// `None` if it is none of PNG.
    fn read(data: &[u8]) -> Option<Self> {
        let (size, rest) = data.split_at_checked(8)?;
        let (width, height) = size.split_at(4);
        let [depth, color, _, _, interlaced] = *rest else { return None };
        let channels = match color {
            0 | 3 => 1,
            4 => 2,
            2 => 3,
            6 => 4,
            _ => return None,
        };
        Some(Header {
            width: big(width),
            height: big(height),
            bits: u64::from(depth) * channels,
            needs_palette: color == 3,
            passes: if interlaced == 0 { &ONE_PASS } else { &PASSES },
        })
    }
}

/// The rows that the unpacked data of a picture must have.
struct Rows {
    /// Rows, and bytes of each with the number of its filter, of the passes that have any.
    passes: Vec<(u64, u64)>,
    /// The number of a pass that has rows, from 0 on.
    pass: usize,
    /// Complete ones of the pass.
    row: u64,
    /// Bytes of the next one that are there.
    filled: u64,
}

impl Rows {
    fn new(header: &Header) -> Self {
        let mut passes = Vec::new();
        for [left, top, right, down] in header.passes {
            let columns = header.width.saturating_sub(*left).div_ceil(*right);
            let rows = header.height.saturating_sub(*top).div_ceil(*down);
            if columns > 0 && rows > 0 {
                passes.push((rows, 1 + (columns * header.bits).div_ceil(8)));
            }
        }
        Rows { passes, pass: 0, row: 0, filled: 0 }
    }

    /// Bytes of all rows.
    fn bytes(&self) -> u64 {
        self.passes
            .iter()
            .map(|(rows, bytes)| rows.saturating_mul(*bytes))
            .fold(0, u64::saturating_add)
    }

    fn are_complete(&self) -> bool {
        self.pass >= self.passes.len()
    }

    fn place(&self) -> Place {
        let rows = self.passes.get(self.pass).map_or(0, |(rows, _)| *rows);
        let number = u32::try_from(self.pass + 1).unwrap_or(u32::MAX);
        Place { row: self.row, rows, pass: if self.passes.len() > 1 { number } else { 0 } }
    }

    /// Takes unpacked data.
    fn fill(&mut self, mut data: &[u8]) -> Result<(), Stop> {
        while let Some(filter) = data.first()
            && let Some((rows, bytes)) = self.passes.get(self.pass)
        {
            if self.filled == 0 && *filter > 4 {
                return Err(PictureFault::Corrupt(self.place()).into());
            }
            let missing = usize::try_from(bytes - self.filled).unwrap_or(usize::MAX);
            let taken = missing.min(data.len());
            data = &data[taken..];
            self.filled += taken as u64;
            if self.filled == *bytes {
                (self.filled, self.row) = (0, self.row + 1);
            }
            if self.row == *rows {
                (self.row, self.pass) = (0, self.pass + 1);
            }
        }
        Ok(())
    }
}

/// The packed data of all chunks, one after the other.
struct Stream {
    inflate: Decompress,
    /// The two bytes before the packed data, as far as they were read.
    header: Vec<u8>,
    buffer: Vec<u8>,
    has_ended: bool,
}

impl Stream {
    fn new() -> Self {
        // Without the checksum at the end, which browsers ignore.
        let inflate = Decompress::new(false);
        Stream { inflate, header: Vec::new(), buffer: vec![0; BUFFER], has_ended: false }
    }

    fn unpack(&mut self, mut data: &[u8], rows: &mut Rows) -> Result<(), Stop> {
        while self.header.len() < 2 {
            let Some((first, rest)) = data.split_first() else { return Ok(()) };
            self.header.push(*first);
            data = rest;
            if self.header.len() == 2 && !is_zlib(&self.header) {
                return Err(PictureFault::Corrupt(rows.place()).into());
            }
        }
        while !self.has_ended && !rows.are_complete() {
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(data, &mut self.buffer, FlushDecompress::None);
            let after = (self.inflate.total_in(), self.inflate.total_out());
            let written = usize::try_from(after.1 - before.1).unwrap_or_default();
            rows.fill(self.buffer.get(..written).unwrap_or_default())?;
            let read = usize::try_from(after.0 - before.0).unwrap_or_default();
            data = data.get(read..).unwrap_or_default();
            match status {
                Ok(Status::StreamEnd) => self.has_ended = true,
                // The rest is in the next chunk.
                Ok(Status::Ok | Status::BufError) if before == after => break,
                Ok(Status::Ok | Status::BufError) => {}
                Err(_) if rows.are_complete() => {}
                Err(_) => return Err(PictureFault::Corrupt(rows.place()).into()),
            }
        }
        Ok(())
    }
}

/// Whether data that is packed as PNG asks for follows: without a dictionary.
fn is_zlib(header: &[u8]) -> bool {
    let number = big(header);
    number.is_multiple_of(31) && (number >> 8) & 0xf == 8 && number & 0x20 == 0
}
