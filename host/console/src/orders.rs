//! The list of orders, with its filter.

use askama::Template as _;
use sitewright_jobs::{BulkAction, BulkRun, BulkState, Found, Order, OrderCursor, OrderState};
use sitewright_model::failure::FailureKind;

use super::address;
use super::bulk::run_in_words;
use super::frame::Frame;
use super::text::{When, count, short};

/// What is looked for, as it was typed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub state: Option<OrderState>,
    pub template: Option<String>,
    pub kind: Option<String>,
    /// A part of the id.
    pub text: Option<String>,
    /// The beginning of the fingerprint of the last failure.
    pub cause: Option<String>,
    /// A text in the document.
    pub contains: Option<String>,
    /// The first day on which orders came, and the last one: `2026-11-23`, in UTC.
    pub from: Option<String>,
    pub to: Option<String>,
}

impl Wanted {
    /// The parameters of its page.
    pub(crate) fn parameters(&self) -> [(&'static str, Option<&str>); 8] {
        [
            ("state", self.state.map(OrderState::as_str)),
            ("template", self.template.as_deref()),
            ("kind", self.kind.as_deref()),
            ("text", self.text.as_deref()),
            ("cause", self.cause.as_deref()),
            ("contains", self.contains.as_deref()),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
        ]
    }

    /// Whether nothing but an id, or a part of one, is looked for.
    pub fn has_id_only(&self) -> bool {
        let mut given = self.parameters().into_iter().filter(|(_, value)| value.is_some());
        given.all(|(name, _)| name == "text")
    }

    /// Whether all that fit can be changed at once: a change of many orders knows neither documents
    /// nor the day on which an order came.
    fn may_be_changed(&self) -> bool {
        self.contains.is_none() && self.from.is_none() && self.to.is_none()
    }

    /// The page of the orders behind this one.
    pub(crate) fn address(&self, cursor: Option<&str>) -> String {
        let mut all = self.parameters().to_vec();
        all.push(("cursor", cursor));
        address::with("/console/orders", &all)
    }

    /// The page that asks before all of them are changed.
    fn bulk(&self, action: BulkAction) -> String {
        let action: &str = action.into();
        let mut all = vec![("do", Some(action))];
        all.extend(self.parameters());
        address::with(&format!("{}/bulk", address::HOME), &all)
    }
}

/// Parameters that can be typed into the search as `name:value`.
const TYPED: [&str; 7] = ["state", "template", "kind", "cause", "contains", "from", "to"];
/// Names of templates that the search completes.
const COMPLETED_TEMPLATES: usize = 50;

/// The page that a search with conditions means, such as `state:failed template:flora 4711`: each
/// takes the place of what `wanted` has, and the words that are none are a part of an id. `None` for
/// a search without conditions, which is an id or a part of one. The values are not checked.
pub fn typed_search(wanted: &Wanted) -> Option<String> {
    let typed = wanted.text.as_deref()?;
    let (mut conditions, mut words) = (Vec::new(), Vec::new());
    for word in typed.split_whitespace() {
        let condition = word.split_once(':').filter(|(name, value)| {
            !value.is_empty() && TYPED.iter().any(|known| known.eq_ignore_ascii_case(name))
        });
        match condition {
            Some((name, value)) => conditions.push((name.to_ascii_lowercase(), value)),
            None => words.push(word),
        }
    }
    if conditions.is_empty() {
        return None;
    }
    let id = words.join(" ");
    let parameters = wanted.parameters().map(|(name, value)| {
        let of_name = conditions.iter().rev().find(|(known, _)| known == name);
        match of_name {
            Some((_, typed)) => (name, Some(*typed)),
            None if name == "text" => (name, Some(id.as_str())),
            None => (name, value),
        }
    });
    Some(address::with("/console/orders", &parameters))
}

/// What the page is made of.
#[derive(Debug)]
pub struct OrdersFacts {
    pub wanted: Wanted,
    pub found: Found,
    /// `cursor` of the next page.
    pub next: Option<String>,
    /// Whether this is not the first page.
    pub is_later: bool,
    /// Names of templates, to choose from.
    pub templates: Vec<String>,
    /// Changes of many orders, the newest first.
    pub changes: Vec<BulkRun>,
}

#[derive(askama::Template)]
#[template(path = "orders.html")]
struct Page<'a> {
    f: &'a Frame,
    states: Vec<Choice>,
    kinds: Vec<Choice>,
    templates: &'a [String],
    /// Conditions that the search completes.
    conditions: Vec<String>,
    template: &'a str,
    text: &'a str,
    cause: &'a str,
    contains: &'a str,
    from: &'a str,
    to: &'a str,
    is_filtered: bool,
    is_later: bool,
    rows: Vec<OrderRow>,
    next: Option<String>,
    first: String,
    /// What a search looked through.
    cut: Option<Cut>,
    retry_all: Option<String>,
    cancel_all: Option<String>,
    changes: Vec<ChangeRow>,
}

/// A change of many orders.
struct ChangeRow {
    href: String,
    what: String,
    begun: When,
    end: &'static str,
    class: &'static str,
}

fn change(run: &BulkRun, now: i64) -> ChangeRow {
    let (end, class) = match run.state {
        BulkState::Running | BulkState::Lost => ("goes on", ""),
        BulkState::Done => ("done", "good"),
        BulkState::Stopped => ("stopped", "warn"),
        BulkState::Failed => ("failed", "bad"),
    };
    ChangeRow {
        href: address::bulk(&run.id),
        what: format!("{} {} with {}", run.action, count(run.selected), run_in_words(run)),
        begun: When::new(run.at, now),
        end,
        class,
    }
}

