//! What reading found, in the order of the fields.

use std::fmt::Display;

use super::Refusal;
use crate::notice::MAX_NOTICES;
use crate::{Notice, NoticeLevel, Problem};

/// Maximum length of a pointer in a finding, in bytes; longer ones are cut.
const MAX_POINTER: usize = 1_000;
/// Maximum length of a message, in bytes; longer ones are cut.
const MAX_MESSAGE: usize = 2_000;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// There is no order without it.
    Refused,
    /// A field that was required once, and still is in strict reading.
    Missing,
    /// A value that is not used, or is doubtful.
    Dropped,
    /// A value that was read for what it means.
    Note,
}

/// The findings of one document.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<(Severity, Problem)>);

impl Findings {
    fn add(&mut self, severity: Severity, at: &str, message: impl Display) {
        // A name may be as long as the document.
        let end = at.floor_char_boundary(MAX_POINTER);
        let message = message.to_string();
        let message_end = message.floor_char_boundary(MAX_MESSAGE);
        self.0.push((severity, Problem::new(&at[..end], &message[..message_end])));
    }

    pub(super) fn refuse(&mut self, at: &str, message: impl Display) {
        self.add(Severity::Refused, at, message);
    }

    pub(super) fn missing(&mut self, at: &str, message: impl Display) {
        self.add(Severity::Missing, at, message);
    }

    pub(super) fn dropped(&mut self, at: &str, message: impl Display) {
        self.add(Severity::Dropped, at, message);
    }

    pub(super) fn note(&mut self, at: &str, message: impl Display) {
        self.add(Severity::Note, at, message);
    }

    /// Whether a note with these words was made.
    pub(super) fn has_note(&self, words: &str) -> bool {
        self.0.iter().any(|(severity, problem)| {
            *severity == Severity::Note && problem.message.contains(words)
        })
    }

    /// Whether a value at one of these pointers was dropped; it is then a reason of its own if the
    /// order is refused.
    pub(super) fn blame(&mut self, pointers: &[String]) {
        for (severity, problem) in &mut self.0 {
            if *severity == Severity::Dropped && pointers.contains(&problem.pointer) {
                *severity = Severity::Refused;
            }
        }
    }

    /// The problems for which there is no order; in strict reading, also the missing and dropped
    /// fields.
    pub(super) fn problems(&self, strict: bool) -> Vec<Problem> {
        let is_problem = |severity: Severity| match severity {
            Severity::Refused => true,
            Severity::Missing | Severity::Dropped => strict,
            Severity::Note => false,
        };
        let problems = self.0.iter().filter(|(severity, _)| is_problem(*severity));
        problems.map(|(_, problem)| problem.clone()).collect()
    }

    /// Why there is no order, and what else was found.
    pub(super) fn into_refusal(self, strict: bool) -> Refusal {
        let problems = self.problems(strict);
        let mut notices = self.into_notices();
        // Strict reading has the warnings among the problems.
        notices.retain(|notice| !strict || !notice.is_warning());
        Refusal { problems, notices }
    }

    /// The notices of an order, at most [`MAX_NOTICES`].
    pub(super) fn into_notices(self) -> Vec<Notice> {
        let mut notices = Vec::new();
        for (severity, problem) in self.0 {
            let level = match severity {
                Severity::Dropped => NoticeLevel::Warning,
                Severity::Note => NoticeLevel::Note,
                Severity::Refused | Severity::Missing => continue,
            };
            notices.push(Notice::new(level, problem.pointer, problem.message));
        }
        if notices.len() > MAX_NOTICES {
            let more = notices.len() - (MAX_NOTICES - 1);
            notices.truncate(MAX_NOTICES - 1);
            let message = format!("{more} more values were left out or read for what they mean");
            notices.push(Notice::new(NoticeLevel::Warning, "", message));
        }
        notices
    }
}
