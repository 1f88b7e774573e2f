//! Maps offsets in a component to functions, files and lines of the template's source.
//!
//! - `modules`: the core modules of a component, and whether a separate debug file matches them
//! - `dwarf`: reads untrusted debug information
//! - `budget`: limits on time and memory
//! - `paths`: readable names and paths, and which code is the author's own
//!
//! A template's debug information is read at its traps, in a confined child process, and the
//! symbolized frames are cached: see [`SymbolCache`](sitewright_runtime::plugin::SymbolCache).

mod budget;
mod dwarf;
mod modules;
mod paths;

use std::collections::HashMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use budget::{Budget, MAX_FRAMES, Stop};
pub use budget::{MAX_DEBUG_BYTES, MAX_TIME};
use dwarf::{Index, Place, Reader, Sections};
use modules::Found;
use paths::Language;
use serde::{Deserialize, Serialize};

use crate::RawFrame;
use sitewright_model::failure::Frame;
use sitewright_model::failure::SourceExcerpt;

/// Note of a record if the reader panics on the debug information.
const FAILED: &str =
    "the reader panicked on it, which is a bug of the host: report it together with the template";

/// Maximum cached locations of one template: far more than it has ways to fail.
const MAX_PLACES: usize = 4_096;

/// The debug information of one component.
#[derive(Debug)]
pub struct Symbols {
    modules: Vec<Module>,
    /// Why debug information is incomplete, if that is known from loading it.
    note: Option<String>,
    known: Mutex<HashMap<u64, Arc<[Place]>>>,
    /// Set when reading exceeded the time limit: it would do so again.
    given_up: OnceLock<String>,
    /// The first part that could not be read, and why.
    broken: OnceLock<String>,
}

#[derive(Debug)]
struct Module {
    /// The module's bytes in the component.
    range: Range<u64>,
    code_start: u64,
    /// The matching module of the separate debug file, which has names of functions.
    named: Option<Found>,
    debug: Option<Sections>,
    /// Created when the first frame is resolved.
    index: Mutex<Option<Arc<Index>>>,
    /// Names from `named` of functions that have no other name.
    names: Mutex<HashMap<u32, Option<String>>>,
}

/// A symbolized backtrace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbolized {
    /// Innermost first; inlined functions have their own frames.
    pub frames: Vec<Frame>,
    /// Why frames lack names, or files and lines, and how to get them; `None` if they have them.
    pub missing: Option<String>,
    /// The lines around the first own frame, if the debug information embeds the source.
    pub source: Option<SourceExcerpt>,
}

impl Symbols {
    /// Reads the debug information of a component's modules, and from the separate debug file
    /// `beside` that of modules without any. Blocking: takes milliseconds for a Rust template.
    ///
    /// Does not fail: the record names what cannot be read (`symbols_missing`).
    pub fn load(component: &[u8], beside: Option<(&str, &[u8])>) -> Self {
        Self::load_at_most(component, beside, MAX_DEBUG_BYTES)
    }

    /// As [`load`](Self::load), but with a limit of `most` bytes of debug information.
    pub fn load_at_most(component: &[u8], beside: Option<(&str, &[u8])>, most: usize) -> Self {
        let (found, too_large) = modules::find(component, most);
        let mut note = too_large.then(|| {
            format!(
                "the template's debug information has more than {most} bytes and was not read: \
                 build it with `debug = \"line-tables-only\"` (Rust) or `-gline-tables-only` (C)"
            )
        });
        let mut others = Vec::new();
        if let Some((name, bytes)) = beside
            && found.iter().all(|module| module.sections.is_empty())
        {
            others = modules::find(bytes, most).0;
            if !found.iter().any(|module| others.iter().any(|other| module.is_build_of(other))) {
                note = Some(format!(
                    "`{name}` beside the template does not belong to it: its code is that of \
                     another build. Put there the debug information of this build"
                ));
            }
        }
        let modules = found.into_iter().map(|own| Module::new(own, &mut others)).collect();
        Symbols {
            modules,
            note,
            known: Mutex::default(),
            given_up: OnceLock::new(),
            broken: OnceLock::new(),
        }
    }

