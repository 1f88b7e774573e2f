//! The entropy-coded data of a JPEG, baseline or progressive.
//!
//! Each code is read and each number behind it skipped, which is all that can be wrong with them:
//! a picture is whole if there are as many blocks as it needs. Of a progressive picture it is also
//! kept which numbers are not 0, a bit for each, because what refines them has a bit for each of
//! those.

use super::{Effort, PictureFault, Place, Stop};
use crate::verify::images::big;

/// Maximum scans. Encoders make about 10 for a progressive picture.
pub(in crate::verify) const MAX_SCANS: u32 = 500;
/// Maximum components.
const MAX_COMPONENTS: usize = 4;
/// Maximum blocks in each unit of a scan with several components.
const MAX_BLOCKS: u64 = 10;
/// Steps for each block of a scan, and for each byte.
const STEPS: (u64, u64) = (4, 8);

pub(super) fn decode(file: &[u8], effort: Effort<'_>) -> Result<(), Stop> {
    effort.spend(STEPS.1 * file.len() as u64)?;
    let mut picture = Picture::default();
    let mut at = 2;
    loop {
        let Some((marker, behind)) = next_marker(file, at) else { return picture.end() };
        at = behind;
        match marker {
            0xd9 => return picture.end(),
            // They have no length.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        // That a segment is cut is known from the structure.
        let rest = file.get(at..).unwrap_or_default();
        let (length, rest) = rest.split_at_checked(2).ok_or(Stop::Unknown)?;
        let length = usize::try_from(big(length)).unwrap_or_default();
        let segment = rest.get(..length.saturating_sub(2)).ok_or(Stop::Unknown)?;
        at += length.max(2);
        match marker {
            0xc4 => picture.read_tables(segment)?,
            0xc0..=0xc2 => picture.read_frame(segment, marker == 0xc2, effort)?,
            // Arithmetic coding, without losses, of several resolutions: no browser shows them, or
            // not all do.
            0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return Err(Stop::Unknown),
            0xdd => {
                let interval = segment.get(..2).ok_or(Stop::Unknown)?;
                picture.restart_interval = big(interval);
            }
            0xda => {
                let scan = picture.scan(segment)?;
                let mut bits = Bits::new(file, at);
                picture.read_scan(&scan, &mut bits, effort)?;
                at = bits.at;
            }
            _ => {}
        }
    }
}

/// The next marker that is none of data, and what follows it. Decoders skip what is between.
fn next_marker(file: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = file.get(at..)?;
    let found = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
    Some((rest[found + 1], at + found + 2))
}

/// What the segments before a scan say.
#[derive(Default)]
struct Picture {
    width: u64,
    height: u64,
    is_progressive: bool,
    components: Vec<Component>,
    /// The largest of all components, from left to right and from top to bottom.
    most: (u64, u64),
    /// For the first number of a block, and for the others.
    tables: [[Option<Table>; 4]; 2],
    /// Units between two marks to begin again with; 0 if there are none.
    restart_interval: u64,
    scans: u32,
}

/// A component: brightness, or a colour.
struct Component {
    id: u8,
    /// Blocks in each unit, from left to right and from top to bottom.
    blocks: (u64, u64),
    /// Blocks of all units, from left to right.
    stride: u64,
    /// For each block of a progressive picture, a bit for each number that is not 0.
    is_set: Vec<u64>,
    has_data: bool,
}

impl Component {
    /// All blocks of so many units.
    fn all(&self, (columns, rows): (u64, u64)) -> u64 {
        columns * rows * self.blocks.0 * self.blocks.1
    }
}

/// What a scan says of itself.
struct Scan {
    parts: Vec<Part>,
    /// The numbers of a block that it has, from the first to the last.
    numbers: (u8, u8),
    /// Whether it refines numbers that an earlier scan has begun.
    refines: bool,
}

/// A component of a scan.
struct Part {
    component: usize,
    /// The numbers of its tables.
    tables: (usize, usize),
}

impl Picture {
    /// What is known when there are no more scans.
    fn end(&self) -> Result<(), Stop> {
        if self.components.iter().all(|component| component.has_data) {
            return Ok(());
        }
        Err(PictureFault::Ends(self.place(0)).into())
    }

    fn place(&self, row: u64) -> Place {
        let pass = if self.is_progressive { self.scans } else { 0 };
        Place { row: row.min(self.height), rows: self.height, pass }
    }

    fn read_tables(&mut self, mut segment: &[u8]) -> Result<(), Stop> {
        while let Some((kind, rest)) = segment.split_first() {
            let (table, rest) = Table::read(rest).ok_or(PictureFault::Undecodable)?;
            let kinds = self.tables.get_mut(usize::from(kind >> 4));
            let slot = kinds.and_then(|kind_of| kind_of.get_mut(usize::from(kind & 0xf)));
            *slot.ok_or(Stop::Unknown)? = Some(table);
            segment = rest;
        }
        Ok(())
    }

    fn read_frame(
        &mut self,
        segment: &[u8],
        is_progressive: bool,
        effort: Effort<'_>,
    ) -> Result<(), Stop> {
        let (head, rest) = segment.split_at_checked(6).ok_or(Stop::Unknown)?;
        let number = usize::from(head[5]);
        // Of 12 bits, or a second frame.
        if head[0] != 8 || number == 0 || number > MAX_COMPONENTS || !self.components.is_empty() {
            return Err(Stop::Unknown);
        }
        (self.height, self.width) = (big(&head[1..3]), big(&head[3..5]));
        self.is_progressive = is_progressive;
        for component in rest.chunks_exact(3).take(number) {
            let blocks = (u64::from(component[1] >> 4), u64::from(component[1] & 0xf));
            if !(1..=4).contains(&blocks.0) || !(1..=4).contains(&blocks.1) {
                return Err(Stop::Unknown);
            }
            self.most = (self.most.0.max(blocks.0), self.most.1.max(blocks.1));
            let (id, is_set) = (component[0], Vec::new());
            self.components.push(Component { id, blocks, stride: 0, is_set, has_data: false });
        }
        if self.components.len() < number {
            return Err(Stop::Unknown);
        }
        let units = self.units();
        if is_progressive {
            let blocks: u64 = self.components.iter().map(|component| component.all(units)).sum();
            effort.hold(blocks.saturating_mul(8))?;
        }
        for component in &mut self.components {
            component.stride = units.0 * component.blocks.0;
            if is_progressive {
                let blocks = usize::try_from(component.all(units)).unwrap_or_default();
                component.is_set = vec![0; blocks];
            }
        }
        Ok(())
    }

    /// Units of the picture, from left to right and from top to bottom.
    fn units(&self) -> (u64, u64) {
        let (wide, high) = self.most;
        (self.width.div_ceil(8 * wide.max(1)), self.height.div_ceil(8 * high.max(1)))
    }

    fn scan(&mut self, segment: &[u8]) -> Result<Scan, Stop> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(PictureFault::TooManyScans.into());
        }
        let (number, rest) = segment.split_first().ok_or(Stop::Unknown)?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(*number)).ok_or(Stop::Unknown)?;
        let [first, last, steps, ..] = *rest else { return Err(Stop::Unknown) };
        let mut scan = Scan { parts: Vec::new(), numbers: (0, 63), refines: false };
        for part in parts.chunks_exact(2) {
            let is_meant = |component: &Component| component.id == part[0];
            let component = self.components.iter().position(is_meant).ok_or(Stop::Unknown)?;
            let tables = (usize::from(part[1] >> 4), usize::from(part[1] & 0xf));
            scan.parts.push(Part { component, tables });
        }
        if scan.parts.is_empty() || scan.parts.len() > MAX_COMPONENTS {
            return Err(Stop::Unknown);
        }
        if self.is_progressive {
            let of_one = first == 0 && last == 0 || scan.parts.len() == 1;
            if !of_one || first > last || last > 63 || first == 0 && last > 0 {
                return Err(PictureFault::Undecodable.into());
            }
            scan.numbers = (first, last);
            scan.refines = steps >> 4 != 0;
        }
        Ok(scan)
    }

    /// Reads the data of a scan. Afterwards `bits` is not behind the next marker.
    fn read_scan(
        &mut self,
        scan: &Scan,
        bits: &mut Bits<'_>,
        effort: Effort<'_>,
    ) -> Result<(), Stop> {
        let all_units = self.units();
        let mut blocks_of_unit = 0;
        for Part { component, .. } in &scan.parts {
            let blocks = self.components[*component].blocks;
            blocks_of_unit += blocks.0 * blocks.1;
        }
        // A component alone has no blocks that are beyond the edge of the picture.
        let alone = match scan.parts.as_slice() {
            [Part { component, .. }] => Some(self.components[*component].blocks),
            _ => None,
        };
        let units = match alone {
            Some((wide, high)) => {
                let columns = (self.width * wide).div_ceil(self.most.0).div_ceil(8);
                (columns, (self.height * high).div_ceil(self.most.1).div_ceil(8))
            }
            None if blocks_of_unit > MAX_BLOCKS => return Err(Stop::Unknown),
            None => all_units,
        };
        let blocks = if alone.is_some() { 1 } else { blocks_of_unit };
        effort.spend(STEPS.0.saturating_mul(units.0 * units.1 * blocks))?;
        // Rows of the picture in each row of units.
        let rows = match alone {
            Some((_, high)) => 8 * self.most.1 / high,
            None => 8 * self.most.1,
        };
        let mut run = 0;
        let mut until_restart = self.restart_interval;
        for row in 0..units.1 {
            for column in 0..units.0 {
                if self.restart_interval > 0 {
                    if until_restart == 0 {
                        run = 0;
                        until_restart = self.restart_interval;
                        let restarted = bits.restart();
                        restarted.map_err(|trouble| self.stop(trouble, row * rows))?;
                    }
                    until_restart -= 1;
                }
                self.read_unit(scan, bits, (column, row), alone.is_some(), &mut run)
                    .map_err(|trouble| self.stop(trouble, row * rows))?;
            }
        }
        for Part { component, .. } in &scan.parts {
            self.components[*component].has_data |= scan.numbers.0 == 0;
        }
        Ok(())
    }

    fn stop(&self, trouble: Trouble, row: u64) -> Stop {
        match trouble {
            Trouble::Ends => PictureFault::Ends(self.place(row)).into(),
            Trouble::Corrupt => PictureFault::Corrupt(self.place(row)).into(),
            Trouble::NoTable => Stop::Unknown,
        }
    }

    /// Reads the blocks of a unit: one of a component alone, or all of several components.
    fn read_unit(
        &mut self,
        scan: &Scan,
        bits: &mut Bits<'_>,
        (column, row): (u64, u64),
        is_alone: bool,
        run: &mut u32,
    ) -> Result<(), Trouble> {
        for part in &scan.parts {
            let Component { blocks, stride, is_set, .. } = &mut self.components[part.component];
            let (wide, high) = if is_alone { (1, 1) } else { *blocks };
            let [first, others] = &self.tables;
            let first = first.get(part.tables.0).and_then(Option::as_ref);
            let others = others.get(part.tables.1).and_then(Option::as_ref);
            for down in 0..high {
                for right in 0..wide {
                    if is_set.is_empty() {
                        bits.skip_block(first, others)?;
                        continue;
                    }
                    let block = (row * high + down) * *stride + column * wide + right;
                    let block = usize::try_from(block).unwrap_or(usize::MAX);
                    let is_set = is_set.get_mut(block).ok_or(Trouble::Corrupt)?;
                    match scan {
                        Scan { numbers: (0, _), refines: true, .. } => bits.skip(1)?,
                        Scan { numbers: (0, _), .. } => bits.skip_first(first)?,
                        Scan { refines: true, .. } => {
                            bits.refine_block(scan.numbers, others, is_set, run)?;
                        }
                        Scan { .. } => bits.begin_block(scan.numbers, others, is_set, run)?,
                    }
                }
            }
        }
        Ok(())
    }
}

