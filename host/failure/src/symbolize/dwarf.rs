//! Maps code addresses to functions, files and lines with untrusted DWARF.
//!
//! Complete libraries for this (addr2line) trust the bytes: functions nested a million deep
//! overflow their stack and abort the process. Here nothing recurses, the template does not control
//! how much is kept in memory, and each step counts against a [`Budget`]. gimli does the parsing.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use gimli::{
    AttributeValue, DebugInfoOffset, EndianSlice, LittleEndian, Section as _, Unit, UnitOffset,
};

use super::budget::{
    Budget, MAX_ABBREVIATION_BYTES, MAX_INLINED, MAX_LINE_HEADER_BYTES, MAX_NAME_BYTES,
    MAX_UNIT_RANGES, Stop,
};
use super::paths;
use crate::source;
use sitewright_model::failure::SourceExcerpt;

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Value<'a> = AttributeValue<Slice<'a>>;
type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;

/// The debug sections of one module, by name.
pub(super) type Sections = Vec<(String, Arc<[u8]>)>;

/// One function at a code location. Of several the first is the innermost; the others are inlined
/// into the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// As in the debug information: mangled, or without its path.
    pub(super) name: Option<String>,
    /// Complete path.
    pub(super) file: Option<String>,
    /// The compiler's working directory.
    pub(super) folder: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    /// The lines around it, if the debug information embeds the source.
    pub(super) source: Option<SourceExcerpt>,
}

/// The code ranges of all units, built once for each module.
#[derive(Debug, Default)]
pub(super) struct Index {
    units: Vec<usize>,
    /// Code range and the number of its unit; a unit without ranges has all code.
    ranges: Vec<(Range<u64>, u32)>,
}

/// Reads the debug sections of one module.
pub(super) struct Reader<'a> {
    dwarf: Dwarf<'a>,
    abbreviations: HashMap<usize, Arc<gimli::Abbreviations>>,
}

/// One function that covers an address, with its depth in the unit's tree.
#[derive(Debug, Clone)]
struct Hit<'a> {
    depth: isize,
    names: Names<'a>,
    call: Call,
}

#[derive(Debug, Clone, Default)]
struct Names<'a> {
    linkage: Option<Value<'a>>,
    plain: Option<Value<'a>>,
    origin: Option<Value<'a>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Call {
    file: Option<u64>,
    line: u64,
    column: u64,
}

