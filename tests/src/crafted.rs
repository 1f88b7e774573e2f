//! Hostile components: core modules written by hand that violate the contract at the boundary, and
//! modules that are expensive to compile.

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A component of the world `template`, assembled from WebAssembly text. The default is a valid
/// template that writes no file.
///
/// Strings start at address 1,024 ([`TEXT`] is the first), the heap at 64 KiB.
#[derive(Debug, Clone)]
pub struct Crafted {
    /// Additional definitions of the module.
    pub also: &'static str,
    /// Instructions of `describe` before it returns the address of the manifest.
    pub describe: &'static str,
    /// Body of `generate`; leaves a callback code.
    pub generate: &'static str,
    /// Body of the callback; leaves a callback code.
    pub callback: &'static str,
    /// Body of `cabi_realloc`; leaves an address.
    pub realloc: &'static str,
    /// `order-schema` of the manifest.
    pub schema: String,
    /// Pages of memory at the start, of 64 KiB each.
    pub pages: u32,
}

/// Address of the string `text` (4 bytes).
pub const TEXT: u32 = 1_024;

/// Returns success and ends the task.
const RETURN: &str = "(call $return (i32.const 4096)) (i32.const 0)";
/// A bump allocator.
const BUMP: &str = "(local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (drop (memory.grow (i32.shr_u (local.get $size) (i32.const 16))))
    (local.get $at)";

impl Default for Crafted {
    fn default() -> Self {
        Crafted {
            also: "",
            describe: "",
            generate: RETURN,
            callback: "(i32.const 0)",
            realloc: BUMP,
            schema: "{}".to_owned(),
            pages: 4,
        }
    }
}

impl Crafted {
    /// The default with this body of `generate`.
    pub fn generate(generate: &'static str) -> Self {
        Crafted { generate, ..Crafted::default() }
    }

    /// The default with these instructions at the start of `describe`.
    pub fn describe(describe: &'static str) -> Self {
        Crafted { describe, ..Crafted::default() }
    }

    /// The default with this body of `cabi_realloc`.
    pub fn realloc(realloc: &'static str) -> Self {
        Crafted { realloc, ..Crafted::default() }
    }

    /// Builds the component.
    pub fn component(&self) -> Vec<u8> {
        let Crafted { also, describe, generate, callback, realloc, schema, pages } = self;
        let text = format!(
            r#"(module
                (import "$root" "[waitable-set-new]" (func $waitable-set (result i32)))
                (import "sitewright:template/diagnostics@0.1.0" "log"
                    (func $log (param i32 i32 i32)))
                (import "sitewright:template/diagnostics@0.1.0" "progress"
                    (func $progress (param i32 i32 i32 i32)))
                (import "sitewright:template/diagnostics@0.1.0" "report"
                    (func $report (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
                        i32)))
                (import "sitewright:template/diagnostics@0.1.0" "panicked"
                    (func $panicked (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
                (import "sitewright:template/site@0.1.0" "write"
                    (func $write (param i32 i32 i32 i32 i32)))
                (import "sitewright:template/ai@0.1.0" "[async-lower]complete"
                    (func $complete (param i32 i32) (result i32)))
                (import "[export]sitewright:template/generator@0.1.0" "[task-return]generate"
                    (func $return (param i32)))
                (memory (export "memory") {pages})
                (global $heap (mut i32) (i32.const 65536))
                (data (i32.const {TEXT}) "text")
                (data (i32.const 1040) "crafted")
                (data (i32.const 1056) "0.1.0")
                (data (i32.const 1072) "en")
                (data (i32.const 1088) "copywriting")
                (data (i32.const 1104) "\ff\fe\80 no text")
                (data (i32.const 1120) "index.html")
                (data (i32.const 8192) "{schema}")
                {also}
                (func (export "cabi_realloc")
                    (param $old i32) (param $old_size i32) (param $align i32) (param $size i32)
                    (result i32)
                    {realloc})
                ;; The manifest: name, version, summary, order-schema, ai-purposes, locales.
                (func $manifest
                    (call $pair (i32.const 2048) (i32.const 1040) (i32.const 7))
                    (call $pair (i32.const 2056) (i32.const 1056) (i32.const 5))
                    (call $pair (i32.const 2064) (i32.const {TEXT}) (i32.const 4))
                    (call $pair (i32.const 2072) (i32.const 8192) (i32.const {length}))
                    (call $pair (i32.const 2080) (i32.const 2112) (i32.const 1))
                    (call $pair (i32.const 2088) (i32.const 2144) (i32.const 1))
                    (call $pair (i32.const 2112) (i32.const 1088) (i32.const 11))
                    (call $pair (i32.const 2120) (i32.const {TEXT}) (i32.const 4))
                    (call $pair (i32.const 2144) (i32.const 1072) (i32.const 2)))
                (func $pair (param $at i32) (param $pointer i32) (param $length i32)
                    (i32.store (local.get $at) (local.get $pointer))
                    (i32.store offset=4 (local.get $at) (local.get $length)))
                (func (export "sitewright:template/generator@0.1.0#describe") (result i32)
                    (call $manifest)
                    {describe}
                    (i32.const 2048))
                (func (export "[async-lift]sitewright:template/generator@0.1.0#generate")
                    (param $order i32) (param $length i32) (result i32)
                    {generate})
                (func (export "[callback][async-lift]sitewright:template/generator@0.1.0#generate")
                    (param $event i32) (param $a i32) (param $b i32) (result i32)
                    {callback})
            )"#,
            schema = schema.escape_default(),
            length = schema.len(),
        );
        componentize(wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}")))
    }
}

/// Wraps a core module in a component of the world `template`.
fn componentize(mut module: Vec<u8>) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let path = crate::root().join("wit/0.1.0/template.wit");
    let contract = std::fs::read_to_string(path).expect("the contract can be read");
    let package = resolve.push_str("template.wit", &contract).expect("the contract is valid");
    let world =
        resolve.select_world(&[package], Some("template")).expect("the contract has the world");
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("the metadata is encoded");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).expect("the module is valid");
    encoder.encode().unwrap_or_else(|error| panic!("cannot encode the component: {error:#}"))
}