    /// No debug information, because of `reason`.
    pub fn none(reason: impl Into<String>) -> Self {
        Symbols {
            modules: Vec::new(),
            note: Some(reason.into()),
            known: Mutex::default(),
            given_up: OnceLock::new(),
            broken: OnceLock::new(),
        }
    }

    /// Bytes of debug information in memory.
    pub fn bytes(&self) -> usize {
        let of = |module: &Module| {
            module.debug.iter().flatten().map(|(_, bytes)| bytes.len()).sum::<usize>()
                + module
                    .named
                    .as_ref()
                    .and_then(|found| found.names.as_ref())
                    .map_or(0, |names| names.len())
        };
        self.modules.iter().map(of).sum()
    }

    /// Whether reading exceeded the time limit: it would do so again for other frames.
    pub fn gave_up(&self) -> bool {
        self.given_up.get().is_some()
    }

    /// The frames, if all of them are cached; `None` otherwise. Does not block: for async threads.
    pub fn recall(&self, raw: &[RawFrame]) -> Option<Symbolized> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let places: Option<Vec<Arc<[Place]>>> = raw
            .iter()
            .map(|frame| match self.module_of(frame) {
                Some((_, module))
                    if self.given_up.get().is_none() && !module.knows_name_of(frame) =>
                {
                    None
                }
                Some((_, module)) if self.given_up.get().is_none() && module.debug.is_some() => {
                    known.get(&frame.offset.unwrap_or(0)).cloned()
                }
                _ => Some(Arc::default()),
            })
            .collect();
        drop(known);
        Some(self.describe(raw, &places?))
    }

    /// Resolves the frames and reads the debug information that is not cached. Blocking, for at
    /// most [`MAX_TIME`].
    pub fn resolve(&self, raw: &[RawFrame]) -> Symbolized {
        self.resolve_within(raw, MAX_TIME)
    }

    /// As [`resolve`](Self::resolve), with another time limit. If it is exceeded, frames have names
    /// only.
    pub fn resolve_within(&self, raw: &[RawFrame], time: Duration) -> Symbolized {
        if let Some(known) = self.recall(raw) {
            return known;
        }
        let mut budget = Budget::new(time);
        for (number, module) in self.modules.iter().enumerate() {
            if let Err(TimeUp) = self.learn(number, module, raw, &mut budget) {
                // Kept for all later traps: a storm of traps must not spend the time limit on each.
                self.given_up.get_or_init(|| {
                    format!(
                        "reading the template's debug information took longer than {} ms and was \
                         given up: frames have names only",
                        time.as_millis()
                    )
                });
                return self.describe(raw, &vec![Arc::default(); raw.len()]);
            }
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let places: Vec<Arc<[Place]>> = raw
            .iter()
            .map(|frame| {
                frame.offset.and_then(|offset| known.get(&offset).cloned()).unwrap_or_default()
            })
            .collect();
        drop(known);
        self.describe(raw, &places)
    }

    fn module_of(&self, frame: &RawFrame) -> Option<(usize, &Module)> {
        let offset = frame.offset?;
        self.modules.iter().enumerate().find(|(_, module)| module.range.contains(&offset))
    }

    /// Reads the locations of the frames in one module that are not cached yet.
    fn learn(
        &self,
        number: usize,
        module: &Module,
        raw: &[RawFrame],
        budget: &mut Budget,
    ) -> Result<(), TimeUp> {
        let inside: Vec<&RawFrame> = raw
            .iter()
            .filter(|frame| self.module_of(frame).is_some_and(|(of, _)| of == number))
            .collect();
        module.learn_names(&inside, budget)?;
        let Some(sections) = &module.debug else { return Ok(()) };
        let mut offsets: Vec<u64> = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            inside
                .iter()
                .filter_map(|frame| frame.offset)
                .filter(|offset| !known.contains_key(offset))
                .collect()
        };
        offsets.sort_unstable();
        offsets.dedup();
        let addresses: Vec<u64> =
            offsets.iter().map(|offset| offset.saturating_sub(module.code_start)).collect();
        if offsets.is_empty() {
            return Ok(());
        }
        let mut read = || {
            let mut reader = Reader::new(sections)?;
            let (index, of_index) = module.index(&mut reader, budget)?;
            let (places, of_places) = reader.places(&index, &addresses, budget)?;
            Ok((places, of_index.or(of_places)))
        };
        // The reader may overflow on hostile values and panic in a build with overflow checks. A
        // panic may cost the record its files and lines, but not the record itself.
        let read = std::panic::catch_unwind(AssertUnwindSafe(&mut read));
        let (places, problem) = match read.unwrap_or_else(|_| Err(Stop::Broken(FAILED.to_owned())))
        {
            Ok((places, problem)) => (places, problem),
            // Cached as empty, so that it is not read again.
            Err(Stop::Broken(problem)) => (vec![Vec::new(); offsets.len()], Some(problem)),
            Err(Stop::TimeUp) => return Err(TimeUp),
        };
        if let Some(problem) = problem {
            self.broken.get_or_init(|| {
                format!("the template's debug information cannot be read: {problem}")
            });
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + offsets.len() > MAX_PLACES {
            known.clear();
        }
        known.extend(offsets.into_iter().zip(places.into_iter().map(Arc::from)));
        Ok(())
    }

    fn describe(&self, raw: &[RawFrame], places: &[Arc<[Place]>]) -> Symbolized {
        let language = Language::of(raw.iter().filter_map(|frame| frame.function.as_deref()));
        let mut frames = Vec::with_capacity(raw.len());
        let mut source = None;
        // Tools add modules without names to the template's own: one name shows that it is not
        // stripped.
        let (mut nameless, mut without_debug) = (true, false);
        for (raw, places) in raw.iter().zip(places) {
            let module = self.module_of(raw).map(|(_, module)| module);
            let beside = || module.and_then(|module| module.name_beside(raw.index));
            let function = raw.function.clone().or_else(beside);
            without_debug |= module.is_some_and(|module| module.debug.is_none());
            nameless &= function.is_none() && places.is_empty();
            for (at, place) in places.iter().enumerate() {
                // The last one is the function itself, the others are inlined into it. Line tables
                // name functions without their path; the name section has the complete name.
                let inlined = at + 1 < places.len();
                let name = if inlined { None } else { function.as_deref() };
                let frame = Frame {
                    inlined,
                    ..frame_of(name.or(place.name.as_deref()), raw, place, language)
                };
                if let (None, true, Some(excerpt)) = (&source, frame.own, &place.source) {
                    let file = frame.file.clone().unwrap_or_default();
                    source = Some(SourceExcerpt { file, ..excerpt.clone() });
                }
                frames.push(frame);
            }
            if places.is_empty() {
                frames.push(frame_of(function.as_deref(), raw, &Place::default(), language));
            }
        }
        frames.truncate(MAX_FRAMES);
        // Embedded source covers libraries too; only that of the first own frame is shown.
        let first = super::source::first_own(&frames);
        let source =
            source.filter(|source| first.is_some_and(|frame| frame.line == Some(source.line)));
        let no_debug = self.modules.iter().all(|module| module.debug.is_none());
        let lost = self.broken.get().filter(|_| first.is_none());
        let missing = match self.given_up.get().or(self.note.as_ref()).or(lost) {
            Some(problem) => Some(problem.clone()),
            None if raw.is_empty() => None,
            // A module without debug information is reported if it may contain the author's code.
            None => (no_debug || (without_debug && first.is_none())).then(|| {
                interpreter(raw, language).map_or_else(|| missing_words(nameless), str::to_owned)
            }),
        };
        Symbolized { frames, missing, source }
    }
}

