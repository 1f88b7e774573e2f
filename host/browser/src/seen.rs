//! What was seen on the pages of a site, as problems: the same fault once, with the widths and the
//! number of pages that have it.

use std::collections::HashMap;

use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_site::{Rule, SitePath, SiteProblem};

/// Maximum faults of a site that are kept; reports show fewer.
const MAX_FOUND: usize = 2_000;

/// A problem of a whole file.
pub(crate) fn problem(file: &SitePath, rule: Rule, message: Message) -> SiteProblem {
    SiteProblem { file: file.clone(), rule, message, line: None, excerpt: None }
}

/// A fault as it is seen on one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) rule: Rule,
    /// The file at fault, with the line; `None` for the page itself.
    pub(crate) at: Option<(SitePath, Option<u64>)>,
    pub(crate) text: String,
    /// The width at which it is seen, and by how many pixels something sticks out.
    pub(crate) width: Option<(u32, u64)>,
}

impl Sight {
    /// A fault of the page at all widths.
    pub(crate) fn of_page(rule: Rule, text: String) -> Self {
        Sight { rule, at: None, text, width: None }
    }
}

/// A fault that was seen once or more often.
#[derive(Debug)]
struct Found {
    file: SitePath,
    rule: Rule,
    line: Option<u64>,
    text: String,
    /// The first page that has it.
    page: SitePath,
    /// The number of further ones.
    other_pages: usize,
    /// Where it was seen last: pages are added one after the other.
    last: SitePath,
    widths: Vec<u32>,
    /// By how many pixels an element sticks out at most.
    by: u64,
}

/// The faults of a site.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Found>,
    /// Where a fault is in `found`.
    known: HashMap<(SitePath, Rule, Option<u64>, String), usize>,
}

impl Findings {
    /// Adds what is seen on a page.
    pub(crate) fn add(&mut self, page: &SitePath, sights: Vec<Sight>) {
        for Sight { rule, at, text, width } in sights {
            let (file, line) = at.unwrap_or_else(|| (page.clone(), None));
            let Some(found) = self.entry(page, file, rule, line, text) else { continue };
            if let Some((width, by)) = width {
                if !found.widths.contains(&width) {
                    found.widths.push(width);
                }
                found.by = found.by.max(by);
            }
        }
    }

    fn entry(
        &mut self,
        page: &SitePath,
        file: SitePath,
        rule: Rule,
        line: Option<u64>,
        text: String,
    ) -> Option<&mut Found> {
        let key = (file.clone(), rule, line, text.clone());
        if let Some(at) = self.known.get(&key) {
            let found = self.found.get_mut(*at)?;
            if found.last != *page {
                found.other_pages += 1;
                found.last = page.clone();
            }
            return Some(found);
        }
        if self.found.len() >= MAX_FOUND {
            return None;
        }
        self.known.insert(key, self.found.len());
        self.found.push(Found {
            file,
            rule,
            line,
            text,
            page: page.clone(),
            other_pages: 0,
            last: page.clone(),
            widths: Vec::new(),
            by: 0,
        });
        self.found.last_mut()
    }

    /// All faults.
    pub(crate) fn problems(self) -> Vec<SiteProblem> {
        let problem = |found: Found| SiteProblem {
            message: found.message(),
            file: found.file,
            rule: found.rule,
            line: found.line,
            excerpt: None,
        };
        self.found.into_iter().map(problem).collect()
    }
}

impl Found {
    fn message(&self) -> Message {
        let Found { text, by, .. } = self;
        match self.rule {
            Rule::BrowserOverflow => message!(
                "at a width of {} px visitors must scroll sideways: {text} by {by} px; let it wrap \
                 or shrink, or scroll in a box of its own",
                listed(&self.widths)
            ),
            Rule::BrowserAxe => {
                message!("accessibility at a width of {} px: {text}", listed(&self.widths))
            }
            _ if self.file == self.page && self.other_pages == 0 => {
                message!("seen in a browser: {text}")
            }
            _ => {
                let more = match self.other_pages {
                    0 => String::new(),
                    1 => " and one other page".to_owned(),
                    more => format!(" and {more} other pages"),
                };
                message!("seen in a browser on `{}`{more}: {text}", self.page)
            }
        }
    }
}

/// `360`, `360 and 390`, `360, 390 and 1440`.
fn listed(widths: &[u32]) -> String {
    let texts: Vec<String> = widths.iter().map(u32::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fault_is_told_once_with_its_widths_and_pages() {
        let path = |path: &str| SitePath::parse(path, 255).unwrap();
        let (index, about, script) = (path("index.html"), path("about.html"), path("app.js"));
        let mut findings = Findings::default();
        let overflow = |(width, by)| Sight {
            width: Some((width, by)),
            ..Sight::of_page(Rule::BrowserOverflow, "`div.w` sticks out".to_owned())
        };
        let axe = Sight {
            width: Some((360, 0)),
            ..Sight::of_page(Rule::BrowserAxe, "image-alt (critical)".to_owned())
        };
        let failing = || Sight {
            at: Some((script.clone(), Some(3))),
            ..Sight::of_page(Rule::BrowserConsole, "no such function".to_owned())
        };
        let mut sights: Vec<Sight> =
            [(360, 240), (390, 210), (1440, 3)].into_iter().map(overflow).collect();
        sights.extend([axe, failing(), failing()]);
        findings.add(&index, sights);
        let missing = Sight::of_page(Rule::BrowserRequest, "no `x.png`".to_owned());
        findings.add(&about, vec![failing(), missing]);
        findings.add(&path("other.html"), vec![failing()]);
        let problems = findings.problems();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "index.html: at a width of 360, 390 and 1440 px visitors must scroll sideways: \
                 `div.w` sticks out by 240 px; let it wrap or shrink, or scroll in a box of its \
                 own [browser-overflow]",
                "index.html: accessibility at a width of 360 px: image-alt (critical) \
                 [browser-axe]",
                "app.js:3: seen in a browser on `index.html` and 2 other pages: no such function \
                 [browser-console]",
                "about.html: seen in a browser: no `x.png` [browser-request]",
            ]
        );
    }
}
