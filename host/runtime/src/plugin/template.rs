//! One template, loaded: checked, compiled, linked in advance, ready to run.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::Linker;

use super::bindings::generator;
use super::cache::{Cache, CacheOutcome};
use super::compile::{CompileError, Compiler};
use super::contract::{Contract, Target, TargetError};
use super::description::{self, Description};
use super::engine::Engine;
use super::limits::Limits;
use super::manifest::{Manifest, ManifestError};
use super::meter::CpuMeter;
use super::sandbox::Determinism;
use super::settings::{CoreDumpLimits, TemplateSettings};
use super::symbols::SymbolCache;
use super::world::{Linked, World};
use crate::host_functions::GuestState;
use sitewright_failure::RawFrame;
use sitewright_failure::symbolize::Symbolized;
use sitewright_model::failure::TemplateRef;
use sitewright_model::message::{Message, causes_of};

/// Largest template read, in bytes: a Python template with its interpreter is 21 MB.
pub(super) const MAX_TEMPLATE_BYTES: u64 = 256 << 20;
/// Calls, tasks and the like that one guest may have in flight: they lie in the host's memory,
/// which no limit of the guest's covers.
const MAX_CONCURRENT: usize = 10_000;

/// A template that can run.
pub struct Template {
    /// What it says of itself, checked.
    pub manifest: Manifest,
    /// Where it was read from.
    pub path: PathBuf,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// What the compile cache did.
    pub cache: CacheOutcome,
    /// The contract it was built for.
    pub target: Target,
    digest: [u8; 32],
    engine: Engine,
    linked: Linked,
    symbols: SymbolCache,
    settings: Arc<TemplateSettings>,
}

/// A template that cannot be used: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("the template {} cannot be used", .path.display())]
pub struct TemplateError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub problem: TemplateProblem,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateProblem {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// The file is larger than any template.
    #[error("the file has {0} bytes; at most {MAX_TEMPLATE_BYTES} are allowed")]
    TooLarge(u64),
    /// The file is something else.
    #[error("this is {0}, not a WebAssembly component; build it for the target `wasm32-wasip2`")]
    NotAComponent(&'static str),
    /// It is a component that the engine refuses, or one that does not compile within the limits.
    #[error(transparent)]
    DoesNotCompile(#[from] CompileError),
    /// It wants what the contract does not offer, or lacks what it asks for.
    #[error(
        "it does not fit the contract `sitewright:template@0.1.0`: {error:#}. Build it against \
         the world `{world}` with an SDK of this version"
    )]
    DoesNotFit {
        /// The world it looks made for.
        world: World,
        /// What does not fit.
        error: wasmtime::Error,
    },
    /// It was built for no version of the contract that the host knows.
    #[error("it does not fit the contract: {0}")]
    Contract(#[from] TargetError),
    /// `describe` did not answer.
    #[error("`describe` failed: {0}")]
    Describe(String),
    /// `describe` did not answer in time.
    #[error("`describe` failed: {0}")]
    DescribeSlow(String),
    /// `describe` answered nonsense.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The host could not do its part.
    #[error("the host could not load it: {0}")]
    Host(String),
}

/// Loads templates: the engine, the linker, the cache and the compiler that all of them share.
#[derive(Clone)]
pub struct Loader {
    engine: Engine,
    linker: Arc<Linker<GuestState>>,
    cache: Cache,
    compiler: Compiler,
    limits: Arc<Limits>,
    symbols: SymbolCache,
    settings: Arc<TemplateSettings>,
    /// For templates of which dumps are wanted; made with the first of them.
    dumping: Arc<OnceLock<Result<Machine, String>>>,
}

/// An engine and the host's interfaces, linked for it.
#[derive(Clone)]
struct Machine {
    engine: Engine,
    linker: Arc<Linker<GuestState>>,
}

impl Loader {
    /// A loader whose templates run in `engine` and are compiled in this process; see
    /// [`with_compiler`](Self::with_compiler).
    ///
    /// # Errors
    /// When the host's interfaces cannot be linked: a bug of ours.
    pub fn new(engine: Engine, cache: Cache, limits: Limits) -> wasmtime::Result<Self> {
        let linker = Arc::new(crate::host_functions::linker(engine.wasmtime())?);
        Ok(Loader {
            engine,
            linker,
            cache,
            compiler: Compiler::here(),
            limits: Arc::new(limits),
            symbols: SymbolCache::default(),
            settings: Arc::default(),
            dumping: Arc::default(),
        })
    }