/// Why data cannot be that of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Ends,
    Corrupt,
    /// Browsers know tables for videos that have none.
    NoTable,
}

/// A table of Huffman codes, the shorter ones first, and each of a length one more than the last.
struct Table {
    /// For each length from 1 on: the first code, behind the last one, and the place of the first
    /// one's value.
    lengths: [(u32, u32, usize); 16],
    values: Vec<u8>,
    /// For the next 8 bits: the length of a code, 0 if it is longer, and its value.
    short: [(u8, u8); 256],
}

impl Table {
    /// The table at the start of `bytes`, and what follows it.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (counts, rest) = bytes.split_at_checked(16)?;
        let number: usize = counts.iter().map(|count| usize::from(*count)).sum();
        let (values, rest) = rest.split_at_checked(number)?;
        let mut table =
            Table { lengths: [(0, 0, 0); 16], values: values.to_vec(), short: [(0, 0); 256] };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, count) in (1..=16_u8).zip(counts) {
            let behind = code + u32::from(*count);
            if behind > 1_u32 << length {
                return None;
            }
            table.lengths[usize::from(length) - 1] = (code, behind, place);
            if length <= 8 {
                for (code, value) in (code..behind).zip(values.get(place..).unwrap_or_default()) {
                    let from = usize::try_from(code << (8 - length)).unwrap_or_default();
                    let same = 1_usize << (8 - length);
                    table.short[from..from + same].fill((length, *value));
                }
            }
            place += usize::from(*count);
            code = behind << 1;
        }
        Some((table, rest))
    }

    /// The length and value of the code that these 16 bits begin with.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        let (length, value) = self.short[usize::try_from((bits >> 8) & 0xff).unwrap_or_default()];
        if length > 0 {
            return Some((u32::from(length), value));
        }
        for length in 9..=16_u32 {
            let (first, behind, place) = self.lengths[usize::try_from(length).ok()? - 1];
            let code = bits >> (16 - length);
            if (first..behind).contains(&code) {
                let place = place + usize::try_from(code - first).ok()?;
                return Some((length, *self.values.get(place)?));
            }
        }
        None
    }
}

