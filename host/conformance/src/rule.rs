//! The rules of the suite: id, what a rule demands, and what to do if it is broken.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{IntoEnumIterator as _, VariantArray as _};

use sitewright_site::Rule as Check;

/// A level of the suite: a group of rules.
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
    schemars::JsonSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Level {
    /// The file itself, before any order runs.
    Contract,
    /// The sites it makes from the orders it accepts.
    Behaviour,
    /// How it handles AI errors, slow replies and wrong replies.
    Ai,
    /// What it uses of its limits.
    Limits,
    /// The content of its sites.
    Site,
    /// What remains after a run is dropped or cancelled.
    Cancel,
    /// The author's own cases.
    Author,
}

impl Level {
    /// All levels, in the order of the report.
    pub const ALL: &'static [Level] = <Level as strum::VariantArray>::VARIANTS;

    /// The first part of a rule's id.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One rule. Its id is `<level>/<name>`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter, strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
#[allow(missing_docs, reason = "`demand` describes each")]
pub enum SuiteRule {
    Component,
    Imports,
    Exports,
    Version,
    Newest,
    Types,
    Describe,
    Quick,
    Manifest,
    Schema,
    Pure,
    Minimal,
    Full,
    Optional,
    Values,
    Locales,
    #[strum(serialize = "hostile-text")]
    Hostile,
    Colours,
    EmptyLists,
    LongLists,
    Deterministic,
    Distinct,
    #[strum(serialize = "no-trap")]
    Stops,
    #[strum(serialize = "whole-or-failed")]
    Whole,
    Blame,
    Slow,
    OffSchema,
    Escaped,
    Smallest,
    Purposes,
    /// How much of a limit is left.
    #[strum(disabled)]
    Limit(LimitRule),
    /// A site check of the host, which rejects a site.
    #[strum(disabled)]
    Site(Check),
    /// A page problem that the site checks accept.
    #[strum(disabled)]
    Page(PageRule),
    Dropped,
    Expected,
    Snapshot,
}

/// The limits of which a template may use at most 80 %.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "the names are those of the limits")]
pub enum LimitRule {
    #[strum(serialize = "memory_bytes")]
    Memory,
    #[strum(serialize = "cpu_ms")]
    Cpu,
    AiCalls,
    Files,
    FileBytes,
    TotalBytes,
    PathBytes,
    Diagnostics,
    #[strum(serialize = "log_bytes")]
    Log,
    #[strum(serialize = "stderr_bytes")]
    Stderr,
}

impl LimitRule {
    /// The limit's key in the configuration and in records.
    pub fn key(self) -> &'static str {
        self.into()
    }
}

/// A rule about a page that is checked without rendering it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[allow(missing_docs, reason = "`demand` describes each")]
pub enum PageRule {
    Labels,
    LinkText,
    ButtonText,
    FrameTitle,
    Zoom,
    /// Beside the warning `contrast` of the site checks, which looks at style sheets too.
    InlineContrast,
    TabOrder,
    Weight,
}

/// Site checks that only warn of a site, and that a template must keep: each page that it makes
/// would break them.
const STRICT: [Check; 3] = [Check::External, Check::OneH1, Check::HeadingOrder];

impl SuiteRule {
    /// Every rule, in the order of the report.
    pub fn all() -> Vec<SuiteRule> {
        let mut all: Vec<SuiteRule> = SuiteRule::iter().collect();
        all.extend(LimitRule::VARIANTS.iter().copied().map(SuiteRule::Limit));
        // The suite's replies are no copy.
        let checks = Check::VARIANTS.iter().copied().filter(|check| !check.is_copy());
        all.extend(checks.map(SuiteRule::Site));
        all.extend(PageRule::VARIANTS.iter().copied().map(SuiteRule::Page));
        all.sort_by_key(|rule| rule.level());
        all
    }

    /// The rule's level.
    pub fn level(self) -> Level {
        use SuiteRule::*;
        match self {
            Component | Imports | Exports | Version | Newest | Types | Describe | Quick
            | Manifest | Schema | Pure => Level::Contract,
            Minimal | Full | Optional | Values | Locales | Hostile | Colours | EmptyLists
            | LongLists | Deterministic | Distinct => Level::Behaviour,
            Stops | Whole | Blame | Slow | OffSchema | Escaped | Smallest | Purposes => Level::Ai,
            Limit(_) => Level::Limits,
            Site(_) | Page(_) => Level::Site,
            Dropped => Level::Cancel,
            Expected | Snapshot => Level::Author,
        }
    }

