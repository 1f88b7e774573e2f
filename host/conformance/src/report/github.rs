//! The report as GitHub workflow annotations: one line per broken rule, at the line of the
//! template's source that failed if it is known and found, or at the author's case; otherwise at the
//! template's file.

use std::path::{Path, PathBuf};

use super::{Report, TemplateReport, Verdict, place};
use crate::author_folder::{CASE, FOLDER};
use crate::summary::Finding;

/// The annotation lines; print them to stdout if `GITHUB_ACTIONS` is set.
pub fn annotations(report: &Report) -> String {
    let mut out = String::new();
    for template in &report.templates {
        for rule in &template.rules {
            let (command, breaks) = match rule.verdict {
                Verdict::Failed => ("error", "breaks"),
                Verdict::Warned => ("warning", "is warned of"),
                Verdict::Passed | Verdict::Skipped => continue,
            };
            let finding = rule.findings.first();
            let (place, message) = finding
                .map(|finding| (place(finding), finding.message.clone()))
                .unwrap_or_default();
            let title = format!("{} {breaks} {}", template.name(), rule.rule);
            let text =
                format!("{}\n{place}\n{message}\n{}", rule.demand, rule.hint.unwrap_or_default());
            let at = finding.and_then(|finding| found(template, finding)).map_or_else(
                || format!("file={}", property(&template.file)),
                |(file, line)| {
                    format!("file={},line={line}", property(&file.display().to_string()))
                },
            );
            out.push_str(&format!(
                "::{command} {at},title={}::{}\n",
                property(&title),
                data(&text)
            ));
        }
    }
    out
}

/// Folders above the template's file in which its source and its cases are looked for.
const MAX_PARENTS: usize = 4;

/// The file and line to look at.
fn found(template: &TemplateReport, finding: &Finding) -> Option<(PathBuf, u32)> {
    source(template, finding).or_else(|| case(template, finding))
}

/// The file that says what an author's case expects.
fn case(template: &TemplateReport, finding: &Finding) -> Option<(PathBuf, u32)> {
    // A stranger may have written the name.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let name = finding.case.as_deref().filter(|name| name.bytes().all(plain))?;
    // Cases of the suite have no file.
    template.cases.iter().find(|case| case.name == name)?;
    let file = Path::new(FOLDER).join(name).join(CASE);
    let parents = Path::new(&template.file).ancestors().skip(1).take(MAX_PARENTS);
    parents.map(|parent| parent.join(&file)).find(|path| path.is_file()).map(|path| (path, 1))
}

/// The file and line of the template's source at which it failed. Records have paths relative to
/// the project, or to its `src` (Python); the template is in the project's `dist`.
fn source(template: &TemplateReport, finding: &Finding) -> Option<(PathBuf, u32)> {
    let failure = finding.failure.as_ref()?;
    let own = failure.trap.iter().flat_map(|trap| &trap.frames).find(|frame| frame.own);
    let (file, line) = match &failure.location {
        Some(location) => (location.file.as_str(), location.line),
        None => own.and_then(|frame| Some((frame.file.as_deref()?, frame.line?)))?,
    };
    let file = Path::new(file);
    let is_inside = file.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let parents = Path::new(&template.file).ancestors().skip(1).take(MAX_PARENTS);
    parents
        .filter(|_| is_inside)
        .flat_map(|parent| [parent.join(file), parent.join("src").join(file)])
        .find(|path| path.is_file())
        .map(|path| (path, line))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::CaseReport;
    use sitewright_model::failure::{FailureKind, FailureRecord, OfAttempt, SourceLocation};
    use sitewright_model::message;

    #[test]
    fn a_failure_is_annotated_at_its_line_of_the_source() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("src")).unwrap();
        std::fs::write(project.path().join("src/app.py"), "").unwrap();
        let template = TemplateReport::new(&project.path().join("dist/a.wasm"), None);
        let failed = |file: &str| {
            let of = OfAttempt {
                order: "1".to_owned(),
                job: None,
                attempt: String::new(),
                trace_id: String::new(),
                template: "a".to_owned(),
                config_version: String::new(),
            };
            let message = message!("no bread");
            let mut record = FailureRecord::without_run(FailureKind::Panic, message, of);
            record.location = Some(SourceLocation { file: file.to_owned(), line: 7, column: None });
            Finding { failure: Some(Box::new(record)), ..Finding::plain("it failed") }
        };
        let expected = (project.path().join("src/app.py"), 7);
        for file in ["app.py", "src/app.py"] {
            assert_eq!(source(&template, &failed(file)), Some(expected.clone()), "{file}");
        }
        for file in ["other.py", "../app.py", "/src/app.py"] {
            assert_eq!(source(&template, &failed(file)), None, "{file}");
        }
        assert_eq!(source(&template, &Finding::plain("no failure")), None);
    }

    #[test]
    fn what_a_case_expects_is_annotated_at_the_case() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("conformance/first");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("case.toml"), "").unwrap();
        let mut template = TemplateReport::new(&project.path().join("dist/a.wasm"), None);
        let broken = |case: &str| Finding {
            case: Some(case.to_owned()),
            ..Finding::plain("`Green Gate` is not in index.html")
        };
        assert_eq!(found(&template, &broken("first")), None, "a case of the suite");
        for name in ["first", "second", "../conformance/first"] {
            let (name, broken) = (name.to_owned(), Vec::new());
            template.cases.push(CaseReport { name, passed: false, duration_ms: 1, broken });
        }
        assert_eq!(found(&template, &broken("first")), Some((folder.join("case.toml"), 1)));
        assert_eq!(found(&template, &broken("second")), None, "no such file");
        assert_eq!(found(&template, &broken("../conformance/first")), None, "no name");
    }

    #[test]
    fn nothing_in_a_text_ends_an_annotation() {
        assert_eq!(data("a\nb % c"), "a%0Ab %25 c");
        assert_eq!(property("x:y,z"), "x%3Ay%2Cz");
    }
}
