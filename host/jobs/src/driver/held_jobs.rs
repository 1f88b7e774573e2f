//! River's jobs of parked orders, and the queue that each worker has for itself.

use super::river::QUEUE;
use super::{Tx, args};

/// Prefix of the queues of single workers.
const OWN_QUEUE: &str = "handover";

/// The queues of single workers.
pub(crate) const OWN_QUEUES: &str =
    "SELECT name FROM river_queue WHERE name LIKE 'handover-%' ORDER BY name";

/// `$1`: a queue. One row if jobs wait in it.
pub(crate) const WAITING: &str =
    "SELECT id FROM river_job WHERE queue = $1 AND state = 'available' LIMIT 1";

/// The queue that only this worker works: orders that other workers cannot attempt are put there.
/// River permits lower-case letters, digits and single hyphens, at most 64; the last part of a
/// worker's id is random and makes the name unique.
pub(crate) fn own_queue(worker: &str) -> String {
    let random = worker.rsplit('-').next().unwrap_or(worker);
    let letters = random.chars().filter(char::is_ascii_alphanumeric).take(40);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    format!("{OWN_QUEUE}-{}", if name.is_empty() { "0" } else { &name })
}

/// Makes jobs due that wait, in this queue; `first` before all others.
pub(crate) async fn make_due(
    tx: &mut Tx,
    jobs: &[i64],
    queue: &str,
    first: bool,
) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    if queue != QUEUE {
        // The row is how the jobs are found again after the worker's end.
        let ensure = &tx.queries().ensure_queue;
        tx.execute(ensure, args![queue]).await?;
    }
    let due = &tx.queries().make_due;
    let list = serde_json::json!(jobs).to_string();
    tx.execute(due, args![&list, queue, i64::from(first)]).await.map(drop)
}

/// Moves the jobs of a worker's own queue that nobody has fetched to the queue of all workers, and
/// forgets the queue.
pub(crate) async fn dissolve(tx: &mut Tx, queue: &str) -> Result<(), sqlx::Error> {
    let moved = "UPDATE river_job SET queue = $2
         WHERE queue = $1 AND state IN ('available', 'scheduled', 'retryable')";
    tx.execute(moved, args![queue, QUEUE]).await?;
    tx.execute("DELETE FROM river_queue WHERE name = $1", args![queue]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::own_queue;

    #[test]
    fn the_name_of_a_queue_is_one_that_river_accepts() {
        for (worker, queue) in [
            ("Host.example.org-4711-8XKQ2M7Z0A", "handover-8xkq2m7z0a"),
            ("a_b-1-", "handover-0"),
            ("", "handover-0"),
        ] {
            assert_eq!(own_queue(worker), queue);
        }
        assert!(own_queue(&"x".repeat(300)).len() <= 64);
    }
}
