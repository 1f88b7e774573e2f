//! Whether what a file refers to is there.

use std::collections::{BTreeMap, HashMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use super::problem::{Problems, Rule};
use crate::path::{SitePath, case_key};
use sitewright_model::message;

/// The host that stands for the site while references are resolved; no real one ends in `.invalid`.
const HERE: &str = "site.invalid";
/// Most references of one file that are looked up.
const MAX_REFERENCES: usize = 20_000;
/// Schemes a visitor's browser follows without the site.
const OUTSIDE: [&str; 11] = [
    "http", "https", "mailto", "tel", "sms", "data", "geo", "whatsapp", "webcal", "facetime", "tg",
];

/// An address in a file.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// As written, entities decoded.
    pub(super) target: String,
    /// What it is for people: `link`, `image`, `style sheet`.
    pub(super) what: &'static str,
    /// From 1.
    pub(super) line: Option<u64>,
    /// Whether an address on the site's own canonical host means a file of this site. So it is in
    /// sitemaps and in what a page says about itself; an ordinary link to the customer's host
    /// may lead to what is not ours.
    pub(super) canonical: bool,
}

/// What the checks know of one file once it has been read.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Its references.
    pub(super) references: Vec<Reference>,
    /// What can follow a `#`; nothing when the file is of a kind where that means something else.
    pub(super) anchors: Option<HashSet<String>>,
    /// `<base href>`.
    pub(super) base: Option<String>,
    /// `<link rel="canonical">`.
    pub(super) canonical: Option<String>,
}

/// All files of a site, for looking up references.
pub(super) struct Index<'a> {
    facts: &'a BTreeMap<SitePath, Facts>,
    by_case: HashMap<String, &'a SitePath>,
    canonical: Option<Url>,
}

impl<'a> Index<'a> {
    pub(super) fn new(facts: &'a BTreeMap<SitePath, Facts>) -> Self {
        let by_case = facts.keys().map(|path| (case_key(path.as_str()), path)).collect();
        let entry = facts.get(&SitePath::entry_page());
        let canonical =
            entry.and_then(|facts| facts.canonical.as_ref()).and_then(|url| Url::parse(url).ok());
        Index { facts, by_case, canonical }
    }

    /// Checks all references of all files.
    pub(super) fn check(&self, problems: &mut Problems) {
        for (file, facts) in self.facts {
            let page = address_of(file);
            let base = facts.base.as_ref().and_then(|base| page.as_ref()?.join(base).ok()).or(page);
            if facts.references.len() > MAX_REFERENCES {
                let message = message!(
                    "the file refers to {} addresses, and only the first {MAX_REFERENCES} were \
                     looked up; split the file",
                    facts.references.len()
                );
                problems.add(file, Rule::TooLarge, None, None, message);
            }
            for reference in facts.references.iter().take(MAX_REFERENCES) {
                self.check_one(file, base.as_ref(), reference, problems);
            }
        }
    }

    fn check_one(
        &self,
        file: &SitePath,
        base: Option<&Url>,
        reference: &Reference,
        problems: &mut Problems,
    ) {
        let (what, target) = (reference.what, reference.target.trim());
        let mut add =
            |rule, message| problems.add(file, rule, reference.line, Some(target), message);
        if target.is_empty() {
            add(
                Rule::BrokenReference,
                message!("the {what} has an empty address; give it one or leave it out"),
            );
            return;
        }
        let url = match Url::options().base_url(base).parse(target) {
            Ok(url) => url,
            Err(error) => {
                let message = message!(
                    "the {what} `{target}` is no address ({error}); write a path in the site or a \
                     whole URL"
                );
                add(Rule::BrokenReference, message);
                return;
            }
        };
        match self.inside(&url, reference) {
            Some(path) => self.look_up(&path, &url, reference, &mut add),
            None => check_outside(&url, what, target, &mut add),
        }
    }

