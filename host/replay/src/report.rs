//! The report of a replay, for the terminal and as JSON.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use sitewright_failure::render;
use sitewright_model::failure::{FailureKind, FailureRecord, TemplateRef};

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// Everything matches the recording.
    Reproduced,
    /// Everything matches up to the end, which came from outside the run.
    ReproducedUpToTheEnd,
    /// Something does not match the recording.
    Diverged,
    /// The failure is gone.
    Fixed,
    /// The failure is still there.
    SameFailure,
    /// It fails in another way.
    AnotherFailure,
    /// It was stopped at the first error diagnostic, as requested.
    StoppedAtReport,
    /// It made an AI call that the recording has no answer to.
    Unanswered,
}

impl ReplayVerdict {
    /// Whether the recording was reproduced, or the failure is fixed.
    pub fn is_good(self) -> bool {
        matches!(
            self,
            ReplayVerdict::Reproduced
                | ReplayVerdict::ReproducedUpToTheEnd
                | ReplayVerdict::Fixed
                | ReplayVerdict::StoppedAtReport
        )
    }
}

/// A summary of how an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptEnd {
    /// `released`, `failed` or `unknown`.
    pub outcome: &'static str,
    /// Of a failure: its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// Of a failure: the template's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of a failure: its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Number of host calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Number of files written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

/// The first host call that differs from the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallDifference {
    /// Number of the call, from 1.
    pub number: u64,
    /// `None` if the recording had no further call.
    pub recorded: Option<Called>,
    /// `None` if the replay made no further call.
    pub now: Option<Called>,
}

/// A host call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Called {
    /// The host function.
    pub call: String,
    /// The arguments as the trail shows them; `None` for a call that the trail no longer has.
    pub args: Option<String>,
}

/// A field or a file that differs from the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// A field of the failure record, or a file.
    pub what: String,
    pub recorded: String,
    pub now: String,
}

/// The report of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    pub verdict: ReplayVerdict,
    /// The verdict as a sentence.
    pub summary: String,
    /// Id of the replayed attempt.
    pub attempt: String,
    /// Id of its order.
    pub order: String,
    /// Whether models were asked.
    pub live: bool,
    pub template_recorded: TemplateRef,
    /// The template of the replay.
    pub template: TemplateRef,
    pub recorded: AttemptEnd,
    /// How the replay ended.
    pub now: AttemptEnd,
    /// The first host call that differs.
    pub first_call: Option<CallDifference>,
    /// Everything else that differs.
    pub differences: Vec<FieldDifference>,
    /// Remarks, such as why the replay cannot match.
    pub notes: Vec<String>,
    /// The failure record of the replay.
    pub failure: Option<Box<FailureRecord>>,
}

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

impl ReplayReport {
    /// The report for a terminal, wrapped at `width` columns.
    pub fn terminal(&self, width: usize) -> String {
        let mut out = String::new();
        #[allow(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]
        let _ = self.write(&mut out, width);
        out
    }

    fn write(&self, out: &mut String, width: usize) -> std::fmt::Result {
        let (style, mark) = if self.verdict.is_good() { (GOOD, '✓') } else { (BAD, '✗') };
        writeln!(out, "{style}{mark} {}{style:#}", render::clean(&self.summary))?;
        if let Some(call) = &self.first_call {
            writeln!(out, "\n  Host call {} is the first that differs", call.number)?;
            for (name, called) in [("recorded", &call.recorded), ("now", &call.now)] {
                let text = match called {
                    Some(Called { call, args: Some(args) }) => format!("{call} {args}"),
                    Some(Called { call, args: None }) => {
                        format!("{call} (the recording has no more of it)")
                    }
                    None => "no further call".to_owned(),
                };
                out.push_str(&render::paragraph(&format!("{name:<9} {text}"), "    ", width));
            }
        }
        if !self.differences.is_empty() {
            writeln!(out, "\n  What else differs")?;
            for FieldDifference { what, recorded, now } in &self.differences {
                writeln!(out, "    {}", render::clean(what))?;
                out.push_str(&render::paragraph(&format!("recorded  {recorded}"), "      ", width));
                out.push_str(&render::paragraph(&format!("now       {now}"), "      ", width));
            }
        }
        for note in &self.notes {
            out.push_str(&render::paragraph(&format!("! {note}"), "  ", width));
        }
        if let Some(record) = self.failure.as_ref().filter(|_| self.shows_record()) {
            writeln!(out)?;
            out.push_str(&render::terminal(record, width));
        }
        let template = |of: &TemplateRef| {
            let digest =
                of.digest.get(..19).map(|digest| format!(" {digest}…")).unwrap_or_default();
            format!("{} {}{digest}", render::clean(&of.name), render::clean(&of.version))
        };
        writeln!(
            out,
            "  {DIM}attempt {} · template {}{DIM:#}",
            self.attempt,
            template(&self.template)
        )?;
        if self.template.digest != self.template_recorded.digest {
            writeln!(out, "  {DIM}recorded with {}{DIM:#}", template(&self.template_recorded))?;
        }
        Ok(())
    }

    /// Whether the replay's failure record differs from the recorded one.
    fn shows_record(&self) -> bool {
        matches!(
            self.verdict,
            ReplayVerdict::AnotherFailure
                | ReplayVerdict::StoppedAtReport
                | ReplayVerdict::SameFailure
        )
    }
}
