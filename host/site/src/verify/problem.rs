//! The rules of a site, and the bounded list of their violations.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::excerpt::excerpt as cut;
use crate::path::SitePath;
use sitewright_copy::CopyRule;
use sitewright_model::message::Message;

/// Maximum number of problems listed for one file. Further ones are counted.
const PER_FILE: usize = 50;
/// Maximum number of problems listed for a site.
const PER_SITE: usize = 500;
/// Maximum number of characters of an excerpt.
pub(super) const EXCERPT: usize = 120;
/// Maximum number of characters of a text of the site in a message.
const SHOWN: usize = 300;

/// A text of the site as messages show it.
pub(super) fn shown(text: &str) -> String {
    cut(text, SHOWN)
}

/// What a violation of a rule does.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// The rule is not checked.
    Off,
    /// The site is published, and the violation reported.
    Warning,
    /// The site is not published.
    Error,
}

/// The levels that an operator chose; all other rules have their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Levels(BTreeMap<Rule, Level>);

impl Levels {
    /// # Errors
    /// If a rule has another level than [`Rule::level`] that must keep it: the rule.
    pub fn new(levels: BTreeMap<Rule, Level>) -> Result<Self, Rule> {
        let fixed = levels.iter().find(|(rule, level)| rule.is_fixed() && **level != rule.level());
        match fixed {
            Some((rule, _)) => Err(*rule),
            None => Ok(Levels(levels)),
        }
    }

    /// The level of a rule for AI replies: an error unless the operator chose another one. A reply
    /// can be asked for again; a page is the template's, and may have texts that look odd.
    pub fn of_reply(&self, rule: CopyRule) -> Level {
        self.0.get(&Rule::of_copy(rule)).copied().unwrap_or(Level::Error)
    }

    /// The level of a rule.
    pub fn of(&self, rule: Rule) -> Level {
        self.0.get(&rule).copied().unwrap_or_else(|| rule.level())
    }
}

