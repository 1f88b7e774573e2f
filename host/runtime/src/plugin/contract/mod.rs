//! The published versions of the contract, and which of them a component was built for.
//!
//! Each version has a module here that describes it and links its components, and one in
//! [`bindings`](super::bindings) with its types. A new version adds one of each, and an entry in
//! [`VERSIONS`].

mod v0_1;
mod v0_2;

use std::collections::BTreeSet;

use wasmparser::{Parser, Payload};
use wasmtime::component::{Component, Linker};

use super::world::{Linked, World};
use crate::host_functions::GuestState;

/// The package of the contract.
pub const PACKAGE: &str = "sitewright:template";

/// Every published version, the oldest first.
pub const VERSIONS: &[&Contract] = &[&v0_1::CONTRACT, &v0_2::CONTRACT];

/// One published version of the contract.
#[derive(Debug)]
pub struct Contract {
    /// Like `0.1.0`.
    pub version: &'static str,
    /// The worlds that a template may be built against. The first one that matches is taken.
    worlds: &'static [WorldMark],
    /// What it offers to templates that the version before did not.
    pub brought: &'static [&'static str],
    /// Links a component of this version.
    pub(super) link: fn(&Linker<GuestState>, &Component, World) -> wasmtime::Result<Linked>,
}

/// Each version has one `Contract`.
impl PartialEq for Contract {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

impl Eq for Contract {}

/// How a component's imports and exports show its world.
#[derive(Debug)]
struct WorldMark {
    world: World,
    /// Interfaces that only this world has.
    interfaces: &'static [&'static str],
}

/// The contract that a component was built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub contract: &'static Contract,
    /// `None` if the component uses no interface that only one world has.
    pub world: Option<World>,
    /// Everything it imports, like `sitewright:template/ai@0.2.0`.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// The contract that a component was built for is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The file is not a readable component.
    #[error("its imports and exports cannot be read: {0}")]
    Unreadable(String),
    /// It uses nothing of the contract.
    #[error("it has nothing of the package `{PACKAGE}`: it is a component, but no template")]
    Foreign,
    /// It was built for a version that this host does not know.
    #[error(
        "it was built for version {found} of the contract `{PACKAGE}`, and this host knows {}: \
         use a newer host, or build it with an SDK of one of those",
        known()
    )]
    Unknown { found: String },
    /// Its parts were built for several versions.
    #[error(
        "it mixes versions of the contract `{PACKAGE}`: {}; build all of it with one SDK",
        .0.join(", ")
    )]
    Mixed(Vec<String>),
}

fn known() -> String {
    let versions: Vec<&str> = VERSIONS.iter().map(|contract| contract.version).collect();
    versions.join(", ")
}

impl Contract {
    pub fn newest() -> &'static Contract {
        // The list is never empty.
        VERSIONS.last().copied().unwrap_or(&v0_2::CONTRACT)
    }

    /// What later versions offer to a template, each with its version.
    pub fn missed(&self) -> Vec<(&'static str, &'static str)> {
        VERSIONS
            .iter()
            .skip_while(|contract| contract.version != self.version)
            .skip(1)
            .flat_map(|contract| {
                contract.brought.iter().map(|feature| (contract.version, *feature))
            })
            .collect()
    }
}

impl Target {
    /// The contract that `wasm` was built for, by its imports and exports. Nothing of it is run.
    ///
    /// # Errors
    /// If that is unknown, or no known version fits.
    pub fn of(wasm: &[u8]) -> Result<Self, TargetError> {
        let (imports, exports) = surface(wasm).map_err(TargetError::Unreadable)?;
        let own: Vec<(&str, &str)> =
            imports.iter().chain(&exports).filter_map(|name| interface(name)).collect();
        let versions: BTreeSet<&str> = own.iter().map(|(_, version)| *version).collect();
        let version = match versions.iter().copied().collect::<Vec<_>>().as_slice() {
            [] => return Err(TargetError::Foreign),
            [version] => *version,
            several => {
                return Err(TargetError::Mixed(
                    several.iter().map(|version| (*version).to_owned()).collect(),
                ));
            }
        };
        let contract = VERSIONS
            .iter()
            .find(|contract| contract.version == version)
            .ok_or_else(|| TargetError::Unknown { found: version.to_owned() })?;
        let has = |mark: &&str| own.iter().any(|(interface, _)| interface == mark);
        let mark = contract.worlds.iter().find(|mark| mark.interfaces.iter().any(has));
        let world = mark.map(|mark| mark.world);
        Ok(Target { contract, world, imports, exports })
    }
}