    /// The same with what the operator has set for templates.
    #[must_use]
    pub fn with_settings(self, settings: TemplateSettings) -> Self {
        Loader { settings: Arc::new(settings), ..self }
    }

    /// What runs the template in `path`. Blocking when it is the first of which dumps are wanted.
    fn machine(&self, path: &Path) -> Result<Machine, TemplateProblem> {
        if !self.settings.of(path).coredump {
            return Ok(Machine { engine: self.engine.clone(), linker: self.linker.clone() });
        }
        let make = || {
            let engine = self.engine.with_dumps(&self.limits).map_err(|error| error.to_string())?;
            let linker = crate::host_functions::linker(engine.wasmtime())
                .map_err(|error| format!("{error:#}"))?;
            Ok(Machine { engine, linker: Arc::new(linker) })
        };
        self.dumping.get_or_init(make).clone().map_err(TemplateProblem::Host)
    }

    /// The same with another compiler: for templates that nobody vouches for.
    #[must_use]
    pub fn with_compiler(self, compiler: Compiler) -> Self {
        Loader { compiler, ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where the source of the template in this file lies, when the operator has said so.
    pub fn source_of(&self, path: &Path) -> Option<PathBuf> {
        self.settings.of(path).source
    }

    /// Reads, compiles or takes from the cache, links and describes the template in `path`.
    ///
    /// # Errors
    /// [`TemplateError`] with the reason.
    pub async fn load(&self, path: &Path) -> Result<Template, TemplateError> {
        self.try_load(path)
            .await
            .map_err(|problem| TemplateError { path: path.to_owned(), problem })
    }

    async fn try_load(&self, path: &Path) -> Result<Template, TemplateProblem> {
        let file = path.to_owned();
        let (wasm, digest, target) = blocking(move || read(&file)).await?;
        let bytes = wasm.len() as u64;
        let (loader, file) = (self.clone(), path.to_owned());
        let machine = blocking(move || loader.machine(&file)).await?;
        let (component, cache) =
            self.cache.component(&machine.engine, &self.compiler, wasm, &digest).await?;
        let linker = machine.linker.clone();
        // What is no template at all is refused in the engine's words, which say what it lacks.
        let contract = target.as_ref().map_or(Contract::newest(), |target| target.contract);
        let link = move || {
            let world = World::of(&component);
            (contract.link)(&linker, &component, world)
                .map_err(|error| TemplateProblem::DoesNotFit { world, error })
        };
        let linked = blocking(link).await?;
        let described = self.describe(&machine.engine, &linked).await?;
        // The schema is the template's, and takes as long to compile as the template likes: not on
        // the runtime's threads.
        let manifest = blocking(move || Ok(Manifest::check(described)?)).await?;
        Ok(Template {
            manifest,
            path: path.to_owned(),
            bytes,
            cache,
            // What was linked has what is asked for here.
            target: target?,
            digest,
            engine: machine.engine,
            linked,
            symbols: self.symbols.clone(),
            settings: self.settings.clone(),
        })
    }

    /// Asks the template what it is, in an instance that can do nothing else.
    async fn describe(
        &self,
        engine: &Engine,
        linked: &Linked,
    ) -> Result<generator::Manifest, TemplateProblem> {
        let determinism = Determinism { seed: 0, start_unix_ms: 0 };
        Ok(description::ask(engine, linked, &self.limits, determinism).await?.manifest)
    }
}

/// What takes a while, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TemplateProblem> + Send + 'static,
) -> Result<T, TemplateProblem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| TemplateProblem::Host(error.to_string()))?
}

/// A file, its digest, and what it was built for.
type Looked = (Bytes, [u8; 32], Result<Target, TargetError>);

/// The file in `path`, looked at from outside.
fn read(path: &Path) -> Result<Looked, TemplateProblem> {
    let found = std::fs::metadata(path).map_err(TemplateProblem::Unreadable)?;
    if found.len() > MAX_TEMPLATE_BYTES {
        return Err(TemplateProblem::TooLarge(found.len()));
    }
    let mut wasm = Vec::new();
    let file = std::fs::File::open(path).map_err(TemplateProblem::Unreadable)?;
    // A file may grow while it is read.
    file.take(MAX_TEMPLATE_BYTES + 1)
        .read_to_end(&mut wasm)
        .map_err(TemplateProblem::Unreadable)?;
    if wasm.len() as u64 > MAX_TEMPLATE_BYTES {
        return Err(TemplateProblem::TooLarge(wasm.len() as u64));
    }
    recognise(&wasm)?;
    let target = Target::of(&wasm);
    if let Err(error @ (TargetError::Unknown { .. } | TargetError::Mixed(_))) = target {
        return Err(error.into());
    }
    let digest = Sha256::digest(&wasm).into();
    Ok((Bytes::from(wasm), digest, target))
}

