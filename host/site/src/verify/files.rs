//! Which checks a kind of file gets, and those of style sheets, JSON and XML.

use sitewright_order::Locale;

use super::contrast::Styles;
use super::copy::Copy;
use super::data::{JsonText, XmlPart};
use super::images::{ImageFile, View};
use super::owner::Owner;
use super::placeholders::Literals;
use super::problem::{EXCERPT, Problems, Rule, shown};
use super::reference::Facts;
use super::reference_kind::ReferenceKind;
use super::script::{self, Kind, MAX_NESTING, Parsed};
use super::trackers::trackers;
use super::unused::Search;
use super::work::Work;
use super::{css, data, html};
use crate::excerpt::excerpt;
use crate::path::SitePath;
use sitewright_model::message;

/// Whether a file of this name is text, which must be UTF-8.
pub(super) fn is_text(path: &SitePath) -> bool {
    const TEXT: [&str; 18] = [
        "html",
        "htm",
        "css",
        "js",
        "mjs",
        "json",
        "jsonld",
        "geojson",
        "webmanifest",
        "xml",
        "svg",
        "txt",
        "md",
        "csv",
        "vtt",
        "map",
        "rss",
        "atom",
    ];
    path.extension().is_some_and(|extension| TEXT.contains(&extension.as_str()))
}

/// Reports what keeps a script from being JavaScript. It begins in `first_line` of the file.
pub(super) fn report_script(
    file: &SitePath,
    text: &str,
    kind: Kind,
    first_line: u64,
    work: &Work,
    problems: &mut Problems,
) {
    let errors = match script::parse(text, kind, work) {
        Parsed::Errors(errors) => errors,
        Parsed::Later => return,
        Parsed::Failed(error) => return problems.fail(error),
        Parsed::TooDeep => {
            let message = message!(
                "the script nests deeper than {MAX_NESTING} brackets, conditions and prefixes, so \
                 it was not checked; make it simpler"
            );
            problems.add(file, Rule::TooLarge, Some(first_line), None, message);
            return;
        }
    };
    for error in errors {
        let message = message!(
            "the script does not parse, so browsers run none of it: {} at character {} of the \
             line; correct it",
            shown(&error.why),
            error.column
        );
        let line = first_line + error.line;
        problems.add(file, Rule::ScriptSyntax, Some(line), Some(&error.source), message);
    }
}

/// The check of one file on its own.
pub(super) struct FileCheck<'a> {
    pub(super) file: &'a SitePath,
    pub(super) languages: &'a [Locale],
    pub(super) literals: &'a Literals,
    /// What the texts of pages are held against.
    pub(super) copy: Option<&'a Copy>,
    /// The search for the fields of the order.
    pub(super) search: &'a mut Search,
    /// The search for whose site it is.
    pub(super) owner: &'a mut Owner,
    /// The style sheets of the files before it.
    pub(super) styles: &'a mut Styles,
    pub(super) work: &'a Work,
    pub(super) problems: &'a mut Problems,
}

