//! The fields of spans and log lines as attributes.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use sitewright_model::trace::TraceParent;
use tracing::field::{Field, Visit};

use super::Redact;

/// What the fields of a span or of a log line say.
pub(super) struct Fields {
    redact: Redact,
    /// The text of a log line.
    pub(super) message: String,
    /// The target of a line that a library logged with the crate `log`.
    pub(super) target: Option<String>,
    pub(super) attributes: Vec<KeyValue>,
    /// Whether `error.type` is set.
    pub(super) failed: bool,
    pub(super) kind: SpanKind,
    pub(super) name: Option<String>,
    /// A stage of the host.
    pub(super) stage: Option<String>,
    trace_id: Option<String>,
    traceparent: Option<String>,
}

/// The attributes that say which order something belongs to: log lines get them from their span.
pub(super) fn names_order(attribute: &KeyValue) -> bool {
    matches!(
        attribute.key.as_str(),
        "sitewright.order.id" | "sitewright.job.id" | "sitewright.attempt.id"
    )
}

/// The attribute of a field. Fields with a dot have the name of a convention.
fn attribute(field: &'static str) -> &'static str {
    match field {
        "order" => "sitewright.order.id",
        "job" => "sitewright.job.id",
        "attempt" => "sitewright.attempt.id",
        "number" => "sitewright.attempt.number",
        "outcome" => "sitewright.attempt.outcome",
        "template" => "sitewright.template.name",
        "fingerprint" => "sitewright.failure.fingerprint",
        "stage" => "sitewright.stage",
        "provider" => "sitewright.ai.provider",
        "route" => "sitewright.ai.route",
        "purpose" => "sitewright.ai.purpose",
        "call" => "sitewright.ai.call.id",
        other => other,
    }
}

impl Fields {
    pub(super) fn new(redact: Redact) -> Self {
        Fields {
            redact,
            message: String::new(),
            target: None,
            attributes: Vec::new(),
            failed: false,
            kind: SpanKind::Internal,
            name: None,
            stage: None,
            trace_id: None,
            traceparent: None,
        }
    }

    /// The trace that the span is to begin, if it has no parent.
    pub(super) fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_hex(self.trace_id.as_deref()?).ok()
    }

    /// The parent in another program.
    pub(super) fn remote_parent(&self) -> Option<SpanContext> {
        let parent: TraceParent = self.traceparent.as_deref()?.parse().ok()?;
        let trace = TraceId::from_hex(parent.trace_id()).ok()?;
        let span = SpanId::from_hex(parent.span_id()).ok()?;
        let flags = TraceFlags::default().with_sampled(parent.is_sampled());
        Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
    }

    fn push(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(attribute(field.name()), value.into()));
    }

    fn text(&mut self, field: &Field, text: &str) {
        let clean = (self.redact)(text);
        match field.name() {
            "message" => self.message = clean.into_owned(),
            "otel.name" => self.name = Some(clean.into_owned()),
            "otel.kind" if text == "client" => self.kind = SpanKind::Client,
            "trace_id" => self.trace_id = Some(text.to_owned()),
            "traceparent" => self.traceparent = Some(text.to_owned()),
            "log.target" => self.target = Some(clean.into_owned()),
            name if name.starts_with("log.") || name.starts_with("otel.") => {}
            // A list of one, written as JSON.
            "gen_ai.response.finish_reasons" => {
                let reason = clean.trim_matches(['[', ']', '"']).to_owned();
                self.push(field, Value::Array(Array::String(vec![StringValue::from(reason)])));
            }
            name => {
                match name {
                    "error.type" => self.failed = true,
                    "stage" => self.stage = Some(text.to_owned()),
                    _ => {}
                }
                let clean = clean.into_owned();
                self.push(field, clean);
            }
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}
