//! Which checks a kind of file gets, and those of style sheets, JSON and XML.

use std::collections::HashSet;

use super::placeholders::Literals;
use super::problem::{EXCERPT, Problems, Rule};
use super::reference::{Facts, Reference};
use super::{VerifyOptions, css, data, html};
use crate::excerpt::excerpt;
use crate::path::SitePath;
use sitewright_model::message;

/// Whether a file of this name is text, which must be UTF-8.
pub(super) fn is_text(path: &SitePath) -> bool {
    const TEXT: [&str; 15] = [
        "html",
        "htm",
        "css",
        "js",
        "mjs",
        "json",
        "webmanifest",
        "xml",
        "svg",
        "txt",
        "md",
        "csv",
        "vtt",
        "map",
        "rss",
    ];
    path.extension().is_some_and(|extension| TEXT.contains(&extension.as_str()))
}

/// Checks one file on its own and collects its references.
pub(super) fn check_file(
    file: &SitePath,
    bytes: Vec<u8>,
    options: &VerifyOptions,
    literals: &Literals,
    problems: &mut Problems,
) -> Facts {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let line =
                error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let message =
                message!("the file is not UTF-8 from byte {at} on; write text files as UTF-8");
            problems.add(file, Rule::Utf8, Some(line), None, message);
            return Facts::default();
        }
    };
    match file.extension().as_deref() {
        Some("html" | "htm") => html::check(file, &text, &options.languages, literals, problems),
        Some("css") => check_css(file, &text, problems),
        Some("json" | "webmanifest" | "map") => check_json(file, &text, literals, problems),
        Some("xml" | "svg" | "rss") => check_xml(file, &text, literals, problems),
        Some("txt") => {
            placeholder(file, None, literals.leftover(&text), problems);
            Facts::default()
        }
        _ => Facts::default(),
    }
}

fn check_css(file: &SitePath, text: &str, problems: &mut Problems) -> Facts {
    let sheet = css::read(text);
    for (error, line) in sheet.errors {
        let message = message!("the style sheet has {error}; close strings, URLs and blocks");
        problems.add(file, Rule::CssSyntax, Some(u64::from(line) + 1), None, message);
    }
    let refer =
        |(target, line)| reference(target, "style sheet's `url()`", Some(u64::from(line) + 1));
    Facts { references: sheet.urls.into_iter().map(refer).collect(), ..Facts::default() }
}

fn check_json(file: &SitePath, text: &str, literals: &Literals, problems: &mut Problems) -> Facts {
    let value: serde_json::Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            let message =
                message!("the JSON does not parse: {error}; write it with a JSON library");
            problems.add(file, Rule::JsonSyntax, Some(error.line() as u64), None, message);
            return Facts::default();
        }
    };
    placeholder(file, None, literals.leftover_in_json(&value), problems);
    if file.extension().as_deref() != Some("webmanifest") {
        return Facts::default();
    }
    let references = data::manifest_references(&value).into_iter();
    let references =
        references.map(|target| reference(target, "web app manifest's address", None)).collect();
    Facts { references, ..Facts::default() }
}

fn check_xml(file: &SitePath, text: &str, literals: &Literals, problems: &mut Problems) -> Facts {
    let xml = match data::read_xml(text) {
        Ok(xml) => xml,
        Err(error) => {
            let message = message!(
                "the XML is not well-formed: {}; write it with an escaping template",
                error.why
            );
            problems.add(file, Rule::XmlSyntax, Some(error.line), None, message);
            return Facts::default();
        }
    };
    for (text, line) in &xml.texts {
        placeholder(file, Some(*line), literals.leftover(text), problems);
    }
    let mut facts = Facts::default();
    if file.extension().as_deref() == Some("svg") {
        facts.anchors = Some(HashSet::from_iter(xml.ids));
        let links = xml.links.into_iter();
        facts
            .references
            .extend(links.map(|(target, line)| reference(target, "drawing's link", Some(line))));
    }
    if matches!(xml.root.as_str(), "urlset" | "sitemapindex") {
        for (target, line) in xml.locations {
            if !target.starts_with("https://") && !target.starts_with("http://") {
                let message = message!(
                    "the sitemap lists `{target}`; sitemaps need whole addresses with `https://`"
                );
                problems.add(file, Rule::Sitemap, Some(line), Some(&target), message);
            } else {
                let line = Some(line);
                facts.references.push(Reference {
                    target,
                    what: "sitemap's entry",
                    line,
                    canonical: true,
                });
            }
        }
    }
    facts
}

fn reference(target: String, what: &'static str, line: Option<u64>) -> Reference {
    Reference { target, what, line, canonical: false }
}

fn placeholder(
    file: &SitePath,
    line: Option<u64>,
    leftover: Option<String>,
    problems: &mut Problems,
) {
    if let Some(leftover) = leftover {
        let shown = excerpt(&leftover, EXCERPT);
        let message = message!("a placeholder of the template is left: `{shown}`; fill it in");
        problems.add(file, Rule::Placeholder, line, Some(&leftover), message);
    }
}
