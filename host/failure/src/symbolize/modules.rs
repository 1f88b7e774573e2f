//! The core modules inside a component, and the debug information that belongs to each.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use wasmparser::{KnownCustom, Name, Parser, Payload};

use super::budget::{Budget, MAX_MODULES, MAX_SECTIONS, Stop};
use super::dwarf::Sections;

/// A core module as it was found in the component.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Its bytes in the file.
    pub(super) range: Range<u64>,
    /// Start of the contents of its code section, from which DWARF addresses count.
    pub(super) code_start: u64,
    /// SHA-256 of the code section; `None` if there is none.
    pub(super) code: Option<[u8; 32]>,
    /// The linker's build id, which identifies the build.
    pub(super) build_id: Option<Vec<u8>>,
    /// The name section.
    pub(super) names: Option<Arc<[u8]>>,
    pub(super) sections: Sections,
}

impl Found {
    pub(super) fn debug_bytes(&self) -> usize {
        self.sections.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Whether `beside` is the debug information of this module: it has the same code, or no code
    /// and the same build id.
    pub(super) fn is_build_of(&self, beside: &Found) -> bool {
        match (self.code, beside.code) {
            (Some(own), Some(other)) => own == other,
            (Some(_), None) => self.build_id.is_some() && self.build_id == beside.build_id,
            (None, _) => false,
        }
    }

    /// Fills in the names of the `wanted` functions from the name section. Functions without a name
    /// keep `None`.
    pub(super) fn name(
        &self,
        wanted: &mut HashMap<u32, Option<String>>,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        let Some(names) = &self.names else { return Ok(()) };
        let reader = wasmparser::BinaryReader::new(names, 0);
        for part in wasmparser::NameSectionReader::new(reader) {
            let Ok(Name::Function(functions)) = part else { continue };
            for naming in functions {
                budget.spend(1)?;
                let Ok(naming) = naming else { break };
                if let Some(name) = wanted.get_mut(&naming.index) {
                    *name = Some(naming.name.to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The core modules of a component, at any depth; a core module is its own only one. A parse error
/// ends the list. Debug information beyond `most` bytes in total is left out; the second value is
/// `true` then.
pub(super) fn find(wasm: &[u8], most: usize) -> (Vec<Found>, bool) {
    let (mut done, mut too_large, mut bytes) = (Vec::new(), false, 0_usize);
    // Modules whose end is not read yet; sections belong to the last one.
    let mut open: Vec<Option<Found>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if done.len() + open.len() >= MAX_MODULES {
            break;
        }
        let Ok(payload) = payload else { break };
        match payload {
            Payload::Version { encoding: wasmparser::Encoding::Module, range, .. }
                if open.is_empty() =>
            {
                open.push(Some(Found {
                    range: range.start as u64..wasm.len() as u64,
                    ..Found::default()
                }));
            }
            Payload::ModuleSection { unchecked_range, .. } => open.push(Some(Found {
                range: unchecked_range.start as u64..unchecked_range.end as u64,
                ..Found::default()
            })),
            Payload::ComponentSection { .. } => open.push(None),
            Payload::CodeSectionStart { range, .. } => {
                if let Some(Some(module)) = open.last_mut() {
                    module.code_start = range.start as u64;
                    module.code = wasm.get(range.clone()).map(|code| Sha256::digest(code).into());
                }
            }
            Payload::CustomSection(section) => {
                let Some(Some(module)) = open.last_mut() else { continue };
                match section.name() {
                    name if name.starts_with(".debug_") => {
                        bytes = bytes.saturating_add(section.data().len());
                        if bytes > most || module.sections.len() >= MAX_SECTIONS {
                            too_large = true;
                            module.sections.clear();
                        } else {
                            module.sections.push((name.to_owned(), section.data().into()));
                        }
                    }
                    "build_id" => module.build_id = Some(section.data().to_vec()),
                    // A section of this name that does not parse as names is ignored.
                    "name" if matches!(section.as_known(), KnownCustom::Name(_)) => {
                        module.names = Some(section.data().into());
                    }
                    _ => {}
                }
            }
            Payload::End(_) => {
                if let Some(Some(module)) = open.pop() {
                    done.push(module);
                }
            }
            _ => {}
        }
    }
    (done, too_large)
}