    /// The path in the site that `url` means, decoded, if it means one.
    fn inside(&self, url: &Url, reference: &Reference) -> Option<String> {
        let path = if url.host_str() == Some(HERE) {
            url.path().trim_start_matches('/')
        } else {
            let canonical = self.canonical.as_ref().filter(|_| reference.canonical)?;
            if !url.scheme().starts_with("http") || url.host_str() != canonical.host_str() {
                return None;
            }
            let folder = match canonical.path().rsplit_once('/') {
                // A file: `/index.html`, or the end of a folder: `/joe/`.
                Some((folder, last)) if last.is_empty() || last.contains('.') => folder,
                // A folder whose last `/` was left out.
                _ => canonical.path(),
            };
            url.path().strip_prefix(folder)?.strip_prefix('/')?
        };
        Some(percent_decode_str(path).decode_utf8_lossy().into_owned())
    }

    fn look_up(
        &self,
        path: &str,
        url: &Url,
        reference: &Reference,
        add: &mut impl FnMut(Rule, message::Message),
    ) {
        let (what, target) = (reference.what, reference.target.trim());
        let candidates = if path.is_empty() || path.ends_with('/') {
            vec![format!("{path}index.html")]
        } else {
            vec![path.to_owned(), format!("{path}/index.html")]
        };
        let find = |candidate: &String| self.by_case.get(&case_key(candidate)).copied();
        let exact = candidates
            .iter()
            .find_map(|wanted| find(wanted).filter(|path| path.as_str() == wanted));
        let Some(found) = exact else {
            let message = match candidates.iter().find_map(find) {
                Some(near) => message!(
                    "the {what} `{target}` leads to `{near}` in another spelling; write upper and \
                     lower case and accents as in the file's name"
                ),
                None => message!(
                    "the {what} `{target}` leads to `{}`, which is not in the site; write that \
                     file or change the address",
                    candidates[0]
                ),
            };
            add(Rule::BrokenReference, message);
            return;
        };
        let Some(anchors) = self.facts.get(found).and_then(|facts| facts.anchors.as_ref()) else {
            return;
        };
        let fragment = url.fragment().unwrap_or_default();
        // What follows `:~:` is a directive for the browser: a text to scroll to.
        let fragment = fragment.split(":~:").next().unwrap_or_default();
        let decoded = percent_decode_str(fragment).decode_utf8_lossy();
        let top = decoded.is_empty() || decoded.eq_ignore_ascii_case("top");
        if !top && !anchors.contains(&*decoded) && !anchors.contains(fragment) {
            let message = message!(
                "the {what} `{target}` leads to `#{decoded}`, but nothing in `{found}` has that \
                 id; add the id or change the link"
            );
            add(Rule::BrokenFragment, message);
        }
    }
}

fn check_outside(
    url: &Url,
    what: &str,
    target: &str,
    add: &mut impl FnMut(Rule, message::Message),
) {
    let scheme = url.scheme();
    if matches!(scheme, "javascript" | "vbscript") {
        add(
            Rule::LinkScheme,
            message!("the {what} `{target}` is a script; link to a page instead"),
        );
    } else if !OUTSIDE.contains(&scheme) {
        let message = message!(
            "the {what} `{target}` has the scheme `{scheme}:`, which visitors cannot follow; use \
             https, mailto or tel"
        );
        add(Rule::LinkScheme, message);
    } else if matches!(scheme, "mailto" | "tel" | "sms")
        && url.path().is_empty()
        && url.query().is_none()
    {
        add(
            Rule::BrokenReference,
            message!(
                "the {what} `{target}` names nobody; put the address or number after `{scheme}:`"
            ),
        );
    }
}

/// The address of a file while references are resolved. Each part is encoded on its own, so `%` in
/// a name stays itself.
fn address_of(file: &SitePath) -> Option<Url> {
    let mut url = Url::parse(&format!("http://{HERE}/")).ok()?;
    url.path_segments_mut().ok()?.clear().extend(file.parts());
    Some(url)
}