/// What a code says about the next numbers of a block.
enum Coded {
    /// The place of the next one that is not 0.
    Number(u32),
    /// The next 16 are 0.
    Zeros,
    /// All others are 0. In a progressive picture, so are those of some blocks that follow: the
    /// bits of their number.
    End(u32),
}

/// The bits of a scan, up to the next marker.
struct Bits<'a> {
    file: &'a [u8],
    /// Behind the last byte that was read.
    at: usize,
    /// The lowest `count` bits are not read yet.
    buffer: u64,
    count: u32,
    /// Whether a marker, or the end of the file, is next.
    has_ended: bool,
}

impl<'a> Bits<'a> {
    fn new(file: &'a [u8], at: usize) -> Self {
        Bits { file, at, buffer: 0, count: 0, has_ended: false }
    }

    fn fill(&mut self) {
        while self.count <= 48 && !self.has_ended {
            let byte = match self.file.get(self.at) {
                Some(0xff) => match self.file.get(self.at + 1) {
                    // A byte of data that is no marker.
                    Some(0) => {
                        self.at += 1;
                        0xff
                    }
                    // A fill byte before it.
                    Some(0xff) => {
                        self.at += 1;
                        continue;
                    }
                    _ => {
                        self.has_ended = true;
                        return;
                    }
                },
                Some(byte) => *byte,
                None => {
                    self.has_ended = true;
                    return;
                }
            };
            self.at += 1;
            self.buffer = (self.buffer << 8) | u64::from(byte);
            self.count += 8;
        }
    }