/// A row of a line table.
#[derive(Debug, Clone, Copy)]
struct Row {
    address: u64,
    file: u64,
    line: u64,
    column: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sections: &'a Sections) -> Result<Self, Stop> {
        let find = |id: gimli::SectionId| {
            let found = sections.iter().find(|(name, _)| name == id.name());
            found.map_or(&[][..], |(_, bytes)| &bytes[..])
        };
        if find(gimli::SectionId::DebugAbbrev).len() > MAX_ABBREVIATION_BYTES {
            return Err(Stop::Broken(format!(
                "its abbreviations have more than {MAX_ABBREVIATION_BYTES} bytes, which no \
                 compiler writes"
            )));
        }
        let load = |id| Ok::<_, gimli::Error>(Slice::new(find(id), LittleEndian));
        Ok(Reader { dwarf: gimli::Dwarf::load(load)?, abbreviations: HashMap::new() })
    }

    /// Builds the index. Also returns the first error, because broken units do not prevent reading
    /// the others.
    pub(super) fn index(&mut self, budget: &mut Budget) -> Result<(Index, Option<String>), Stop> {
        let mut index = Index::default();
        let mut broken = None;
        let mut headers = self.dwarf.units();
        loop {
            budget.spend(1)?;
            let header = match headers.next() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) => {
                    broken = broken.or(Some(error.to_string()));
                    break;
                }
            };
            let Some(offset) = header.offset().to_debug_info_offset(&header) else { continue };
            let number = u32::try_from(index.units.len()).unwrap_or(u32::MAX);
            index.units.push(offset.0);
            match self.unit_ranges(
                offset.0,
                budget,
                MAX_UNIT_RANGES.saturating_sub(index.ranges.len()),
            ) {
                Ok(ranges) => index.ranges.extend(ranges.into_iter().map(|range| (range, number))),
                Err(Stop::Broken(error)) => broken = broken.or(Some(error)),
                Err(Stop::TimeUp) => return Err(Stop::TimeUp),
            }
        }
        Ok((index, broken))
    }

    fn unit_ranges(
        &mut self,
        offset: usize,
        budget: &mut Budget,
        most: usize,
    ) -> Result<Vec<Range<u64>>, Stop> {
        let unit = self.unit(offset, budget)?;
        let mut found = Vec::new();
        let mut ranges = self.dwarf.unit_ranges(&unit)?;
        while let Some(range) = ranges.next()? {
            budget.spend(1)?;
            if found.len() >= most {
                return Err(Stop::Broken(format!(
                    "it has more than {MAX_UNIT_RANGES} ranges of code"
                )));
            }
            if range.begin < range.end {
                found.push(range.begin..range.end);
            }
        }
        // A unit without ranges may have any code.
        if found.is_empty() && most > 0 {
            found.push(0..u64::MAX);
        }
        Ok(found)
    }

    /// The functions at each address of `wanted`, innermost first; none for an address that no unit
    /// covers. Also returns the first error of a unit.
    pub(super) fn places(
        &mut self,
        index: &Index,
        wanted: &[u64],
        budget: &mut Budget,
    ) -> Result<(Vec<Vec<Place>>, Option<String>), Stop> {
        let mut found = vec![Vec::new(); wanted.len()];
        let mut broken = None;
        let mut by_unit: HashMap<u32, Vec<usize>> = HashMap::new();
        for (range, unit) in &index.ranges {
            budget.spend(wanted.len())?;
            for (at, _) in wanted.iter().enumerate().filter(|(_, address)| range.contains(address))
            {
                let places = by_unit.entry(*unit).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        let mut units: Vec<(u32, Vec<usize>)> = by_unit.into_iter().collect();
        units.sort_unstable_by_key(|(unit, _)| *unit);
        for (unit, at) in units {
            let addresses: Vec<u64> = at.iter().map(|at| wanted[*at]).collect();
            let offset = index.units[usize::try_from(unit).unwrap_or(0)];
            match self.places_in(offset, &addresses, budget) {
                Ok(places) => {
                    for (at, places) in at.into_iter().zip(places) {
                        let better = |old: &[Place], new: &[Place]| {
                            let named =
                                |places: &[Place]| places.iter().any(|place| place.name.is_some());
                            old.is_empty() || (!named(old) && named(new))
                        };
                        if better(&found[at], &places) {
                            found[at] = places;
                        }
                    }
                }
                Err(Stop::Broken(error)) => broken = broken.or(Some(error)),
                Err(Stop::TimeUp) => return Err(Stop::TimeUp),
            }
        }
        Ok((found, broken))
    }

    fn places_in(
        &mut self,
        unit: usize,
        wanted: &[u64],
        budget: &mut Budget,
    ) -> Result<Vec<Vec<Place>>, Stop> {
        let unit = self.unit(unit, budget)?;
        let hits = self.hits(&unit, wanted, budget)?;
        let rows = rows(&unit, wanted, budget)?;
        let mut places = Vec::with_capacity(wanted.len());
        for (mut hits, row) in hits.into_iter().zip(rows) {
            // The location of a function is the call of the one inlined into it; that of the
            // innermost comes from the line table.
            let mut at =
                row.map(|row| Call { file: Some(row.file), line: row.line, column: row.column });
            let mut of_one = Vec::with_capacity(hits.len().max(1));
            hits.reverse();
            for hit in hits {
                let name = self.name(&unit, &hit.names, budget)?;
                of_one.push(Place { name, ..self.place(&unit, at, budget)? });
                at = Some(hit.call);
            }
            if of_one.is_empty() && at.is_some() {
                of_one.push(self.place(&unit, at, budget)?);
            }
            places.push(of_one);
        }
        Ok(places)
    }

    /// The functions that cover each address, outermost first.
    fn hits(
        &self,
        unit: &Unit<Slice<'a>>,
        wanted: &[u64],
        budget: &mut Budget,
    ) -> Result<Vec<Vec<Hit<'a>>>, Stop> {
        let mut best: Vec<Vec<Hit>> = vec![Vec::new(); wanted.len()];
        let mut paths: Vec<Vec<Hit>> = vec![Vec::new(); wanted.len()];
        let mut covered = vec![false; wanted.len()];
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else {
                budget.spend(1)?;
                continue;
            };
            budget.spend(1 + abbreviation.attributes().len())?;
            let inlined = abbreviation.tag() == gimli::DW_TAG_inlined_subroutine;
            if !inlined && abbreviation.tag() != gimli::DW_TAG_subprogram {
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
            let (mut names, mut call) = (Names::default(), Call::default());
            let (mut low, mut high, mut size, mut ranges) = (None, None, None, None);
            for spec in abbreviation.attributes() {
                let attribute = entries.read_attribute(*spec)?;
                let value = attribute.value();
                match attribute.name() {
                    gimli::DW_AT_low_pc => low = self.dwarf.attr_address(unit, value)?,
                    gimli::DW_AT_high_pc => match value {
                        AttributeValue::Udata(bytes) => size = Some(bytes),
                        _ => high = self.dwarf.attr_address(unit, value)?,
                    },
                    gimli::DW_AT_ranges => ranges = self.dwarf.attr_ranges(unit, value)?,
                    gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                        names.linkage = Some(value)
                    }
                    gimli::DW_AT_name => names.plain = Some(value),
                    gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                        names.origin = Some(value)
                    }
                    gimli::DW_AT_call_file => {
                        if let AttributeValue::FileIndex(file) = value {
                            // Compilers write 0 for "none" in DWARF 5 too, where it could be a
                            // file.
                            call.file = (file > 0 || unit.header.version() >= 5).then_some(file);
                        }
                    }
                    gimli::DW_AT_call_line => call.line = attribute.udata_value().unwrap_or(0),
                    gimli::DW_AT_call_column => call.column = attribute.udata_value().unwrap_or(0),
                    _ => {}
                }
            }
            covered.fill(false);
            let mut cover = |range: Range<u64>| {
                for (covered, address) in covered.iter_mut().zip(wanted) {
                    *covered |= range.contains(address);
                }
            };
            match (ranges, low, high.or(low.zip(size).map(|(low, size)| low.saturating_add(size))))
            {
                (Some(mut ranges), ..) => {
                    while let Some(range) = ranges.next()? {
                        budget.spend(1 + wanted.len())?;
                        cover(range.begin..range.end);
                    }
                }
                (None, Some(low), Some(high)) => cover(low..high),
                _ => continue,
            }
            for (at, _) in covered.iter().enumerate().filter(|(_, covered)| **covered) {
                let path = &mut paths[at];
                // Entries that do not enclose this one have ended. A nested function that is not
                // inlined starts a new path.
                path.retain(|hit| inlined && hit.depth < depth);
                if path.len() < MAX_INLINED && (!inlined || !path.is_empty()) {
                    path.push(Hit { depth, names: names.clone(), call });
                    if !inlined || path.len() > best[at].len() {
                        best[at].clone_from(path);
                    }
                }
                budget.spend(path.len())?;
            }
        }
        Ok(best)
    }

    fn place(
        &self,
        unit: &Unit<Slice<'a>>,
        at: Option<Call>,
        budget: &mut Budget,
    ) -> Result<Place, Stop> {
        budget.spend(1)?;
        let Some(at) = at else { return Ok(Place::default()) };
        let number = |value: u64| u32::try_from(value).ok().filter(|value| *value > 0);
        let folder = unit.comp_dir.map(text);
        let mut place = Place {
            line: number(at.line),
            column: number(at.column),
            folder: folder.clone(),
            ..Place::default()
        };
        let header = unit.line_program.as_ref().map(|program| program.header());
        let file = header.zip(at.file).and_then(|(header, file)| header.file(file));
        if let (Some(header), Some(file)) = (header, file) {
            let mut path = folder.unwrap_or_default();
            let parts = [file.directory(header), Some(file.path_name())];
            for part in parts.into_iter().flatten() {
                budget.spend(1)?;
                if let Ok(part) = self.dwarf.attr_string(unit, part) {
                    path = paths::join(&path, &text(part));
                }
            }
            if let (Some(embedded), Some(line)) = (file.source(), place.line)
                && let Ok(embedded) = self.dwarf.attr_string(unit, embedded)
                && !embedded.is_empty()
            {
                budget.spend(embedded.len() / 16)?;
                place.source = source::excerpt(&String::from_utf8_lossy(embedded.slice()), line);
            }
            place.file = Some(path).filter(|path| !path.is_empty());
        }
        Ok(place)
    }

    /// A function's name: its own, or that of the entry it refers to (abstract origin or
    /// specification).
    fn name(
        &mut self,
        unit: &Unit<Slice<'a>>,
        names: &Names<'a>,
        budget: &mut Budget,
    ) -> Result<Option<String>, Stop> {
        let spelled = |reader: &Self, unit: &Unit<Slice<'a>>, names: &Names<'a>| {
            let named = names.linkage.or(names.plain)?;
            reader.dwarf.attr_string(unit, named).ok().map(text).filter(|name| !name.is_empty())
        };
        if let Some(name) = spelled(self, unit, names) {
            return Ok(Some(name));
        }
        let mut names = names.clone();
        // Set if the entry is in another unit.
        let mut other: Option<Unit<Slice<'a>>> = None;
        for _ in 0..16 {
            budget.spend(1)?;
            let offset = match names.origin {
                Some(AttributeValue::UnitRef(offset)) => offset,
                Some(AttributeValue::DebugInfoRef(offset)) => {
                    let Some((found, within)) = self.unit_at(offset, budget)? else {
                        return Ok(None);
                    };
                    other = Some(found);
                    within
                }
                _ => return Ok(None),
            };
            let unit = other.as_ref().unwrap_or(unit);
            names = entry_names(unit, offset, budget)?;
            if let Some(name) = spelled(self, unit, &names) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The unit of an entry in any unit, and the entry's offset in it.
    fn unit_at(
        &mut self,
        offset: DebugInfoOffset<usize>,
        budget: &mut Budget,
    ) -> Result<Option<(Unit<Slice<'a>>, UnitOffset)>, Stop> {
        let mut headers = self.dwarf.units();
        while let Some(header) = headers.next()? {
            budget.spend(1)?;
            if let Some(within) = offset.to_unit_offset(&header)
                && let Some(begin) = header.offset().to_debug_info_offset(&header)
            {
                return Ok(Some((self.unit(begin.0, budget)?, within)));
            }
        }
        Ok(None)
    }

    fn unit(&mut self, offset: usize, budget: &mut Budget) -> Result<Unit<Slice<'a>>, Stop> {
        let header = self.dwarf.unit_header(DebugInfoOffset(offset))?;
        let at = header.debug_abbrev_offset();
        let abbreviations = match self.abbreviations.get(&at.0) {
            Some(known) => known.clone(),
            None => {
                budget.spend(self.dwarf.debug_abbrev.reader().len().saturating_sub(at.0) / 16)?;
                let read = self.dwarf.abbreviations(&header)?;
                // There can be as many tables as units, so the cache is limited.
                if self.abbreviations.len() >= 64 {
                    self.abbreviations.clear();
                }
                self.abbreviations.insert(at.0, read.clone());
                read
            }
        };
        let mut entries = header.entries(&abbreviations);
        entries.next_dfs()?;
        let lines = entries.current().and_then(|root| root.attr_value(gimli::DW_AT_stmt_list));
        if let Some(AttributeValue::DebugLineRef(offset)) = lines {
            budget.spend(line_header_bytes(self.dwarf.debug_line.reader(), offset.0)? / 16)?;
        }
        Ok(Unit::new_with_abbreviations(&self.dwarf, header, abbreviations)?)
    }
}