/// A rule for sites.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `index.html` exists.
    EntryPage,
    /// Text files are UTF-8.
    Utf8,
    /// HTML parses without errors that change what is shown.
    HtmlSyntax,
    /// CSS has no broken strings, URLs or blocks.
    CssSyntax,
    /// XML and SVG are well-formed, declare their namespaces and no entities, and have no control
    /// characters.
    XmlSyntax,
    /// An SVG drawing declares the namespace of SVG: browsers show it as text otherwise.
    SvgNamespace,
    /// An SVG drawing has no scripts.
    SvgScript,
    /// JSON files parse.
    JsonSyntax,
    /// JSON-LD in pages parses.
    JsonLd,
    /// `<html lang>` is a language tag of one of the allowed languages.
    Language,
    /// Pages declare their encoding, UTF-8, in their first 1,024 bytes. Pages of ASCII need not.
    Charset,
    /// The entry page lets search engines list it.
    NoIndex,
    /// `robots.txt` lets search engines read the site.
    RobotsDisallow,
    /// Each page has a `<title>`.
    Title,
    /// Each page has a meta description.
    Description,
    /// Each page sets the viewport.
    Viewport,
    /// Each page has at least 20 characters of visible text.
    EmptyPage,
    /// Each id is unique in its page.
    DuplicateId,
    /// Each image has an `alt`, which may be empty.
    ImageAlt,
    /// Each form has an address that it sends its data to.
    FormAction,
    /// References inside the site lead to an existing file in exactly its spelling.
    BrokenReference,
    /// The anchor that a link names with `#` exists.
    BrokenFragment,
    /// Links have a scheme that a visitor's browser can follow; not `javascript:`.
    LinkScheme,
    /// No address leads to the machine of the visitor or to a private network: `localhost`,
    /// `127.0.0.1`, `192.168.1.1`, `*.local`.
    LocalAddress,
    /// No address leads to a name that is reserved for examples, unless the order has it:
    /// `example.com`, `*.example`, `*.test`, `*.invalid`.
    ExampleAddress,
    /// Text and attributes contain no placeholder: `{{`, `}}` or `${`.
    Placeholder,
    /// Sitemaps list absolute URLs.
    Sitemap,
    /// Each file is small enough to be checked: elements, nesting, attributes, references.
    TooLarge,
    /// A title has 10 to 70 characters: search engines cut longer ones.
    TitleLength,
    /// A description has 40 to 170 characters: search engines cut longer ones.
    DescriptionLength,
    /// No two pages have the same title.
    DuplicateTitle,
    /// No two pages have the same description.
    DuplicateDescription,
    /// The canonical address is one whole `https` address.
    Canonical,
    /// No page leads visitors elsewhere by itself.
    MetaRefresh,
    /// Links lead from the entry page to each page but `404.html`.
    OrphanPage,
    /// A page or paragraph in a language that is written from right to left says so with `dir`, and
    /// one in another language within it, too.
    Direction,
    /// A table with more than one row names its columns or rows with `<th>`.
    TableHeader,
    /// A section has text or an image.
    EmptySection,
    /// The entry page has an icon.
    Icon,
    /// The entry page has an icon for home screens: `apple-touch-icon`, or a web app manifest.
    AppIcon,
    /// The entry page has an image for previews: `og:image`.
    PreviewImage,
    /// JSON-LD has the context schema.org and a type; a business has a name and a way to reach it.
    JsonLdType,
    /// The content of an image is of the kind that its name says.
    ImageFile,
    /// Browsers can show each image: its file is whole, of a format that they know, and has a
    /// picture.
    ImageBroken,
    /// The place of an image is known before it is loaded, has the shape of its file, and the file
    /// has no more pixels and bytes than it needs.
    ImageSize,
    /// The entry page shows the name of the business, and a way to reach it or a link that is one,
    /// if the order has them.
    WhoseSite,
    /// Each field of the order that visitors should see is on a page, or a link leads to it.
    UnusedField,
    /// Where style sheets make the colours of a text and of its background certain, their contrast
    /// is that of WCAG 2 level AA: 4.5:1, or 3:1 for large text.
    Contrast,
    /// No text that is longer than a label is hidden from visitors.
    HiddenText,
    /// Pages load nothing from other hosts, but from those that the template's manifest declares
    /// and what the order itself names: each host learns of every visitor.
    External,
    /// Each page has exactly one `<h1>`.
    OneH1,
    /// No heading skips a level: no `<h4>` follows an `<h2>`.
    HeadingOrder,
    /// Scripts parse as JavaScript.
    ScriptSyntax,
    /// No page makes visitors scroll sideways, at 360, 390 and 1,440 CSS pixels. Needs a browser.
    BrowserOverflow,
    /// No script stops with an error, and the console shows none. Needs a browser.
    BrowserConsole,
    /// A page asks the site for nothing that it does not have. Needs a browser.
    BrowserRequest,
    /// axe-core finds nothing that WCAG 2.2 forbids on levels A and AA. Needs a browser.
    BrowserAxe,
    /// [`CopyRule::Refusal`].
    CopyRefusal,
    /// [`CopyRule::Placeholder`].
    CopyPlaceholder,
    /// [`CopyRule::LeftOver`].
    CopyLeftOver,
    /// [`CopyRule::Markdown`].
    CopyMarkdown,
    /// [`CopyRule::PromptFragment`].
    CopyPromptFragment,
    /// [`CopyRule::Language`].
    CopyLanguage,
    /// [`CopyRule::Repetition`].
    CopyRepetition,
    /// [`CopyRule::Heading`].
    CopyHeading,
    /// [`CopyRule::CutSentence`].
    CopyCutSentence,
    /// [`CopyRule::UnknownPhone`].
    CopyUnknownPhone,
    /// [`CopyRule::UnknownEmail`].
    CopyUnknownEmail,
    /// [`CopyRule::UnknownPrice`].
    CopyUnknownPrice,
    /// [`CopyRule::UnknownYear`].
    CopyUnknownYear,
    /// [`CopyRule::UnknownAward`].
    CopyUnknownAward,
    /// [`CopyRule::UnknownFigure`].
    CopyUnknownFigure,
    /// [`CopyRule::UnknownAddress`].
    CopyUnknownAddress,
    /// [`CopyRule::ForbiddenWord`].
    CopyForbiddenWord,
}