/// Names what a file is when it is no component, by its first bytes.
pub(super) fn recognise(wasm: &[u8]) -> Result<(), TemplateProblem> {
    let what = match wasm {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => return Ok(()),
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => "a core WebAssembly module",
        [] => "an empty file",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [b'\x7f', b'E', b'L', b'F', ..] => "a native program",
        [b'(', ..] => "WebAssembly text",
        _ => "some other file",
    };
    Err(TemplateProblem::NotAComponent(what))
}

/// The innermost error: what went wrong, without the engine's frames.
pub(crate) fn root(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

/// A store with the limits that do not depend on the run.
pub(crate) fn new_store(engine: &Engine, state: GuestState, limits: &Limits) -> Store<GuestState> {
    let mut store = Store::new(engine.wasmtime(), state);
    store.limiter(|state| &mut state.memory);
    if let Some(calls) = store.concurrent_resource_table() {
        calls.set_max_capacity(MAX_CONCURRENT);
    }
    // A call can hand over what the guest's memory holds: a file that is too large is refused by
    // name, not trapped.
    store.set_hostcall_fuel(usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX));
    store
}

/// Stops the guest of a store when its processor time is used up, and makes it yield until then.
pub(crate) fn interrupt_by(store: &mut Store<GuestState>, meter: &Arc<CpuMeter>, max: Duration) {
    let meter = meter.clone();
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| meter.on_epoch(max));
}

impl Template {
    /// `sha256:` and the digest of the file.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.digest))
    }

    /// Name, version and digest, for records.
    pub fn reference(&self) -> TemplateRef {
        TemplateRef {
            name: self.manifest.name.clone(),
            version: self.manifest.version.clone(),
            digest: self.digest(),
        }
    }

    /// The engine it was compiled for.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Asks it once more what it is, in an instance of its own with this clock and these random
    /// numbers.
    ///
    /// # Errors
    /// When it does not answer, or not in time.
    pub async fn describe(
        &self,
        limits: &Limits,
        determinism: Determinism,
    ) -> Result<Description, TemplateProblem> {
        description::ask(&self.engine, &self.linked, limits, determinism).await
    }

    /// The linked component.
    pub fn linked(&self) -> &Linked {
        &self.linked
    }

    /// The world of the contract that it is made for.
    pub fn world(&self) -> World {
        self.linked.world()
    }

    /// Frames with functions, files and lines, and why there are none of those when there are none.
    /// Off the runtime's threads, in bounded time; see [`SymbolCache`].
    pub async fn symbolize(&self, frames: Vec<RawFrame>) -> Symbolized {
        self.symbols.symbolize(&self.path, self.digest, frames).await
    }

    /// Where its source lies, when the operator has said so.
    pub fn source(&self) -> Option<PathBuf> {
        self.settings.of(&self.path).source
    }

    /// How large a dump of it may be and how many stay; nothing when none is wanted.
    pub fn coredump(&self) -> Option<&CoreDumpLimits> {
        self.settings.of(&self.path).coredump.then_some(&self.settings.coredump)
    }

    /// The debug information that this template shares with the others of its catalogue.
    pub fn symbols(&self) -> &SymbolCache {
        &self.symbols
    }
}

impl TemplateError {
    /// The digest of the file that could not be used, as [`Template::digest`] gives it; nothing
    /// when it cannot be read.
    pub async fn digest(&self) -> Option<String> {
        let path = self.path.clone();
        let read = move || {
            let file = std::fs::metadata(&path).ok()?;
            (file.is_file() && file.len() <= MAX_TEMPLATE_BYTES)
                .then(|| std::fs::read(&path).ok())
                .flatten()
        };
        let digest =
            move || read().map(|bytes| format!("sha256:{}", hex::encode(Sha256::digest(bytes))));
        tokio::task::spawn_blocking(digest).await.ok().flatten()
    }

    /// The limit on compiling that it is about, and its value.
    pub(crate) fn limit(&self) -> Option<(&'static str, u64)> {
        match &self.problem {
            TemplateProblem::DoesNotCompile(error) => error.limit(),
            _ => None,
        }
    }

    /// Why, from the outermost cause to the root.
    pub fn causes(&self) -> Vec<Message> {
        causes_of(self)
    }
}
