//! Loads one template: reads, compiles, links and describes it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::Linker;

use super::bindings::types;
use super::cache::{Cache, CacheOutcome};
use super::compile::{CompileError, Compiler};
use super::contract::{Contract, Target, TargetError};
use super::description::{self, Description};
use super::engine::Engine;
use super::languages::State;
use super::limits::Limits;
use super::manifest::{Manifest, ManifestCheckError, ManifestError};
use super::meter::{CpuMeter, Interrupts};
use super::profile::{Profile, Sampler};
use super::sandbox::Determinism;
use super::settings::{CoreDumpLimits, TemplateSettings};
use super::stated::{self, StatedError, StatedManifest};
use super::symbols::SymbolCache;
use super::world::{Linked, World};
use crate::host_functions::{GuestState, MAX_PATH_BYTES};
use sitewright_confined::Confined;
use sitewright_failure::RawFrame;
use sitewright_failure::symbolize::Symbolized;
use sitewright_files::{FileProblem, Limit};
use sitewright_model::failure::TemplateRef;
use sitewright_model::message::{Message, causes_of};

/// Maximum bytes of a template. A Python template with its interpreter has 21 MB.
pub const MAX_TEMPLATE_BYTES: u64 = 256 << 20;
/// Maximum calls and tasks that one guest may have in flight. They take the host's memory, which no
/// limit of the guest covers.
const MAX_CONCURRENT: usize = 10_000;

/// A loaded template.
#[derive(Clone)]
pub struct Template {
    pub manifest: Manifest,
    pub path: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Whether it was compiled or came from the cache.
    pub cache: CacheOutcome,
    /// The version and world of the contract that it was built for.
    pub target: Target,
    digest: [u8; 32],
    engine: Engine,
    linked: Arc<Linked>,
    symbols: SymbolCache,
    settings: Arc<TemplateSettings>,
    confined: Confined,
    profile: Option<Arc<Profile>>,
}

