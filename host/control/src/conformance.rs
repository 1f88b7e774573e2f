//! What the conformance suite said of a template: its report, in a file beside the template.

use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::millis;

/// Maximum size of a report, in bytes: 8 MiB. It has orders and failure records in it.
const MAX_REPORT_BYTES: u64 = 8 << 20;
/// Maximum number of rules that are told; those that are broken come first.
const MAX_REMARKS: usize = 30;

/// What the conformance suite said of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Conformance {
    /// Whether no rule is broken. Warnings do not count.
    pub passed: bool,
    /// The version of the contract that the suite checked, such as `0.2.0`.
    pub suite: String,
    /// Version and commit of the host that checked it.
    pub host_build: String,
    /// The template's own version; empty if it could not be loaded.
    pub version: String,
    /// SHA-256 of the file that was checked, as workers have it; empty if it could not be loaded.
    pub digest: String,
    /// When the report was written, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The number of orders that ran.
    pub test_cases: u64,
    /// The number of rules by verdict.
    pub rules: ConformanceRules,
    /// Rules that are broken or warn, those that are broken first; at most 30.
    pub remarks: Vec<ConformanceRemark>,
}

/// The number of rules by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ConformanceRules {
    /// They hold.
    pub passed: u64,
    /// They are broken, and sites are published all the same.
    pub warned: u64,
    /// They are broken.
    pub failed: u64,
    /// No order checked them.
    pub skipped: u64,
}

/// A rule that is broken or warns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ConformanceRemark {
    /// Its id, such as `site/title`.
    pub rule: String,
    /// Whether it is broken; otherwise it warns.
    pub is_broken: bool,
    /// What the rule demands, in one sentence.
    pub demand: String,
    /// The number of places where it is broken.
    pub findings: u64,
    /// What is wrong at the first of them.
    pub message: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// The part of a report that is read.
#[derive(Deserialize)]
struct Report {
    suite: String,
    host_build: String,
    templates: Vec<OfTemplate>,
}

#[derive(Deserialize)]
struct OfTemplate {
    file: String,
    template: Option<Build>,
    passed: bool,
    test_cases: u64,
    rules: Vec<OfRule>,
}

