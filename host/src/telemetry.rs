//! Logs on stderr. No line shows a key, whoever wrote it and at whatever level (catalogue A8).

use std::io;

use tracing_subscriber::EnvFilter;

use crate::ai::Redactor;

/// The filter does not parse.
#[derive(Debug, thiserror::Error)]
#[error("the log filter {filter:?} (--log) is wrong: {source}; write it like `info` or `sitewright=debug`")]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// The compiler and the engine speak only when they are named: `trace` is for Sitewright.
const QUIET: &str = "cranelift=warn,regalloc2=warn,wasmtime=warn";

/// Starts logging what `filter` lets through. Called once, by `main`.
///
/// # Errors
/// When the filter does not parse.
pub fn start(filter: &str) -> Result<(), FilterError> {
    let asked = filter.to_owned();
    let filter = EnvFilter::builder()
        // What the user names comes later and so wins.
        .parse(format!("{QUIET},{filter}"))
        .map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    // The compiler asks for every instruction whether a line is wanted; answering alone makes a template compile for minutes.
    let compiler_is_wanted = ["cranelift", "regalloc2", "wasmtime"].iter().any(|name| asked.contains(name));
    // A log in a file is for grep: colours only where a person sees them and wants them.
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Redacted)
        .with_ansi(colours)
        .with_target(true)
        .init();
    if !compiler_is_wanted {
        log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
    }
    Ok(())
}

/// Stderr behind a redactor. The subscriber writes each event at once, so no key is cut in two.
struct Redacted;

impl io::Write for Redacted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(Redactor::of_process().redact(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
