//! The report as GitHub workflow annotations: one line per broken rule.

use super::{Report, Verdict, place};

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
            out.push_str(&format!(
                "::{command} file={},title={}::{}\n",
                property(&template.file),
                property(&title),
                data(&text)
            ));
        }
    }
    out
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

    #[test]
    fn nothing_in_a_text_ends_an_annotation() {
        assert_eq!(data("a\nb % c"), "a%0Ab %25 c");
        assert_eq!(property("x:y,z"), "x%3Ay%2Cz");
    }
}
