//! How log lines for programs are written.
//!
//! The lines are those of tracing's own JSON formatter. That one parses the fields of each span of
//! an event, which are JSON already, and writes them again, those of the innermost span twice; and
//! it parses those of a span whenever others are recorded. A worker would spend as much time on it
//! as on the rest of the line. Here they are copied, as raw values where others are recorded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

/// Bytes of most lines.
const LINE_BYTES: usize = 1 << 10;

/// Formats an event as one line of JSON. The fields of spans must be JSON objects, as
/// [`SpanFields`] writes them.
#[derive(Debug)]
pub(crate) struct JsonLine {
    /// Writes the line without its spans.
    without_spans: Format<Json>,
}

impl JsonLine {
    pub(crate) fn new() -> Self {
        let json = tracing_subscriber::fmt::format::json();
        JsonLine { without_spans: json.with_current_span(false).with_span_list(false) }
    }
}

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(LINE_BYTES);
        self.without_spans.format_event(context, Writer::new(&mut line), event)?;
        let parent = event.parent().and_then(|id| context.span(id));
        let Some(span) = parent.or_else(|| context.lookup_current()) else {
            return writer.write_str(&line);
        };
        // Without its `}` and the line break.
        let open = line.trim_end().strip_suffix('}').ok_or(fmt::Error)?.len();
        line.truncate(open);
        line.push_str(",\"span\":");
        write_span::<S, N>(&mut line, &span)?;
        line.push_str(",\"spans\":[");
        if let Some(innermost) = context.lookup_current() {
            for (index, span) in innermost.scope().from_root().enumerate() {
                if index > 0 {
                    line.push(',');
                }
                write_span::<S, N>(&mut line, &span)?;
            }
        }
        line.push_str("]}\n");
        writer.write_str(&line)
    }
}

/// Appends the fields of a span and its name as a JSON object.
fn write_span<S, N>(line: &mut String, span: &SpanRef<'_, S>) -> fmt::Result
where
    S: for<'a> LookupSpan<'a>,
    N: 'static,
{
    line.push('{');
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<N>>().map(|fields| fields.fields.as_str());
    let fields = fields.and_then(|json| json.strip_prefix('{')?.strip_suffix('}'));
    if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
        line.push_str(fields);
        line.push(',');
    }
    // `Debug` would escape other characters than JSON does.
    let name = serde_json::to_string(span.metadata().name()).map_err(|_| fmt::Error)?;
    write!(line, "\"name\":{name}}}")
}

/// Formats the fields of a span as a JSON object, in the order of their names: the objects of
/// tracing's [`JsonFields`](tracing_subscriber::fmt::format::JsonFields).
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut members = Members::default();
        fields.record(&mut members);
        members.write(&mut writer)
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let mut members = Members::of(&current.fields).map_err(|_| fmt::Error)?;
        fields.record(&mut members);
        let mut all = String::new();
        members.write(&mut all)?;
        current.fields = all;
        Ok(())
    }
}

/// The members of a JSON object, by name. Of several with one name, the last counts.
#[derive(Default)]
struct Members {
    members: BTreeMap<Cow<'static, str>, Box<RawValue>>,
    /// Whether a value could not be written.
    failed: bool,
}

impl Members {
    /// Those of an object that [`SpanFields`] has written.
    fn of(object: &str) -> serde_json::Result<Self> {
        if object.is_empty() {
            return Ok(Members::default());
        }
        Ok(Members { members: serde_json::from_str(object)?, failed: false })
    }

    fn add(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) {
        match to_raw_value(value) {
            Ok(json) => {
                self.members.insert(Cow::Borrowed(name), json);
            }
            Err(_) => self.failed = true,
        }
    }

    fn write(&self, to: &mut impl fmt::Write) -> fmt::Result {
        if self.failed {
            return Err(fmt::Error);
        }
        to.write_str(&serde_json::to_string(&self.members).map_err(|_| fmt::Error)?)
    }
}

/// What is written of each kind of value is what tracing's own formatter writes.
impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.add(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // The fields `log.` are those of the crate `log`: target and place, which the line has.
        if !field.name().starts_with("log.") {
            let name = field.name().strip_prefix("r#").unwrap_or(field.name());
            self.add(name, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tracing::field::Empty;

    use super::*;
    use crate::written::Written;

    /// The lines without their timestamps, in the order of their fields.
    fn lines(written: &Written) -> Vec<String> {
        let text = written.text();
        assert!(text.ends_with('\n'), "{text}");
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            assert!(line.as_object_mut().unwrap().shift_remove("timestamp").is_some());
            line.to_string()
        };
        text.lines().map(line).collect()
    }

    /// Events in no span, in spans with fields of all kinds, and with a parent of their own.
    fn log_events() {
        tracing::info!("in no span");
        let outer = tracing::info_span!(
            "outer \"one\"",
            order = "o \"1\"\n{},\\",
            late = Empty,
            early = Empty,
            r#type = ?"a, \"b\"",
            bytes = &b"a,]"[..],
            nan = f64::NAN,
        );
        let other = tracing::info_span!("other", n = 7, x = 0.5, is_late = true, nothing = Empty);
        let _in_outer = outer.enter();
        tracing::warn!(reason = %"a, b", "in one span");
        let inner = tracing::info_span!("inner");
        let _in_inner = inner.enter();
        tracing::error!(n = -1, "in two spans, one without fields");
        outer.record("late", "é");
        outer.record("early", 1);
        outer.record("late", "later, \"]\"");
        other.record("nothing", f64::INFINITY);
        tracing::info!(parent: &other, "in another span");
        let empty = tracing::info_span!("empty", only = Empty);
        empty.record("only", -1);
        tracing::info!(parent: &empty, "in a span with a field that was recorded later");
    }

    #[test]
    fn lines_are_those_of_the_json_formatter_of_tracing() {
        let (expected, written) = (Written::default(), Written::default());
        let to = expected.clone();
        let theirs = tracing_subscriber::fmt().json().with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(theirs, log_events);
        let to = written.clone();
        let ours = tracing_subscriber::fmt()
            .with_ansi(false)
            .event_format(JsonLine::new())
            .fmt_fields(SpanFields)
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(ours, log_events);
        let (expected, written) = (lines(&expected), lines(&written));
        assert_eq!(expected.len(), 5, "{expected:?}");
        assert_eq!(written, expected);
        assert!(written[2].contains("\"spans\":[{"), "{written:?}");
    }
}
