//! Reads the stack of a Python interpreter from the memory of a guest that was stopped.
//!
//! A limit stops the interpreter between two of its instructions, so no exception is raised that
//! could be printed. But CPython describes its structures for debuggers: a table of offsets that
//! begins with a cookie (`_Py_DebugOffsets`, PEP 768). With it, the frames are found from outside.

use sitewright_model::failure::Frame;

use crate::python;

/// The first bytes of the table.
const COOKIE: [u8; 8] = *b"xdebugpy";
/// The version of CPython whose table is known, 3.14, as in the upper half of its version number.
/// Another one may have other fields.
const VERSION: u64 = 0x030e;
/// Maximum bytes that are searched for the table: 64 MiB. It is static data, which is before the
/// heap.
const MAX_SEARCHED: usize = 64 << 20;
/// Maximum cookies that are looked at. Texts of a guest may have the same bytes.
const MAX_TABLES: usize = 16;
/// Maximum frames, the innermost first.
const MAX_FRAMES: usize = 128;
/// Maximum characters of a file's or function's name.
const MAX_NAME: u32 = 1_024;
/// Maximum bytes of the table of lines of one function: 1 MiB.
const MAX_LINES: u32 = 1 << 20;

/// Fields of the table, as numbers of 64-bit words.
mod field {
    pub(super) const VERSION: u32 = 1;
    pub(super) const RUNTIME_INTERPRETERS: u32 = 5;
    pub(super) const INTERPRETER_THREADS: u32 = 9;
    pub(super) const THREAD_FRAME: u32 = 26;
    pub(super) const FRAME_PREVIOUS: u32 = 32;
    pub(super) const FRAME_EXECUTABLE: u32 = 33;
    pub(super) const FRAME_INSTRUCTION: u32 = 34;
    pub(super) const CODE_FILE: u32 = 40;
    pub(super) const CODE_NAME: u32 = 41;
    pub(super) const CODE_LINES: u32 = 43;
    pub(super) const CODE_FIRST_LINE: u32 = 44;
    pub(super) const CODE_INSTRUCTIONS: u32 = 48;
    pub(super) const OBJECT_TYPE: u32 = 51;
    pub(super) const TYPE_NAME: u32 = 53;
    pub(super) const BYTES_LENGTH: u32 = 75;
    pub(super) const BYTES_CONTENT: u32 = 76;
    pub(super) const TEXT_STATE: u32 = 78;
    pub(super) const TEXT_LENGTH: u32 = 79;
    pub(super) const TEXT_CONTENT: u32 = 80;
}

/// The frames of the Python function that runs in `memory`, innermost first; none if no interpreter
/// of a known version is there, or if it runs nothing. What a guest has written there is not
/// trusted: reading is bounded whatever it is.
pub fn python_stack(memory: &[u8]) -> Vec<Frame> {
    let searched = &memory[..memory.len().min(MAX_SEARCHED)];
    let words = searched.chunks_exact(COOKIE.len()).zip(0_u32..);
    let mut cookies = words.filter(|(word, _)| *word == COOKIE).take(MAX_TABLES);
    cookies
        .find_map(|(_, number)| Interpreter { memory, table: number.checked_mul(8)? }.stack())
        .unwrap_or_default()
}

/// An interpreter in a guest's memory, with 32-bit addresses.
struct Interpreter<'a> {
    memory: &'a [u8],
    /// Address of the table, which is the beginning of the runtime's state.
    table: u32,
}

impl<'a> Interpreter<'a> {
    fn stack(&self) -> Option<Vec<Frame>> {
        if self.offset(field::VERSION)? >> 16 != VERSION {
            return None;
        }
        let interpreter = self.pointer(self.table, field::RUNTIME_INTERPRETERS)?;
        let thread = self.pointer(interpreter, field::INTERPRETER_THREADS)?;
        let mut next = self.pointer(thread, field::THREAD_FRAME);
        let mut frames = Vec::new();
        for _ in 0..MAX_FRAMES {
            let Some(frame) = next else { break };
            frames.extend(self.frame(frame));
            next = self.pointer(frame, field::FRAME_PREVIOUS);
        }
        (!frames.is_empty()).then_some(frames)
    }

