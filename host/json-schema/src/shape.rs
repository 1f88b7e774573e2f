//! The shape of a JSON text: what bounds the cost of checking it, without building its value.

use serde_json::Value;

/// Maximum nesting of a JSON text that is parsed; `serde_json` refuses deeper ones.
pub(super) const MAX_DEPTH: usize = 128;

/// The values and bytes of a JSON text by their depth. Meaningless, but not wrong, for a text that
/// is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    levels: Vec<Level>,
    longest_pointer: u64,
}

/// The values at one depth. The whole text is at depth 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// Values and names of properties.
    pub(super) values: u64,
    /// Bytes of these values with all that is inside them.
    pub(super) bytes_within: u64,
}

impl Shape {
    /// Reads a text once. `None` if it is deeper than any JSON text that is parsed.
    pub(super) fn of(text: &str) -> Option<Shape> {
        let mut levels = vec![Level { values: 1, bytes_within: 0 }];
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        // The name of the property at each depth.
        let (mut names, mut pointer, mut longest_pointer) = (vec![0_u64; MAX_DEPTH + 1], 0, 0);
        let (mut quote, mut string) = (0_usize, 0_u64);
        for (at, byte) in text.bytes().enumerate() {
            levels[depth].bytes_within += 1;
            match (in_string, byte) {
                (true, _) if escaped => escaped = false,
                (true, b'\\') => escaped = true,
                (false, b'"') => (in_string, quote) = (true, at),
                (true, b'"') => (in_string, string) = (false, (at - quote) as u64),
                (true, _) => {}
                (false, b'[' | b'{') => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return None;
                    }
                    if depth == levels.len() {
                        levels.push(Level::default());
                    }
                    levels[depth].values += 1;
                }
                (false, b']' | b'}') => {
                    pointer -= std::mem::take(&mut names[depth]);
                    depth = depth.saturating_sub(1);
                }
                (false, b',') => levels[depth].values += 1,
                (false, b':') => {
                    levels[depth].values += 1;
                    pointer = pointer - names[depth] + string;
                    names[depth] = string;
                    longest_pointer = longest_pointer.max(pointer);
                }
                (false, _) => {}
            }
        }
        let mut within = 0;
        for level in levels.iter_mut().rev() {
            within += level.bytes_within;
            level.bytes_within = within;
        }
        // Indices.
        longest_pointer += 24 * levels.len() as u64;
        Some(Shape { levels, longest_pointer })
    }

    /// The shape of a value that is parsed already.
    pub(super) fn of_value(value: &Value) -> Shape {
        let mut shape = Shape { levels: Vec::new(), longest_pointer: 0 };
        shape.add(value, 0, 0);
        shape
    }

    /// Adds a value and returns its bytes. `pointer` is the length of the names on the way to it.
    fn add(&mut self, value: &Value, depth: usize, pointer: u64) -> u64 {
        if depth == self.levels.len() {
            self.levels.push(Level::default());
        }
        self.longest_pointer = self.longest_pointer.max(pointer + 24 * (depth as u64 + 1));
        let bytes = 8 + match value {
            Value::String(text) => text.len() as u64,
            Value::Array(entries) => {
                entries.iter().fold(0, |bytes, entry| bytes + self.add(entry, depth + 1, pointer))
            }
            Value::Object(fields) => fields.iter().fold(0, |bytes, (name, value)| {
                let name = name.len() as u64 + 1;
                bytes + name + self.add(value, depth + 1, pointer + name)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => 16,
        };
        // A value in an object has a name.
        self.levels[depth].values += 2;
        self.levels[depth].bytes_within += bytes;
        bytes
    }

    /// The number of values and names, which bounds the memory of the parsed value.
    pub(super) fn values(&self) -> u64 {
        self.levels.iter().fold(0, |sum, level| sum.saturating_add(level.values))
    }

    /// Bytes of the longest JSON pointer into the value, at most and without escapes.
    pub(super) fn longest_pointer(&self) -> u64 {
        self.longest_pointer
    }

    /// The depth of the deepest value.
    pub(super) fn depth(&self) -> usize {
        self.levels.len() - 1
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = Level> {
        self.levels.iter().copied()
    }
}
