//! The steps of a command: their names, results and durations.

use std::fmt;
use std::time::{Duration, Instant};

use crate::console;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    /// The step could not run on this machine, and why.
    NotChecked(String),
}

/// The steps that have ended so far.
#[derive(Debug)]
pub(crate) struct Steps {
    ended: Vec<Step>,
    start: Instant,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    outcome: Outcome,
    duration: Duration,
    /// Whether the step ran beside the build.
    beside: bool,
}

impl Steps {
    /// No steps yet.
    pub(crate) fn start() -> Self {
        Steps { ended: Vec::new(), start: Instant::now() }
    }

    /// Runs one step and prints its heading.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        console::heading(name);
        let start = Instant::now();
        let result = step();
        self.record(name, result.is_ok(), start.elapsed(), false);
        result
    }

    /// Adds a step that ran beside the build.
    pub(crate) fn ran_beside(&mut self, name: &'static str, passed: bool, duration: Duration) {
        self.record(name, passed, duration, true);
    }

    /// Adds a step that cannot run on this machine, and prints why.
    pub(crate) fn not_checked(&mut self, name: &'static str, why: &str) {
        console::heading(name);
        console::line(&format!("NOT CHECKED: {why}"));
        let outcome = Outcome::NotChecked(why.to_owned());
        self.ended.push(Step { name, outcome, duration: Duration::ZERO, beside: false });
    }

    fn record(&mut self, name: &'static str, passed: bool, duration: Duration, beside: bool) {
        let outcome = if passed { Outcome::Passed } else { Outcome::Failed };
        self.ended.push(Step { name, outcome, duration, beside });
    }
}

/// A table with a line for each step and one for the time since the start.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.ended.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for Step { name, outcome, duration, beside } in &self.ended {
            let (mark, note) = match outcome {
                Outcome::Passed => ("ok", ""),
                Outcome::Failed => ("FAILED", ""),
                Outcome::NotChecked(why) => ("NOT CHECKED", why.as_str()),
            };
            let note = if *beside { "beside the build" } else { note };
            let duration = console::duration(*duration);
            let line = format!("  {name:<width$}  {duration:>12}  {mark:<11}  {note}");
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "  {:<width$}  {:>12}", "", console::duration(self.start.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_result_of_every_step() {
        let mut steps = Steps::start();
        steps.record("format", true, Duration::from_millis(420), false);
        steps.not_checked("advisories", "no database");
        steps.ran_beside("guests", true, Duration::from_secs(50));
        steps.record("tests", false, Duration::from_secs(61), false);
        let lines = [
            "  format             0.4 s  ok",
            "  advisories         0.0 s  NOT CHECKED  no database",
            "  guests            50.0 s  ok           beside the build",
            "  tests         1 min 01 s  FAILED",
            "                     0.0 s",
        ];
        assert_eq!(steps.to_string(), lines.join("\n"));
    }

    #[test]
    fn a_failed_step_is_in_the_table_and_its_error_is_returned() {
        let mut steps = Steps::start();
        let failing = || -> anyhow::Result<()> { anyhow::bail!("two tests failed") };
        let error = steps.run("tests", failing).unwrap_err();
        assert_eq!(error.to_string(), "two tests failed");
        assert!(steps.to_string().contains("FAILED"));
    }
}
