//! SQL texts with the states of orders and attempts rendered into them, so that each state is
//! spelled in one place: [`OrderState::as_str`] and [`AttemptEnd::as_str`].
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{queued}`, `{running}`, … | that order state as a literal |
//! | `{unclaimed}` | the list of order states in which no worker has the order |
//! | `{unfinished}` | the list of order states that have not ended |
//! | `{ended}` | the list of order states that have ended |
//! | `{attempt:crashed}`, … | that end of an attempt as a literal |
//!
//! States are literals rather than bound values: a planner uses a partial index
//! (`WHERE state = 'queued'`) only if it sees the literal.

use strum::VariantArray as _;

use crate::model::{AttemptEnd, OrderState};

/// Replaces the placeholders of a statement.
pub(crate) fn render(template: &str) -> String {
    let literal = |text: &str| format!("'{text}'");
    let list = |wanted: fn(OrderState) -> bool| {
        let states = OrderState::ALL.into_iter().filter(|state| wanted(*state));
        let states: Vec<String> = states.map(|state| literal(state.as_str())).collect();
        format!("({})", states.join(", "))
    };
    let mut sql = template
        .replace("{unclaimed}", &list(OrderState::is_unclaimed))
        .replace("{unfinished}", &list(|state| !state.has_ended()))
        .replace("{ended}", &list(OrderState::has_ended));
    for state in OrderState::ALL {
        sql = sql.replace(&format!("{{{state}}}"), &literal(state.as_str()));
    }
    for end in AttemptEnd::VARIANTS {
        sql = sql.replace(&format!("{{attempt:{end}}}"), &literal(end.as_str()));
    }
    sql
}

/// A statement with its placeholders rendered, once per process.
macro_rules! sql {
    ($($text:expr),+ $(,)?) => {{
        static SQL: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| $crate::driver::statement::render(concat!($($text),+)));
        let sql: &'static str = SQL.as_str();
        sql
    }};
}
pub(crate) use sql;

#[cfg(test)]
mod tests {
    use super::render;
    #[cfg(feature = "postgres")]
    use crate::driver::postgres;
    use crate::driver::{Queries, sqlite};

    #[test]
    fn states_are_rendered_as_literals_and_lists() {
        assert_eq!(
            render("state = {running} OR state IN {unclaimed} OR outcome <> {attempt:crashed}"),
            "state = 'running' OR state IN ('queued', 'waiting') OR outcome <> 'crashed'"
        );
        assert_eq!(
            render("{unfinished} {ended} '{}'"),
            "('queued', 'running', 'waiting') ('succeeded', 'failed', 'dead', 'cancelled') '{}'"
        );
    }

    #[test]
    fn no_placeholder_is_left_in_the_named_queries() {
        let check = |queries: &Queries| {
            let text = format!("{queries:?}").replace("'{}'", "");
            assert!(!text.contains(['{', '}']) || text.matches('{').count() == 1, "{text}");
        };
        check(&sqlite::QUERIES);
        #[cfg(feature = "postgres")]
        check(&postgres::QUERIES);
    }
}