impl Rule {
    /// The rule's level, unless the operator chose another one.
    pub fn level(self) -> Level {
        match self {
            Rule::EntryPage
            | Rule::Utf8
            | Rule::HtmlSyntax
            | Rule::CssSyntax
            | Rule::XmlSyntax
            | Rule::SvgNamespace
            | Rule::SvgScript
            | Rule::JsonSyntax
            | Rule::JsonLd
            | Rule::Language
            | Rule::Charset
            | Rule::NoIndex
            | Rule::RobotsDisallow
            | Rule::Title
            | Rule::Description
            | Rule::Viewport
            | Rule::EmptyPage
            | Rule::DuplicateId
            | Rule::ImageAlt
            | Rule::FormAction
            | Rule::BrokenReference
            | Rule::BrokenFragment
            | Rule::LinkScheme
            | Rule::LocalAddress
            | Rule::Placeholder
            | Rule::Sitemap
            | Rule::TooLarge
            | Rule::ImageBroken
            | Rule::WhoseSite
            | Rule::ScriptSyntax
            | Rule::BrowserOverflow
            | Rule::BrowserConsole
            | Rule::BrowserRequest
            | Rule::BrowserAxe
            | Rule::CopyRefusal
            | Rule::CopyPlaceholder
            | Rule::CopyLeftOver
            | Rule::CopyMarkdown
            | Rule::CopyPromptFragment
            | Rule::CopyUnknownPhone
            | Rule::CopyUnknownEmail
            | Rule::CopyUnknownPrice
            | Rule::CopyUnknownAddress
            | Rule::CopyForbiddenWord => Level::Error,
            Rule::ExampleAddress
            | Rule::TitleLength
            | Rule::DescriptionLength
            | Rule::DuplicateTitle
            | Rule::DuplicateDescription
            | Rule::Canonical
            | Rule::MetaRefresh
            | Rule::OrphanPage
            | Rule::Direction
            | Rule::TableHeader
            | Rule::EmptySection
            | Rule::Icon
            | Rule::AppIcon
            | Rule::PreviewImage
            | Rule::JsonLdType
            | Rule::ImageFile
            | Rule::ImageSize
            | Rule::UnusedField
            | Rule::Contrast
            | Rule::HiddenText
            | Rule::External
            | Rule::OneH1
            | Rule::HeadingOrder
            | Rule::CopyLanguage
            | Rule::CopyRepetition
            | Rule::CopyHeading
            | Rule::CopyCutSentence
            | Rule::CopyUnknownYear
            | Rule::CopyUnknownAward
            | Rule::CopyUnknownFigure => Level::Warning,
        }
    }

