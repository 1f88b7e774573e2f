//! A timeline of host calls and diagnostics that shows concurrent calls.

use std::collections::{BTreeMap, BTreeSet};

use sitewright_model::failure::{AiCallTries, Diagnostic, FailureRecord, Severity};
use sitewright_model::failure::{TrailEntry, TrailOutcome};

/// Maximum columns of concurrent calls; further calls share the last one.
const MAX_LANES: usize = 6;

/// An entry of the timeline.
pub(super) struct Moment<'a> {
    /// Milliseconds from the start of the run.
    pub(super) at_ms: u64,
    pub(super) what: What<'a>,
    /// A column for each concurrent call: `●` where it begins, `│` while it runs. Empty if no calls
    /// were concurrent.
    pub(super) lanes: String,
}

pub(super) enum What<'a> {
    /// A host call; an AI call has its attempts.
    Call(&'a TrailEntry, Option<&'a AiCallTries>),
    /// A diagnostic of the template.
    Report(&'a Diagnostic),
}

impl Moment<'_> {
    /// Whether a report shows it although it is not among the newest.
    pub(super) fn matters(&self) -> bool {
        match self.what {
            What::Call(entry, _) => {
                let of_ai = ["ai.", "ai-sync."].iter().any(|begin| entry.call.starts_with(begin));
                entry.outcome == TrailOutcome::InFlight
                    || (of_ai && entry.outcome != TrailOutcome::Ok)
            }
            What::Report(diagnostic) => diagnostic.severity >= Severity::Warning,
        }
    }
}

/// All host calls and diagnostics of the record, by time.
pub(super) fn of(record: &FailureRecord) -> Vec<Moment<'_>> {
    let tries: BTreeMap<&str, &AiCallTries> =
        record.ai_calls.iter().map(|call| (call.call_id.as_str(), call)).collect();
    let mut reports: BTreeMap<u64, &Diagnostic> =
        record.diagnostics.iter().filter_map(|report| Some((report.seq?, report))).collect();
    let mut moments: Vec<(Option<u64>, Moment<'_>)> = record
        .trail
        .iter()
        .map(|entry| {
            // A diagnostic and its host call are one entry.
            let what = match reports.remove(&entry.seq) {
                Some(report) => What::Report(report),
                None => What::Call(
                    entry,
                    entry.call_id.as_deref().and_then(|id| tries.get(id).copied()),
                ),
            };
            (Some(entry.seq), Moment { at_ms: entry.at_ms, what, lanes: String::new() })
        })
        .collect();
    // Diagnostics whose call is not in the trail any more, and those of old hosts, which have no
    // number.
    let numberless = record.diagnostics.iter().filter(|report| report.seq.is_none());
    for report in reports.into_values().chain(numberless) {
        let before = |(seq, moment): &(Option<u64>, Moment<'_>)| match (report.seq, seq) {
            (Some(own), Some(seq)) => *seq < own,
            _ => moment.at_ms <= report.at_ms,
        };
        let at = moments.iter().rposition(before).map_or(0, |at| at + 1);
        let moment =
            Moment { at_ms: report.at_ms, what: What::Report(report), lanes: String::new() };
        moments.insert(at, (report.seq, moment));
    }
    let mut moments: Vec<Moment<'_>> = moments.into_iter().map(|(_, moment)| moment).collect();
    draw_lanes(&mut moments);
    moments
}

/// The entries that a report shows: the `room` newest, and at most half as many important earlier
/// ones.
pub(super) fn shown(moments: &[Moment<'_>], room: usize) -> BTreeSet<usize> {
    let newest = moments.len().saturating_sub(room)..moments.len();
    let before = (0..newest.start).rev().filter(|at| moments[*at].matters()).take(room / 2);
    let before: Vec<usize> = before.collect();
    newest.chain(before).collect()
}

fn draw_lanes(moments: &mut [Moment<'_>]) {
    // The call in each column: the number until which it runs.
    let mut lanes: Vec<Option<u64>> = Vec::new();
    let mut beside = false;
    let drawn: Vec<Vec<char>> = moments
        .iter()
        .map(|moment| {
            let seq = match moment.what {
                What::Call(entry, _) => entry.seq,
                What::Report(report) => report.seq.unwrap_or(0),
            };
            for lane in &mut lanes {
                if lane.is_some_and(|until| until < seq) {
                    *lane = None;
                }
            }
            let mut row: Vec<char> =
                lanes.iter().map(|lane| if lane.is_some() { '│' } else { ' ' }).collect();
            let What::Call(entry, _) = moment.what else { return row };
            let until = entry.last_beside();
            beside |= lanes.iter().any(Option::is_some);
            let free = lanes.iter().position(Option::is_none).filter(|at| *at < MAX_LANES);
            let at = match free {
                Some(at) => at,
                None if lanes.len() < MAX_LANES => {
                    lanes.push(None);
                    row.push(' ');
                    lanes.len() - 1
                }
                None => MAX_LANES - 1,
            };
            lanes[at] = Some(until).filter(|until| *until > seq).max(lanes[at]);
            row[at] = '●';
            row
        })
        .collect();
    if !beside {
        return;
    }
    for (moment, mut row) in moments.iter_mut().zip(drawn) {
        row.resize(lanes.len(), ' ');
        moment.lanes = row.into_iter().chain([' ']).collect();
    }
}
