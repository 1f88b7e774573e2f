//! A component without its debug information.
//!
//! Code and function names stay as they are, so the offsets of the removed information stay valid:
//! a build writes the full component beside the stripped one, as `<name>.debug.wasm`.

use wasm_encoder::{Component, ComponentSectionId, Encode as _, Module, RawSection, Section as _};
use wasmparser::{Encoding, Parser, Payload};

/// Maximum nesting of modules and components. Each level copies its content once.
const MAX_DEPTH: usize = 16;

/// The component without the `.debug_*` sections of its modules, at any depth. `None` if it is not
/// well-formed.
pub(super) fn without_debug(wasm: &[u8]) -> Option<Vec<u8>> {
    with_custom_sections(wasm, &|name| !name.starts_with(".debug_"))
}

/// The component or module with only those custom sections, at any depth, whose name `keep`
/// accepts. Every other section keeps its bytes. `None` if the input is not well-formed or nested
/// more than 16 levels deep.
pub fn with_custom_sections(wasm: &[u8], keep: &dyn Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut outer: Vec<(Encoding, Vec<u8>)> = Vec::new();
    let (mut encoding, mut out) = (Encoding::Module, Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.ok()?;
        match &payload {
            Payload::Version { encoding: found, .. } => {
                encoding = *found;
                out.extend_from_slice(match found {
                    Encoding::Module => &Module::HEADER,
                    Encoding::Component => &Component::HEADER,
                });
            }
            // The content follows as payloads of its own and is appended at its `End`.
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => {
                // The parser accepts a nested module that is cut between two sections.
                let is_cut = wasm.get(unchecked_range.clone()).is_none();
                if is_cut || outer.len() == MAX_DEPTH {
                    return None;
                }
                outer.push((encoding, std::mem::take(&mut out)));
                continue;
            }
            Payload::End(_) => {
                let Some((outer_encoding, mut whole)) = outer.pop() else { break };
                whole.push(match encoding {
                    Encoding::Module => ComponentSectionId::CoreModule.into(),
                    Encoding::Component => ComponentSectionId::Component.into(),
                });
                out.encode(&mut whole);
                (encoding, out) = (outer_encoding, whole);
            }
            Payload::CustomSection(section) if !keep(section.name()) => continue,
            _ => {}
        }
        if let Some((id, range)) = payload.as_section() {
            RawSection { id, data: wasm.get(range)? }.append_to(&mut out);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &str) -> Vec<u8> {
        let mut section = Vec::new();
        let custom = wasm_encoder::CustomSection { name: name.into(), data: (&[7; 300]).into() };
        wasm_encoder::Section::append_to(&custom, &mut section);
        section
    }

    fn component(sections: &[Vec<u8>]) -> Vec<u8> {
        let module = [Module::HEADER.as_slice(), &sections.concat()].concat();
        let mut component = Component::HEADER.to_vec();
        component.push(ComponentSectionId::CoreModule.into());
        module.encode(&mut component);
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
            assert!(stripped.is_none() || end == Component::HEADER.len(), "{end}");
        }
        assert_eq!(
            without_debug(
                &[b"\0asm\x0d\0\x01\0".as_slice(), &[1, 0xff, 0xff, 0xff, 0xff, 0xff]].concat()
            ),
            None
        );
    }
}