    /// A frame; `None` for one of the interpreter itself.
    fn frame(&self, frame: u32) -> Option<Frame> {
        // The lowest bits are marks.
        let code = self.pointer(frame, field::FRAME_EXECUTABLE)? & !3;
        let of_type = self.pointer(code, field::OBJECT_TYPE)?;
        if self.bytes(self.pointer(of_type, field::TYPE_NAME)?, 5)? != b"code\0" {
            return None;
        }
        let file = self.text(self.pointer(code, field::CODE_FILE)?)?;
        let name = self.text(self.pointer(code, field::CODE_NAME)?)?;
        Some(python::frame_of(&file, self.line(frame, code), &name))
    }

    /// The line of the instruction at which a frame is.
    fn line(&self, frame: u32, code: u32) -> Option<u32> {
        let instruction = self.pointer(frame, field::FRAME_INSTRUCTION)?;
        let first = self.address(code, field::CODE_INSTRUCTIONS)?;
        // Instructions are counted in units of two bytes.
        let index = instruction.checked_sub(first)? / 2;
        let table = self.pointer(code, field::CODE_LINES)?;
        let length = self.word(self.address(table, field::BYTES_LENGTH)?)?.min(MAX_LINES);
        let lines = self.bytes(self.address(table, field::BYTES_CONTENT)?, length)?;
        let first = self.word(self.address(code, field::CODE_FIRST_LINE)?)?;
        line_at(lines, i64::from(first), u64::from(index))
    }

    /// A text of at most 1,024 characters; `None` for one whose characters are elsewhere.
    fn text(&self, text: u32) -> Option<String> {
        let state = self.word(self.address(text, field::TEXT_STATE)?)?;
        let (kind, is_compact, is_ascii) = ((state >> 2) & 7, (state >> 5) & 1, (state >> 6) & 1);
        if is_compact == 0 {
            return None;
        }
        let length = self.word(self.address(text, field::TEXT_LENGTH)?)?.min(MAX_NAME);
        // One that is not ASCII has a length and a pointer more.
        let more = if is_ascii == 1 { 0 } else { 8 };
        let begin = self.address(text, field::TEXT_CONTENT)?.checked_add(more)?;
        let content = self.bytes(begin, length.checked_mul(kind)?)?;
        let characters = |size: usize, number: fn(&[u8]) -> u32| {
            let numbers = content.chunks_exact(size).map(number);
            numbers.map(|code| char::from_u32(code).unwrap_or('\u{fffd}')).collect::<String>()
        };
        match kind {
            1 => Some(characters(1, |bytes| bytes.iter().fold(0, |_, byte| u32::from(*byte)))),
            2 | 4 => Some(characters(usize::try_from(kind).ok()?, |bytes| {
                bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
            })),
            _ => None,
        }
    }

    /// The value in a field of the table.
    fn offset(&self, number: u32) -> Option<u64> {
        let bytes = self.bytes(self.table.checked_add(number.checked_mul(8)?)?, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The address of a field of an object.
    fn address(&self, object: u32, number: u32) -> Option<u32> {
        object.checked_add(u32::try_from(self.offset(number)?).ok()?)
    }

    /// The pointer in a field of an object; `None` if it is null.
    fn pointer(&self, object: u32, number: u32) -> Option<u32> {
        self.word(self.address(object, number)?).filter(|pointer| *pointer != 0)
    }

    fn word(&self, at: u32) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(at, 4)?.try_into().ok()?))
    }

    fn bytes(&self, at: u32, length: u32) -> Option<&'a [u8]> {
        let begin = usize::try_from(at).ok()?;
        self.memory.get(begin..begin.checked_add(usize::try_from(length).ok()?)?)
    }
}

