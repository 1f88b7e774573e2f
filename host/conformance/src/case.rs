//! A case: an order, what models answer to it, and what must come of it. Data, of the suite or of a
//! template's author.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use sitewright_model::failure::FailureKind;

/// One case as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Lower-case letters, digits and `-`; an author's case has its folder's name.
    #[serde(default)]
    pub name: String,
    /// The rule it tries; an author's case has none.
    #[serde(default)]
    pub rule: Option<Rule>,
    /// Why it is there, for people.
    #[serde(default)]
    pub why: String,
    /// The order.
    #[serde(default)]
    pub order: OrderSource,
    /// What models answer.
    #[serde(default)]
    pub ai: Ai,
    /// How often it is tried, at the same time.
    #[serde(default = "once")]
    pub repeat: u64,
    /// Whether it is another attempt: with another clock and other random numbers than all others.
    #[serde(default)]
    pub other_attempt: bool,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expect,
}

fn once() -> u64 {
    1
}

/// Where the order comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a file's name, or { derive = \"full\" }")]
pub enum OrderSource {
    /// A file beside the case.
    File(String),
    /// TestRun from the template's own schema.
    Derived(DerivedOrder),
}

impl Default for OrderSource {
    fn default() -> Self {
        OrderSource::File("order.json".to_owned())
    }
}

/// An order that is made.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedOrder {
    /// How.
    pub derive: Derive,
}

/// What is made from a schema: one order, or one for each of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derive {
    /// The full order, or the minimal one where that makes no site.
    Baseline,
    /// Required fields only.
    Minimal,
    /// Every field.
    Full,
    /// Full, without one optional field; for each of them.
    WithoutEach,
    /// Full, with one value of an enumeration; for each of them.
    EachValue,
    /// Full, in one of the declared languages; for each of them.
    EachLocale,
    /// Full, with markup and script in every text that has room for it.
    Hostile,
    /// Full, with black, white, and clashing colours.
    Colours,
    /// Full, with every list empty that may be.
    EmptyLists,
    /// Full, with 200 entries in every list that may have them.
    LongLists,
}

/// What models answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ai {
    /// Rules in a file beside the case, in the format of scripted AI replies; they come before all
    /// others.
    #[serde(default)]
    pub script: Option<String>,
    /// What is answered where no rule of an author does; made from the request's schema.
    #[serde(default)]
    pub answers: Answers,
    /// What one call is answered instead.
    #[serde(default)]
    pub fault: Option<Fault>,
    /// Which call: the case is tried once for each of these.
    #[serde(default)]
    pub at: Vec<CallPosition>,
    /// How the answers are held back.
    #[serde(default)]
    pub delay: Delay,
}

/// What good answers look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answers {
    /// Every field, lists with three entries.
    #[default]
    Full,
    /// The least that the schema accepts.
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

/// What goes wrong with a call.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "\"budget\", \"off-schema\", or a fault as in scripts: { status = 503 }"
)]
pub enum Fault {
    /// Something that no script can say.
    Named(NamedFault),
    /// What a script says: `{ status = 429, headers = { retry-after = "1" } }`, `{ connection =
    /// "reset" }`, ...
    Scripted(toml::Table),
}

/// See [`Fault::Named`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedFault {
    /// The order's budget is used up.
    Budget,
    /// An answer of another shape than asked for.
    OffSchema,
    /// Text that is no JSON, where JSON was asked for.
    NotJson,
    /// It never ends, and the run is dropped.
    Drop,
    /// It never ends, and the run is cancelled.
    Cancel,
}

/// One call of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallPosition {
    /// The first.
    First,
    /// The one in the middle.
    Middle,
    /// The last.
    Last,
}

impl CallPosition {
    /// Its index among so many; nothing when it is the same as an earlier one.
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

/// How answers are held back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delay {
    /// Not at all.
    #[default]
    None,
    /// Each for a while, later calls longer.
    Rising,
    /// Each for a while, earlier calls longer: answers to calls made at once come in reverse order.
    Falling,
}

/// What must come of a case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How it ends.
    #[serde(default)]
    pub outcome: ExpectedOutcome,
    /// Whether the site must be, byte for byte, the one that the same order made with quick
    /// answers.
    #[serde(default)]
    pub same: bool,
    /// Of which kind the failure is.
    #[serde(default)]
    pub kind: Option<FailureKind>,
    /// The failure's code.
    #[serde(default)]
    pub code: Option<String>,
    /// What the failure's message, or one of its causes, says.
    #[serde(default)]
    pub says: Option<String>,
    /// Files that the site has.
    #[serde(default)]
    pub files: Vec<String>,
    /// By file, texts that stand in it.
    #[serde(default)]
    pub contains: BTreeMap<String, Vec<String>>,
    /// By file, texts that do not.
    #[serde(default)]
    pub lacks: BTreeMap<String, Vec<String>>,
    /// AI calls that are answered.
    #[serde(default)]
    pub ai_calls: Option<usize>,
}

/// How a case may end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedOutcome {
    /// With a site.
    #[default]
    Site,
    /// With a failure that the template returned.
    Failure,
    /// With either.
    SiteOrFailure,
    /// With nothing at all: it was dropped.
    Nothing,
}
