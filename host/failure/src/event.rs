//! Logs a failure record as one event.

use super::render::clean;
use sitewright_model::failure::FailureRecord;

/// Logs a failure with a field for each key by which logs are searched or counted. The record has
/// the rest.
pub fn emit(record: &FailureRecord) {
    let frame = record.top_frame();
    let attempt = record.ai.as_ref().and_then(|ai| ai.attempts.last());
    tracing::warn!(
        failure = record.id,
        kind = record.kind.as_str(),
        code = record.code,
        fingerprint = record.fingerprint,
        order = record.order,
        job = record.job,
        attempt = record.attempt,
        trace_id = record.trace_id,
        template = record.template.name,
        version = record.template.version,
        digest = record.template.digest,
        stage = record.stage,
        trap = record.trap.as_ref().map(|trap| trap.code.as_str()),
        frame,
        ai = record.ai.as_ref().map(|ai| ai.kind.as_str()),
        provider = attempt.map(|attempt| attempt.provider.as_str()),
        "{}",
        clean(record.message.as_str())
    );
}
