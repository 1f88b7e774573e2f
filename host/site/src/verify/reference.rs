//! Whether the references of all files lead to a file and an anchor of the site.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use percent_encoding::percent_decode_str;
use url::Url;

use super::VerifyOptions;
use super::hosts::Unreachable;
use super::image_size::ShownImage;
use super::images::ImageFile;
use super::problem::{Problems, Rule, shown};
use super::reference_kind::ReferenceKind;
use super::site::is_page;
use super::unused::key;
use super::work::Work;
use crate::path::{SitePath, case_key};
use sitewright_model::message;

/// The host of the site while references are resolved. `.invalid` is reserved (RFC 2606).
const SITE_HOST: &str = "site.invalid";
/// Maximum number of references of one file that are looked up.
pub(super) const MAX_REFERENCES: usize = 20_000;
/// Maximum number of references of a site that are looked up.
pub(super) const MAX_SITE_REFERENCES: usize = 200_000;
/// Maximum number of anchors of a site that links can lead to.
pub(super) const MAX_SITE_ANCHORS: usize = 500_000;
/// Maximum bytes of an address that is looked up. Browsers and servers accept 8 KiB or less.
const MAX_ADDRESS: usize = 8 << 10;
/// Maximum bytes of the addresses that others are resolved with: `<base href>` and the canonical
/// address.
const MAX_BASE: usize = 2 << 10;
/// Schemes that lead out of the site and that a visitor's browser can follow.
const EXTERNAL: [&str; 19] = [
    "http",
    "https",
    "mailto",
    "tel",
    "sms",
    "data",
    "geo",
    "whatsapp",
    "webcal",
    "facetime",
    "tg",
    "viber",
    "line",
    "sgnl",
    "skype",
    "fb-messenger",
    "maps",
    "waze",
    "sip",
];

/// A reference of a file.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// The address as written, entities decoded.
    target: String,
    what: ReferenceKind,
    /// Counted from 1.
    line: Option<u64>,
    /// Whether an address on the site's canonical host means a file of this site: in sitemaps and
    /// in a page's metadata. An ordinary link to that host may lead to pages of another system.
    canonical: bool,
}

/// What the check of one file collects for the look-up.
#[derive(Debug, Default)]
pub(super) struct Facts {
    references: Vec<Reference>,
    /// Maximum number of references that are collected.
    max_references: usize,
    /// Number of references that were not collected.
    more_references: u64,
    /// References whose address is too long: the first one, and the number of all.
    too_long: Option<(Box<Reference>, u64)>,
    /// The anchors that can follow a `#`; `None` for kinds of files that have none.
    anchors: Option<HashSet<String>>,
    /// Maximum number of anchors that are collected.
    max_anchors: usize,
    /// Number of anchors that were not collected.
    more_anchors: u64,
    /// `<base href>`.
    pub(super) base: Option<String>,
    /// `<link rel="canonical">`.
    pub(super) canonical: Option<String>,
    /// The title of a page, blanks collapsed.
    pub(super) title: Option<String>,
    /// The description of a page, blanks collapsed.
    pub(super) description: Option<String>,
    /// What the file is as an image.
    pub(super) image: Option<ImageFile>,
    /// The images that a page shows, and their places.
    pub(super) images: Vec<ShownImage>,
}

impl Facts {
    /// Of a file in a site that may still have so many references and anchors.
    pub(super) fn new(references: usize, anchors: usize) -> Self {
        Facts {
            max_references: references.min(MAX_REFERENCES),
            max_anchors: anchors,
            ..Facts::default()
        }
    }

    /// Number of references that are collected.
    pub(super) fn references(&self) -> usize {
        self.references.len()
    }

    /// Number of anchors that are collected.
    pub(super) fn anchors(&self) -> usize {
        self.anchors.as_ref().map_or(0, HashSet::len)
    }

