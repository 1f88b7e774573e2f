//! Groups failures by fingerprint and template, and counts them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use sitewright_model::failure::TrapRecord;
use sitewright_model::failure::{FailureRecord, SourceLocation, TemplateRef, top_frame};

/// Which failures to list; `None` means no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this template.
    pub template: Option<String>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Only those that happened at or after this time, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only those of this order.
    pub order: Option<String>,
}

/// Summary of a record, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Brief {
    pub id: String,
    /// When the attempt ended, in milliseconds since the Unix epoch.
    pub at: i64,
    pub order: String,
    pub attempt: Option<String>,
    pub kind: String,
    /// The template's name; empty if unknown.
    pub template: String,
    pub message: String,
    /// The first frame of the author's own code.
    pub frame: Option<String>,
    /// See [`FailureRecord::fingerprint`].
    pub fingerprint: String,
    /// The record's file; `None` if it is in the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Failures of one fingerprint and one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    pub fingerprint: String,
    /// The template's name; empty if unknown.
    pub template: String,
    /// The number of failures.
    pub count: u64,
    /// The number of orders that failed this way.
    pub orders: u64,
    /// Time of the first failure, in milliseconds since the Unix epoch.
    pub first_at: i64,
    /// Time of the last failure, in milliseconds since the Unix epoch.
    pub last_at: i64,
    /// Id of the newest failure.
    pub newest: String,
    /// Kind of the newest failure; the following fields belong to it as well.
    pub kind: String,
    pub message: String,
    /// The first frame of the author's own code.
    pub frame: Option<String>,
}

/// Failures with the same fingerprint in all templates: a cause that several templates share (an
/// unavailable provider) is one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    #[serde(flatten)]
    pub group: Group,
    /// The templates that fail with it.
    pub templates: Vec<String>,
}

/// Joins the groups of all templates that have the same fingerprint, in no order that matters.
pub fn by_cause(groups: Vec<Group>) -> Vec<Cause> {
    let mut all: BTreeMap<String, Cause> = BTreeMap::new();
    for group in groups {
        let template = group.template.clone();
        match all.remove(&group.fingerprint) {
            None => {
                all.insert(group.fingerprint.clone(), Cause { group, templates: vec![template] });
            }
            Some(Cause { group: before, mut templates }) => {
                templates.push(template);
                all.insert(
                    group.fingerprint.clone(),
                    Cause { group: before.with(group), templates },
                );
            }
        }
    }
    all.into_values().collect()
}

impl Filter {
    /// Whether the failure meets all conditions.
    pub fn fits(&self, brief: &Brief) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.template, &brief.template)
            && is(&self.kind, &brief.kind)
            && is(&self.order, &brief.order)
            && self.since.is_none_or(|since| brief.at >= since)
    }
}

impl Brief {
    /// Summarizes a record.
    pub fn of(record: &FailureRecord) -> Self {
        Brief {
            id: record.id.clone(),
            at: millis_of(&record.time, &record.id),
            order: record.order.clone(),
            attempt: Some(record.attempt.clone()),
            kind: record.kind.as_str().to_owned(),
            template: record.template.name.clone(),
            message: record.message.to_string(),
            frame: record.top_frame(),
            fingerprint: record
                .fingerprint
                .clone()
                .unwrap_or_else(|| super::fingerprint::of(record)),
            file: None,
        }
    }
}

/// The fields of a record that a summary needs; they are the same in every version.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Outline {
    pub(super) version: u32,
    #[serde(default)]
    fingerprint: Option<String>,
    id: String,
    time: String,
    order: String,
    attempt: String,
    kind: String,
    template: TemplateRef,
    message: String,
    #[serde(default)]
    trap: Option<TrapRecord>,
    #[serde(default)]
    location: Option<SourceLocation>,
}

impl Outline {
    /// `None` if the record has no fingerprint.
    pub(super) fn brief(self) -> Option<Brief> {
        Some(Brief {
            at: millis_of(&self.time, &self.id),
            id: self.id,
            order: self.order,
            attempt: Some(self.attempt),
            kind: self.kind,
            template: self.template.name,
            message: self.message,
            frame: top_frame(self.trap.as_ref(), self.location.as_ref()),
            fingerprint: self.fingerprint?,
            file: None,
        })
    }
}

/// A record's time in milliseconds since the Unix epoch; that of its id if the time cannot be
/// parsed.
fn millis_of(time: &str, id: &str) -> i64 {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let read = OffsetDateTime::parse(time, &Rfc3339).ok();
    let written = read.map(|time| time.unix_timestamp_nanos() / 1_000_000);
    let of_id = || ulid::Ulid::from_string(id).map_or(0, |id| i128::from(id.timestamp_ms()));
    i64::try_from(written.unwrap_or_else(of_id)).unwrap_or(i64::MAX)
}

/// Counts failures by fingerprint and template.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<(String, String), (Group, BTreeSet<String>)>,
}

impl Groups {
    /// Counts one failure.
    pub fn add(&mut self, brief: Brief) {
        let key = (brief.fingerprint.clone(), brief.template.clone());
        let one = Group {
            fingerprint: brief.fingerprint,
            template: brief.template,
            count: 1,
            orders: 0,
            first_at: brief.at,
            last_at: brief.at,
            newest: brief.id,
            kind: brief.kind,
            message: brief.message,
            frame: brief.frame,
        };
        match self.groups.entry(key) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert((one, BTreeSet::from([brief.order])));
            }
            std::collections::btree_map::Entry::Occupied(mut found) => {
                let (group, orders) = found.get_mut();
                let merged = group.clone().with(one);
                *group = merged;
                orders.insert(brief.order);
            }
        }
    }

    /// Returns the groups, each with its orders.
    pub fn finish(self) -> Vec<(Group, BTreeSet<String>)> {
        let counted = |(group, orders): (Group, BTreeSet<String>)| {
            (Group { orders: orders.len() as u64, ..group }, orders)
        };
        self.groups.into_values().map(counted).collect()
    }
}

impl Group {
    /// The sum of both groups, which must have no order in common.
    pub fn with(self, other: Group) -> Group {
        let (count, orders) = (self.count + other.count, self.orders + other.orders);
        let (first_at, last_at) =
            (self.first_at.min(other.first_at), self.last_at.max(other.last_at));
        let newest = if other.newest > self.newest { other } else { self };
        Group { count, orders, first_at, last_at, ..newest }
    }
}