/// The length of a line table's header. gimli reads all of it into memory, so it is checked first.
fn line_header_bytes(lines: &Slice<'_>, offset: usize) -> Result<usize, Stop> {
    use gimli::Reader as _;
    let mut lines = *lines;
    lines.skip(offset)?;
    let (_, format) = lines.read_initial_length()?;
    if lines.read_u16()? >= 5 {
        lines.skip(2)?;
    }
    let bytes = lines.read_length(format)?;
    if bytes as u64 > MAX_LINE_HEADER_BYTES {
        return Err(Stop::Broken(format!(
            "a line table's header has {bytes} bytes; at most {MAX_LINE_HEADER_BYTES} are read"
        )));
    }
    Ok(bytes)
}

fn entry_names<'a>(
    unit: &Unit<Slice<'a>>,
    offset: UnitOffset,
    budget: &mut Budget,
) -> Result<Names<'a>, Stop> {
    let mut names = Names::default();
    let mut entries = unit.entries_raw(Some(offset))?;
    let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(names) };
    budget.spend(1 + abbreviation.attributes().len())?;
    for spec in abbreviation.attributes() {
        let attribute = entries.read_attribute(*spec)?;
        match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                names.linkage = Some(attribute.value());
            }
            gimli::DW_AT_name => names.plain = Some(attribute.value()),
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                names.origin = Some(attribute.value());
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The row of the line table for each address.
fn rows(
    unit: &Unit<Slice<'_>>,
    wanted: &[u64],
    budget: &mut Budget,
) -> Result<Vec<Option<Row>>, Stop> {
    let mut found = vec![None; wanted.len()];
    let Some(program) = unit.line_program.clone() else { return Ok(found) };
    let mut rows = program.rows();
    let mut before: Option<Row> = None;
    // The table keeps code that the linker removed at address 0, where no function of a module can
    // be.
    let mut removed = false;
    while let Some((_, row)) = rows.next_row()? {
        budget.spend(1)?;
        let address = row.address();
        match before {
            None => removed = address == 0,
            Some(before) if !removed && before.address < address => {
                for (found, wanted) in found.iter_mut().zip(wanted) {
                    if (before.address..address).contains(wanted) {
                        *found = Some(before);
                    }
                }
            }
            Some(_) => {}
        }
        before = (!row.end_sequence()).then(|| Row {
            address,
            file: row.file_index(),
            line: row.line().map_or(0, u64::from),
            column: match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            },
        });
    }
    Ok(found)
}

fn text(slice: Slice<'_>) -> String {
    let bytes = slice.slice();
    String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_NAME_BYTES)]).into_owned()
}