    /// Collects a reference, or counts it if there are too many.
    pub(super) fn refer(
        &mut self,
        target: &str,
        what: ReferenceKind,
        line: Option<u64>,
        canonical: bool,
    ) {
        let target = target.trim();
        // It contains what it refers to.
        if target.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            return;
        }
        if self.references.len() >= self.max_references {
            self.more_references += 1;
            return;
        }
        let reference =
            |target: &str| Reference { target: target.to_owned(), what, line, canonical };
        if target.len() > MAX_ADDRESS {
            let first = || (Box::new(reference(&shown(target))), 0);
            self.too_long.get_or_insert_with(first).1 += 1;
            return;
        }
        self.references.push(reference(target));
    }

    /// The addresses as written.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.references.iter().map(|reference| reference.target.as_str())
    }

    /// The address to which the page leads visitors by itself, as written.
    pub(super) fn redirection(&self) -> Option<&str> {
        let mut references = self.references.iter();
        let found = references.find(|reference| reference.what == ReferenceKind::Redirection);
        found.map(|reference| reference.target.as_str())
    }

    /// Forgets all references.
    pub(super) fn forget_references(&mut self) {
        (self.references, self.more_references, self.too_long) = (Vec::new(), 0, None);
    }

    /// Counts references that the parser did not list.
    pub(super) fn refer_more(&mut self, number: u64) {
        self.more_references += number;
    }

    /// Says that the file is of a kind that has anchors.
    pub(super) fn has_anchors(&mut self) {
        self.anchors.get_or_insert_default();
    }

    /// Collects an anchor, or counts it if there are too many. Returns whether it is new.
    pub(super) fn anchor(&mut self, id: &str) -> bool {
        let anchors = self.anchors.get_or_insert_default();
        if anchors.contains(id) {
            return false;
        }
        match anchors.len() < self.max_anchors {
            true => drop(anchors.insert(id.to_owned())),
            false => self.more_anchors += 1,
        }
        true
    }

    /// Reports what was counted instead of collected.
    fn check(&self, file: &SitePath, problems: &mut Problems) {
        if self.more_references > 0 {
            let all = self.references.len() as u64 + self.more_references;
            let message = message!(
                "the file has too many references: {all}, of which {} were looked up; a file may \
                 have {MAX_REFERENCES} and a site {MAX_SITE_REFERENCES}",
                self.references.len()
            );
            problems.add(file, Rule::TooLarge, None, None, message);
        }
        if let Some((first, number)) = &self.too_long {
            let message = message!(
                "the {} `{}` has more than {MAX_ADDRESS} bytes, as {number} addresses of the file \
                 do; visitors' browsers refuse it: shorten it",
                first.what,
                first.target
            );
            problems.add(file, Rule::TooLarge, first.line, None, message);
        }
        if self.more_anchors > 0 {
            let message = message!(
                "the site has too many ids: {} of this file are more than the {MAX_SITE_ANCHORS} \
                 that a site may have; leave out those that nothing refers to",
                self.more_anchors
            );
            problems.add(file, Rule::TooLarge, None, None, message);
        }
    }
}

/// All files of a site, by path and by case key.
pub(super) struct Index<'a> {
    facts: &'a BTreeMap<SitePath, Facts>,
    by_case: HashMap<String, &'a SitePath>,
    canonical: Option<Canonical>,
    options: &'a VerifyOptions,
    /// The files that each page links to.
    links: RefCell<BTreeMap<&'a SitePath, BTreeSet<&'a SitePath>>>,
    /// The other hosts that were reported of each file.
    external: RefCell<BTreeSet<(&'a SitePath, String)>>,
    /// The files that pages and style sheets show as images.
    shown: RefCell<BTreeSet<&'a SitePath>>,
}

/// Where the entry page says that the site is.
struct Canonical {
    host: String,
    /// The path of the site's folder, without `/` at its end.
    folder: String,
}

impl Canonical {
    fn parse(address: &str) -> Option<Self> {
        let url = Url::parse(address).ok()?;
        let folder = match url.path().rsplit_once('/') {
            // A file: `/index.html`, or the end of a folder: `/joe/`.
            Some((folder, last)) if last.is_empty() || last.contains('.') => folder,
            // A folder without its last `/`.
            _ => url.path(),
        };
        Some(Canonical { host: url.host_str()?.to_owned(), folder: folder.to_owned() })
    }
}

