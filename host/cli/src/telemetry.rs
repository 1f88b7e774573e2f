//! Logs on stderr. No line shows a key, whoever wrote it and at whatever level (catalogue A8).

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use sitewright_ai::Redactor;

/// The filter does not parse.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log filter {filter:?} (--log) is wrong: {source}; write it like `info` or \
     `sitewright=debug`"
)]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// The compiler, the engine, the queue and the database speak only when they are named: `trace` is
/// for Sitewright.
const QUIET: &str = "cranelift=warn,regalloc2=warn,wasmtime=warn,riverqueue=warn,sqlx=warn";

/// Lines that wait for a slow stderr in a process that must not wait for it; those beyond are
/// dropped and counted.
const WAITING_LINES: usize = 50_000;

/// How a line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Who waits when stderr is slow or nobody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backpressure {
    /// The one who logs: every line is written, in a command that people run.
    Wait,
    /// Nobody: a thread of its own writes, and what it cannot is dropped and counted. Logging can
    /// neither block nor fail an order (catalogue B2).
    Drop,
}

/// A log that was started. What waits is written when this is dropped, for a second at most.
#[must_use = "what waits is written when this is dropped"]
pub struct Logging {
    _writer: Option<WorkerGuard>,
}

/// Starts logging what `filter` lets through. Called once, by `main`.
///
/// # Errors
/// When the filter does not parse.
pub fn start(filter: &str, format: LogFormat, slow: Backpressure) -> Result<Logging, FilterError> {
    let asked = filter.to_owned();
    let filter = EnvFilter::builder()
        // What the user names comes later and so wins.
        .parse(format!("{QUIET},{filter}"))
        .map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    // The compiler asks for every instruction whether a line is wanted; answering alone makes a
    // template compile for minutes.
    let compiler_is_wanted =
        ["cranelift", "regalloc2", "wasmtime"].iter().any(|name| asked.contains(name));
    // A log in a file is for grep: colours only where a person sees them and wants them.
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(true);
    let logging = match slow {
        Backpressure::Wait => {
            let log = log.with_writer(|| Redacted);
            match format {
                LogFormat::Pretty => log.with_ansi(colours).init(),
                LogFormat::Json => log.json().init(),
            }
            Logging { _writer: None }
        }
        Backpressure::Drop => {
            let lossy =
                NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES);
            let counter = Arc::new(OnceLock::new());
            let (writer, guard) =
                lossy.thread_name("log").finish(Lossy::new(Redacted, format, counter.clone()));
            // Nothing is written before there is a subscriber.
            drop(counter.set(writer.error_counter()));
            let log = log.with_writer(writer);
            match format {
                LogFormat::Pretty => log.with_ansi(colours).init(),
                LogFormat::Json => log.json().init(),
            }
            Logging { _writer: Some(guard) }
        }
    };
    if !compiler_is_wanted {
        log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
    }
    Ok(logging)
}

/// How often it is told at most that lines were dropped.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// The end of a line that lets go of what it cannot carry. It tells so itself, where the lines are
/// missing: a line about it that had to wait in line with the others would be dropped with them.
struct Lossy<W: io::Write> {
    to: W,
    format: LogFormat,
    counter: Arc<OnceLock<ErrorCounter>>,
    told: usize,
    told_at: Option<Instant>,
}

impl<W: io::Write> Lossy<W> {
    fn new(to: W, format: LogFormat, counter: Arc<OnceLock<ErrorCounter>>) -> Self {
        Lossy { to, format, counter, told: 0, told_at: None }
    }

    fn tell(&mut self) -> io::Result<()> {
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped == self.told {
            return Ok(());
        }
        (self.told, self.told_at) = (dropped, Some(Instant::now()));
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let (target, message) = (
            module_path!(),
            "lines of the log were dropped, in all since the start: stderr is slow",
        );
        match self.format {
            LogFormat::Pretty => {
                writeln!(self.to, "{now}  WARN {target}: {message} dropped={dropped}")
            }
            LogFormat::Json => {
                let fields = serde_json::json!({ "message": message, "dropped": dropped });
                let line = serde_json::json!({ "timestamp": now, "level": "WARN", "fields": fields, "target": target });
                writeln!(self.to, "{line}")
            }
        }
    }
}

impl<W: io::Write> io::Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        if self.told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
            self.tell()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: io::Write> Drop for Lossy<W> {
    fn drop(&mut self) {
        // Nobody is left to tell that this failed.
        drop(self.tell());
    }
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