    /// One sentence that says what the rule demands.
    pub fn demand(self) -> &'static str {
        match self {
            Rule::EntryPage => "the site has an `index.html`",
            Rule::Utf8 => "text files are UTF-8",
            Rule::HtmlSyntax => "pages parse without errors",
            Rule::CssSyntax => "style sheets parse",
            Rule::XmlSyntax => "XML and SVG are well-formed",
            Rule::SvgNamespace => "SVG drawings declare the namespace of SVG",
            Rule::SvgScript => "SVG drawings have no scripts",
            Rule::JsonSyntax => "JSON files parse",
            Rule::JsonLd => "structured data in pages parses",
            Rule::Language => "each page says its language, and it is the order's",
            Rule::Charset => "pages declare their encoding early, and it is UTF-8",
            Rule::NoIndex => "search engines may list the entry page",
            Rule::RobotsDisallow => "`robots.txt` lets search engines read the site",
            Rule::Title => "each page has a title",
            Rule::Description => "each page has a description",
            Rule::Viewport => "each page sets the viewport",
            Rule::EmptyPage => "each page shows some text",
            Rule::DuplicateId => "each id is unique in its page",
            Rule::ImageAlt => "each image has an `alt`",
            Rule::FormAction => "each form sends its data somewhere",
            Rule::BrokenReference => "links and resources inside the site exist",
            Rule::BrokenFragment => "links to a part of a page lead there",
            Rule::LinkScheme => "links have schemes that browsers follow",
            Rule::LocalAddress => "no address leads to the visitor's machine or a private network",
            Rule::ExampleAddress => "no address leads to a name for examples that the order lacks",
            Rule::Placeholder => "no placeholder of the template is left",
            Rule::Sitemap => "sitemaps list absolute addresses",
            Rule::TooLarge => "pages are simple enough to be checked",
            Rule::TitleLength => "titles have 10 to 70 characters",
            Rule::DescriptionLength => "descriptions have 40 to 170 characters",
            Rule::DuplicateTitle => "no two pages have the same title",
            Rule::DuplicateDescription => "no two pages have the same description",
            Rule::Canonical => "canonical addresses are whole `https` addresses, one a page",
            Rule::MetaRefresh => "no page leads visitors elsewhere by itself",
            Rule::OrphanPage => "links lead from the entry page to each page",
            Rule::Direction => "texts in languages from right to left say so with `dir`",
            Rule::TableHeader => "tables with several rows have headers",
            Rule::EmptySection => "sections have text or an image",
            Rule::Icon => "the entry page has an icon",
            Rule::AppIcon => "the entry page has an icon for home screens",
            Rule::PreviewImage => "the entry page has an image for previews",
            Rule::JsonLdType => "structured data has context, types and what a business needs",
            Rule::ImageFile => "images are of the format that their name says",
            Rule::ImageBroken => "images are whole, and browsers can show them",
            Rule::ImageSize => "images have a place in the page, and files that fit it",
            Rule::WhoseSite => "the entry page shows the business's name and a way to reach it",
            Rule::UnusedField => "pages show each field of the order, or lead to it",
            Rule::Contrast => "texts can be told from their background (WCAG AA: 4.5:1, large 3:1)",
            Rule::HiddenText => "no text is hidden from visitors",
            Rule::External => "pages load only from the site and from declared hosts",
            Rule::OneH1 => "each page has exactly one `<h1>`",
            Rule::HeadingOrder => "headings skip no level",
            Rule::ScriptSyntax => "scripts parse as JavaScript",
            Rule::BrowserOverflow => "with `--browser`: visitors need not scroll sideways",
            Rule::BrowserConsole => "with `--browser`: no script fails, the console has no errors",
            Rule::BrowserRequest => "with `--browser`: pages ask for files that the site has",
            Rule::BrowserAxe => "with `--browser`: axe-core finds no violation of WCAG 2.2 A or AA",
            Rule::CopyRefusal => CopyRule::Refusal.demand(),
            Rule::CopyPlaceholder => CopyRule::Placeholder.demand(),
            Rule::CopyLeftOver => CopyRule::LeftOver.demand(),
            Rule::CopyMarkdown => CopyRule::Markdown.demand(),
            Rule::CopyPromptFragment => CopyRule::PromptFragment.demand(),
            Rule::CopyLanguage => CopyRule::Language.demand(),
            Rule::CopyRepetition => CopyRule::Repetition.demand(),
            Rule::CopyHeading => CopyRule::Heading.demand(),
            Rule::CopyCutSentence => CopyRule::CutSentence.demand(),
            Rule::CopyUnknownPhone => CopyRule::UnknownPhone.demand(),
            Rule::CopyUnknownEmail => CopyRule::UnknownEmail.demand(),
            Rule::CopyUnknownPrice => CopyRule::UnknownPrice.demand(),
            Rule::CopyUnknownYear => CopyRule::UnknownYear.demand(),
            Rule::CopyUnknownAward => CopyRule::UnknownAward.demand(),
            Rule::CopyUnknownFigure => CopyRule::UnknownFigure.demand(),
            Rule::CopyUnknownAddress => CopyRule::UnknownAddress.demand(),
            Rule::CopyForbiddenWord => CopyRule::ForbiddenWord.demand(),
        }
    }

    /// The rule for texts that a page breaks if one of its texts breaks this one.
    pub fn of_copy(rule: CopyRule) -> Self {
        match rule {
            CopyRule::Refusal => Rule::CopyRefusal,
            CopyRule::Placeholder => Rule::CopyPlaceholder,
            CopyRule::LeftOver => Rule::CopyLeftOver,
            CopyRule::Markdown => Rule::CopyMarkdown,
            CopyRule::PromptFragment => Rule::CopyPromptFragment,
            CopyRule::Language => Rule::CopyLanguage,
            CopyRule::Repetition => Rule::CopyRepetition,
            CopyRule::Heading => Rule::CopyHeading,
            CopyRule::CutSentence => Rule::CopyCutSentence,
            CopyRule::UnknownPhone => Rule::CopyUnknownPhone,
            CopyRule::UnknownEmail => Rule::CopyUnknownEmail,
            CopyRule::UnknownPrice => Rule::CopyUnknownPrice,
            CopyRule::UnknownYear => Rule::CopyUnknownYear,
            CopyRule::UnknownAward => Rule::CopyUnknownAward,
            CopyRule::UnknownFigure => Rule::CopyUnknownFigure,
            CopyRule::UnknownAddress => Rule::CopyUnknownAddress,
            CopyRule::ForbiddenWord => Rule::CopyForbiddenWord,
        }
    }

    /// All rules.
    pub fn all() -> &'static [Rule] {
        <Rule as strum::VariantArray>::VARIANTS
    }

    /// Whether the rule holds texts against the order.
    pub fn is_copy(self) -> bool {
        self >= Rule::CopyRefusal
    }

    /// Whether the rule is checked only by a [`Viewer`](super::Viewer).
    pub fn needs_browser(self) -> bool {
        matches!(
            self,
            Rule::BrowserOverflow | Rule::BrowserConsole | Rule::BrowserRequest | Rule::BrowserAxe
        )
    }

    /// Whether the level cannot be changed: without these rules, others cannot be checked.
    pub fn is_fixed(self) -> bool {
        matches!(self, Rule::EntryPage | Rule::Utf8 | Rule::TooLarge)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteProblem {
    pub file: SitePath,
    pub rule: Rule,
    /// What is wrong, and what would be right.
    pub message: Message,
    /// The line in the file, counted from 1; for text in a page, the line where its element begins.
    /// `None` if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The offending text, cut to 120 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

impl fmt::Display for SiteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

/// The result of checking a site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Sorted by file and line; at most 50 of one file and 500 of the site.
    pub problems: Vec<SiteProblem>,
    /// The number of further problems.
    pub omitted: u64,
    /// Violations of rules whose level is [`Level::Warning`], as `problems`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<SiteProblem>,
    /// The number of further warnings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted_warnings: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Verdict {
    /// Whether the site breaks no rule whose level is [`Level::Error`].
    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.omitted == 0
    }
}