/// The time is up.
struct TimeUp;

/// Explains the frames of an interpreter, or of a compiler without debug information, of which no
/// build could show the author's lines; `None` if another build can.
fn interpreter(raw: &[RawFrame], language: Language) -> Option<&'static str> {
    // componentize-js strips the engine, so only the export has a name.
    let is_named = |frame: &RawFrame| frame.function.is_some();
    let is_blocking_export = |frame: &RawFrame| {
        frame.function.as_ref().is_some_and(|name| name.contains("/generator-sync@"))
    };
    let mut named = raw.iter().filter(|frame| is_named(frame));
    match language {
        Language::Python => Some(
            "these are frames of the Python interpreter: the template's own lines are known only \
             if it stops with an exception",
        ),
        Language::Go => Some(
            "Go writes no debug information for WebAssembly: files and lines are known only if the \
             template stops with a panic",
        ),
        Language::C if named.next().is_some_and(is_blocking_export) && named.next().is_none() => {
            Some(
                "these are frames of an engine that runs the template as data (JavaScript): the \
                 template's own lines are known only if it stops with an exception",
            )
        }
        Language::Rust | Language::C => None,
    }
}

/// Explains what a template without debug information lacks, and how to get it.
fn missing_words(nameless: bool) -> String {
    let what = if nameless {
        "the template carries neither names nor debug information: functions are numbers, without \
         files and lines. Build it without stripping (`strip = \"none\"`)"
    } else {
        "the template carries names and no debug information: frames have no files and lines. \
         Build it"
    };
    format!(
        "{what} with `debug = \"line-tables-only\"` (Rust) or `-g` (C), or put the unstripped \
         build beside it as `<name>.debug.wasm`"
    )
}

