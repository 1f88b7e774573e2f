//! Named steps and what each took.

use std::fmt;
use std::time::{Duration, Instant};

use crate::say;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It holds.
    Ok,
    /// It does not; nothing after it was tried.
    Failed,
    /// It could not be tried here.
    Skipped(&'static str),
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    end: End,
    took: Duration,
}

impl Steps {
    /// Runs one step. Stop at the first error: `?` does.
    pub(crate) fn run<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        say::step(name);
        let start = Instant::now();
        let result = step();
        let end = if result.is_ok() { End::Ok } else { End::Failed };
        self.done.push(Step { name, end, took: start.elapsed() });
        result
    }

    /// Notes, loudly, a step that cannot be tried here.
    pub(crate) fn skip(&mut self, name: &'static str, why: &'static str) {
        say::step(name);
        say::line(&format!("NOT CHECKED: {why}"));
        self.done.push(Step { name, end: End::Skipped(why), took: Duration::ZERO });
    }

    /// What all steps took together.
    pub(crate) fn took(&self) -> Duration {
        self.done.iter().map(|step| step.took).sum()
    }
}

/// A small table, one line a step and one for the sum.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_width = self.done.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for Step { name, end, took } in &self.done {
            let (mark, note) = match end {
                End::Ok => ("ok", ""),
                End::Failed => ("FAILED", ""),
                End::Skipped(why) => ("skipped", *why),
            };
            let took = say::duration(*took);
            let line = format!("  {name:<name_width$}  {took:>12}  {mark:<7}  {note}");
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "  {:<name_width$}  {:>12}", "", say::duration(self.took()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_every_step_and_how_it_ended() {
        let steps = Steps {
            done: vec![
                Step { name: "format", end: End::Ok, took: Duration::from_millis(420) },
                Step { name: "dependencies", end: End::Skipped("not here"), took: Duration::ZERO },
                Step { name: "tests", end: End::Failed, took: Duration::from_secs(61) },
            ],
        };
        let lines = [
            "  format               0.4 s  ok",
            "  dependencies         0.0 s  skipped  not here",
            "  tests           1 min 01 s  FAILED",
            "                  1 min 01 s",
        ];
        assert_eq!(steps.to_string(), lines.join("\n"));
    }

    #[test]
    fn a_failed_step_is_in_the_table_and_its_error_comes_back() {
        let mut steps = Steps::default();
        let failing = || -> anyhow::Result<()> { anyhow::bail!("two of them failed") };
        let error = steps.run("tests", failing).unwrap_err();
        assert_eq!(error.to_string(), "two of them failed");
        assert!(steps.to_string().contains("FAILED"));
    }
}