impl<'a> Index<'a> {
    pub(super) fn new(facts: &'a BTreeMap<SitePath, Facts>, options: &'a VerifyOptions) -> Self {
        let by_case = facts.keys().map(|path| (case_key(path.as_str()), path)).collect();
        let entry = facts.get(&SitePath::entry_page());
        let canonical = entry
            .and_then(|facts| facts.canonical.as_deref())
            .filter(|address| address.len() <= MAX_BASE)
            .and_then(Canonical::parse);
        let (links, external, shown) = Default::default();
        Index { facts, by_case, canonical, options, links, external, shown }
    }

    /// The files that pages and style sheets show as images. After [`Index::check`].
    pub(super) fn shown(&self) -> BTreeSet<&'a SitePath> {
        self.shown.borrow().clone()
    }

    /// The files that links lead to from the entry page, itself included. After [`Index::check`].
    pub(super) fn linked(&self) -> BTreeSet<&'a SitePath> {
        let links = self.links.borrow();
        let entry = self.facts.get_key_value(&SitePath::entry_page()).map(|(path, _)| path);
        let mut linked: BTreeSet<&SitePath> = entry.into_iter().collect();
        let mut next: Vec<&SitePath> = linked.iter().copied().collect();
        while let Some(page) = next.pop() {
            for target in links.get(page).into_iter().flatten() {
                if linked.insert(target) {
                    next.push(target);
                }
            }
        }
        linked
    }

    /// Reports every broken reference of every file, as long as `work` is not exhausted. Returns
    /// the file in which it was.
    pub(super) fn check(&self, work: &Work, problems: &mut Problems) -> Option<&'a SitePath> {
        for (file, facts) in self.facts {
            facts.check(file, problems);
            let page = address_of(file);
            let base = facts.base.as_ref().and_then(|base| {
                if base.len() > MAX_BASE {
                    let message = message!(
                        "the `<base href>` has {} bytes, and addresses were looked up without \
                         it; it may have {MAX_BASE}",
                        base.len()
                    );
                    problems.add(file, Rule::TooLarge, None, Some(base), message);
                    return None;
                }
                page.as_ref()?.join(base).ok()
            });
            let base = base.or(page);
            let base_bytes = base.as_ref().map_or(0, |base| base.as_str().len());
            for reference in &facts.references {
                work.spend(4 * (reference.target.len() + base_bytes));
                if work.is_exhausted() {
                    return Some(file);
                }
                self.check_one(file, base.as_ref(), reference, problems);
            }
        }
        None
    }

    fn check_one(
        &self,
        file: &'a SitePath,
        base: Option<&Url>,
        reference: &Reference,
        problems: &mut Problems,
    ) {
        let (what, target) = (reference.what, reference.target.as_str());
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
                    "the {what} `{}` is not a valid address ({error}); write a path in the site or \
                     a whole URL",
                    shown(target)
                );
                add(Rule::BrokenReference, message);
                return;
            }
        };
        self.check_host(&url, what, target, &mut add);
        self.check_external(file, &url, reference, &mut add);
        let found = match self.inside(&url, reference.canonical) {
            Some(path) => self.look_up(&path, &url, reference, &mut add),
            None => {
                check_outside(&url, what, &shown(target), &mut add);
                // A link with the site's own address may lead to another system: what is missing is
                // no problem, but what is there can be reached.
                let path = self.inside(&url, true);
                path.and_then(|path| self.exact(&self.candidates(&path)))
            }
        };
        if let Some(found) = found.filter(|_| reference.what.shows()) {
            self.shown.borrow_mut().insert(found);
        }
        if let Some(found) = found.filter(|_| reference.what.leads()) {
            self.links.borrow_mut().entry(file).or_default().insert(found);
        }
    }

    /// Reports a host that no visitor reaches.
    fn check_host(
        &self,
        url: &Url,
        what: ReferenceKind,
        target: &str,
        add: &mut impl FnMut(Rule, message::Message),
    ) {
        // In other schemes, such as `whatsapp://send`, it is no machine.
        let Some(host) = url.host().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return;
        };
        let name = host.to_string();
        if name == SITE_HOST {
            return;
        }
        match Unreachable::of(&host) {
            Some(Unreachable::Local) => {
                let message = message!(
                    "the {what} `{}` leads to `{}`, which is the visitor's own machine or a \
                     private network; write the site's public address",
                    shown(target),
                    shown(&name)
                );
                add(Rule::LocalAddress, message);
            }
            Some(Unreachable::Example) if !self.options.example_hosts.contains(&name) => {
                let message = message!(
                    "the {what} `{}` leads to `{}`, a name for examples that belongs to nobody \
                     and is not in the order; write a real address",
                    shown(target),
                    shown(&name)
                );
                add(Rule::ExampleAddress, message);
            }
            Some(Unreachable::Example) | None => {}
        }
    }

    /// Reports what browsers load from a host that nobody declared, once for each file and host.
    fn check_external(
        &self,
        file: &'a SitePath,
        url: &Url,
        reference: &Reference,
        add: &mut impl FnMut(Rule, message::Message),
    ) {
        let is_web = matches!(url.scheme(), "http" | "https" | "ws" | "wss");
        let Some(host) = url.host_str().filter(|_| is_web && reference.what.is_loaded()) else {
            return;
        };
        let is_own = host == SITE_HOST
            || self.canonical.as_ref().is_some_and(|canonical| canonical.host == host);
        if is_own
            || self.options.external_hosts.contains(host)
            || self.is_of_order(url, host, reference.what)
            || !self.external.borrow_mut().insert((file, host.to_owned()))
        {
            return;
        }
        let message = message!(
            "visitors' browsers ask `{}` for the {} `{}`, so that host learns of each visitor; \
             ship it with the site, or declare the host in the template's manifest",
            shown(host),
            reference.what,
            shown(&reference.target)
        );
        add(Rule::External, message);
    }

    /// Whether the order names an address, of which an image server may be asked for another size;
    /// or, of a connection made ahead, its host.
    fn is_of_order(&self, url: &Url, host: &str, what: ReferenceKind) -> bool {
        let own = &self.options.own_addresses;
        if own.contains(&key(url.as_str())) {
            return true;
        }
        if what == ReferenceKind::Connection {
            let host = host.strip_prefix("www.").unwrap_or(host);
            let folder = format!("{host}/");
            let next = own.range(folder.clone()..).next();
            return own.contains(host)
                || next.is_some_and(|address| address.starts_with(folder.as_str()));
        }
        let mut page = url.clone();
        page.set_query(None);
        page.set_fragment(None);
        own.contains(&key(page.as_str()))
    }

    /// The decoded path in the site that `url` leads to; `None` if it leads out of the site. With
    /// `by_host`, addresses on the site's canonical host are in the site, too.
    fn inside(&self, url: &Url, by_host: bool) -> Option<String> {
        let path = if url.host_str() == Some(SITE_HOST) {
            url.path().trim_start_matches('/')
        } else {
            let canonical = self.canonical.as_ref().filter(|_| by_host)?;
            if !url.scheme().starts_with("http") || url.host_str() != Some(&canonical.host) {
                return None;
            }
            url.path().strip_prefix(&canonical.folder)?.strip_prefix('/')?
        };
        Some(decoded(path))
    }

    fn candidates(&self, path: &str) -> Vec<String> {
        candidates(path, self.options.clean_urls)
    }

    /// The file with this path, in whatever spelling.
    fn near(&self, path: &str) -> Option<&'a SitePath> {
        self.by_case.get(&case_key(path)).copied()
    }

    /// The first of these files that the site has in exactly this spelling.
    fn exact(&self, candidates: &[String]) -> Option<&'a SitePath> {
        candidates
            .iter()
            .find_map(|wanted| self.near(wanted).filter(|path| path.as_str() == wanted))
    }

    fn look_up(
        &self,
        path: &str,
        url: &Url,
        reference: &Reference,
        add: &mut impl FnMut(Rule, message::Message),
    ) -> Option<&'a SitePath> {
        let (what, target) = (reference.what, shown(&reference.target));
        let candidates = self.candidates(path);
        let Some(found) = self.exact(&candidates) else {
            let message = match candidates.iter().find_map(|wanted| self.near(wanted)) {
                Some(near) => message!(
                    "the {what} `{target}` leads to `{near}` in another spelling; write upper and \
                     lower case and accents as in the file's name"
                ),
                None => message!(
                    "the {what} `{target}` leads to `{}`, which is not in the site; write that \
                     file or change the address",
                    shown(&candidates[0])
                ),
            };
            add(Rule::BrokenReference, message);
            return None;
        };
        let Some(anchors) = self.facts.get(found).and_then(|facts| facts.anchors.as_ref()) else {
            return Some(found);
        };
        let fragment = url.fragment().unwrap_or_default();
        // After `:~:` follows a directive for the browser: a text to scroll to.
        let fragment = fragment.split(":~:").next().unwrap_or_default();
        let decoded = percent_decode_str(fragment).decode_utf8_lossy();
        let top = decoded.is_empty() || decoded.eq_ignore_ascii_case("top");
        if !top
            && !is_view(found, &decoded)
            && !anchors.contains(&*decoded)
            && !anchors.contains(fragment)
        {
            let message = message!(
                "the {what} `{target}` leads to `#{}`, but nothing in `{found}` has that id; add \
                 the id or change the link",
                shown(&decoded)
            );
            add(Rule::BrokenFragment, message);
        }
        Some(found)
    }
}