/// The line of an instruction in a table of lines ("location table" of CPython 3.11 and later).
fn line_at(table: &[u8], first: i64, index: u64) -> Option<u32> {
    let mut bytes = table.iter().copied();
    let (mut line, mut end) = (first, 0_u64);
    while let Some(entry) = bytes.next() {
        let code = (entry >> 3) & 15;
        let has_line = match code {
            // Columns follow.
            0..=9 => bytes.next().is_some(),
            10..=12 => {
                line = line.checked_add(i64::from(code - 10))?;
                bytes.next().is_some() && bytes.next().is_some()
            }
            13 | 14 => {
                line = line.checked_add(signed(&mut bytes)?)?;
                let columns = if code == 14 { 3 } else { 0 };
                (0..columns).all(|_| number(&mut bytes).is_some())
            }
            _ => false,
        };
        end = end.checked_add(u64::from(entry & 7) + 1)?;
        if index < end {
            return has_line.then(|| u32::try_from(line).ok()).flatten().filter(|line| *line > 0);
        }
    }
    None
}

/// A number in groups of six bits, the lowest first.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let (mut sum, mut shift) = (0_u64, 0_u32);
    loop {
        let byte = bytes.next()?;
        if shift > 54 {
            return None;
        }
        sum |= u64::from(byte & 63) << shift;
        shift += 6;
        if byte & 64 == 0 {
            return Some(sum);
        }
    }
}

