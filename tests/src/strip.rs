//! Removes debug information and names from templates, as stripping tools do.

use sitewright_author::strip::with_custom_sections;

/// What is removed from every module of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strip {
    /// Debug information, but not names.
    Debug,
    /// Debug information and names.
    All,
}

impl Strip {
    fn removes(self, section: &[u8]) -> bool {
        section.starts_with(b".debug_") || (self == Strip::All && section == b"name")
    }
}

const HEADER: usize = 8;

/// The component without the sections that `strip` removes, at any depth. All other bytes stay the
/// same.
pub fn stripped(wasm: &[u8], strip: Strip) -> Vec<u8> {
    rewritten(wasm, &|section| !strip.removes(section))
}

/// The component with only the custom sections that `keep` accepts, at any depth.
pub fn rewritten(wasm: &[u8], keep: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    with_custom_sections(wasm, &|name| keep(name.as_bytes())).unwrap()
}

/// The largest module of a component, which is the template's own, and its offset in the file.
pub fn main_module(wasm: &[u8]) -> (u64, Vec<u8>) {
    let (mut at, mut best) = (HEADER, (0, Vec::new()));
    while at < wasm.len() {
        let (id, size, begin) = section(wasm, at);
        at = begin + size;
        if id == 1 && size > best.1.len() {
            best = (begin as u64, wasm[begin..at].to_vec());
        }
    }
    best
}

/// Only the custom sections of a module, as in a separate file of debug information.
pub fn only_customs(module: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (module[..HEADER].to_vec(), HEADER);
    while at < module.len() {
        let (id, size, begin) = section(module, at);
        at = begin + size;
        if id == 0 {
            push(&mut out, 0, &module[begin..at]);
        }
    }
    out
}

/// Range of the content of a module's section with this id; panics without such a section.
pub fn section_of(module: &[u8], wanted: u8) -> std::ops::Range<usize> {
    let mut at = HEADER;
    while at < module.len() {
        let (id, size, begin) = section(module, at);
        if id == wanted {
            return begin..begin + size;
        }
        at = begin + size;
    }
    panic!("the module has no section {wanted}")
}

/// Id and size of a section, and offset of its content.
fn section(wasm: &[u8], at: usize) -> (u8, usize, usize) {
    let (size, begin) = number(wasm, at + 1);
    (wasm[at], size, begin)
}

/// Decodes an unsigned LEB128 number; also returns the offset after it.
fn number(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return (value, at);
        }
    }
}

/// Appends a section with this id.
pub fn push(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    leb128(out, content.len());
    out.extend_from_slice(content);
}

/// Appends a custom section.
pub fn push_custom(out: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut whole = Vec::new();
    leb128(&mut whole, name.len());
    whole.extend_from_slice(name.as_bytes());
    whole.extend_from_slice(content);
    push(out, 0, &whole);
}

/// Appends an unsigned LEB128 number.
pub fn leb128(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        out.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}