    /// Skips what is left before the mark to begin again with, and the mark.
    fn restart(&mut self) -> Result<(), Trouble> {
        (self.buffer, self.count) = (0, 0);
        match next_marker(self.file, self.at) {
            Some((0xd0..=0xd7, behind)) => {
                (self.at, self.has_ended) = (behind, false);
                Ok(())
            }
            _ => Err(Trouble::Ends),
        }
    }

    /// Reads a code and returns its value.
    fn code(&mut self, table: Option<&Table>) -> Result<u8, Trouble> {
        let table = table.ok_or(Trouble::NoTable)?;
        if self.count < 16 {
            self.fill();
        }
        // Behind the end are zeros.
        let next = match self.count.checked_sub(16) {
            Some(more) => self.buffer >> more,
            None => self.buffer << (16 - self.count),
        };
        let found = table.find(u32::try_from(next & 0xffff).unwrap_or_default());
        match found {
            Some((length, value)) if length <= self.count => {
                self.count -= length;
                Ok(value)
            }
            None if self.count >= 16 => Err(Trouble::Corrupt),
            _ => Err(Trouble::Ends),
        }
    }

    fn skip(&mut self, mut number: u32) -> Result<(), Trouble> {
        while number > 0 {
            if self.count == 0 {
                self.fill();
                if self.count == 0 {
                    return Err(Trouble::Ends);
                }
            }
            let now = number.min(self.count);
            self.count -= now;
            number -= now;
        }
        Ok(())
    }