/// A template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the template {} cannot be used", .path.display())]
pub struct TemplateError {
    pub path: PathBuf,
    #[source]
    pub problem: TemplateProblem,
}

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateProblem {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[source] FileProblem),
    /// The file is not a component; what it is instead.
    #[error("this is {0}, not a WebAssembly component; build it for the target `wasm32-wasip2`")]
    NotAComponent(&'static str),
    /// The engine refuses the component, or it does not compile within the limits.
    #[error(transparent)]
    DoesNotCompile(#[from] CompileError),
    /// Its imports or exports are not those of the contract.
    #[error(
        "it does not fit the contract `sitewright:template@{version}`: {error:#}. Build it against \
         the world `{world}` with an SDK of this version"
    )]
    DoesNotFit {
        /// The version of the contract, like `0.2.0`.
        version: &'static str,
        /// The world that it seems to be built for.
        world: World,
        error: wasmtime::Error,
    },
    /// The host does not know the version of the contract that it was built for.
    #[error("it does not fit the contract: {0}")]
    Contract(#[from] TargetError),
    /// The manifest in its file is not the one that `describe` returned, or cannot be read.
    #[error(transparent)]
    Stated(#[from] StatedError),
    /// `describe` trapped or panicked.
    #[error("`describe` failed: {0}")]
    Describe(String),
    /// `describe` did not return in time.
    #[error("`describe` failed: {0}")]
    DescribeSlow(String),
    /// `describe` returned a manifest that breaks the rules.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The host failed.
    #[error("the host could not load it: {0}")]
    Host(String),
}

/// Loads templates with the engine, linker, cache and compiler that they share.
#[derive(Clone)]
pub struct Loader {
    engine: Engine,
    linker: Arc<Linker<GuestState>>,
    cache: Cache,
    compiler: Compiler,
    confined: Confined,
    limits: Arc<Limits>,
    symbols: SymbolCache,
    settings: Arc<TemplateSettings>,
    /// The engine of templates whose stopped guests are kept, made when the first one is loaded.
    dumping: Arc<OnceLock<Result<LinkedEngine, String>>>,
    profile: Option<Arc<Profile>>,
}

/// An engine, and the host functions linked for it.
#[derive(Clone)]
struct LinkedEngine {
    engine: Engine,
    linker: Arc<Linker<GuestState>>,
}

impl Loader {
    /// A loader whose templates run in `engine` and are compiled in this process; see
    /// [`with_compiler`](Self::with_compiler).
    ///
    /// # Errors
    /// If the host functions cannot be linked, which is a bug.
    pub fn new(engine: Engine, cache: Cache, limits: Limits) -> wasmtime::Result<Self> {
        let linker = Arc::new(crate::host_functions::linker(engine.wasmtime())?);
        Ok(Loader {
            engine,
            linker,
            cache,
            compiler: Compiler::here(),
            confined: Confined::here(),
            limits: Arc::new(limits),
            symbols: SymbolCache::new(Confined::here()),
            settings: Arc::default(),
            dumping: Arc::default(),
            profile: None,
        })
    }

    /// The same with the operator's settings for templates.
    #[must_use]
    pub fn with_settings(self, settings: TemplateSettings) -> Self {
        Loader { settings: Arc::new(settings), ..self }
    }

    /// The engine of the template in `path`. Blocking if it is the first whose stopped guests are
    /// kept.
    fn linked_engine(&self, path: &Path) -> Result<LinkedEngine, TemplateProblem> {
        let dumps = self.settings.of(path).coredump;
        let plain = || LinkedEngine { engine: self.engine.clone(), linker: self.linker.clone() };
        if !dumps && !self.settings.read_stacks {
            return Ok(plain());
        }
        let make = || {
            let engine = self.engine.with_dumps(&self.limits).map_err(|error| error.to_string())?;
            let linker = crate::host_functions::linker(engine.wasmtime())
                .map_err(|error| format!("{error:#}"))?;
            Ok(LinkedEngine { engine, linker: Arc::new(linker) })
        };
        match self.dumping.get_or_init(make).clone() {
            // The line of a failure by a limit is then missing, and nothing else.
            Err(_) if !dumps => Ok(plain()),
            made => made.map_err(TemplateProblem::Host),
        }
    }

    /// The same with another compiler. Required for templates that are not trusted.
    #[must_use]
    pub fn with_compiler(self, compiler: Compiler) -> Self {
        Loader { compiler, ..self }
    }

    /// The same with confined children for work on the templates' bytes other than compiling.
    /// Required for templates that are not trusted.
    #[must_use]
    pub fn with_confined(self, confined: Confined) -> Self {
        Loader { symbols: SymbolCache::new(confined.clone()), confined, ..self }
    }

    /// The same, whose runs add samples of their stacks to `profile`: one each 5 ms in which they
    /// compute. It takes a part of their processor time.
    #[must_use]
    pub fn with_profile(self, profile: Arc<Profile>) -> Self {
        Loader { profile: Some(profile), ..self }
    }

    /// Where work on the templates' bytes is done.
    pub fn confined(&self) -> &Confined {
        &self.confined
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The source folder of the template in this file, if the operator has set one.
    pub fn source_of(&self, path: &Path) -> Option<PathBuf> {
        self.settings.of(path).source
    }

    /// Reads the template in `path`, compiles it or takes it from the cache, links and describes
    /// it.
    ///
    /// # Errors
    /// If one of these fails; see [`TemplateProblem`].
    pub async fn load(&self, path: &Path) -> Result<Template, TemplateError> {
        self.try_load(path)
            .await
            .map_err(|problem| TemplateError { path: path.to_owned(), problem })
    }

    async fn try_load(&self, path: &Path) -> Result<Template, TemplateProblem> {
        let file = path.to_owned();
        let (state, found) = blocking(move || Ok((State::of(&file), read(&file)?))).await?;
        let TemplateFile { wasm, digest, code_digest, target, stated } = found;
        let bytes = wasm.len() as u64;
        let (loader, file) = (self.clone(), path.to_owned());
        let machine = blocking(move || loader.linked_engine(&file)).await?;
        let (component, cache) =
            self.cache.component(&machine.engine, &self.compiler, wasm, &code_digest).await?;
        let linker = machine.linker.clone();
        // If the target is unknown, linking reports what the component lacks.
        let contract = target.as_ref().map_or(Contract::newest(), |target| target.contract);
        let link = move || {
            let version = contract.version;
            let world = World::of(&component, version);
            (contract.link)(&linker, &component, world)
                .map_err(|error| TemplateProblem::DoesNotFit { version, world, error })
        };
        let linked = blocking(link).await?;
        let described = self.describe(&machine.engine, &linked).await?;
        if let Some(stated) = &stated {
            stated.agrees(&described)?;
        }
        let manifest = checked(described, &self.confined, &file_name(path)).await?;
        let (kept, languages) = (self.cache.clone(), manifest.languages());
        blocking(move || {
            kept.keep_languages(state, &languages);
            Ok(())
        })
        .await?;
        Ok(Template {
            manifest,
            path: path.to_owned(),
            bytes,
            cache,
            // A component that links has a known target.
            target: target?,
            digest,
            engine: machine.engine,
            linked: Arc::new(linked),
            symbols: self.symbols.clone(),
            settings: self.settings.clone(),
            confined: self.confined.clone(),
            profile: self.profile.clone(),
        })
    }

    /// Calls `describe` in an instance without AI and site.
    async fn describe(
        &self,
        engine: &Engine,
        linked: &Linked,
    ) -> Result<types::Manifest, TemplateProblem> {
        let determinism = Determinism { seed: 0, start_unix_ms: 0 };
        Ok(description::ask(engine, linked, &self.limits, determinism).await?.manifest)
    }
}

/// Runs `work` on the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TemplateProblem> + Send + 'static,
) -> Result<T, TemplateProblem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| TemplateProblem::Host(error.to_string()))?
}

