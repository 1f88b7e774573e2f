//! The rules that compare the pages of a site.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::problem::{Problems, Rule, shown};
use super::reference::Facts;
use crate::path::SitePath;
use sitewright_model::message;

/// Pages that servers show without a link to them.
const UNLINKED: [&str; 4] = ["404", "403", "500", "offline"];

/// Checks all files together. `linked` are the files that links lead to from the entry page.
pub(super) fn check(
    facts: &BTreeMap<SitePath, Facts>,
    linked: &BTreeSet<&SitePath>,
    problems: &mut Problems,
) {
    let pages = || facts.iter().filter(|(path, _)| is_page(path));
    let titles = pages().filter_map(|(path, facts)| Some((path, facts.title.as_deref()?)));
    twice(titles, Rule::DuplicateTitle, "title", problems);
    let descriptions =
        pages().filter_map(|(path, facts)| Some((path, facts.description.as_deref()?)));
    twice(descriptions, Rule::DuplicateDescription, "description", problems);
    for (path, _) in pages() {
        let name = path.as_str().rsplit('/').next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let google = name.starts_with("google");
        if !linked.contains(path) && !UNLINKED.contains(&stem) && !google {
            let message = message!(
                "no link leads from `index.html` to the page, so visitors do not find it; link to \
                 it, or leave it out"
            );
            problems.add(path, Rule::OrphanPage, None, None, message);
        }
    }
}

/// Whether a file is a page, by its name.
pub(super) fn is_page(path: &SitePath) -> bool {
    path.extension().is_some_and(|extension| matches!(extension.as_str(), "html" | "htm"))
}

/// Reports each page whose text an earlier page has too.
fn twice<'a>(
    texts: impl Iterator<Item = (&'a SitePath, &'a str)>,
    rule: Rule,
    what: &str,
    problems: &mut Problems,
) {
    let mut first: HashMap<&str, &SitePath> = HashMap::new();
    for (path, text) in texts {
        if let Some(other) = first.get(text) {
            let message = message!(
                "the page has the same {what} as `{other}`: `{}`; say what is on this page",
                shown(text)
            );
            problems.add(path, rule, None, Some(text), message);
        } else {
            first.insert(text, path);
        }
    }
}
