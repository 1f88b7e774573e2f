//! A component without its debug information. Its code, and the names of its functions, stay as
//! they are, so that what was taken out still fits: the file with it is put beside the component as
//! `<name>.debug.wasm`.

/// What a module or component begins with: magic number, version, layer.
const HEADER: usize = 8;
/// The layer of a component.
const COMPONENT: u8 = 1;
/// Sections of a component that hold a module or a component.
const NESTED: [u8; 2] = [1, 4];
/// A section that engines skip.
const CUSTOM: u8 = 0;
/// Deepest nesting that is looked into.
const MAX_DEPTH: u32 = 16;

/// The component without the `.debug_*` sections of its modules, at any depth. Nothing when it is
/// not well-formed.
pub(super) fn without_debug(wasm: &[u8]) -> Option<Vec<u8>> {
    rewritten(wasm, MAX_DEPTH)
}

fn rewritten(wasm: &[u8], depth: u32) -> Option<Vec<u8>> {
    let header = wasm.get(..HEADER)?;
    let is_component = header[6] == COMPONENT;
    let mut out = Vec::with_capacity(wasm.len());
    out.extend_from_slice(header);
    let mut rest = wasm.get(HEADER..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = number(after)?;
        let content = after.get(..size)?;
        rest = after.get(size..)?;
        match id {
            id if is_component && NESTED.contains(&id) => {
                push(&mut out, id, &rewritten(content, depth.checked_sub(1)?)?)
            }
            CUSTOM if is_debug(content) => {}
            id => push(&mut out, id, content),
        }
    }
    Some(out)
}

/// Whether a custom section is debug information, by the name that it begins with.
fn is_debug(content: &[u8]) -> bool {
    number(content)
        .and_then(|(length, name)| name.get(..length))
        .is_some_and(|name| name.starts_with(b".debug_"))
}

/// A LEB128 number, and what follows it.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn push(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    let mut size = content.len();
    loop {
        let low = (size & 0x7f) as u8;
        size >>= 7;
        out.push(if size == 0 { low } else { low | 0x80 });
        if size == 0 {
            break;
        }
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &str) -> Vec<u8> {
        let mut content = vec![u8::try_from(name.len()).unwrap()];
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(&[7; 300]);
        let mut section = Vec::new();
        push(&mut section, CUSTOM, &content);
        section
    }

    fn component(sections: &[Vec<u8>]) -> Vec<u8> {
        let module = [b"\0asm\x01\0\0\0".as_slice(), &sections.concat()].concat();
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        push(&mut component, 1, &module);
        component
    }

    #[test]
    fn only_debug_information_goes_and_sizes_are_right_again() {
        let (name, lines, producers) = (custom("name"), custom(".debug_line"), custom("producers"));
        let whole = component(&[name.clone(), lines, producers.clone()]);
        assert_eq!(without_debug(&whole).unwrap(), component(&[name, producers]));
    }

    #[test]
    fn what_is_cut_or_wrong_is_not_stripped() {
        let whole = component(&[custom(".debug_info")]);
        for end in 0..whole.len() {
            let stripped = without_debug(&whole[..end]);
            assert!(stripped.is_none() || end == HEADER, "{end}");
        }
        assert_eq!(
            without_debug(
                &[b"\0asm\x0d\0\x01\0".as_slice(), &[1, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()
            ),
            None
        );
    }
}