/// Whether a fragment of a drawing names no element but a part of what it shows: `svgView(…)` of
/// SVG, or `xywh=…`, `t=…` of Media Fragments.
fn is_view(file: &SitePath, fragment: &str) -> bool {
    file.extension().as_deref() == Some("svg")
        && (fragment.starts_with("svgView(")
            || fragment.split('&').all(|part| {
                let name = part.split_once('=').map(|(name, _)| name);
                matches!(name, Some("xywh" | "t" | "track" | "id"))
            }))
}

fn check_outside(
    url: &Url,
    what: ReferenceKind,
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
            "the {what} `{target}` has the scheme `{}:`, which visitors cannot follow; use https, \
             mailto or tel",
            shown(scheme)
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

/// The files that a path may lead to, in the sequence in which servers look for them.
fn candidates(path: &str, clean_urls: bool) -> Vec<String> {
    let mut candidates = if path.is_empty() || path.ends_with('/') {
        vec![format!("{path}index.html")]
    } else {
        vec![path.to_owned(), format!("{path}/index.html")]
    };
    if clean_urls {
        let path = path.trim_end_matches('/');
        candidates.extend((!path.is_empty()).then(|| format!("{path}.html")));
    }
    candidates
}

/// The page of the site, but not `file` itself, to which an address in `file` leads. `None` if it
/// leads elsewhere. `paths` are the files of the site.
pub(super) fn other_page(
    file: &SitePath,
    address: &str,
    paths: &[SitePath],
    clean_urls: bool,
) -> Option<SitePath> {
    let candidates = candidates(&path_in_site(file, address)?, clean_urls);
    let mut found = candidates
        .iter()
        .filter_map(|wanted| paths.iter().find(|path| path.as_str() == wanted && is_page(path)));
    found.next().filter(|page| *page != file).cloned()
}

fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// The path in the site that an address in `file` leads to; `None` if it leads out of the site.
pub(super) fn path_in_site(file: &SitePath, address: &str) -> Option<String> {
    let address = address.trim();
    if address.is_empty() || address.len() > MAX_ADDRESS {
        return None;
    }
    let url = address_of(file)?.join(address).ok()?;
    let is_inside = url.host_str() == Some(SITE_HOST);
    is_inside.then(|| decoded(url.path().trim_start_matches('/')))
}

/// The address of a file while references are resolved. Each part is encoded on its own, so that
/// `%` in a name is not an escape.
fn address_of(file: &SitePath) -> Option<Url> {
    let mut url = Url::parse(&format!("http://{SITE_HOST}/")).ok()?;
    url.path_segments_mut().ok()?.clear().extend(file.parts());
    Some(url)
}