impl FileCheck<'_> {
    /// Checks the file and collects its references in `facts`.
    pub(super) fn check(&mut self, bytes: &[u8], facts: Facts) -> Facts {
        self.work.spend(bytes.len());
        let text = match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.valid_up_to();
                let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
                let message =
                    message!("the file is not UTF-8 from byte {at} on; write text files as UTF-8");
                self.add(Rule::Utf8, Some(line), None, message);
                return facts;
            }
        };
        match self.file.extension().as_deref() {
            Some("html" | "htm") => html::check(self, text, facts),
            Some("css") => self.css(text, facts),
            Some("json" | "jsonld" | "geojson" | "webmanifest" | "map") => self.json(text, facts),
            Some("xml" | "svg" | "rss" | "atom") => self.xml(text, facts),
            Some("js") => self.script(text, Kind::Either, facts),
            Some("mjs") => self.script(text, Kind::Module, facts),
            Some("txt") => {
                if self.file.as_str() == "robots.txt"
                    && let Some(line) = super::robots::keeps_all_out(text)
                {
                    let message = message!(
                        "`robots.txt` keeps all search engines out of the whole site, so nobody \
                         finds it; leave `Disallow` empty"
                    );
                    self.add(Rule::RobotsDisallow, Some(line), None, message);
                }
                let leftover = self.literals.leftover(text, self.work);
                self.placeholder(None, leftover);
                facts
            }
            _ => facts,
        }
    }

    fn add(
        &mut self,
        rule: Rule,
        line: Option<u64>,
        excerpt: Option<&str>,
        message: message::Message,
    ) {
        self.problems.add(self.file, rule, line, excerpt, message);
    }

    fn css(&mut self, text: &str, mut facts: Facts) -> Facts {
        self.work.spend(2 * text.len());
        self.styles.add(self.file, text, self.work);
        let sheet = css::read(text);
        for (error, line) in &sheet.errors {
            let message = message!("the style sheet has {error}; write it as CSS, and to its end");
            self.add(Rule::CssSyntax, Some(u64::from(*line) + 1), None, message);
        }
        self.problems.omit(sheet.more_errors);
        for (url, line) in &sheet.urls {
            facts.refer(url, ReferenceKind::StyleSheetUrl, Some(u64::from(*line) + 1), false);
        }
        facts.refer_more(sheet.more_urls);
        facts
    }

    fn script(&mut self, text: &str, kind: Kind, mut facts: Facts) -> Facts {
        report_script(self.file, text, kind, 1, self.work, self.problems);
        self.work.spend(text.len());
        for host in trackers(text) {
            facts.refer(&format!("https://{host}/"), ReferenceKind::Tracker, None, false);
        }
        facts
    }

    fn json(&mut self, text: &str, mut facts: Facts) -> Facts {
        let extension = self.file.extension();
        let is_manifest = extension.as_deref() == Some("webmanifest");
        // Texts of source maps are source code.
        let is_code = extension.as_deref() == Some("map");
        self.work.spend(text.len());
        let mut leftover = None;
        let read = data::read_json(text, |kind, text| {
            if leftover.is_none() && !is_code {
                leftover = self.literals.leftover(text, self.work);
            }
            if is_manifest && kind == JsonText::Address {
                facts.refer(text, ReferenceKind::AppManifestAddress, None, false);
            }
        });
        if let Err(error) = read {
            let message = message!(
                "the JSON does not parse: {}; write it with a JSON library",
                shown(&error.to_string())
            );
            self.add(Rule::JsonSyntax, Some(error.line() as u64), None, message);
        }
        self.placeholder(None, leftover);
        facts
    }

    fn xml(&mut self, text: &str, mut facts: Facts) -> Facts {
        let is_drawing = self.file.extension().as_deref() == Some("svg");
        if is_drawing {
            facts.has_anchors();
        }
        let mut is_sitemap = false;
        let mut view = View::default();
        self.work.spend(2 * text.len());
        let read = data::read_xml(text, &mut |part, line| match part {
            XmlPart::Root { name, namespace } => {
                is_sitemap = matches!(name, "urlset" | "sitemapindex");
                if is_drawing {
                    self.namespace(name, namespace, line);
                }
            }
            XmlPart::Script(name) if is_drawing => {
                let message = message!(
                    "the drawing has a script (`{}`), which does not run in an `<img>` and is \
                     dangerous elsewhere; leave it out",
                    shown(name)
                );
                self.add(Rule::SvgScript, Some(line), None, message);
            }
            XmlPart::Text(text) => {
                let leftover = self.literals.leftover(text, self.work);
                self.placeholder(Some(line), leftover);
            }
            XmlPart::Size { name, value } if is_drawing => view.read(name, value),
            XmlPart::Id(id) if is_drawing => {
                facts.anchor(id);
            }
            XmlPart::Link(target) if is_drawing => {
                facts.refer(target, ReferenceKind::DrawingLink, Some(line), false);
            }
            XmlPart::Location(target) if is_sitemap => {
                if target.starts_with("https://") || target.starts_with("http://") {
                    facts.refer(target, ReferenceKind::SitemapEntry, Some(line), true);
                    return;
                }
                let listed = if target.is_empty() { "an empty address" } else { target };
                let message = message!(
                    "the sitemap lists `{}`; sitemaps need whole addresses with `https://`",
                    shown(listed)
                );
                self.add(Rule::Sitemap, Some(line), Some(target), message);
            }
            XmlPart::Size { .. }
            | XmlPart::Id(_)
            | XmlPart::Link(_)
            | XmlPart::Location(_)
            | XmlPart::Script(_) => {}
        });
        if is_drawing {
            facts.image = Some(ImageFile::of_drawing(text.len() as u64, &view));
        }
        if let Err(error) = read {
            // What it refers to is not known: it was not read to its end, or means something else.
            facts.forget_references();
            let message = message!(
                "the XML is not well-formed: {}; write it with an escaping template",
                error.why
            );
            self.add(Rule::XmlSyntax, Some(error.line), None, message);
        }
        facts
    }

    fn namespace(&mut self, root: &str, namespace: Option<&str>, line: u64) {
        const SVG: &str = "http://www.w3.org/2000/svg";
        if root == "svg" && namespace == Some(SVG) {
            return;
        }
        let found = match namespace {
            _ if root != "svg" => format!("its root element is `<{}>`", shown(root)),
            Some(other) => format!("its namespace is `{}`", shown(other)),
            None => "it declares no namespace".to_owned(),
        };
        let message = message!(
            "browsers do not show this file as a drawing, because {found}; begin it with `<svg \
             xmlns=\"{SVG}\">`"
        );
        self.add(Rule::SvgNamespace, Some(line), None, message);
    }

    fn placeholder(&mut self, line: Option<u64>, leftover: Option<String>) {
        if let Some(leftover) = leftover {
            let text = excerpt(&leftover, EXCERPT);
            let message = message!("a placeholder of the template is left: `{text}`; fill it in");
            self.add(Rule::Placeholder, line, Some(&leftover), message);
        }
    }
}
