//! Templates: the engine that runs them, the catalogue that finds and checks them, and their
//! limits.
//!
//! | file | its question |
//! |---|---|
//! | `catalogue`, `template` | which templates are there? |
//! | `description`, `manifest`, `stated` | what does a template say of itself? |
//! | `engine`, `sandbox`, `clock`, `limits`, `meter` | what may a guest use? |
//! | `guest_memory` | and what may all of them use together? |
//! | `profile` | in which functions does a guest use it? |
//! | `compile`, `cache` | how does a component become code? |
//! | `functions` | and which of its functions have other builds had before? |
//! | `languages` | which languages does a template write, as far as the cache knows? |
//! | `contract`, `bindings`, `world` | which version of the contract was it built for? |
//! | `symbols`, `trap_code` | what do the frames and codes of a trap mean? |

pub mod bindings;
mod cache;
mod catalogue;
mod clock;
mod compile;
pub mod contract;
mod description;
mod engine;
mod functions;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod guest_memory;
mod languages;
mod limits;
mod manifest;
mod meter;
mod profile;
mod sandbox;
mod settings;
mod start_cost;
mod stated;
mod symbols;
mod template;
mod trap_code;
mod world;

pub use cache::{Cache, CacheOutcome, DEFAULT_CACHE_BYTES};
pub use catalogue::{Catalogue, CatalogueError, Change, Listed, component_names, template_names};
pub(crate) use clock::{VirtualClock, link as link_clock};
pub use compile::{COMPILE_SUBCOMMAND, CompileArgs, CompileError, Compiler, compile_here};
pub use description::{DESCRIBE_CPU, Description};
pub use engine::{EPOCH_TICK, Engine, EngineError, EngineSlot};
pub use functions::{DEFAULT_FUNCTION_CACHE_BYTES, FunctionCache};
pub use guest_memory::default_guest_memory;
pub use limits::Limits;
pub use manifest::{AiPurpose, MAX_NAME_BYTES, MAX_SCHEMA_BYTES, Manifest, ManifestError};
pub(crate) use meter::HeldBytes;
pub use meter::{CpuMeter, LimitHit, MemoryLimiter, Metered};
pub(crate) use profile::raw_frames;
pub use profile::{Profile, Weight};
pub(crate) use sandbox::link_name_lookup;
pub use sandbox::{Capture, Determinism, Sandbox, Tail, sandbox, sandbox_until};
pub use settings::{CoreDumpLimits, TemplateSetting, TemplateSettings};
pub use start_cost::{StartCost, start_cost};
pub use stated::{MANIFEST_SECTION, StatedError, StatedTemplate, with_manifest};
pub use symbols::{SYMBOLIZE, SymbolCache};
pub use template::{Loader, MAX_TEMPLATE_BYTES, Template, TemplateError, TemplateProblem};
pub(crate) use template::{interrupt_and_sample, interrupt_by, new_store};
pub(crate) use trap_code::trap_code;
#[cfg(test)]
pub(crate) use world::named;
pub use world::{GenerateError, Linked, World};