    /// Whether a template that breaks the rule is used, and sites that break it are published with a
    /// warning.
    pub fn only_warns(self) -> bool {
        match self {
            SuiteRule::Newest => true,
            SuiteRule::Site(check) => {
                check.level() == sitewright_site::Level::Warning && !STRICT.contains(&check)
            }
            _ => false,
        }
    }

    /// `<level>/<name>`, for example `contract/imports`.
    pub fn id(self) -> String {
        format!("{}/{}", self.level().as_str(), self.name())
    }

    fn name(self) -> Cow<'static, str> {
        match self {
            SuiteRule::Limit(limit) => limit.key().trim_end_matches("_ms").replace('_', "-").into(),
            SuiteRule::Site(check) => check.to_string().into(),
            SuiteRule::Page(page) => Cow::Borrowed(page.into()),
            rule => Cow::Borrowed(rule.into()),
        }
    }

    /// One sentence that says what the rule demands.
    pub fn demand(self) -> Cow<'static, str> {
        use SuiteRule::*;
        Cow::Borrowed(match self {
            Component => "the file is a WebAssembly component that compiles within the limits",
            Imports => "it imports nothing but the contract's interfaces and WASI 0.2",
            Exports => "it exports the contract's `generator`",
            Version => "it is built for a version of the contract that this host supports",
            Newest => "it is built for the newest version of the contract",
            Types => "its imports and exports have the contract's types",
            Describe => "`describe` returns",
            Quick => "`describe` takes little processor time",
            Manifest => "the manifest's fields follow the contract",
            Schema => "the order schema is a JSON Schema of draft 2020-12",
            Pure => "`describe` returns the same each time and calls no host function",
            Minimal => "the minimal order that it accepts becomes a site",
            Full => "an order with every field becomes a site",
            Optional => "an order without any one optional field becomes a site",
            Values => "each value of each enumeration becomes a site",
            Locales => "each language it declares becomes a site in that language",
            Hostile => "markup and script in the order's texts come out as text",
            Colours => "the darkest, the lightest and clashing colours become sites",
            EmptyLists => "empty lists become a site",
            LongLists => "lists of 200 entries become a site",
            Deterministic => {
                "the same order and replies give the same bytes, in later and in concurrent runs"
            }
            Distinct => "the orders of two businesses never give the same page",
            Stops => "no failing AI call makes it panic, trap or run into a limit",
            Whole => "after a failing AI call it fails or makes the complete site",
            Blame => "a failure that an AI call caused names the call",
            Slow => "slow replies, in any order, give the same bytes",
            OffSchema => {
                "replies that do not match the request end in a failure or a complete site"
            }
            Escaped => "markup and script in AI replies come out as text",
            Smallest => {
                "the smallest replies that its schemas accept end in a failure or a complete site"
            }
            Purposes => "it calls AI only for the purposes it declares",
            Limit(limit) => {
                return Cow::Owned(format!("it uses at most 80 % of `limits.{}`", limit.key()));
            }
            Site(check) => check.demand(),
            Page(page) => match page {
                PageRule::Labels => "each form field has a label",
                PageRule::LinkText => "each link has text",
                PageRule::ButtonText => "each button has text",
                PageRule::FrameTitle => "each frame has a title",
                PageRule::Zoom => "visitors can zoom",
                PageRule::InlineContrast => {
                    "inline text colours have enough contrast with their background (4.5:1)"
                }
                PageRule::TabOrder => "the tab order follows the page",
                PageRule::Weight => "a page with everything it loads has at most 3 MiB",
            },
            Dropped => "a run that is dropped during an AI call leaves no files",
            Expected => "the author's cases end as expected",
            Snapshot => "the author's cases make the sites of their snapshots",
        })
    }

    /// What the author does if the rule is broken.
    pub fn hint(self) -> &'static str {
        use SuiteRule::*;
        match self {
            Component => {
                "Build it for the target `wasm32-wasip2` (or with componentize-py or \
                 componentize-js) and check that file."
            }
            Imports => {
                "Remove code that needs files, network or threads. A template can only call models \
                 and write its site."
            }
            Exports => {
                "Call the SDK's `export!` with your template, or build against the world \
                 `template`."
            }
            Version => "Build it again with the SDK of this host's version.",
            Newest => {
                "It works as it is, in this host and in later ones. To get what it lacks, build it \
                 again with the SDK of this host's version."
            }
            Types => {
                "Build it again with an unchanged `wit/` and one SDK; mixed versions have \
                 different types under the same names."
            }
            Describe => {
                "Run `sitewright template inspect` on it: `describe` must return without a panic."
            }
            Quick => "Compute nothing in `describe`: return constants.",
            Manifest => "Correct the field in `manifest()`.",
            Schema => {
                "Correct the schema, or remove it: without one, a template accepts every order."
            }
            Pure => "Remove clock, randomness, logging and AI calls from `describe`.",
            Minimal | Full | Optional | Values | EmptyLists | LongLists => {
                "The schema says that such an order is good: handle it, or narrow `order_schema` \
                 so that it is rejected before the run."
            }
            Locales => {
                "Set `<html lang>` to the order's locale, and declare only languages the template \
                 can write."
            }
            Hostile | Escaped => {
                "Escape all text from orders and models: use askama's `.html` templates, and write \
                 JSON with a JSON library."
            }
            Colours => "Derive text colours from their background; test with black and white.",
            Deterministic => {
                "Do not let the clock, random numbers or unordered maps influence the site."
            }
            Distinct => {
                "Write the order's name into each page, and how the business is reached into the \
                 entry page."
            }
            Stops => "Handle the error of every AI call; `?` is enough. Never `unwrap` one.",
            Whole => "Return the error, or write a page that needs no reply; never omit pages.",
            Blame => {
                "Return the SDK's error with context around it, or name the call's id in \
                 `ai_calls`."
            }
            Slow => {
                "Use replies in the order of the requests, not of arrival: `join_all` keeps that \
                 order."
            }
            OffSchema => "Request with a schema (`.json()`), or check the reply before using it.",
            Smallest => {
                "Require what you need in the schema (`minItems`, `minLength`), or handle empty \
                 texts and lists."
            }
            Purposes => "Declare the purpose in `manifest()`, or use a declared one.",
            Limit(_) => {
                "Use less of it, or ask operators to raise the limit and run the suite with that \
                 configuration."
            }
            Site(Check::OneH1 | Check::HeadingOrder) => {
                "Use headings for the page's structure, and CSS for their appearance."
            }
            Site(Check::External) => {
                "Ship fonts, scripts and images with the site, or declare the host: \
                 `external-hosts` of the manifest, or `external` of \
                 `conformance/conformance.toml`."
            }
            Site(_) => "Correct the page or file; the message says how.",
            Page(page) => match page {
                PageRule::Labels => {
                    "Give the field a `<label for>`, wrap it in one, or set `aria-label`."
                }
                PageRule::LinkText | PageRule::ButtonText => {
                    "Add text or `aria-label`; an image inside needs a descriptive `alt`."
                }
                PageRule::FrameTitle => "Set `title` on the `<iframe>`.",
                PageRule::Zoom => "Remove `user-scalable` and `maximum-scale` from the viewport.",
                PageRule::InlineContrast => {
                    "Choose a darker or lighter colour for the text or its background."
                }
                PageRule::TabOrder => "Remove `tabindex`, or set it to 0 or -1.",
                PageRule::Weight => "Reduce image sizes and load less on one page.",
            },
            Dropped => "Await every AI call that was started before returning.",
            Expected => "Correct the template, or the case's `expect`.",
            Snapshot => "Look at the difference; if it is intended, run again with `--update`.",
        }
    }
}

impl fmt::Display for SuiteRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// The text is not the id of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no rule `{0}`; list the rules with `sitewright conformance --rules`")]
pub struct NoSuchRule(pub String);

impl FromStr for SuiteRule {
    type Err = NoSuchRule;

    fn from_str(id: &str) -> Result<Self, NoSuchRule> {
        SuiteRule::all()
            .into_iter()
            .find(|rule| rule.id() == id)
            .ok_or_else(|| NoSuchRule(id.to_owned()))
    }
}

impl Serialize for SuiteRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SuiteRule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for SuiteRule {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Rule")
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A rule's id.",
            "pattern": "^[a-z]+/[a-z0-9-]+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_an_id_of_its_own_that_names_it() {
        let all = SuiteRule::all();
        for rule in &all {
            assert_eq!(rule.id().parse::<SuiteRule>().as_ref(), Ok(rule));
            assert!(!rule.demand().is_empty() && !rule.hint().is_empty());
        }
        let mut ids: Vec<String> = all.iter().map(|rule| rule.id()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
        assert!("contract/everything".parse::<SuiteRule>().is_err());
    }
}
