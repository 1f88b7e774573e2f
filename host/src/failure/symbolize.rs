//! From offsets in a component to functions, files and lines of the template's source.
//!
//! A template is symbolized at most once, on the blocking pool, when its first trap is recorded; see
//! [`Symbols::load`].

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use gimli::{EndianArcSlice, LittleEndian};
use wasmparser::{Parser, Payload};

use super::trap::{Frame, RawFrame};

type Slice = EndianArcSlice<LittleEndian>;

/// Debug information larger than this is not read: a template would make the host hold it in memory.
const MAX_DEBUG_BYTES: usize = 256 << 20;

/// The debug information of one component.
pub struct Symbols {
    modules: Vec<ModuleSymbols>,
    missing: Option<String>,
}

struct ModuleSymbols {
    /// Where the module lies in the component.
    range: Range<u64>,
    /// Where its code section's contents begin; DWARF counts from there.
    code_start: u64,
    context: Option<addr2line::Context<Slice>>,
}

impl Symbols {
    /// Reads the debug information of a component's modules. Blocking: milliseconds for a Rust template.
    ///
    /// Never fails: what cannot be read is named in the record instead (`symbols_missing`).
    pub fn load(component: &[u8]) -> Self {
        let mut modules = Vec::new();
        let mut missing = None;
        for found in find_modules(component) {
            let context = match found.context() {
                Ok(context) => context,
                Err(error) => {
                    missing = Some(format!("the template's debug information cannot be read: {error}"));
                    None
                }
            };
            modules.push(ModuleSymbols { range: found.range, code_start: found.code_start, context });
        }
        if missing.is_none() && modules.iter().all(|module| module.context.is_none()) {
            missing = Some(
                "the template carries no debug information: build it with `debug = \"line-tables-only\"` and without `strip`".to_owned(),
            );
        }
        Symbols { modules, missing }
    }

    /// No debug information, for a reason.
    pub fn none(reason: impl Into<String>) -> Self {
        Symbols { modules: Vec::new(), missing: Some(reason.into()) }
    }

    /// Why there are no files and lines, when there are none.
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Frames for people, innermost first, inlined functions as frames of their own.
    pub fn resolve(&self, raw: &[RawFrame]) -> Vec<Frame> {
        raw.iter().flat_map(|frame| self.resolve_one(frame)).collect()
    }

    fn resolve_one(&self, raw: &RawFrame) -> Vec<Frame> {
        let mut frames = Vec::new();
        if let Some((offset, module)) = raw
            .offset
            .and_then(|offset| Some((offset, self.modules.iter().find(|module| module.range.contains(&offset))?)))
            && let Some(context) = &module.context
            && let Ok(mut found) = context.find_frames(offset.saturating_sub(module.code_start)).skip_all_loads()
        {
            while let Ok(Some(frame)) = found.next() {
                let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
                let location = frame.location.as_ref();
                frames.push(describe(
                    name.as_deref().or(raw.function.as_deref()),
                    raw.index,
                    location.and_then(|l| l.file),
                    location.and_then(|l| l.line),
                    location.and_then(|l| l.column),
                    raw.offset,
                ));
            }
        }
        if frames.is_empty() {
            frames.push(describe(raw.function.as_deref(), raw.index, None, None, None, raw.offset));
        }
        frames
    }
}

fn describe(
    name: Option<&str>,
    index: u32,
    file: Option<&str>,
    line: Option<u32>,
    column: Option<u32>,
    offset: Option<u64>,
) -> Frame {
    let function = name.map_or_else(|| format!("function {index}"), demangle);
    let file = file.map(|file| shorten(file).into_owned());
    let own = is_own(&function, file.as_deref());
    Frame { function, file, line: line.filter(|line| *line > 0), column: column.filter(|c| *c > 0), own, offset }
}

fn demangle(name: &str) -> String {
    // `{:#}` leaves out the hash.
    format!("{:#}", rustc_demangle::demangle(name))
}