/// The manifest, if it follows the rules. `lane` is the name that orders use: with that of the
/// manifest, a template could wait, and let wait, in the lane of another one.
pub(super) async fn checked(
    manifest: types::Manifest,
    confined: &Confined,
    lane: &str,
) -> Result<Manifest, TemplateProblem> {
    Manifest::check(manifest, confined, lane).await.map_err(|error| match error {
        ManifestCheckError::Unacceptable(error) => TemplateProblem::Manifest(error),
        ManifestCheckError::Host(_) => TemplateProblem::Host(error.to_string()),
    })
}

/// The name by which orders name the template in this file.
pub(super) fn file_name(path: &Path) -> Cow<'_, str> {
    path.file_stem().unwrap_or_default().to_string_lossy()
}

/// The file of a template, not compiled.
pub(super) struct TemplateFile {
    pub(super) wasm: Bytes,
    /// Of the whole file.
    pub(super) digest: [u8; 32],
    /// Of what is compiled of it.
    code_digest: [u8; 32],
    /// The contract that it was built for.
    pub(super) target: Result<Target, TargetError>,
    /// The manifest in it.
    pub(super) stated: Option<StatedManifest>,
}

/// Reads the file in `path` without compiling it.
pub(super) fn read(path: &Path) -> Result<TemplateFile, TemplateProblem> {
    let wasm = sitewright_files::read(path, Limit::fixed(MAX_TEMPLATE_BYTES))
        .map_err(|error| TemplateProblem::Unreadable(error.problem))?;
    recognise(&wasm)?;
    let target = Target::of(&wasm);
    if let Err(error @ (TargetError::Unknown { .. } | TargetError::Mixed(_))) = target {
        return Err(error.into());
    }
    let (stated, section) = stated::find(&wasm)?.unzip();
    let digest = Sha256::digest(&wasm).into();
    let code_digest = section.map_or(digest, |section| stated::code_digest(&wasm, &section));
    Ok(TemplateFile { wasm: Bytes::from(wasm), digest, code_digest, target, stated })
}

/// Checks by its first bytes that a file is a component.
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

/// The message of the innermost error, without the engine's frames.
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
    store.set_hostcall_fuel(call_bytes(limits));
    store
}

/// Maximum bytes that one call passes to the host or back, whichever function it is: wasmtime stops
/// a guest that passes more before anything is copied. It leaves room for a file that is too large,
/// so that its guest gets an error and no trap.
fn call_bytes(limits: &Limits) -> usize {
    let file = limits.file_bytes.saturating_add(MAX_PATH_BYTES as u64);
    let most = (limits.memory_bytes / 4).max(file);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Makes the guest of a store in `engine` yield at each tick, and stops it when its processor time
/// is used up: in its own code and at its calls of the host.
pub(crate) fn interrupt_by(
    store: &mut Store<GuestState>,
    engine: &Engine,
    meter: &Arc<CpuMeter>,
    max: Duration,
) {
    interrupt_and_sample(store, engine, meter, max, None);
}

/// As [`interrupt_by`]. At each tick, the guest's stack is added to `profile` if there is one.
pub(crate) fn interrupt_and_sample(
    store: &mut Store<GuestState>,
    engine: &Engine,
    meter: &Arc<CpuMeter>,
    max: Duration,
    profile: Option<&Arc<Profile>>,
) {
    let interrupts = Interrupts::new(meter.clone(), max, engine.ticks().clone());
    let of_calls = interrupts.clone();
    let mut sampler = profile.map(|profile| Sampler::new(profile.clone()));
    let used = meter.clone();
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |context| {
        if let Some(sampler) = &mut sampler {
            let memory = context.data().memory.used();
            sampler.sample(&context, used.used(), memory);
        }
        interrupts.on_epoch()
    });
    store.call_hook_async(of_calls);
}