impl Verdict {
    /// With what another check of the same site found.
    pub(super) fn and(mut self, other: Verdict) -> Self {
        self.problems.extend(other.problems);
        self.omitted += other.omitted;
        self.warnings.extend(other.warnings);
        self.omitted_warnings += other.omitted_warnings;
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        for list in [&mut self.problems, &mut self.warnings] {
            list.sort_by(|a, b| (&a.file, a.line, a.rule).cmp(&(&b.file, b.line, b.rule)));
        }
        self
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.problems.len() as u64 + self.omitted;
        write!(f, "{all} problem{}", if all == 1 { "" } else { "s" })?;
        for problem in self.problems.iter().take(10) {
            write!(f, "; {problem}")?;
        }
        match all.saturating_sub(10) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Collects problems up to the limits.
#[derive(Debug, Default)]
pub(super) struct Problems {
    verdict: Verdict,
    levels: Levels,
    /// The numbers of listed problems and warnings.
    of_file: HashMap<SitePath, [usize; 2]>,
    /// Why something could not be checked: nothing is known of the site.
    failure: Option<io::Error>,
}

impl Problems {
    pub(super) fn new(levels: &Levels) -> Self {
        Problems { levels: levels.clone(), ..Problems::default() }
    }

    pub(super) fn add(
        &mut self,
        file: &SitePath,
        rule: Rule,
        line: Option<u64>,
        excerpt: Option<&str>,
        message: Message,
    ) {
        let Verdict { problems, omitted, warnings, omitted_warnings } = &mut self.verdict;
        let (list, more, of_level) = match self.levels.of(rule) {
            Level::Off => return,
            Level::Warning => (warnings, omitted_warnings, 1),
            Level::Error => (problems, omitted, 0),
        };
        // Only a file's first problem copies its path: there may be millions of problems.
        let listed = match self.of_file.get_mut(file) {
            Some(listed) => listed,
            None => self.of_file.entry(file.clone()).or_default(),
        };
        if listed[of_level] >= PER_FILE || list.len() >= PER_SITE {
            *more += 1;
            return;
        }
        listed[of_level] += 1;
        let excerpt = excerpt.map(|text| cut(text, EXCERPT)).filter(|text| !text.is_empty());
        list.push(SiteProblem { file: file.clone(), rule, message, line, excerpt });
    }

    /// Lets the check of the site fail.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failure = self.failure.take().or(Some(error));
    }

    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Counts problems that are not listed.
    pub(super) fn omit(&mut self, number: u64) {
        self.verdict.omitted += number;
    }

    pub(super) fn finish(self) -> Verdict {
        self.verdict.sorted()
    }
}