#[derive(Deserialize)]
struct Build {
    #[serde(default)]
    version: String,
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
struct OfRule {
    rule: String,
    demand: String,
    verdict: Verdict,
    findings: Vec<Finding>,
    #[serde(default)]
    more: u64,
    #[serde(default)]
    hint: Option<String>,
}

#[derive(Deserialize)]
struct Finding {
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Passed,
    Warned,
    Failed,
    /// Also one of a newer suite that this program does not know.
    #[serde(other)]
    Skipped,
}

/// What the conformance suite said of the template `name`: the report in `NAME.conformance.json` in
/// the templates folder, as `sitewright --json conformance` prints it. `None` if there is no such
/// file. Blocking.
///
/// # Errors
/// If the file cannot be read, is larger than 8 MiB, is no report, or is not about this template.
pub fn read_conformance(folder: &Path, name: &str) -> Result<Option<Conformance>, Message> {
    if name.is_empty() || name.contains(['/', '\\', '\0']) {
        return Ok(None);
    }
    let path = folder.join(format!("{name}.conformance.json"));
    let failed = |why: &dyn Display| {
        message!(
            "the conformance report {} cannot be used: {why}; `sitewright --json conformance \
             {name}.wasm` prints another one",
            path.display()
        )
    };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
    };
    let written = file.metadata().and_then(|metadata| metadata.modified());
    let written = written.map_err(|error| failed(&error))?;
    let at = written.duration_since(UNIX_EPOCH).map(millis).unwrap_or_default();
    let mut bytes = Vec::new();
    let read = file.take(MAX_REPORT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_REPORT_BYTES {
        return Err(failed(&format!("it is larger than {MAX_REPORT_BYTES} bytes")));
    }
    let report: Report = serde_json::from_slice(&bytes)
        .map_err(|error| failed(&format!("it is no report of the suite ({error})")))?;
    let Report { suite, host_build, templates } = report;
    let of_template = templates.into_iter().find(|one| {
        Path::new(&one.file).file_stem().is_some_and(|stem| stem.to_string_lossy() == name)
    });
    let of_template =
        of_template.ok_or_else(|| failed(&format!("it says nothing of {name}.wasm")))?;
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    Ok(Some(conformance(of_template, suite, host_build, at)))
}

fn conformance(of: OfTemplate, suite: String, host_build: String, at: i64) -> Conformance {
    let mut rules = ConformanceRules::default();
    let mut remarks = Vec::new();
    for rule in of.rules {
        let count = match rule.verdict {
            Verdict::Passed => &mut rules.passed,
            Verdict::Warned => &mut rules.warned,
            Verdict::Failed => &mut rules.failed,
            Verdict::Skipped => &mut rules.skipped,
        };
        *count = count.saturating_add(1);
        if !matches!(rule.verdict, Verdict::Warned | Verdict::Failed) {
            continue;
        }
        let found = u64::try_from(rule.findings.len()).unwrap_or(u64::MAX);
        remarks.push(ConformanceRemark {
            rule: rule.rule,
            is_broken: rule.verdict == Verdict::Failed,
            demand: rule.demand,
            findings: found.saturating_add(rule.more),
            message: rule.findings.into_iter().next().map(|finding| finding.message),
            hint: rule.hint,
        });
    }
    // Otherwise as the suite lists them.
    remarks.sort_by_key(|remark| !remark.is_broken);
    remarks.truncate(MAX_REMARKS);
    let (version, digest) =
        of.template.map(|build| (build.version, build.digest)).unwrap_or_default();
    Conformance {
        passed: of.passed,
        suite,
        host_build,
        version,
        digest,
        at,
        test_cases: of.test_cases,
        rules,
        remarks,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_beside_a_template_is_read_as_the_suite_wrote_it() {
        let folder = std::env::temp_dir().join(format!("conformance-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("flora.conformance.json");
        let rule = |rule: &str, verdict: &str, findings: &[&str], more: u64| {
            let findings: Vec<_> = findings.iter().map(|one| json!({ "message": one })).collect();
            json!({
                "rule": rule, "level": "site", "demand": format!("What {rule} demands."),
                "verdict": verdict, "test_cases": 3, "findings": findings, "more": more,
                "hint": "mend it",
            })
        };
        let of = |file: &str, rules: Vec<serde_json::Value>| {
            json!({
                "file": file, "passed": false, "test_cases": 57, "duration_ms": 9, "cases": [],
                "template": { "name": "flora", "version": "1.2.0", "digest": "sha256:ab" },
                "rules": rules,
            })
        };
        let rules = vec![
            rule("site/title", "warned", &["too long"], 0),
            rule("ai/escaped", "failed", &["<b> is markup", "again"], 7),
            rule("contract/newest", "passed", &[], 0),
            rule("limits/cpu", "passed", &[], 0),
            rule("author/cases", "skipped", &[], 0),
            rule("future/rule", "guessed", &[], 0),
        ];
        let report = json!({
            "version": 2, "suite": "0.2.0", "host_build": "0.1.0+1a2b", "passed": false,
            "duration_ms": 9,
            "templates": [of("/other/fauna.wasm", vec![]), of("/build/flora.wasm", rules)],
        });
        assert_eq!(read_conformance(&folder, "flora").unwrap(), None);
        std::fs::write(&file, report.to_string()).unwrap();
        let read = read_conformance(&folder, "flora").unwrap().unwrap();
        assert!(read.at > 0 && !read.passed);
        assert_eq!((read.suite.as_str(), read.digest.as_str()), ("0.2.0", "sha256:ab"));
        assert_eq!((read.version.as_str(), read.test_cases), ("1.2.0", 57));
        let counts = ConformanceRules { passed: 2, warned: 1, failed: 1, skipped: 2 };
        assert_eq!(read.rules, counts);
        let remarks: Vec<_> = read
            .remarks
            .iter()
            .map(|one| (one.rule.as_str(), one.is_broken, one.findings, one.message.as_deref()))
            .collect();
        let wanted = [
            ("ai/escaped", true, 9, Some("<b> is markup")),
            ("site/title", false, 1, Some("too long")),
        ];
        assert_eq!(remarks, wanted);

        for (name, text, says) in [
            ("flora", "{", "no report of the suite"),
            ("flora", "[]", "no report of the suite"),
            ("fauna", report.to_string().as_str(), ""),
            ("iris", report.to_string().as_str(), "nothing of iris.wasm"),
        ] {
            std::fs::write(folder.join(format!("{name}.conformance.json")), text).unwrap();
            match read_conformance(&folder, name) {
                Ok(read) => assert!(read.is_some() && says.is_empty(), "{name}: {text}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!says.is_empty() && error.contains(says), "{name}: {error}");
                    assert!(error.contains("sitewright --json conformance"), "{error}");
                }
            }
        }
        for name in ["", "../flora", "a/b", "a\\b", "a\0"] {
            assert_eq!(read_conformance(&folder, name).unwrap(), None, "{name:?}");
        }
        let large = " ".repeat(usize::try_from(MAX_REPORT_BYTES).unwrap() + 1);
        std::fs::write(&file, large).unwrap();
        let error = read_conformance(&folder, "flora").unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