/// Where the registry and the standard library stand in paths of compiled code.
const FOREIGN_PATHS: [&str; 8] = [
    "/rustc/",
    "/registry/src/",
    "/git/checkouts/",
    "/library/std/",
    "/library/core/",
    "/library/alloc/",
    "guest-sdk/src/",
    "wit_bindgen",
];

/// Beginnings of functions that no author writes, for frames without a file.
const FOREIGN_FUNCTIONS: [&str; 24] = [
    "core::",
    "std::",
    "alloc::",
    "<core::",
    "<std::",
    "<alloc::",
    "rust_",
    "__rust",
    "_ZN",
    "__rdl",
    "dlmalloc",
    "wit_bindgen",
    "<wit_bindgen",
    "sitewright_sdk::",
    "<sitewright_sdk::",
    "wasi",
    "cabi_",
    "[async-lift]",
    "[callback]",
    "sitewright:template/",
    "__wasm",
    "_start",
    "_initialize",
    "abort",
];

fn is_own(function: &str, file: Option<&str>) -> bool {
    match file {
        Some(file) => {
            !FOREIGN_PATHS.iter().any(|part| file.contains(part))
                && !file.starts_with("library/")
                && !file.starts_with("registry/")
                && !file.starts_with("rust/")
                && !FOREIGN_FUNCTIONS.iter().any(|start| function.starts_with(start))
        }
        None => {
            !function.starts_with("function ")
                && !FOREIGN_FUNCTIONS.iter().any(|start| function.starts_with(start))
                && function.contains("::")
        }
    }
}

/// A path without the parts that only say where somebody's package registry or toolchain lies.
fn shorten(file: &str) -> Cow<'_, str> {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        let rest = rest.split_once('/').map_or(rest, |(_, rest)| rest);
        return Cow::Owned(format!("registry/{rest}"));
    }
    if let Some(rest) = file.strip_prefix("/rustc/") {
        let rest = rest.split_once('/').map_or(rest, |(_, rest)| rest);
        return Cow::Owned(format!("rust/{rest}"));
    }
    Cow::Borrowed(file.strip_prefix("./").unwrap_or(file))
}

struct FoundModule {
    range: Range<u64>,
    code_start: u64,
    sections: Vec<(String, Arc<[u8]>)>,
}

impl FoundModule {
    fn context(&self) -> Result<Option<addr2line::Context<Slice>>, gimli::Error> {
        let bytes: usize = self.sections.iter().map(|(_, bytes)| bytes.len()).sum();
        if bytes == 0 || bytes > MAX_DEBUG_BYTES {
            return Ok(None);
        }
        let load = |id: gimli::SectionId| -> Result<Slice, gimli::Error> {
            let bytes = self.sections.iter().find(|(name, _)| name == id.name()).map(|(_, bytes)| bytes.clone());
            Ok(Slice::new(bytes.unwrap_or_default(), LittleEndian))
        };
        addr2line::Context::from_dwarf(gimli::Dwarf::load(load)?).map(Some)
    }
}

/// The core modules embedded in a component, at any depth. A component that does not parse gives what was found before.
fn find_modules(component: &[u8]) -> Vec<FoundModule> {
    let mut done = Vec::new();
    // Modules that have begun and not ended; sections belong to the last.
    let mut open: Vec<Option<FoundModule>> = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let Ok(payload) = payload else { break };
        match payload {
            Payload::ModuleSection { unchecked_range, .. } => open.push(Some(FoundModule {
                range: unchecked_range.start as u64..unchecked_range.end as u64,
                code_start: 0,
                sections: Vec::new(),
            })),
            Payload::ComponentSection { .. } => open.push(None),
            Payload::CodeSectionStart { range, .. } => {
                if let Some(Some(module)) = open.last_mut() {
                    module.code_start = range.start as u64;
                }
            }
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                if let Some(Some(module)) = open.last_mut() {
                    module.sections.push((section.name().to_owned(), section.data().into()));
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
    done
}
