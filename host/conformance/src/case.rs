//! Cases: an order, the AI replies, and the expected result. Data of the suite or of a template's
//! author.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::SuiteRule;
use sitewright_model::failure::FailureKind;

/// One case, as written in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Lower-case letters, digits and `-`. Default for an author's case: its folder's name.
    #[serde(default)]
    pub name: String,
    /// The rule that the case checks; `None` in an author's case.
    #[serde(default)]
    pub rule: Option<SuiteRule>,
    /// The reason for the case, for readers.
    #[serde(default)]
    pub why: String,
    /// Default: `order.json`.
    #[serde(default)]
    pub order: OrderSource,
    #[serde(default)]
    pub ai: Ai,
    /// Number of concurrent runs. Default: 1.
    #[serde(default = "once")]
    pub repeat: u64,
    /// Whether it runs with another attempt id, and so with another clock and other random numbers.
    #[serde(default)]
    pub other_attempt: bool,
    #[serde(default)]
    pub expect: Expect,
}

fn once() -> u64 {
    1
}

/// The source of a case's order.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a file name, or { derive = \"full\" }")]
pub enum OrderSource {
    /// A file in the case's folder.
    File(String),
    /// Derived from the template's own schema.
    Derived(DerivedOrder),
}

impl Default for OrderSource {
    fn default() -> Self {
        OrderSource::File("order.json".to_owned())
    }
}

/// An order that is derived from the template's schema.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedOrder {
    pub derive: Derive,
}

/// How orders are derived from a schema: a single order, or one per field, value or language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derive {
    /// The full order, or the minimal one if the full one makes no site.
    Baseline,
    /// Required fields only.
    Minimal,
    /// Every field.
    Full,
    /// The full order without one optional field; one order per field.
    WithoutEach,
    /// The full order with one value of an enumeration; one order per value.
    EachValue,
    /// The full order in one of the declared languages; one order per language.
    EachLocale,
    /// The full order with markup and script in every text that accepts it.
    Hostile,
    /// The full order with black, white and clashing colours.
    Colours,
    /// The full order with every list empty that may be empty.
    EmptyLists,
    /// The full order with up to 200 entries in every list.
    LongLists,
    /// The full order of a business with another name, phone number, e-mail address and address.
    OtherBusiness,
}

/// The AI replies of a case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// A file in the case's folder with scripted replies; its rules come before all others.
    #[serde(default)]
    pub script: Option<String>,
    /// How replies are generated from the request's schema if no rule of an author matches.
    #[serde(default)]
    pub answers: Answers,
    /// What goes wrong in one call.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// The calls that fail: one test case per position.
    #[serde(default)]
    pub at: Vec<CallPosition>,
    /// How replies are delayed.
    #[serde(default)]
    pub delay: Delay,
}

/// How generated replies look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// Every field, lists with three entries.
    #[default]
    Full,
    /// The smallest reply that the schema accepts.
    Smallest,
    /// Markup and script in every text.
    Hostile,
}

impl Answers {
    /// As in a script.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Answers::Full => "full",
            Answers::Smallest => "smallest",
            Answers::Hostile => "hostile",
        }
    }
}

/// A failure of one AI call.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "\"budget\", \"off-schema\", or a fault as in scripts: { status = 503 }"
)]
pub enum Fault {
    /// A failure that scripts cannot express.
    Named(NamedFault),
    /// A fault as in scripts: `{ status = 429, headers = { retry-after = "1" } }`, `{ connection =
    /// "reset" }`, ...
    Scripted(toml::Table),
}

/// A failure that scripts cannot express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedFault {
    /// The order's budget is exhausted.
    Budget,
    /// A reply that does not match the requested schema.
    OffSchema,
    /// Text in place of the requested JSON.
    NotJson,
    /// No reply arrives, and the run is dropped.
    Drop,
    /// No reply arrives, and the run is cancelled.
    Cancel,
}

/// The position of a call among the AI calls of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallPosition {
    First,
    Middle,
    Last,
}

impl CallPosition {
    /// The index among `calls` calls; `None` if an earlier position has the same index.
    pub(super) fn index(self, calls: usize) -> Option<usize> {
        match self {
            CallPosition::First => (calls > 0).then_some(0),
            CallPosition::Middle => (calls > 2).then_some(calls / 2),
            CallPosition::Last => (calls > 1).then(|| calls - 1),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            CallPosition::First => "first",
            CallPosition::Middle => "middle",
            CallPosition::Last => "last",
        }
    }
}

/// How replies are delayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delay {
    #[default]
    None,
    /// Later calls wait longer.
    Rising,
    /// Earlier calls wait longer: replies to concurrent calls arrive in reverse order.
    Falling,
}

/// The expected result of a case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Default: `site`.
    #[serde(default)]
    pub outcome: ExpectedOutcome,
    /// Whether the site must equal the baseline's site byte for byte.
    #[serde(default)]
    pub same: bool,
    /// Whether each page must differ from the baseline's of the same path.
    #[serde(default)]
    pub other_pages: bool,
    /// The failure's kind.
    #[serde(default)]
    pub kind: Option<FailureKind>,
    /// The failure's code.
    #[serde(default)]
    pub code: Option<String>,
    /// A part of the failure's message or of one of its causes.
    #[serde(default)]
    pub says: Option<String>,
    /// Files that the site must have.
    #[serde(default)]
    pub files: Vec<String>,
    /// By file: texts that it must contain.
    #[serde(default)]
    pub contains: BTreeMap<String, Vec<String>>,
    /// By file: texts that it must not contain.
    #[serde(default)]
    pub lacks: BTreeMap<String, Vec<String>>,
    /// The number of answered AI calls.
    #[serde(default)]
    pub ai_calls: Option<usize>,
}

/// The expected outcome of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedOutcome {
    /// A site.
    #[default]
    Site,
    /// A failure that the template returned.
    Failure,
    /// Either of the two.
    SiteOrFailure,
    /// Neither, because the run is dropped or cancelled.
    Nothing,
}
