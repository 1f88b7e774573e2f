//! Properties that must hold for any file given as a template. `host/fuzz` searches for bytes that
//! break them; `tests/tests/all/mutated.rs` tries some in every test run.

use std::sync::LazyLock;

/// Maximum size of an input. Inputs that are slow for their size are the concern of the compiler
/// process's limits.
const MAX_BYTES: usize = 64 << 10;

static ENGINE: LazyLock<Option<wasmtime::Engine>> =
    LazyLock::new(|| super::engine::for_compiling(None).ok());

/// Recognising and compiling never panics.
pub fn component(bytes: &[u8]) {
    let Some(engine) = &*ENGINE else { unreachable!("the host's own configuration is good") };
    if bytes.len() <= MAX_BYTES && super::template::recognise(bytes).is_ok() {
        // Success and error are both right.
        drop(engine.precompile_component(bytes));
    }
}

/// Reading the debug information of any bytes, and symbolizing any offset with it, ends without a
/// panic.
pub fn symbols(bytes: &[u8]) {
    use sitewright_failure::RawFrame;
    use sitewright_failure::symbolize::Symbols;
    let symbols = Symbols::load(bytes, None);
    let frames: Vec<RawFrame> = (0..bytes.len() as u64)
        .step_by(61)
        .map(|offset| RawFrame { offset: Some(offset), function: None, index: 0 })
        .collect();
    drop(symbols.resolve(&frames));
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_fuzzer_begins_with_and_what_it_found_is_answered() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
        for (folder, answered) in [
            ("components", super::component as fn(&[u8])),
            ("symbols", super::symbols as fn(&[u8])),
        ] {
            for file in std::fs::read_dir(root.join(folder)).unwrap() {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                answered(&bytes);
                for end in (0..bytes.len()).step_by(97) {
                    answered(&bytes[..end]);
                }
            }
        }
    }

    #[test]
    fn bytes_that_are_nearly_a_component_are_answered() {
        let empty = b"\0asm\x0d\0\x01\0";
        let module = [&empty[..], b"\x01\x08\0asm\x01\0\0\0"].concat();
        for bytes in [
            &b""[..],
            &empty[..4],
            empty,
            &module,
            &module[..12],
            &[&module[..], b"\xff\xff"].concat(),
        ] {
            super::component(bytes);
            super::symbols(bytes);
        }
    }
}
