//! Whether the references of all files lead to a file and an anchor of the site.

use std::collections::{BTreeMap, HashMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use super::problem::{Problems, Rule};
use crate::path::{SitePath, case_key};
use sitewright_model::message;

/// The host of the site while references are resolved. `.invalid` is reserved (RFC 2606).
const SITE_HOST: &str = "site.invalid";
/// Maximum number of references of one file that are looked up.
const MAX_REFERENCES: usize = 20_000;
/// Schemes that lead out of the site and that a visitor's browser can follow.
const EXTERNAL: [&str; 11] = [
    "http", "https", "mailto", "tel", "sms", "data", "geo", "whatsapp", "webcal", "facetime", "tg",
];

/// A reference of a file.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// The address as written, entities decoded.
    pub(super) target: String,
    /// What it is, for messages: `link`, `image`, `style sheet`.
    pub(super) what: &'static str,
    /// Counted from 1.
    pub(super) line: Option<u64>,
    /// Whether an address on the site's canonical host means a file of this site: in sitemaps and
    /// in a page's metadata. An ordinary link to that host may lead to pages of another system.
    pub(super) canonical: bool,
}

/// What the check of one file collects for the look-up.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) references: Vec<Reference>,
    /// The anchors that can follow a `#`; `None` for kinds of files that have none.
    pub(super) anchors: Option<HashSet<String>>,
    /// `<base href>`.
    pub(super) base: Option<String>,
    /// `<link rel="canonical">`.
    pub(super) canonical: Option<String>,
}

/// All files of a site, by path and by case key.
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

    /// Reports every broken reference of every file.
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
                    "the {what} `{target}` is not a valid address ({error}); write a path in the \
                     site or a whole URL"
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

    /// The decoded path in the site that `url` leads to; `None` if it leads out of the site.
    fn inside(&self, url: &Url, reference: &Reference) -> Option<String> {
        let path = if url.host_str() == Some(SITE_HOST) {
            url.path().trim_start_matches('/')
        } else {
            let canonical = self.canonical.as_ref().filter(|_| reference.canonical)?;
            if !url.scheme().starts_with("http") || url.host_str() != canonical.host_str() {
                return None;
            }
            let folder = match canonical.path().rsplit_once('/') {
                // A file: `/index.html`, or the end of a folder: `/joe/`.
                Some((folder, last)) if last.is_empty() || last.contains('.') => folder,
                // A folder without its last `/`.
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
        // After `:~:` follows a directive for the browser: a text to scroll to.
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
    } else if !EXTERNAL.contains(&scheme) {
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

/// The address of a file while references are resolved. Each part is encoded on its own, so that
/// `%` in a name is not an escape.
fn address_of(file: &SitePath) -> Option<Url> {
    let mut url = Url::parse(&format!("http://{SITE_HOST}/")).ok()?;
    url.path_segments_mut().ok()?.clear().extend(file.parts());
    Some(url)
}
