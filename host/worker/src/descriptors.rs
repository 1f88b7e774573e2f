//! The number of files and connections that this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for each order at the same time: a connection to a provider, the file that is being
/// written, and some to spare.
const PER_ORDER: u64 = 3;
/// Descriptors beside the orders: the database, templates, child processes, the log.
const BESIDE: u64 = 200;

/// Raises the limit on open files to what the system allows this process: many systems begin with
/// 1,024, which a few hundred orders that wait for AI use up. Logs if that is not enough.
pub(super) fn raise(max_orders: usize) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
    let orders = u64::try_from(max_orders).unwrap_or(u64::MAX);
    let wanted = orders.saturating_mul(PER_ORDER).saturating_add(BESIDE);
    let allowed = getrlimit(Resource::Nofile).current;
    if let Some(allowed) = allowed.filter(|allowed| *allowed < wanted) {
        tracing::warn!(
            allowed,
            wanted,
            max_orders,
            "this process may open fewer files and connections than `worker.max_orders` orders \
             need at the same time; orders that find none wait and use no attempt. Raise \
             LimitNOFILE of the service (`ulimit -n`), or lower `worker.max_orders`"
        );
    }
}