impl Module {
    fn new(own: Found, others: &mut Vec<Found>) -> Self {
        let (range, code_start) = (own.range.clone(), own.code_start);
        if own.debug_bytes() > 0 {
            let debug = Some(own.sections);
            return Module {
                range,
                code_start,
                named: None,
                debug,
                index: Mutex::default(),
                names: Mutex::default(),
            };
        }
        let beside =
            others.iter().position(|other| own.is_build_of(other)).map(|at| others.swap_remove(at));
        let mut named = beside;
        let debug = named.as_mut().map(|found| std::mem::take(&mut found.sections));
        let debug = debug.filter(|sections| !sections.is_empty());
        Module { range, code_start, named, debug, index: Mutex::default(), names: Mutex::default() }
    }

    fn name_beside(&self, index: u32) -> Option<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&index).cloned().flatten()
    }

    /// Whether the separate debug file need not be searched for the name of this frame's function.
    fn knows_name_of(&self, frame: &RawFrame) -> bool {
        self.named.is_none()
            || frame.function.is_some()
            || self.names.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&frame.index)
    }

    fn learn_names(&self, frames: &[&RawFrame], budget: &mut Budget) -> Result<(), TimeUp> {
        let Some(named) = &self.named else { return Ok(()) };
        let unknown = frames.iter().filter(|frame| !self.knows_name_of(frame));
        let mut wanted: HashMap<u32, Option<String>> =
            unknown.map(|frame| (frame.index, None)).collect();
        if !wanted.is_empty() {
            named.name(&mut wanted, budget).map_err(|_| TimeUp)?;
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.len() + wanted.len() > MAX_PLACES {
                names.clear();
            }
            names.extend(wanted);
        }
        Ok(())
    }

    fn index(
        &self,
        reader: &mut Reader<'_>,
        budget: &mut Budget,
    ) -> Result<(Arc<Index>, Option<String>), Stop> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*index {
            return Ok((index.clone(), None));
        }
        let (made, broken) = reader.index(budget)?;
        let made = Arc::new(made);
        *index = Some(made.clone());
        Ok((made, broken))
    }
}

fn frame_of(name: Option<&str>, raw: &RawFrame, place: &Place, language: Language) -> Frame {
    let function = name.map_or_else(|| format!("function {}", raw.index), paths::demangle);
    let whole = place.file.as_deref();
    Frame {
        own: paths::is_own(&function, whole, language),
        function,
        file: whole.map(|file| paths::shorten(file, place.folder.as_deref())),
        line: place.line,
        column: place.column,
        inlined: false,
        offset: raw.offset,
    }
}
