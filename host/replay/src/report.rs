//! What a replay came to, for people and for scripts.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use sitewright_failure::render;
use sitewright_model::failure::{FailureKind, FailureRecord, TemplateRef};

/// What a replay came to, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayVerdict {
    /// Everything is as it was recorded.
    Reproduced,
    /// Everything is as it was recorded up to the end, which time made and no replay can.
    ReproducedUpToTheEnd,
    /// Something is not as it was recorded.
    Diverged,
    /// The failure is gone.
    Fixed,
    /// The failure is there still.
    SameFailure,
    /// There is another failure in its place.
    AnotherFailure,
    /// The first error diagnostic stopped it, as was asked.
    StoppedAtReport,
    /// It asked a model something that the recording has no answer to.
    Unanswered,
}

impl ReplayVerdict {
    /// Whether it is what was hoped for.
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

/// How an attempt ended, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptEnd {
    /// `released`, `failed` or `unknown`.
    pub outcome: &'static str,
    /// Of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<FailureKind>,
    /// Of a failure: the template's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Host calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Files that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

/// A host call as it was recorded and as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallDifference {
    /// Its number, from 1.
    pub number: u64,
    /// What was recorded: function, and arguments where they are known.
    pub recorded: Option<Called>,
    /// What happened now.
    pub now: Option<Called>,
}

/// A host call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Called {
    /// The function.
    pub call: String,
    /// With what, as the trail shows it; missing for calls older than the trail.
    pub args: Option<String>,
}

/// Something that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: a field of the record, or a file.
    pub what: String,
    /// As it was recorded.
    pub recorded: String,
    /// As it is now.
    pub now: String,
}

/// What a replay came to.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayReport {
    /// In a word.
    pub verdict: ReplayVerdict,
    /// In a sentence.
    pub summary: String,
    /// The attempt that was made again.
    pub attempt: String,
    /// Its order.
    pub order: String,
    /// Whether models were asked.
    pub live: bool,
    /// The template then.
    pub template_recorded: TemplateRef,
    /// The template now.
    pub template: TemplateRef,
    /// How it ended then.
    pub recorded: AttemptEnd,
    /// How it ended now.
    pub now: AttemptEnd,
    /// The first host call that is not as it was.
    pub first_call: Option<CallDifference>,
    /// What else is not as it was.
    pub differences: Vec<Difference>,
    /// What whoever reads this must know.
    pub notes: Vec<String>,
    /// The record of the replay's own failure.
    pub failure: Option<Box<FailureRecord>>,
}

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

impl ReplayReport {
    /// For a terminal, in lines of at most `width` columns where the text allows.
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
            for Difference { what, recorded, now } in &self.differences {
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

    /// Whether the replay's own failure is news.
    fn shows_record(&self) -> bool {
        matches!(
            self.verdict,
            ReplayVerdict::AnotherFailure
                | ReplayVerdict::StoppedAtReport
                | ReplayVerdict::SameFailure
        )
    }
}
