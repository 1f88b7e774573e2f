//! Reads from the memory of a guest that was stopped where its author's code last called the SDK.
//!
//! An engine of JavaScript does not describe its stack to others, as CPython does. So the SDK notes
//! the place of each call in a few bytes that begin with a mark (`guest-sdk/js/place.js`).

use sitewright_model::failure::SourceLocation;

/// The first bytes of a note: nothing that a text has.
const MARK: [u8; 16] = [
    0x53, 0x57, 0x50, 0x4c, 0x9a, 0xe1, 0x3c, 0x07, 0xd4, 0x5b, 0x88, 0x2f, 0x61, 0xf0, 0xb6, 0x1e,
];
/// Maximum bytes of a file's name. The SDK writes less.
const MAX_FILE: usize = 256;

/// The place of the last call; `None` if no SDK has noted one. What a guest has written there is
/// not trusted: reading takes time in proportion to the memory, whatever it is.
pub fn noted_place(memory: &[u8]) -> Option<SourceLocation> {
    // The buffer of an engine begins at a multiple of eight.
    let (begin, _) = MARK.split_at(8);
    let words = memory.chunks_exact(begin.len()).enumerate();
    let marks = words.filter(|(_, word)| *word == begin);
    // The engine may have moved the note, and left the older one behind.
    let notes = marks.filter_map(|(number, _)| note(memory.get(number * begin.len()..)?));
    notes.max_by_key(|(calls, _)| *calls).map(|(_, place)| place)
}

/// The number of the call and its place: after the mark, three numbers of four bytes (call, line,
/// bytes of the file's name), and the name.
fn note(bytes: &[u8]) -> Option<(u32, SourceLocation)> {
    let rest = bytes.strip_prefix(&MARK)?;
    let number = |at: usize| {
        let bytes = rest.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (calls, line, length) = (number(0)?, number(4)?, usize::try_from(number(8)?).ok()?);
    if line == 0 || !(1..=MAX_FILE).contains(&length) {
        return None;
    }
    let file = std::str::from_utf8(rest.get(12..12 + length)?).ok()?.to_owned();
    Some((calls, SourceLocation { file, line, column: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(calls: u32, line: u32, file: &str, length: usize) -> Vec<u8> {
        let mut bytes = MARK.to_vec();
        for number in [calls, line, u32::try_from(length).unwrap()] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(file.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn the_note_of_the_last_call_is_read() {
        let note = |calls, line| noted(calls, line, "src/template.js", 15);
        let place =
            |line| Some(SourceLocation { file: "src/template.js".to_owned(), line, column: None });
        type Row = (&'static str, Vec<Vec<u8>>, Option<SourceLocation>);
        let rows: [Row; 8] = [
            ("nothing", vec![vec![0; 64]], None),
            ("one", vec![vec![7; 32], note(3, 40)], place(40)),
            ("an older one after it", vec![note(3, 40), note(2, 39)], place(40)),
            ("no call yet", vec![noted(0, 0, "", 0)], None),
            ("one that is being written", vec![noted(4, 41, "src/template.js", 0)], None),
            ("a name that is too long", vec![noted(1, 2, &"x".repeat(300), 300)], None),
            ("cut", vec![note(3, 40)[..32].to_vec()], None),
            ("the mark alone", vec![MARK.to_vec()], None),
        ];
        for (what, parts, expected) in rows {
            assert_eq!(noted_place(&parts.concat()), expected, "{what}");
        }
        let mut broken = note(3, 40);
        broken[28] = 0xff;
        assert_eq!(noted_place(&broken), None, "no text");
    }
}
