//! Texts that are in a page, and that no visitor sees.

use std::collections::HashSet;

use scraper::ElementRef;

use super::cascade::Declared;
use super::handlers::is_handler;
use super::page::Page;
use super::problem::{EXCERPT, Problems, Rule};
use super::style::{Applies, Property, media};
use crate::path::SitePath;
use sitewright_model::message;

/// Characters of the longest label. Longer texts are for reading.
const LABEL: usize = 60;
/// Maximum number of hidden texts of a page that are looked at. Real pages have less than 50.
const MAX_HIDDEN: usize = 1_000;
/// CSS pixels: with such an indentation, or less, no screen shows the text.
pub(super) const OFF_SCREEN: f64 = -500.0;
/// Elements whose content is shown when a visitor asks for it, and labels: those of fields that are
/// hidden ask people to leave them empty, which programs do not.
const ON_DEMAND: [&str; 5] = ["details", "dialog", "label", "menu", "nav"];
/// Roles of such elements.
const ROLES: [&str; 8] =
    ["alert", "alertdialog", "dialog", "menu", "menubar", "status", "tabpanel", "tooltip"];
/// Classes that are known for texts for screen readers, and for links that skip to the content.
const FOR_READERS: [&str; 7] = [
    "visually-hidden",
    "visually-hidden-focusable",
    "visuallyhidden",
    "sr-only",
    "screen-reader-text",
    "skip",
    "skip-link",
];

/// Attributes with the ids of texts that are read to those who do not see, hidden or not.
const DESCRIBING: [&str; 3] = ["aria-describedby", "aria-details", "aria-labelledby"];

/// What hides a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Display,
    Visibility,
    /// The attribute `hidden`.
    Attribute,
    Size,
    Color,
    Indent,
}

impl How {
    /// Whether something that a visitor or a script does may show it.
    pub(super) fn may_end(self) -> bool {
        matches!(self, How::Display | How::Visibility | How::Attribute)
    }

    fn shown(self) -> &'static str {
        match self {
            How::Display => "by `display: none`",
            How::Visibility => "by `visibility: hidden`",
            How::Attribute => "by the attribute `hidden`",
            How::Size => "by a text size of 0",
            How::Color => "by the colour of its background",
            How::Indent => "by a `text-indent` that moves it off the screen",
        }
    }
}

/// The hidden texts of a page.
#[derive(Debug, Default)]
pub(super) struct HiddenTexts(Vec<Hidden>);

#[derive(Debug)]
struct Hidden {
    how: How,
    /// Of the element that is hidden.
    line: Option<u64>,
    /// Runs of white space counted as one.
    characters: usize,
    /// The beginning of the text.
    text: String,
}

impl HiddenTexts {
    /// An element begins whose texts are hidden. Returns its number; `None` if there are too many.
    pub(super) fn begin(&mut self, how: How, line: Option<u64>) -> Option<usize> {
        if self.0.len() >= MAX_HIDDEN {
            return None;
        }
        self.0.push(Hidden { how, line, characters: 0, text: String::new() });
        Some(self.0.len() - 1)
    }

    /// A text in the element of this number.
    pub(super) fn text(&mut self, number: usize, text: &str) {
        let Some(hidden) = self.0.get_mut(number) else { return };
        for word in text.split_whitespace() {
            hidden.characters += word.chars().count() + 1;
            if hidden.text.len() <= EXCERPT {
                hidden.text.push_str(word);
                hidden.text.push(' ');
            }
        }
    }

    /// Reports the texts that are longer than a label. `reported` are those of the pages before.
    pub(super) fn report(
        self,
        file: &SitePath,
        reported: &mut HashSet<String>,
        problems: &mut Problems,
    ) {
        for Hidden { how, line, characters, text } in self.0 {
            // The white space after the last word was counted.
            let characters = characters.saturating_sub(1);
            if characters <= LABEL || !reported.insert(text.clone()) {
                continue;
            }
            let message = message!(
                "a text of {characters} characters is hidden from visitors {}, which search \
                 engines take for a deception; show it, or leave it out",
                how.shown()
            );
            problems.add(file, Rule::HiddenText, line, Some(text.trim_end()), message);
        }
    }
}

/// Whether the texts of an element are not for all visitors, or not at once.
pub(super) fn is_exempt(element: &ElementRef<'_>, declared: &Declared) -> bool {
    let has = |attribute: &str| element.attr(attribute).is_some();
    let is_role = element.attr("role").is_some_and(|role| ROLES.contains(&role.trim()));
    ON_DEMAND.contains(&element.value().name())
        || is_role
        || has("popover")
        || has("aria-live")
        || element.attr("hidden") == Some("until-found")
        || declared.has(&Property::Clip)
        || element.value().classes().any(|class| FOR_READERS.contains(&class))
}

/// The ids of the elements that describe others.
pub(super) fn describing(page: &Page) -> HashSet<String> {
    let mut ids = HashSet::new();
    for element in page.html.root_element().descendent_elements() {
        for list in DESCRIBING.iter().filter_map(|name| element.attr(name)) {
            ids.extend(list.split_ascii_whitespace().map(str::to_owned));
        }
    }
    ids
}

/// Whether a page has a style sheet that does not apply on the screen that is judged: in print, or
/// with dark colours, it may show what is hidden there.
pub(super) fn has_other_sheets(page: &Page) -> bool {
    page.html.root_element().descendent_elements().any(|element| {
        let relations = element.attr("rel").unwrap_or_default();
        let mut relations = relations.split_ascii_whitespace();
        let is_sheet = match element.value().name() {
            "style" => true,
            "link" => relations.any(|one| one.eq_ignore_ascii_case("stylesheet")),
            _ => false,
        };
        is_sheet && element.attr("media").is_some_and(|list| media(list) == Applies::Never)
    })
}

/// Whether a page has scripts, which may show what is hidden at first.
pub(super) fn has_scripts(page: &Page) -> bool {
    page.html.root_element().descendent_elements().any(|element| {
        let kind = element.attr("type").unwrap_or_default().trim().to_ascii_lowercase();
        let is_script = element.value().name() == "script"
            && (kind.is_empty() || kind == "module" || kind.ends_with("script"));
        is_script || element.value().attrs().any(|(name, _)| is_handler(name))
    })
}