/// `ai` and `0.1.0` of `sitewright:template/ai@0.1.0`.
fn interface(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')
}

/// Maximum components inside each other: the parser keeps a state for each, and a file can have
/// millions. Real ones have a few.
pub(super) const MAX_DEPTH: u32 = 1_000;
/// Maximum imports, and maximum exports, for the same reason.
const MAX_NAMES: usize = 1_000;

/// Names of a component's imports and exports, in its own order.
///
/// # Errors
/// Why they cannot be read.
fn surface(wasm: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let unreadable = |error: wasmparser::Error| error.to_string();
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(unreadable)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("more than {MAX_DEPTH} components are inside each other"));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    add(&mut imports, import.map_err(unreadable)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    add(&mut exports, export.map_err(unreadable)?.name.name)?;
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

fn add(names: &mut Vec<String>, name: &str) -> Result<(), String> {
    if names.len() >= MAX_NAMES {
        return Err(format!("there are more than {MAX_NAMES} of one kind"));
    }
    names.push(name.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart_by_what_is_imported_and_exported() {
        let component = |imports: &[&str]| {
            let imports: Vec<String> =
                imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
            wat::parse_str(format!("(component {})", imports.join(" "))).unwrap()
        };
        let target =
            Target::of(&component(&["wasi:cli/exit@0.2.6", "sitewright:template/ai@0.1.0"]))
                .unwrap();
        assert_eq!((target.contract.version, target.world), ("0.1.0", Some(World::Template)));
        let newer = Target::of(&component(&["sitewright:template/ai@0.2.0"])).unwrap();
        assert_eq!((newer.contract.version, newer.world), ("0.2.0", Some(World::Template)));
        let blocking = Target::of(&component(&["sitewright:template/ai-sync@0.1.0"])).unwrap();
        assert_eq!(blocking.world, Some(World::TemplateSync));
        assert_eq!(target.imports.len(), 2);
        let bare = Target::of(&component(&["sitewright:template/site@0.1.0"])).unwrap();
        assert_eq!(bare.world, None);

        let unknown = TargetError::Unknown { found: "9.1.0".to_owned() };
        let mixed =
            |version: &str| TargetError::Mixed(vec!["0.1.0".to_owned(), version.to_owned()]);
        for (imports, error) in [
            (&["wasi:cli/exit@0.2.6"][..], TargetError::Foreign),
            (&["sitewright:template/ai@9.1.0"], unknown.clone()),
            (&["sitewright:template/ai@9.1.0", "sitewright:template/site@0.1.0"], mixed("9.1.0")),
            (&["sitewright:template/ai@0.2.0", "sitewright:template/site@0.1.0"], mixed("0.2.0")),
        ] {
            assert_eq!(Target::of(&component(imports)), Err(error), "{imports:?}");
        }
        let names: Vec<String> = (0..=MAX_NAMES).map(|number| format!("a{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(matches!(Target::of(&component(&names)), Err(TargetError::Unreadable(_))));
        assert_eq!(Target::of(&component(&names[1..])), Err(TargetError::Foreign));
        assert!(unknown.to_string().contains("knows 0.1.0, 0.2.0"), "{unknown}");
        assert!(matches!(Target::of(b"\0asm"), Err(TargetError::Unreadable(_))));
    }

    #[test]
    fn a_version_misses_what_later_ones_brought() {
        assert_eq!(Contract::newest().missed(), []);
        let missed = v0_1::CONTRACT.missed();
        assert_eq!(missed.len(), v0_2::CONTRACT.brought.len());
        assert!(missed.iter().all(|(version, _)| *version == "0.2.0"), "{missed:?}");
    }
}
