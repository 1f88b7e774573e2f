//! Lines of the log, in the trace of their span.

use std::time::{Duration, SystemTime};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry::{InstrumentationScope, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Redact;
use super::fields::Fields;
use super::outlet::Outlet;
use super::spans::Open;

/// Passes lines on to their queue.
#[derive(Debug)]
pub(super) struct LogProcessor(pub(super) Outlet<(SdkLogRecord, InstrumentationScope)>);

impl opentelemetry_sdk::logs::LogProcessor for LogProcessor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.0.push((record.clone(), scope.clone()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Makes records of OpenTelemetry of the events of the program.
pub(super) struct Logs {
    logger: SdkLogger,
    redact: Redact,
}

impl Logs {
    pub(super) fn new(logger: SdkLogger, redact: Redact) -> Self {
        Logs { logger, redact }
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

fn any(value: Value) -> AnyValue {
    match value {
        Value::Bool(value) => AnyValue::Boolean(value),
        Value::I64(value) => AnyValue::Int(value),
        Value::F64(value) => AnyValue::Double(value),
        Value::String(value) => AnyValue::String(value),
        other => AnyValue::String(other.as_str().into_owned().into()),
    }
}

impl<S> Layer<S> for Logs
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new(self.redact);
        event.record(&mut fields);
        let (metadata, now) = (event.metadata(), SystemTime::now());
        let mut record = self.logger.create_log_record();
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_number(severity(*metadata.level()));
        record.set_severity_text(metadata.level().as_str());
        let target = fields.target.take();
        record.set_target(target.unwrap_or_else(|| metadata.target().to_owned()));
        record.set_body(AnyValue::from(std::mem::take(&mut fields.message)));
        let mut is_placed = false;
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let Some(open) = extensions.get::<Open>() else { continue };
            if !is_placed {
                let at = open.context();
                record.set_trace_context(at.trace_id(), at.span_id(), Some(at.trace_flags()));
                is_placed = true;
            }
            for of_order in &open.order {
                if fields.attributes.iter().all(|one| one.key != of_order.key) {
                    fields.attributes.push(of_order.clone());
                }
            }
        }
        if !is_placed && let Some(trace) = fields.trace_id() {
            record.add_attribute("sitewright.trace_id", trace.to_string());
        }
        record.add_attributes(fields.attributes.into_iter().map(|one| (one.key, any(one.value))));
        self.logger.emit(record);
    }
}
