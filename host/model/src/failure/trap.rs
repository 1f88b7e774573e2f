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
    /// `unreachable`: an abort, usually after a panic.
    Unreachable,
    /// A load or store outside memory.
    OutOfBounds,
    /// The stack is exhausted, usually by endless recursion.
    StackOverflow,
    /// Division by zero.
    DivideByZero,
    /// An integer operation whose result does not fit.
    IntegerOverflow,
    /// A float that does not fit the integer type.
    BadConversion,
    /// A call through a function pointer that is null, of another type or outside its table.
    BadIndirectCall,
    /// The guest waits for an event that cannot occur.
    Deadlock,
    /// The guest passed text that is not UTF-8, an unknown variant or an invalid pointer, or made a
    /// call that the component model forbids.
    InvalidValue,
    /// The CPU time limit was exceeded.
    Cpu,
    /// The memory limit was exceeded.
    Memory,
    /// A host function stopped the guest.
    HostCall,
    /// The guest exited by itself, by `proc_exit` or similar.
    Exit,
    /// Any other trap that wasmtime reports.
    Other,
}

impl TrapCode {
    /// The name in records and reports, in snake case: `out_of_bounds`.
    pub const fn as_str(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }
}

/// A symbolized frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Demangled name; `function 12` if the template has no names.
    pub function: String,
    /// Source file, if the template has debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Whether this is the template author's own code, not the language's runtime or a library.
    pub own: bool,
    /// Whether the compiler inlined the function into that of the next frame.
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
    /// The engine's message.
    pub message: String,
    /// Innermost first. Renderers show own frames first and fold the others.
    pub frames: Vec<Frame>,
    /// Why frames lack files and lines, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbols_missing: Option<String>,
}
