//! Lines of the log, in the trace of their span.

use std::time::{Duration, SystemTime};

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Redact;
use super::fields::{Fields, names_order};
use super::outlet::Outlet;
use super::spans::{Open, is_exported};

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

/// Which order a span belongs to that is not exported, and which trace.
#[derive(Debug, Default)]
struct Named {
    order: Vec<KeyValue>,
    trace: Option<TraceId>,
}

impl Named {
    fn add(&mut self, fields: Fields) {
        self.trace = fields.trace_id().or(self.trace);
        self.order.extend(fields.attributes.into_iter().filter(names_order));
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
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_exported(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::new(self.redact);
        attributes.record(&mut fields);
        let mut named = Named::default();
        named.add(fields);
        span.extensions_mut().insert(named);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::new(self.redact);
        values.record(&mut fields);
        if let Some(named) = span.extensions_mut().get_mut::<Named>() {
            named.add(fields);
        }
    }

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
        let mut trace = fields.trace_id();
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let order = if let Some(open) = extensions.get::<Open>() {
                if !is_placed {
                    let at = open.context();
                    record.set_trace_context(at.trace_id(), at.span_id(), Some(at.trace_flags()));
                    is_placed = true;
                }
                &open.order
            } else if let Some(named) = extensions.get::<Named>() {
                trace = trace.or(named.trace);
                &named.order
            } else {
                continue;
            };
            for of_order in order {
                if fields.attributes.iter().all(|one| one.key != of_order.key) {
                    fields.attributes.push(of_order.clone());
                }
            }
        }
        if !is_placed && let Some(trace) = trace {
            // In no span of it that is exported.
            record.set_trace_context(trace, SpanId::INVALID, None);
        }
        record.add_attributes(fields.attributes.into_iter().map(|one| (one.key, any(one.value))));
        self.logger.emit(record);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;
    use std::time::Duration;

    use opentelemetry::InstrumentationScope;
    use opentelemetry::logs::LoggerProvider as _;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::logs::{LogProcessor, SdkLogRecord, SdkLoggerProvider};
    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::Logs;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[derive(Debug, Default, Clone)]
    struct Kept(Arc<Mutex<Vec<SdkLogRecord>>>);

    impl LogProcessor for Kept {
        fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
            self.0.lock().push(record.clone());
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    fn as_it_is(text: &str) -> Cow<'_, str> {
        Cow::Borrowed(text)
    }

    /// A worker claims and completes orders in spans that are not exported.
    #[test]
    fn a_line_names_the_order_and_the_trace_of_a_span_that_is_not_exported() {
        let kept = Kept::default();
        let provider = SdkLoggerProvider::builder().with_log_processor(kept.clone()).build();
        let logs = Logs::new(provider.logger("test"), as_it_is);
        let subscriber = tracing_subscriber::registry().with(logs);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("claim", order = "24", trace_id = tracing::field::Empty);
            span.in_scope(|| tracing::info!("waits"));
            span.record("trace_id", TRACE);
            span.in_scope(|| tracing::info!(order = "own", "claimed"));
            tracing::info!(trace_id = TRACE, "rescued");
            tracing::info!("alone");
        });
        let records = kept.0.lock();
        let found: Vec<(Vec<String>, Option<String>)> = records
            .iter()
            .map(|record| {
                let attributes = record.attributes_iter();
                let attributes = attributes.map(|(key, value)| format!("{key}: {value:?}"));
                let trace = record.trace_context().map(|at| at.trace_id.to_string());
                (attributes.collect(), trace)
            })
            .collect();
        let [waits, claimed, rescued, alone] = &found[..] else { panic!("{found:?}") };
        assert!(waits.0[0].starts_with("sitewright.order.id") && waits.0[0].contains("24"));
        assert_eq!(waits.1, None);
        assert!(claimed.0.len() == 1 && claimed.0[0].contains("own"), "{claimed:?}");
        assert_eq!(claimed.1.as_deref(), Some(TRACE));
        assert_eq!((rescued.0.len(), rescued.1.as_deref()), (0, Some(TRACE)));
        assert_eq!(*alone, (vec![], None));
    }
}
