//! A trap: what stopped the guest, and where in the template's source.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantNames;

/// What stopped the guest. Closed where the operator or author acts on it; the rest of wasmtime's
/// codes are contract violations.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TrapCode {
    /// `unreachable`: an abort, most often after a panic.
    Unreachable,
    /// A load or store outside the memory.
    OutOfBounds,
    /// The stack ran out: most often endless recursion.
    StackOverflow,
    /// Division by zero.
    DivideByZero,
    /// An integer operation whose result does not fit.
    IntegerOverflow,
    /// A float that fits no integer.
    BadConversion,
    /// A call through a function pointer that is null, of another type or outside its table.
    BadIndirectCall,
    /// The guest waits for something that can never come.
    Deadlock,
    /// The guest handed over a text that is not UTF-8, a variant that does not exist, a pointer
    /// that leads nowhere, or called in a way the component model forbids.
    InvalidValue,
    /// The processor-time limit.
    Cpu,
    /// The memory limit.
    Memory,
    /// A host function stopped the guest.
    HostCall,
    /// `proc_exit` or the like: the guest ended itself.
    Exit,
    /// Anything else wasmtime reports.
    Other,
}

impl TrapCode {
    /// The name in records and reports, in snake case: `out_of_bounds`.
    pub const fn as_str(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }
}

/// A frame a person can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Demangled name; `function 12` where the template has no names.
    pub function: String,
    /// Source file, where the template has debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Whether this is the template author's own code, and not its language's runtime or a
    /// library.
    pub own: bool,
    /// Whether its code is a part of the next frame's: the compiler put it there instead of a
    /// call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// Offset of the instruction in the component, in bytes, for other tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// A trap with its frames, innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrapRecord {
    /// What stopped the guest.
    pub code: TrapCode,
    /// The engine's words for it.
    pub message: String,
    /// Innermost first; renderers show own frames first and fold the others.
    pub frames: Vec<Frame>,
    /// Why frames have no files and lines, when they have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols_missing: Option<String>,
}
