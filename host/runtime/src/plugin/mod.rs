//! Templates: the engine that runs them, the catalogue that finds and checks them, and what they
//! may use.

pub mod bindings;
mod cache;
mod catalogue;
mod compile;
pub mod contract;
mod description;
mod engine;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod limits;
mod manifest;
mod meter;
mod sandbox;
mod settings;
mod start_cost;
mod symbols;
mod template;
mod trap_code;
mod world;

pub use cache::{Cache, CacheOutcome};
pub use catalogue::{Catalogue, CatalogueError, Change, template_names};
pub use compile::{CompileArgs, CompileError, Compiler, compile_here};
pub use description::{DESCRIBE_CPU, Description};
pub use engine::{EPOCH_TICK, Engine, EngineError, Place};
pub use limits::Limits;
pub use manifest::{AiPurpose, MAX_NAME_BYTES, MAX_SCHEMA_BYTES, Manifest, ManifestError};
pub use meter::{CpuMeter, LimitHit, MemoryLimiter, Metered};
pub use sandbox::{Capture, Determinism, Tail, sandbox};
pub use settings::{CoreDumpLimits, TemplateSetting, TemplateSettings};
pub use start_cost::{StartCost, start_cost};
pub use symbols::SymbolCache;
pub use template::{Loader, Template, TemplateError, TemplateProblem};
pub(crate) use template::{interrupt_by, new_store};
pub(crate) use trap_code::trap_code;
pub use world::{Linked, World};
