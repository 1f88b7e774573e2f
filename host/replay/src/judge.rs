//! Decides the verdict on a replay and its one-line summary.

use sha2::Digest as _;

use super::compare;
use super::drive::ReplayOptions;
use super::subject::{RecordedAttempt, RecordedEnd};
use sitewright_model::failure::{FailureKind, FailureRecord, TemplateRef};
use sitewright_model::replay::{ReplayReport, ReplayVerdict};
use sitewright_runtime::host_functions::CursorPosition;
use sitewright_runtime::run::Outcome;
use sitewright_runtime::run::recording::Recording;

/// Decides the verdict on one replay.
pub(super) struct Judge<'a> {
    pub(super) subject: &'a RecordedAttempt,
    pub(super) options: &'a ReplayOptions,
    pub(super) exact: bool,
    pub(super) position: CursorPosition,
}

/// The outcome of the replay.
struct Now {
    template: TemplateRef,
    recording: Option<Recording>,
    failure: Option<Box<FailureRecord>>,
}

impl Judge<'_> {
    pub(super) fn report(self, outcome: Outcome) -> ReplayReport {
        let now = match outcome {
            Outcome::Released(released) => {
                Now { template: released.template, recording: released.recording, failure: None }
            }
            Outcome::Failed { mut record, .. } => {
                let recording = crate::find::recording_of(&mut record);
                Now { template: record.template.clone(), recording, failure: Some(record) }
            }
        };
        let subject = self.subject;
        let recorded = subject.recording.as_ref();
        let first_call = match self.exact {
            true => compare::call_difference(
                self.position.mismatch.clone(),
                recorded,
                subject.ended.trail(),
                self.position.begun,
            ),
            false => None,
        };
        let mut differences = Vec::new();
        // After an unanswered AI call, other differences have no meaning.
        if self.exact && !subject.ended.by_time() && self.position.unanswered.is_none() {
            if let (RecordedEnd::Failed(then), Some(is)) = (&subject.ended, &now.failure) {
                differences = compare::failures(then, is, subject.scrubbed);
            }
            if let (Some(then), Some(is)) = (recorded, &now.recording) {
                let stopped = subject.ended.kind() == Some(FailureKind::CpuLimit);
                if !stopped {
                    differences.extend(compare::files(&then.files, &is.files, subject.scrubbed));
                }
            }
        }
        let calls = now.recording.as_ref().map(|recording| recording.calls_total);
        let files = now.recording.as_ref().map(|recording| recording.files.count);
        let end = match &now.failure {
            Some(record) => compare::failed(record, calls, files),
            None => compare::released(calls, files),
        };
        let recorded_end = compare::recorded_end(&subject.ended, recorded);
        let first_call = if self.stopped_by_purpose(&now) { None } else { first_call };
        let differs = first_call.is_some() || !differences.is_empty();
        let (verdict, summary) =
            self.verdict(&now, differs, first_call.as_ref().map(|call| call.number));
        let mut notes = subject.notes.clone();
        if let Some(recording) = recorded
            && recording.document != hex::encode(sha2::Sha256::digest(&subject.document))
        {
            notes.push(
                "The order's document is not the recorded one: it was changed afterwards."
                    .to_owned(),
            );
        }
        if subject.scrubbed && verdict == ReplayVerdict::Diverged {
            notes.push(
                "The texts of this bundle are placeholders: a failure that depends on the texts \
                 of the customer or of a model cannot be reproduced. Ask for a bundle without \
                 --scrub."
                    .to_owned(),
            );
        }
        if self.options.trap_on_report && verdict != ReplayVerdict::StoppedAtReport {
            notes.push("The template reported no error, so it was not stopped at one.".to_owned());
        }
        ReplayReport {
            verdict,
            summary,
            attempt: subject.attempt.to_string(),
            order: subject.order.clone(),
            live: false,
            template_recorded: subject.template.clone(),
            template: now.template,
            recorded: recorded_end,
            now: end,
            first_call,
            differences: if verdict == ReplayVerdict::StoppedAtReport {
                Vec::new()
            } else {
                differences
            },
            notes,
            failure: now.failure,
        }
    }

    /// Whether the first error diagnostic stopped it, as requested.
    fn stopped_by_purpose(&self, now: &Now) -> bool {
        self.options.trap_on_report
            && now.failure.as_ref().is_some_and(|record| {
                record.trail.last().is_some_and(|last| {
                    last.call == "diagnostics.report"
                        && matches!(
                            &last.outcome,
                            sitewright_model::failure::TrailOutcome::Error(_)
                        )
                })
            })
    }

    fn verdict(&self, now: &Now, differs: bool, call: Option<u64>) -> (ReplayVerdict, String) {
        let subject = self.subject;
        let order = &subject.order;
        let how = |record: &FailureRecord| {
            format!("{}: {}", record.kind, first_line(record.message.as_str()))
        };
        if self.stopped_by_purpose(now) {
            let what = now
                .failure
                .as_ref()
                .map(|record| first_line(record.message.as_str()))
                .unwrap_or_default();
            return (
                ReplayVerdict::StoppedAtReport,
                format!("stopped at the first error diagnostic: {what}"),
            );
        }
        if let Some(unanswered) = self.position.unanswered.filter(|_| !self.exact) {
            return match () {
                () if subject.recording.is_none()
                    && (self.options.template.is_none() || subject.template.digest.is_empty()) =>
                {
                    (
                        ReplayVerdict::ReproducedUpToTheEnd,
                        format!(
                            "order {order} was replayed up to host call {}: {unanswered} had no \
                             answer when its process ended",
                            self.position.begun
                        ),
                    )
                }
                () => (
                    ReplayVerdict::Unanswered,
                    format!(
                        "whether the failure is fixed is unknown: {unanswered} has no recorded \
                         reply; use --against-live to ask the model"
                    ),
                ),
            };
        }
        if !self.exact {
            return self.other(now);
        }
        if subject.ended.by_time() {
            let kind = subject.ended.kind().map_or("unknown", FailureKind::as_str);
            if let Some(number) = call {
                return (
                    ReplayVerdict::Diverged,
                    format!("order {order} differs from the recording at host call {number}"),
                );
            }
            let begun = self.position.begun;
            let ended = match subject.ended.kind() {
                Some(FailureKind::Deadline) => "its deadline passed there, which depends on time",
                Some(FailureKind::Cancelled) => "it was cancelled there",
                Some(FailureKind::Host) => "the host failed there, which cannot be reproduced",
                _ => "its process ended there",
            };
            return (
                ReplayVerdict::ReproducedUpToTheEnd,
                format!(
                    "order {order} matches the recording up to its last host call ({begun}); \
                     {ended} ({kind})"
                ),
            );
        }
        match (&subject.ended, &now.failure) {
            _ if differs => {
                let summary = match call {
                    Some(number) => {
                        format!("order {order} differs from the recording at host call {number}")
                    }
                    None => {
                        format!("order {order} makes the same host calls, but its outcome differs")
                    }
                };
                (ReplayVerdict::Diverged, summary)
            }
            (RecordedEnd::Failed(then), Some(_)) if then.kind == FailureKind::CpuLimit => (
                ReplayVerdict::Reproduced,
                format!(
                    "reproduced: order {order} exceeds its CPU time limit again; where it is \
                     stopped depends on the machine: {}",
                    how(then)
                ),
            ),
            (RecordedEnd::Failed(then), Some(_)) => (
                ReplayVerdict::Reproduced,
                format!("reproduced: order {order} fails again as it did: {}", how(then)),
            ),
            (RecordedEnd::Released(_), None) => {
                let files = now.recording.as_ref().map_or(0, |recording| recording.files.count);
                let same = if subject.scrubbed {
                    "the same files, as far as placeholders allow"
                } else {
                    "the same bytes"
                };
                (
                    ReplayVerdict::Reproduced,
                    format!(
                        "reproduced: order {order} becomes the same site again: {files} files, \
                         {same}"
                    ),
                )
            }
            (RecordedEnd::Failed(then), None) => (
                ReplayVerdict::Diverged,
                format!("order {order} does not fail any more; the recording has {}", how(then)),
            ),
            (_, Some(is)) => (
                ReplayVerdict::Diverged,
                format!("order {order} was released then and fails now: {}", how(is)),
            ),
            (RecordedEnd::Unknown, None) => {
                (ReplayVerdict::ReproducedUpToTheEnd, format!("order {order} is released now"))
            }
        }
    }

    /// The verdict if the replay need not match: another template, live models, or no recording.
    fn other(&self, now: &Now) -> (ReplayVerdict, String) {
        let order = &self.subject.order;
        let how = |record: &FailureRecord| {
            format!("{}: {}", record.kind, first_line(record.message.as_str()))
        };
        match (&self.subject.ended, &now.failure) {
            (RecordedEnd::Failed(then), None) if !self.subject.ended.by_time() => (
                ReplayVerdict::Fixed,
                format!("fixed: order {order} becomes a site; it was {}", how(then)),
            ),
            (RecordedEnd::Failed(then), Some(is)) if compare::same_failure(then, is) => (
                ReplayVerdict::SameFailure,
                format!("same failure: order {order} still fails: {}", how(is)),
            ),
            (RecordedEnd::Failed(then), Some(is)) => (
                ReplayVerdict::AnotherFailure,
                format!("another failure: order {order} was {}; it is {}", how(then), how(is)),
            ),
            (RecordedEnd::Unknown | RecordedEnd::Failed(_), None) => (
                ReplayVerdict::ReproducedUpToTheEnd,
                format!(
                    "order {order} becomes a site now; its calls do not explain why its process \
                     ended"
                ),
            ),
            (RecordedEnd::Unknown, Some(is)) => (
                ReplayVerdict::AnotherFailure,
                format!(
                    "the recording does not say how order {order} ended; it fails now: {}",
                    how(is)
                ),
            ),
            (RecordedEnd::Released(_), None) => {
                let same = match (&self.subject.recording, &now.recording) {
                    (Some(then), Some(is)) => then.files.sha256 == is.files.sha256,
                    _ => false,
                };
                match same {
                    true => (
                        ReplayVerdict::Reproduced,
                        format!("reproduced: order {order} becomes the same site, byte for byte"),
                    ),
                    false => {
                        (ReplayVerdict::Diverged, format!("order {order} becomes another site"))
                    }
                }
            }
            (RecordedEnd::Released(_), Some(is)) => (
                ReplayVerdict::AnotherFailure,
                format!(
                    "another failure: order {order} was released then and fails now: {}",
                    how(is)
                ),
            ),
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