/// The same with the sign in the lowest bit.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let raw = number(bytes)?;
    let size = i64::try_from(raw >> 1).ok()?;
    Some(if raw & 1 == 1 { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: u32 = 0x100;
    const INTERPRETER: u32 = 0x800;
    const THREAD: u32 = 0x900;
    const CODE_TYPE: u32 = 0xa00;
    const OTHER_TYPE: u32 = 0xb00;

    /// The values of the table in componentize-py's CPython 3.14.
    const OFFSETS: [(u32, u64); 19] = [
        (field::VERSION, 0x030e_00f0),
        (field::RUNTIME_INTERPRETERS, 0x31c),
        (field::INTERPRETER_THREADS, 0x78),
        (field::THREAD_FRAME, 0x34),
        (field::FRAME_PREVIOUS, 0x4),
        (field::FRAME_EXECUTABLE, 0),
        (field::FRAME_INSTRUCTION, 0x1c),
        (field::CODE_FILE, 0x50),
        (field::CODE_NAME, 0x54),
        (field::CODE_LINES, 0x5c),
        (field::CODE_FIRST_LINE, 0x2c),
        (field::CODE_INSTRUCTIONS, 0x80),
        (field::OBJECT_TYPE, 0x4),
        (field::TYPE_NAME, 0xc),
        (field::BYTES_LENGTH, 0x8),
        (field::BYTES_CONTENT, 0x10),
        (field::TEXT_STATE, 0x10),
        (field::TEXT_LENGTH, 0x8),
        (field::TEXT_CONTENT, 0x14),
    ];

    /// Line 29 (two units), 30 (one), 31 (two), none (one), 40 (one).
    const LINES: [u8; 14] = [0xe9, 0, 0xd8, 1, 2, 0xd9, 1, 2, 0xf8, 0xf0, 18, 0, 0, 0];

    struct Image(Vec<u8>);

    impl Image {
        fn put(&mut self, at: u32, bytes: &[u8]) {
            let at = at as usize;
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }

        fn word(&mut self, at: u32, value: u32) {
            self.put(at, &value.to_le_bytes());
        }

        fn text(&mut self, at: u32, text: &str) -> u32 {
            let is_ascii = text.is_ascii();
            self.word(at + 0x8, u32::try_from(text.chars().count()).unwrap());
            self.word(at + 0x10, if is_ascii { 0x65 } else { 0x29 });
            let content: Vec<u8> = match is_ascii {
                true => text.bytes().collect(),
                false => text
                    .chars()
                    .flat_map(|c| u16::try_from(u32::from(c)).unwrap().to_le_bytes())
                    .collect(),
            };
            self.put(at + if is_ascii { 0x14 } else { 0x1c }, &content);
            at
        }

        /// A frame at `at` whose function is at `at + 0x100`.
        fn frame(&mut self, at: u32, previous: u32, file: &str, name: &str, unit: u32) {
            let code = at + 0x100;
            self.word(at, code | 1);
            self.word(at + 0x4, previous);
            self.word(at + 0x1c, code + 0x80 + 2 * unit);
            self.word(code + 0x4, CODE_TYPE);
            self.word(code + 0x2c, 29);
            let (file, name) = (self.text(at + 0x200, file), self.text(at + 0x280, name));
            self.word(code + 0x50, file);
            self.word(code + 0x54, name);
            let lines = at + 0x300;
            self.word(code + 0x5c, lines);
            self.word(lines + 0x8, u32::try_from(LINES.len()).unwrap());
            self.put(lines + 0x10, &LINES);
        }

        /// Three functions, called through a frame of the interpreter.
        fn of_a_run() -> Self {
            let mut image = Image(vec![0; 0x4000]);
            // A text with the same bytes, which is no table.
            image.put(0x40, &COOKIE);
            image.put(TABLE, &COOKIE);
            for (number, value) in OFFSETS {
                image.put(TABLE + 8 * number, &value.to_le_bytes());
            }
            image.word(TABLE + 0x31c, INTERPRETER);
            image.word(INTERPRETER + 0x78, THREAD);
            image.word(THREAD + 0x34, 0x1000);
            image.word(CODE_TYPE + 0xc, 0xc00);
            image.put(0xc00, b"code\0");
            image.word(OTHER_TYPE + 0xc, 0xc10);
            image.put(0xc10, b"NoneType\0");
            image.frame(0x1000, 0x2000, "/0/pages/menu.py", "preços", 3);
            image.word(0x2000, 0x2100);
            image.word(0x2004, 0x2800);
            image.word(0x2104, OTHER_TYPE);
            image.frame(0x2800, 0x3000, "/1/sitewright/template.py", "generate", 2);
            image.frame(0x3000, 0, "/0/app.py", "make", 6);
            image
        }
    }

    fn shown(frames: &[Frame]) -> Vec<String> {
        let frame = |frame: &Frame| {
            let own = if frame.own { "" } else { " (library)" };
            let file = frame.file.as_deref().unwrap_or("-");
            format!("{} {file}:{}{own}", frame.function, frame.line.unwrap_or(0))
        };
        frames.iter().map(frame).collect()
    }

    #[test]
    fn the_functions_that_were_called_are_read_with_their_lines() {
        let frames = python_stack(&Image::of_a_run().0);
        assert_eq!(
            shown(&frames),
            [
                "preços pages/menu.py:31",
                "generate sitewright/template.py:30 (library)",
                "make app.py:40"
            ]
        );
    }

    #[test]
    fn what_is_cut_wrong_or_endless_is_read_as_far_as_it_is_there() {
        let whole = Image::of_a_run();
        for end in (0..whole.0.len()).step_by(0x40) {
            assert!(python_stack(&whole.0[..end]).len() <= 3, "{end}");
        }
        let mut another = Image::of_a_run();
        another.put(TABLE + 8, &0x030f_00f0_u64.to_le_bytes());
        assert_eq!(python_stack(&another.0), []);
        let mut idle = Image::of_a_run();
        idle.word(THREAD + 0x34, 0);
        assert_eq!(python_stack(&idle.0), []);
        let mut endless = Image::of_a_run();
        endless.word(0x3004, 0x1000);
        assert!((3..=MAX_FRAMES).contains(&python_stack(&endless.0).len()));
        let mut wild = Image::of_a_run();
        wild.word(0x1004, 0xffff_fff0);
        assert_eq!(shown(&python_stack(&wild.0)), ["preços pages/menu.py:31"]);
    }

    #[test]
    fn a_table_of_lines_is_read_as_the_interpreter_writes_it() {
        for (index, line) in [
            (0, Some(29)),
            (1, Some(29)),
            (2, Some(30)),
            (3, Some(31)),
            (4, Some(31)),
            (5, None),
            (6, Some(40)),
            (7, None),
        ] {
            assert_eq!(line_at(&LINES, 29, index), line, "{index}");
        }
        // One line back, a number without an end, and a line before the first.
        assert_eq!(line_at(&[0xe8, 3], 29, 0), Some(28));
        assert_eq!(line_at(&[0xe8, 0x7f, 0x7f], 29, 0), None);
        assert_eq!(line_at(&[0xe8, 0x7f, 1], 29, 0), None);
    }
}
