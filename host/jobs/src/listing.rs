//! The conditions of a list of orders. They are put together of fixed texts for what a caller wants,
//! so that the planner sees which index serves them.
//!
//! On SQLite what an index knows of orders is looked up there first, and `+` keeps the planner from
//! reading every order of a tenant's state or of a failure: their rows are large, and most are not
//! among the newest. PostgreSQL keeps documents elsewhere, and its planner knows how many rows have
//! what.

use super::driver::{Pool, Value, args};
use super::failures::after_those_that_begin;
use super::model::{Filter, OrderState};

/// Conditions on `sitewright_orders`, with their values.
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// The conditions of a filter, without its limit.
    pub(super) fn of(filter: &Filter, pool: &Pool) -> Self {
        let Filter {
            state,
            template,
            tenant,
            kind,
            fingerprint,
            created_after,
            created_before,
            ended_after,
            ended_before,
            after,
            limit: _,
        } = filter;
        // No order comes before all others: every id has a character.
        let (created_at, id) = match after {
            Some(cursor) => (cursor.created_at, cursor.id.as_str()),
            None => (i64::MAX, ""),
        };
        let mut all = Conditions { sql: String::new(), values: Vec::new() };
        all.and(
            "created_at <= ? AND (created_at < ? OR id < ?)",
            args![created_at, created_at, id],
        );
        if let Some(from) = created_after {
            all.and("created_at >= ?", args![*from]);
        }
        if let Some(until) = created_before {
            all.and("created_at < ?", args![*until]);
        }
        if let Some(tenant) = tenant {
            all.and("tenant = ?", args![tenant]);
        }
        if let Some(template) = template {
            // The index of SQLite on states has the template, too; that on templates has no state.
            let by_state = state.is_some() && tenant.is_none();
            let condition =
                if by_state { pool.pick("+template = ?", "template = ?") } else { "template = ?" };
            all.and(condition, args![template]);
        }
        match (state.map(OrderState::as_str), tenant) {
            (None, _) => {}
            (Some(state), None) => all.and("state = ?", args![state]),
            (Some(state), Some(tenant)) if pool.is_embedded() => all.and(
                "+rowid IN (SELECT rowid FROM sitewright_orders WHERE tenant = ? AND state = ?)",
                args![tenant, state],
            ),
            (Some(state), Some(_)) => all.and("state = ?", args![state]),
        }
        if ended_after.is_some() || ended_before.is_some() {
            all.and(
                pool.pick(
                    "+rowid IN (SELECT rowid FROM sitewright_orders
                        WHERE finished_at >= ? AND finished_at < ?)",
                    "finished_at >= ? AND finished_at < ?",
                ),
                args![ended_after.unwrap_or(i64::MIN), ended_before.unwrap_or(i64::MAX)],
            );
        }
        all.failed_with(kind.as_deref(), fingerprint.as_deref(), pool);
        all
    }

    /// Those whose last failure is of a kind, and has a fingerprint that begins with a text.
    fn failed_with(&mut self, kind: Option<&str>, beginning: Option<&str>, pool: &Pool) {
        let mut failures = Vec::new();
        let mut values = Vec::new();
        if let Some(kind) = kind {
            failures.push("f.kind = ?");
            values.extend(args![kind]);
        }
        if let Some(beginning) = beginning.map(str::to_ascii_lowercase) {
            failures.push(pool.pick(
                "f.fingerprint >= ? AND f.fingerprint < ?",
                "f.fingerprint COLLATE \"C\" >= ? AND f.fingerprint COLLATE \"C\" < ?",
            ));
            values.extend(args![&beginning, &after_those_that_begin(&beginning)]);
        }
        if failures.is_empty() {
            return;
        }
        let failed = pool.pick(
            "+rowid IN (SELECT o.rowid FROM sitewright_failures f
                CROSS JOIN sitewright_orders o ON o.last_failure = f.id WHERE ",
            "last_failure IN (SELECT f.id FROM sitewright_failures f WHERE ",
        );
        self.and(&format!("{failed}{})", failures.join(" AND ")), values);
    }

    /// Adds a condition, without `OR` outside of parentheses. Each `?` becomes the placeholder of
    /// the next one of its values.
    pub(super) fn and(&mut self, condition: &str, values: Vec<Value>) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        let mut parts = condition.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            let placeholder = self.value(value);
            self.sql.push_str(&placeholder);
            self.sql.push_str(part);
        }
    }

    /// Adds a value for a place elsewhere in the statement. Its placeholder.
    pub(super) fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// The conditions, to stand behind `WHERE`.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// The values of all placeholders.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }
}