    /// A number of at most 14 bits.
    fn number(&mut self, length: u32) -> Result<u32, Trouble> {
        if self.count < length {
            self.fill();
        }
        let left = self.count.checked_sub(length).ok_or(Trouble::Ends)?;
        self.count = left;
        let mask = (1_u64 << length) - 1;
        u32::try_from((self.buffer >> left) & mask).map_err(|_| Trouble::Corrupt)
    }

    fn skip_first(&mut self, table: Option<&Table>) -> Result<(), Trouble> {
        match self.code(table)? {
            length @ 0..=15 => self.skip(u32::from(length)),
            _ => Err(Trouble::Corrupt),
        }
    }

    /// A block of a picture that is not progressive.
    fn skip_block(&mut self, first: Option<&Table>, others: Option<&Table>) -> Result<(), Trouble> {
        self.skip_first(first)?;
        let mut at = 1;
        while at < 64 {
            match self.skip_other(at, others)? {
                Coded::Number(place) => at = place + 1,
                Coded::Zeros => at += 16,
                Coded::End(_) => break,
            }
        }
        Ok(())
    }

    /// Reads the next code of a block that is not that of its first number, and skips the number
    /// behind it. The numbers before `at` were read.
    fn skip_other(&mut self, at: u32, table: Option<&Table>) -> Result<Coded, Trouble> {
        let code = self.code(table)?;
        let (zeros, length) = (u32::from(code >> 4), u32::from(code & 0xf));
        match (zeros, length) {
            (15, 0) => Ok(Coded::Zeros),
            (_, 0) => Ok(Coded::End(zeros)),
            _ if at + zeros > 63 => Err(Trouble::Corrupt),
            _ => {
                self.skip(length)?;
                Ok(Coded::Number(at + zeros))
            }
        }
    }

    /// Some numbers of a block for the first time. `run` are the blocks that follow without any.
    fn begin_block(
        &mut self,
        (first, last): (u8, u8),
        table: Option<&Table>,
        is_set: &mut u64,
        run: &mut u32,
    ) -> Result<(), Trouble> {
        if let Some(left) = run.checked_sub(1) {
            *run = left;
            return Ok(());
        }
        let (mut at, last) = (u32::from(first), u32::from(last));
        while at <= last {
            match self.skip_other(at, table)? {
                Coded::Number(place) => {
                    *is_set |= 1 << place;
                    at = place + 1;
                }
                Coded::Zeros => at += 16,
                Coded::End(bits) => {
                    *run = (1_u32 << bits) - 1 + self.number(bits)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// One more bit of some numbers of a block: of each that is not 0, and of those that were 0
    /// up to now and are not any more.
    fn refine_block(
        &mut self,
        (first, last): (u8, u8),
        table: Option<&Table>,
        is_set: &mut u64,
        run: &mut u32,
    ) -> Result<(), Trouble> {
        let (mut at, last) = (u32::from(first), u32::from(last));
        if *run == 0 {
            while at <= last {
                let code = self.code(table)?;
                let (mut zeros, length) = (u32::from(code >> 4), u32::from(code & 0xf));
                if length > 0 {
                    self.skip(1)?;
                } else if zeros < 15 {
                    *run = (1_u32 << zeros) + self.number(zeros)?;
                    break;
                }
                while at <= last {
                    if (*is_set >> at) & 1 == 1 {
                        self.skip(1)?;
                    } else if zeros == 0 {
                        break;
                    } else {
                        zeros -= 1;
                    }
                    at += 1;
                }
                if length > 0 && at <= 63 {
                    *is_set |= 1 << at;
                }
                at += 1;
            }
        }
        if let Some(left) = run.checked_sub(1) {
            *run = left;
            // The bits from `at` to `last`.
            let behind = u64::MAX.checked_shl(at).unwrap_or_default();
            let among = u64::MAX >> (63 - last.min(63));
            self.skip((*is_set & behind & among).count_ones())?;
        }
        Ok(())
    }
}
