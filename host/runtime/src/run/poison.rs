//! An order that ends its process, for tests of what happens then. In debug builds only.

use std::sync::LazyLock;

/// The environment variable with the beginning of the ids of such orders.
const VARIABLE: &str = "TESTS_POISON";

/// Aborts the process if the order is one that tests have poisoned.
pub(super) fn abort_for(order: Option<&str>) {
    static POISONED: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var(VARIABLE).ok().filter(|prefix| !prefix.is_empty()));
    if let (Some(prefix), Some(order)) = (&*POISONED, order)
        && order.starts_with(prefix.as_str())
    {
        std::process::abort();
    }
}