impl Template {
    /// Where costly work on what it sends is done.
    pub(crate) fn confined(&self) -> &Confined {
        &self.confined
    }

    /// The same template, whose file has `bytes` now: another manifest section and the same code.
    #[must_use]
    pub fn with_file(self, bytes: &[u8]) -> Self {
        Template { digest: Sha256::digest(bytes).into(), bytes: bytes.len() as u64, ..self }
    }

    /// `sha256:` and the file's digest in hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.digest))
    }

    /// The name by which orders name it: that of its file. Its manifest may have another one.
    pub fn name(&self) -> Cow<'_, str> {
        file_name(&self.path)
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

    /// Calls `describe` again, in an instance with its own clock and random numbers.
    ///
    /// # Errors
    /// If it fails, or does not return in time.
    pub async fn describe(
        &self,
        limits: &Limits,
        determinism: Determinism,
    ) -> Result<Description, TemplateProblem> {
        description::ask(&self.engine, &self.linked, limits, determinism).await
    }

    pub fn linked(&self) -> &Linked {
        &self.linked
    }

    /// The world of the contract that it is linked for.
    pub fn world(&self) -> World {
        self.linked.world()
    }

    /// The frames with functions, files and lines; or why there are none. Done by a confined child,
    /// in bounded time; see [`SymbolCache`].
    pub async fn symbolize(&self, frames: Vec<RawFrame>) -> Symbolized {
        self.symbols.symbolize(&self.path, self.digest, frames).await
    }

    /// Its source folder, if the operator has set one.
    pub fn source(&self) -> Option<PathBuf> {
        self.settings.of(&self.path).source
    }

    /// The limits of its core dumps; `None` if no dumps are wanted.
    pub fn coredump(&self) -> Option<&CoreDumpLimits> {
        self.settings.of(&self.path).coredump.then_some(&self.settings.coredump)
    }

    /// Where its runs add samples of their stacks, if they do.
    pub(crate) fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref()
    }

    /// The cache of debug information that it shares with all templates of its loader.
    pub fn symbols(&self) -> &SymbolCache {
        &self.symbols
    }
}

impl TemplateError {
    /// The file's digest, as [`Template::digest`] returns it; `None` if the file cannot be read.
    pub async fn digest(&self) -> Option<String> {
        let path = self.path.clone();
        let read = move || sitewright_files::read(&path, Limit::fixed(MAX_TEMPLATE_BYTES)).ok();
        let digest =
            move || read().map(|bytes| format!("sha256:{}", hex::encode(Sha256::digest(bytes))));
        tokio::task::spawn_blocking(digest).await.ok().flatten()
    }

    /// Whether the host or its machine is the cause: the template may load the next time.
    pub(crate) fn is_of_host(&self) -> bool {
        match &self.problem {
            TemplateProblem::DoesNotCompile(error) => error.is_of_host(),
            TemplateProblem::Host(_) => true,
            _ => false,
        }
    }

    /// Whether the machine has too little processor time for the compiler.
    pub(crate) fn is_of_busy_machine(&self) -> bool {
        matches!(&self.problem, TemplateProblem::DoesNotCompile(CompileError::Busy { .. }))
    }

    /// The limit on compiling that was hit, and its value.
    pub(crate) fn limit(&self) -> Option<(&'static str, u64)> {
        match &self.problem {
            TemplateProblem::DoesNotCompile(error) => error.limit(),
            _ => None,
        }
    }

    /// The causes, from the outermost to the root.
    pub fn causes(&self) -> Vec<Message> {
        causes_of(self)
    }
}
