//! Logs on stderr. No line contains an API key, at any level and from any crate (catalogue A8).
//! What goes to an OpenTelemetry collector is in `export`.
//!
//! If stderr is systemd's journal, each line of text begins with its level, `<3>` for an error, which
//! the journal removes and files it by: `journalctl -p err` shows errors only.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{Level, Metadata};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::{DefaultFields, Format};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::log_fields::CleanFields;
use crate::log_json::{JsonLine, SpanFields};
use crate::terminal::{Guard, Guarded};
use export::{Export, Exported};
use sitewright_ai::Redactor;
use sitewright_model::metrics::ReadMetrics;

#[cfg(feature = "otlp")]
mod export;
#[cfg(not(feature = "otlp"))]
#[path = "telemetry/no_export.rs"]
mod export;

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log filter does not parse.
    #[error(
        "the log filter {filter:?} (--log) is wrong: {source}; write it like `info` or \
         `sitewright=debug`"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
}

/// Compiler, engine, queue and database log only warnings unless the filter names them: `trace` is
/// meant for Sitewright. After an outage sqlx's pool warns once for each connection that was waited
/// for; messages of our own name the outage. sqlx's reader of `.pgpass` logs the lines that it
/// cannot read, with their passwords; its own target is longer than one that a user names, and so
/// decides.
const QUIET: &str = "cranelift=warn,regalloc2=warn,wasmtime=warn,riverqueue=warn,sqlx=warn,\
                     sqlx::pool=error,sqlx_postgres::options::pgpass=off";

/// Added to the filter of the log: spans that are only exported. No line is in one of them, and each
/// order has several.
const UNLOGGED: &str = ",sitewright_runtime::stages=off";

/// Log lines that are buffered for a slow stderr with [`Backpressure::Drop`]; further lines are
/// dropped and counted.
const WAITING_LINES: usize = 50_000;

/// Format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Pretty,
    /// One JSON object on each line.
    Json,
}

/// What happens if stderr is slow or is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backpressure {
    /// The caller waits, and every line is written: for commands that people run.
    Wait,
    /// A thread writes; lines that it cannot write in time are dropped and counted. Logging can
    /// neither block nor fail an order (catalogue B2).
    Drop,
}

/// A started log. Dropping it writes the buffered lines, for at most one second.
#[must_use = "dropping it writes the buffered lines"]
pub struct Logging {
    export: Export,
    _writer: Option<WorkerGuard>,
}

/// Maximum time at the end of a program in which what waits for a collector is sent. A worker has
/// less.
pub(crate) const EXPORT_WITHIN: Duration = Duration::from_secs(3);

impl Logging {
    /// Sends the metrics that `read` reads to the OpenTelemetry collector at an interval, if the
    /// environment names one for metrics.
    pub(crate) fn export_metrics(&mut self, read: ReadMetrics) {
        self.export.metrics(read);
    }

    /// Sends what waits for the OpenTelemetry collector, for at most `within`. Lines that are logged
    /// afterwards are on stderr only.
    pub(crate) async fn finish_export(&mut self, within: Duration) {
        self.export.finish(within).await;
    }
}

/// What the environment says about an OpenTelemetry collector: what is sent, or why nothing is.
/// `None` if it names no collector.
pub(crate) fn examine_export() -> Option<Result<String, String>> {
    export::examine()
}

/// The layer that writes to stderr.
type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The layer that writes lines of JSON.
type JsonLayer<W> = fmt::Layer<Registry, SpanFields, JsonLine, W>;

fn parsed(filter: &str, and: &str) -> Result<EnvFilter, LogError> {
    // Later directives win: those of the user.
    EnvFilter::builder()
        .parse(format!("{QUIET},{filter}{and}"))
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// Starts logging what `filter` selects. With `exports`, spans and log lines also go to the
/// OpenTelemetry collector that the environment names. If that cannot be followed, an error is
/// logged and nothing is sent: the variables may be meant for other programs of the machine. Call it
/// once, in the runtime.
///
/// # Errors
/// If the filter does not parse.
pub fn start(
    filter: &str,
    format: LogFormat,
    slow: Backpressure,
    exports: bool,
) -> Result<Logging, LogError> {
    let asked = filter.to_owned();
    let filter = parsed(&asked, UNLOGGED)?;
    let Exported { export, layers, refused } = match exports {
        true => export::start(parsed(&asked, export::OWN)?),
        false => Exported::default(),
    };
    // The compiler asks for every instruction whether a line is logged. Answering that question
    // alone makes a template compile for minutes.
    let compiler_is_wanted =
        ["cranelift", "regalloc2", "wasmtime"].iter().any(|name| asked.contains(name));
    // No colours in a file, which is read with grep.
    let colours = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let log = fmt::layer::<Registry>().with_target(true);
    let levels = format == LogFormat::Pretty && stderr_is_journal();
    let (log, writer): (BoxedLayer, _) = match slow {
        Backpressure::Wait => {
            let log = log.with_writer(Leveled { to: move || Redacted { format }, levels });
            let log = match format {
                LogFormat::Pretty => log.fmt_fields(CleanFields).with_ansi(colours).boxed(),
                LogFormat::Json => as_json(log).boxed(),
            };
            (log, None)
        }
        Backpressure::Drop => {
            let lossy =
                NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES);
            let counter = Arc::new(OnceLock::new());
            let (writer, guard) = lossy.thread_name("log").finish(Lossy::new(
                Redacted { format },
                format,
                levels,
                counter.clone(),
            ));
            // Nothing is logged before the subscriber is installed, so this is in time.
            drop(counter.set(writer.error_counter()));
            let log = log.with_writer(Leveled { to: writer, levels });
            let log = match format {
                LogFormat::Pretty => log.fmt_fields(CleanFields).with_ansi(colours).boxed(),
                LogFormat::Json => as_json(log).boxed(),
            };
            (log, Some(guard))
        }
    };
    match layers.is_empty() {
        true => tracing_subscriber::registry().with(log).with(filter).init(),
        // Each layer has a filter of its own: what is exported does not depend on `--log`.
        false => {
            let log = log.with_filter(filter).boxed();
            let layers: Vec<BoxedLayer> = layers.into_iter().chain([log]).collect();
            tracing_subscriber::registry().with(layers).init();
        }
    }
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let backtrace = std::backtrace::Backtrace::capture();
        let backtrace = match backtrace.status() {
            std::backtrace::BacktraceStatus::Captured => format!("\nstack backtrace:\n{backtrace}"),
            _ => String::new(),
        };
        // As the standard library reports it, but redacted and guarded like all output.
        let text = format!("\nthread '{name}' {panic}{backtrace}\n");
        let text = Redactor::of_process().redact(&text).into_owned();
        let text = for_journal(&text);
        drop(Guarded::new(io::stderr(), Guard::Text).write_all(text.as_bytes()));
    }));
    if let Some(why) = refused {
        tracing::error!("nothing is sent to an OpenTelemetry collector: {why}");
    }
    if !compiler_is_wanted {
        log::set_max_level(log::max_level().min(log::LevelFilter::Debug));
    }
    Ok(Logging { export, _writer: writer })
}

