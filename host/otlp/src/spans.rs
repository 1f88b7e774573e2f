//! The spans of attempts, of their stages and of their AI calls.
//!
//! Not `tracing-opentelemetry`: an attempt has a trace id already, which is in its failure record,
//! in the database and in each line of the log, and its span must have the same. Its parent may be in
//! another program, and what it says must pass the redactor.

use std::cell::Cell;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceId, Tracer as _,
};
use opentelemetry::{Context as OtelContext, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, Span, SpanData};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use super::Redact;
use super::fields::{Fields, names_order};
use super::outlet::Outlet;

/// Whether it is a span that is exported.
pub(super) fn is_exported(metadata: &Metadata<'_>) -> bool {
    let of = metadata.target().split("::").next();
    metadata.is_span()
        && matches!(
            (of, metadata.name()),
            (Some("sitewright_runtime"), "attempt" | "stage") | (Some("sitewright_ai"), "chat")
        )
}

/// Selects the spans that are exported, and no events.
pub(super) fn exported() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    // Without the hint, every line of every level would be looked at: of the compiler, millions.
    filter_fn(is_exported as fn(&Metadata<'_>) -> bool).with_max_level_hint(LevelFilter::INFO)
}

thread_local! {
    /// The trace that the next span without a parent begins on this thread.
    static BEGINS: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Makes random ids, except for a trace whose id is known.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        BEGINS.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Passes ended spans on to their queue.
#[derive(Debug)]
pub(super) struct SpanProcessor(pub(super) Outlet<SpanData>);

impl opentelemetry_sdk::trace::SpanProcessor for SpanProcessor {
    fn on_start(&self, _: &mut Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.0.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// An exported span that has not ended.
pub(super) struct Open {
    span: Span,
    /// Which order it belongs to.
    pub(super) order: Vec<KeyValue>,
}

impl Open {
    pub(super) fn context(&self) -> &SpanContext {
        self.span.span_context()
    }
}

/// Makes spans of OpenTelemetry of those of the program.
pub(super) struct Spans {
    tracer: SdkTracer,
    redact: Redact,
}

impl Spans {
    pub(super) fn new(tracer: SdkTracer, redact: Redact) -> Self {
        Spans { tracer, redact }
    }
}

/// The name of an exported span, low in number: it groups.
fn name(metadata: &Metadata<'_>, fields: &Fields) -> String {
    match (&fields.name, &fields.stage) {
        (Some(name), _) => name.clone(),
        (None, Some(stage)) => format!("sitewright.stage.{stage}"),
        (None, None) => format!("sitewright.{}", metadata.name()),
    }
}

impl<S> Layer<S> for Spans
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(new) = context.span(id) else { return };
        let mut fields = Fields::new(self.redact);
        attributes.record(&mut fields);
        let local = new.scope().skip(1).find_map(|span| {
            let extensions = span.extensions();
            extensions.get::<Open>().map(|open| open.context().clone())
        });
        let parent = local.or_else(|| fields.remote_parent());
        if parent.is_none() {
            BEGINS.set(fields.trace_id());
        }
        let parent = match parent {
            Some(parent) => OtelContext::new().with_remote_span_context(parent),
            None => OtelContext::new(),
        };
        let order = fields.attributes.iter().filter(|one| names_order(one)).cloned().collect();
        let builder = SpanBuilder::from_name(name(new.metadata(), &fields))
            .with_kind(fields.kind)
            .with_attributes(fields.attributes);
        let span = self.tracer.build_with_context(builder, &parent);
        BEGINS.set(None);
        new.extensions_mut().insert(Open { span, order });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::new(self.redact);
        values.record(&mut fields);
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        open.order.extend(fields.attributes.iter().filter(|one| names_order(one)).cloned());
        open.span.set_attributes(fields.attributes);
        if fields.failed {
            open.span.set_status(Status::error(""));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(mut open) = open {
            open.span.end();
        }
    }
}

/// The header `traceparent` of a span; `None` if it is not exported.
pub fn traceparent_of(span: &tracing::Span) -> Option<String> {
    let context = span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let extensions = span.extensions();
        extensions.get::<Open>().map(|open| open.context().clone())
    })??;
    let (trace, span) = (context.trace_id(), context.span_id());
    Some(format!("00-{trace}-{span}-{:02x}", context.trace_flags().to_u8()))
}