/// A template that calls the host directly, in straight lines: `describe` and `generate` are calls
/// of `$log`, `$progress`, `$report`, `$panicked` and `$write`. It has this number of pages of memory
/// and writes no page. Addresses are those of [`Crafted`].
pub fn straight(describe: &str, generate: &str, pages: u32) -> Vec<u8> {
    straight_and("", describe, generate, pages)
}

/// A template with this number of modules that nothing uses, whose memory has 16 MiB and a byte at
/// either end: the compiled form contains all of it.
pub fn memory_images(modules: usize) -> Vec<u8> {
    const IMAGE: &str = "(core module (memory 256) (data (i32.const 0) \"x\") (data (i32.const \
                         0xfffffe) \"x\"))\n";
    straight_and(&IMAGE.repeat(modules), "", "", 4)
}

fn straight_and(also: &str, describe: &str, generate: &str, pages: u32) -> Vec<u8> {
    let text = include_str!("straight.wat");
    let (_, text) = text.split_once("(component\n").expect("a component");
    let text = format!("(component\n{text}")
        .replace("      DESCRIBE\n", describe)
        .replace("      GENERATE\n", generate)
        .replace("  ;; ALSO\n", also)
        .replace("PAGES", &pages.to_string());
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// A module that is expensive to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bomb {
    /// One function with this number of steps.
    HugeFunction(usize),
    /// This number of functions.
    ManyFunctions(usize),
    /// This number of nested blocks.
    DeepNesting(usize),
    /// One `br_table` with this number of targets.
    BranchTable(usize),
    /// This number of branches in a function with 49,000 locals.
    ManyLocals(usize),
}

/// Adds 7 to local 0.
const STEP: &[u8] = &[0x20, 0, 0x41, 7, 0x6a, 0x21, 0];
/// `local.get 0`: the result.
const GET: &[u8] = &[0x20, 0];
const BLOCK: &[u8] = &[0x02, 0x40];
const END: &[u8] = &[0x0b];

impl Bomb {
    /// Builds a component whose only content is the core module.
    pub fn component(self) -> Vec<u8> {
        let mut locals = vec![0];
        let bodies = match self {
            Bomb::HugeFunction(steps) => vec![[&STEP.repeat(steps), GET].concat()],
            Bomb::ManyFunctions(functions) => vec![[&STEP.repeat(10), GET].concat(); functions],
            Bomb::DeepNesting(depth) => {
                vec![[&BLOCK.repeat(depth), &END.repeat(depth), GET].concat()]
            }
            Bomb::BranchTable(targets) => {
                let jump = [&[0x0e][..], &leb(targets), &vec![0; targets + 1]].concat();
                vec![[BLOCK, GET, &jump, END, GET].concat()]
            }
            Bomb::ManyLocals(branches) => {
                const LOCALS: usize = 49_000;
                locals = [&[1][..], &leb(LOCALS), &[0x7f]].concat();
                let branch = |at: usize| {
                    [&[0x20, 0, 0x04, 0x40, 0x20, 0, 0x21][..], &leb((at * 7_919) % LOCALS), END]
                        .concat()
                };
                vec![[(0..branches).flat_map(branch).collect::<Vec<u8>>().as_slice(), GET].concat()]
            }
        };
        let types = section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
        let functions = section(3, &[leb(bodies.len()), vec![0; bodies.len()]].concat());
        let mut code = leb(bodies.len());
        for body in bodies {
            code.extend(leb(locals.len() + body.len() + 1));
            code.extend([&locals, body.as_slice(), END].concat());
        }
        let module =
            [b"\0asm\x01\0\0\0", types.as_slice(), &functions, &section(10, &code)].concat();
        [b"\0asm\x0d\0\x01\0", section(1, &module).as_slice()].concat()
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb(content.len()).as_slice(), content].concat()
}

/// Unsigned LEB128 encoding.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}
