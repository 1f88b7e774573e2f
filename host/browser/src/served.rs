//! What a page gets that asks for something.

use std::collections::BTreeSet;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sitewright_site::store::content::content_type;
use sitewright_site::{Address, SitePath, ViewedSite, find_address};
use url::Url;

use crate::Files;

/// Where the site is for its pages: a secure context, and no host that anybody has.
const ORIGIN: &str = "https://site.invalid";
/// What is kept as it is in the address of a file.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');

/// The files of a site, as a web server finds them.
#[derive(Debug)]
pub(crate) struct ServedSite {
    files: Files,
    paths: Vec<SitePath>,
    known: BTreeSet<SitePath>,
    clean_urls: bool,
}

/// The answer to a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply<'a> {
    File {
        content_type: &'static str,
        bytes: &'a [u8],
    },
    Redirect(String),
    /// The site has no such file; the bytes are its page for that.
    Missing {
        bytes: &'a [u8],
    },
    /// The request is not for this site, but for this host.
    Elsewhere(String),
}

impl ServedSite {
    pub(crate) fn new(site: ViewedSite) -> Self {
        let paths = site.files.keys().cloned().collect();
        let files = site.files.into_iter();
        let files = files.map(|(path, bytes)| (path.as_str().to_owned(), bytes)).collect();
        ServedSite { files, paths, known: site.known, clean_urls: site.clean_urls }
    }

    /// The pages to look at, the entry page first.
    pub(crate) fn pages(&self) -> Vec<SitePath> {
        let is_page = |path: &&SitePath| {
            matches!(path.extension().as_deref(), Some("html" | "htm" | "xhtml"))
        };
        let is_new = |path: &&SitePath| is_page(path) && !self.known.contains(*path);
        let mut pages: Vec<SitePath> = self.paths.iter().filter(is_new).cloned().collect();
        pages.sort_by_key(|path| path.as_str() != "index.html");
        pages
    }

    /// The address of a page, as its visitors have it.
    pub(crate) fn address(&self, page: &SitePath) -> String {
        let path = page.as_str();
        let path = match path.strip_suffix("index.html") {
            Some(folder) if folder.is_empty() || folder.ends_with('/') => folder,
            _ => path,
        };
        format!("{ORIGIN}/{}", utf8_percent_encode(path, PLAIN))
    }

    /// The file that an address leads to.
    pub(crate) fn file_at(&self, address: &str) -> Option<SitePath> {
        let url = Url::parse(address).ok().filter(is_here)?;
        match self.find(&url) {
            Address::File(path) => self.paths.iter().find(|own| own.as_str() == path).cloned(),
            Address::Folder(_) | Address::Nothing => None,
        }
    }

    fn find(&self, url: &Url) -> Address {
        let path = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
        path.map_or(Address::Nothing, |path| {
            find_address(&path, self.clean_urls, |file| self.files.contains_key(file))
        })
    }

    pub(crate) fn reply(&self, address: &str, method: &str) -> Reply<'_> {
        let missing = || Reply::Missing {
            bytes: self.files.get("404.html").map(Vec::as_slice).unwrap_or_default(),
        };
        let url = match Url::parse(address) {
            Ok(url) if is_here(&url) => url,
            Ok(url) => return Reply::Elsewhere(url.host_str().unwrap_or(url.scheme()).to_owned()),
            Err(_) => return Reply::Elsewhere("an invalid address".to_owned()),
        };
        if !["GET", "HEAD"].contains(&method) {
            return missing();
        }
        match self.find(&url) {
            Address::File(path) => {
                match (self.files.get(&path), SitePath::parse(&path, usize::MAX)) {
                    (Some(bytes), Ok(path)) => {
                        Reply::File { content_type: content_type(&path), bytes }
                    }
                    _ => missing(),
                }
            }
            Address::Folder(path) => {
                Reply::Redirect(format!("{ORIGIN}/{}", utf8_percent_encode(&path, PLAIN)))
            }
            Address::Nothing => missing(),
        }
    }

    /// The address without the part that all files of the site share.
    pub(crate) fn shown(address: &str) -> &str {
        address.strip_prefix(ORIGIN).map_or(address, |path| path.trim_start_matches('/'))
    }
}

fn is_here(url: &Url) -> bool {
    url.origin().ascii_serialization() == ORIGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_as_a_web_server_does() {
        let names =
            ["index.html", "404.html", "a b/index.html", "about.html", "style.css", "ü.png"];
        let file = |name: &&str| (SitePath::parse(name, 255).unwrap(), name.as_bytes().to_vec());
        let site = |clean_urls| {
            let files = names.iter().map(file).collect();
            ServedSite::new(ViewedSite { files, clean_urls, ..ViewedSite::default() })
        };
        let plain = site(false);
        let pages: Vec<String> = plain.pages().iter().map(|page| plain.address(page)).collect();
        assert_eq!(
            pages,
            ["", "404.html", "a%20b/", "about.html"].map(|path| format!("{ORIGIN}/{path}"))
        );
        let found =
            |site: &ServedSite, address: &str, method: &str| match site.reply(address, method) {
                Reply::File { content_type, bytes } => {
                    format!("{} {content_type}", String::from_utf8_lossy(bytes))
                }
                Reply::Redirect(to) => format!("to {to}"),
                Reply::Missing { bytes } => format!("no {}", String::from_utf8_lossy(bytes)),
                Reply::Elsewhere(host) => format!("not {host}"),
            };
        for (address, expected) in [
            ("/", "index.html text/html; charset=utf-8"),
            ("/style.css?v=1#x", "style.css text/css; charset=utf-8"),
            ("/%C3%BC.png", "ü.png image/png"),
            ("/a%20b", "to https://site.invalid/a%20b/"),
            ("/a%20b/", "a b/index.html text/html; charset=utf-8"),
            ("/about", "no 404.html"),
            ("/../../etc/passwd", "no 404.html"),
            ("/%ff", "no 404.html"),
        ] {
            assert_eq!(found(&plain, &format!("{ORIGIN}{address}"), "GET"), expected, "{address}");
        }
        let about = format!("{ORIGIN}/about");
        assert_eq!(found(&site(true), &about, "GET"), "about.html text/html; charset=utf-8");
        assert_eq!(found(&plain, &format!("{ORIGIN}/"), "POST"), "no 404.html");
        assert_eq!(found(&plain, "http://site.invalid/", "GET"), "not site.invalid");
        assert_eq!(found(&plain, "https://10.0.0.1:8080/x", "GET"), "not 10.0.0.1");
        let at = plain.file_at(&format!("{ORIGIN}/a%20b/#x"));
        assert_eq!(at.unwrap().as_str(), "a b/index.html");
        assert_eq!(plain.file_at("https://other.example/style.css"), None);
    }
}