/// The layer with the lines of [`fmt::Layer::json`].
fn as_json<W>(log: fmt::Layer<Registry, DefaultFields, Format, W>) -> JsonLayer<W>
where
    W: for<'w> MakeWriter<'w> + 'static,
{
    log.event_format(JsonLine::new()).fmt_fields(SpanFields).with_ansi(false)
}

/// Whether stderr is a stream to systemd's journal: then its device and inode are in the variable
/// that systemd sets.
fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let numbers = stream.split_once(':');
    let numbers =
        numbers.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    let file = std::fs::metadata("/proc/self/fd/2").ok().map(|file| (file.dev(), file.ino()));
    file.is_some() && file == numbers
}

/// The journal's prefix of a level: syslog's number of it.
fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// An error's text of several lines, as the journal wants it if stderr is the journal: otherwise it
/// files each line as information.
pub(crate) fn for_journal(text: &str) -> String {
    if !stderr_is_journal() {
        return text.to_owned();
    }
    let prefixed = |line: &str| match line.trim() {
        "" => line.to_owned(),
        _ => format!("{}{line}", prefix(Level::ERROR)),
    };
    text.split_inclusive('\n').map(prefixed).collect()
}

/// Writers that begin each event with its level, for the journal.
struct Leveled<M> {
    to: M,
    levels: bool,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Leveled<M> {
    type Writer = Prefixed<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Prefixed { to: self.to.make_writer(), prefix: self.levels.then_some(prefix(Level::INFO)) }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        let prefix = self.levels.then(|| prefix(*event.level()));
        Prefixed { to: self.to.make_writer_for(event), prefix }
    }
}

/// Writes the prefix and an event in one call: what is behind it takes each call for an event.
struct Prefixed<W> {
    to: W,
    prefix: Option<&'static str>,
}

impl<W: io::Write> io::Write for Prefixed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(prefix) = self.prefix else { return self.to.write(bytes) };
        self.to.write_all(&[prefix.as_bytes(), bytes].concat())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Minimum time between two reports of dropped lines.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The writer behind the lossy buffer. It reports dropped lines itself, at the place where they are
/// missing: a report that went through the buffer could be dropped too.
struct Lossy<W: io::Write> {
    to: W,
    format: LogFormat,
    levels: bool,
    counter: Arc<OnceLock<ErrorCounter>>,
    reported: usize,
    reported_at: Option<Instant>,
}

impl<W: io::Write> Lossy<W> {
    fn new(to: W, format: LogFormat, levels: bool, counter: Arc<OnceLock<ErrorCounter>>) -> Self {
        Lossy { to, format, levels, counter, reported: 0, reported_at: None }
    }

    fn report(&mut self) -> io::Result<()> {
        let dropped = self.counter.get().map_or(0, ErrorCounter::dropped_lines);
        if dropped == self.reported {
            return Ok(());
        }
        (self.reported, self.reported_at) = (dropped, Some(Instant::now()));
        let now = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let (target, message) = (
            module_path!(),
            "lines of the log were dropped, in all since the start: stderr is slow",
        );
        let line = match self.format {
            LogFormat::Pretty => {
                let level = if self.levels { prefix(Level::WARN) } else { "" };
                format!("{level}{now}  WARN {target}: {message} dropped={dropped}\n")
            }
            LogFormat::Json => {
                let fields = serde_json::json!({ "message": message, "dropped": dropped });
                let line = serde_json::json!({ "timestamp": now, "level": "WARN", "fields": fields, "target": target });
                format!("{line}\n")
            }
        };
        self.to.write_all(line.as_bytes())
    }
}

impl<W: io::Write> io::Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write_all(bytes)?;
        if self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.report()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: io::Write> Drop for Lossy<W> {
    fn drop(&mut self) {
        // There is no place left to report an error to.
        drop(self.report());
    }
}

/// Stderr behind a redactor and a guard. The subscriber writes each event in one call, so no key is
/// split, and a line break inside an event is not its end: no field can begin a line of its own.
struct Redacted {
    format: LogFormat,
}

impl io::Write for Redacted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let guard = match self.format {
            LogFormat::Pretty => Guard::Line,
            LogFormat::Json => Guard::Json,
        };
        let text = String::from_utf8_lossy(bytes);
        let text = Redactor::of_process().redact(&text);
        Guarded::new(io::stderr(), guard).write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