struct Cut {
    orders: String,
    until: Option<When>,
}

struct Choice {
    name: &'static str,
    is_chosen: bool,
}

/// One order in a list.
struct OrderRow {
    href: String,
    id: String,
    template: String,
    state: &'static str,
    created: When,
    updated: When,
    attempts: i64,
    note: String,
    record: Option<String>,
}

/// The list of orders.
///
/// # Errors
/// Never, as far as is known.
pub fn orders(frame: &Frame, facts: &OrdersFacts) -> Result<String, askama::Error> {
    let OrdersFacts { wanted, found, next, is_later, templates, changes } = facts;
    let state = wanted.state.map(OrderState::as_str);
    let is_filtered = wanted.parameters().iter().any(|(_, value)| value.is_some());
    // Without a filter it would be for all orders there are, which nobody means.
    let may_change =
        frame.may_operate() && is_filtered && wanted.may_be_changed() && !found.orders.is_empty();
    let offers = |ended| may_change && wanted.state.is_none_or(|one| one.has_ended() == ended);
    let until = found.next.as_ref().map(|OrderCursor { created_at, .. }| *created_at);
    let cut = found.cut_after.map(|orders| Cut {
        orders: count(i64::from(orders)),
        until: When::optional(until, frame.now),
    });
    Page {
        f: frame,
        states: choices(&OrderState::ALL.map(OrderState::as_str), state),
        kinds: choices(&FailureKind::ALL.map(FailureKind::as_str), wanted.kind.as_deref()),
        templates,
        conditions: conditions(templates),
        template: wanted.template.as_deref().unwrap_or_default(),
        text: wanted.text.as_deref().unwrap_or_default(),
        cause: wanted.cause.as_deref().unwrap_or_default(),
        contains: wanted.contains.as_deref().unwrap_or_default(),
        from: wanted.from.as_deref().unwrap_or_default(),
        to: wanted.to.as_deref().unwrap_or_default(),
        is_filtered,
        is_later: *is_later,
        rows: found.orders.iter().map(|order| row(order, frame.now)).collect(),
        next: next.as_deref().map(|cursor| wanted.address(Some(cursor))),
        first: wanted.address(None),
        cut,
        retry_all: offers(true).then(|| wanted.bulk(BulkAction::Retry)),
        cancel_all: offers(false).then(|| wanted.bulk(BulkAction::Cancel)),
        changes: changes.iter().map(|one| change(one, frame.now)).collect(),
    }
    .render()
}

/// Conditions that the search completes: all states and kinds, and templates.
fn conditions(templates: &[String]) -> Vec<String> {
    let states = OrderState::ALL.into_iter().map(|state| format!("state:{state}"));
    let kinds = FailureKind::ALL.into_iter().map(|kind| format!("kind:{}", kind.as_str()));
    // A word ends at white space.
    let templates = templates.iter().filter(|name| !name.contains(char::is_whitespace));
    let templates = templates.take(COMPLETED_TEMPLATES).map(|name| format!("template:{name}"));
    states.chain(kinds).chain(templates).collect()
}

fn choices(names: &[&'static str], chosen: Option<&str>) -> Vec<Choice> {
    names.iter().map(|name| Choice { name, is_chosen: chosen == Some(*name) }).collect()
}

fn row(order: &Order, now: i64) -> OrderRow {
    let note = match (&order.waiting_reason, order.cancel_requested_at, order.state) {
        (Some(reason), ..) => short(reason, 110),
        (None, Some(_), OrderState::Running) => "is being stopped".to_owned(),
        _ => String::new(),
    };
    let is_failed = matches!(order.state, OrderState::Failed | OrderState::Dead);
    OrderRow {
        href: address::order(&order.id),
        id: order.id.clone(),
        template: short(&order.template, 40),
        state: order.state.as_str(),
        created: When::new(order.created_at, now),
        updated: When::new(order.updated_at, now),
        attempts: order.runs,
        note,
        record: order.last_failure.as_deref().filter(|_| is_failed).map(address::record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_typed_into_the_search() {
        let wanted = Wanted {
            state: Some(OrderState::Queued),
            template: Some("flora".to_owned()),
            ..Wanted::default()
        };
        for (typed, page) in [
            ("4711", None),
            ("hubspot:4711", None),
            ("state:", None),
            ("state:failed", Some("?state=failed&template=flora")),
            ("State:failed 47 11", Some("?state=failed&template=flora&text=47%2011")),
            ("state:dead state:failed", Some("?state=failed&template=flora")),
            ("template:a&b=c kind:trap", Some("?state=queued&template=a%26b%3Dc&kind=trap")),
            (
                "from:2026-11-01 to:2026-11-30 cause:9c41",
                Some("?state=queued&template=flora&cause=9c41&from=2026-11-01&to=2026-11-30"),
            ),
            ("contains:rye:bread", Some("?state=queued&template=flora&contains=rye%3Abread")),
        ] {
            let wanted = Wanted { text: Some(typed.to_owned()), ..wanted.clone() };
            let page = page.map(|query| format!("/console/orders{query}"));
            assert_eq!(typed_search(&wanted), page, "{typed}");
        }
        assert_eq!(typed_search(&wanted), None);
    }

    #[test]
    fn a_name_with_a_space_is_not_completed() {
        let names = ["flora".to_owned(), "my flora".to_owned()];
        let all = conditions(&names);
        assert!(all.contains(&"state:failed".to_owned()) && all.contains(&"kind:trap".to_owned()));
        let templates: Vec<&String> =
            all.iter().filter(|one| one.starts_with("template:")).collect();
        assert_eq!(templates, ["template:flora"]);
    }
}
