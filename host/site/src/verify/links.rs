//! What a page refers to.

use scraper::ElementRef;

use super::html::PageCheck;
use super::placeholders::is_marked;
use super::reference_kind::ReferenceKind;

impl PageCheck<'_> {
    /// Collects the addresses of an element. In a `<template>`, those with placeholders are none.
    pub(super) fn references(
        &mut self,
        element: &ElementRef<'_>,
        name: &str,
        line: Option<u64>,
        in_template: bool,
    ) {
        if name == "base" {
            if self.facts.base.is_none() {
                self.facts.base = element.attr("href").map(str::to_owned);
            }
            return;
        }
        for (attribute, value) in element.value().attrs() {
            if in_template && is_marked(value) {
                continue;
            }
            let what = match (name, attribute) {
                ("a" | "area", "href") => ReferenceKind::Link,
                ("link", "href") => {
                    self.head_link(element, value, line);
                    continue;
                }
                ("script", "src") => ReferenceKind::Script,
                ("img" | "input", "src") | ("image", "href") | (_, "poster") => {
                    ReferenceKind::Image
                }
                // Elements of the author's own have attributes of this name with another meaning.
                (
                    "body" | "table" | "thead" | "tbody" | "tfoot" | "tr" | "td" | "th",
                    "background",
                ) => ReferenceKind::Image,
                // It is empty until a script or a visitor fills it.
                ("iframe", "src") if value.trim().eq_ignore_ascii_case("about:blank") => continue,
                ("iframe" | "embed" | "frame", "src") | ("object", "data") => {
                    ReferenceKind::Embedded
                }
                ("video" | "audio" | "track" | "source", "src") => ReferenceKind::Media,
                ("use", "href") => ReferenceKind::Drawing,
                ("img" | "source", "srcset") | ("link", "imagesrcset") => {
                    for (candidate, _) in candidates(value) {
                        self.facts.refer(candidate, ReferenceKind::SrcsetImage, line, false);
                    }
                    continue;
                }
                // An empty one is reported by the rule for forms.
                ("form", "action") if value.trim().is_empty() => continue,
                ("form", "action") | ("button" | "input", "formaction") => {
                    ReferenceKind::FormAction
                }
                ("meta", "content") => {
                    self.meta(element, value, line);
                    continue;
                }
                _ => continue,
            };
            self.facts.refer(value, what, line, false);
        }
    }

    fn head_link(&mut self, element: &ElementRef<'_>, href: &str, line: Option<u64>) {
        let relations = element.attr("rel").unwrap_or_default().to_ascii_lowercase();
        let is = |relation| relations.split_ascii_whitespace().any(|found| found == relation);
        if is("canonical") {
            self.facts.canonical = Some(href.trim().to_owned());
        }
        let what = match () {
            () if is("stylesheet") => ReferenceKind::StyleSheet,
            () if is("manifest") => ReferenceKind::AppManifest,
            () if is("icon") || is("apple-touch-icon") => ReferenceKind::Icon,
            () if is("canonical") => ReferenceKind::Canonical,
            () if is("preload") || is("modulepreload") || is("prefetch") => ReferenceKind::Preload,
            () if is("preconnect") || is("dns-prefetch") => ReferenceKind::Connection,
            () => ReferenceKind::HeadLink,
        };
        self.facts.refer(href, what, line, is("canonical") || is("alternate"));
    }

    fn meta(&mut self, element: &ElementRef<'_>, content: &str, line: Option<u64>) {
        let name = element.attr("property").or_else(|| element.attr("name")).unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "og:image" | "og:image:url" | "og:image:secure_url" | "twitter:image" => {
                self.facts.refer(content, ReferenceKind::PreviewImage, line, true);
            }
            "og:url" => self.facts.refer(content, ReferenceKind::PreviewAddress, line, true),
            _ => {}
        }
        let refresh =
            element.attr("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh"));
        if refresh && let Some((_, target)) = content.split_once('=') {
            let target = target.trim().trim_matches(['\'', '"']);
            self.facts.refer(target, ReferenceKind::Redirection, line, false);
        }
    }
}

/// The addresses in a `srcset`, each with what follows it: `2x`, `640w` or nothing. As the HTML
/// standard parses it: an address ends at white space; commas at its end are not part of it.
pub(super) fn candidates(srcset: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = srcset;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
        if rest.is_empty() {
            return None;
        }
        let (address, after) =
            rest.split_at(rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len()));
        let alone = address.trim_end_matches(',');
        // Without a comma directly after the address, sizes follow until the next comma.
        let (descriptor, next) = if alone.len() < address.len() {
            ("", after)
        } else {
            after.split_once(',').unwrap_or((after, ""))
        };
        rest = next;
        Some((alone, descriptor.trim()))
    })
}
