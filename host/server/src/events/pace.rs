//! When the hub looks into the database: at once if PostgreSQL says that something has changed,
//! otherwise some times a second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use sitewright_jobs::{Database, Error, Signals};

/// Time between two looks, if nobody tells of changes. Workers store what follows closely up to
/// 500 ms later.
const LOOK: Duration = Duration::from_millis(150);
/// Time between two looks, if changes are told of: one may have been lost.
const LOOK_SELDOM: Duration = Duration::from_secs(5);
/// Pause between two looks while there is one change after the other.
const PAUSE: Duration = Duration::from_millis(50);
/// Time between two notes that somebody watches.
const KEEP: Duration = Duration::from_secs(10);
/// Time until it is tried again to hear of changes.
const AGAIN: Duration = Duration::from_secs(30);

/// Decides when the next look is.
pub(super) struct Pace {
    database: Database,
    state: State,
}

enum State {
    /// Whether changes can be heard of is being found out.
    Asking(BoxFuture<'static, Result<Option<Signals>, Error>>),
    Listening(Box<Signals>, Instant),
    /// Looks some times a second, and asks again then.
    Polling(Option<Instant>),
}

impl Pace {
    pub(super) fn new(database: Database) -> Self {
        let state = match database.is_embedded() {
            true => State::Polling(None),
            false => State::Asking(ask(&database)),
        };
        Pace { database, state }
    }

    /// Waits until the next look. What is said of a connection that is lost is said once, until
    /// there is one again.
    pub(super) async fn wait(&mut self, said: &AtomicBool) {
        match &mut self.state {
            State::Asking(asked) => {
                let asked = tokio::time::timeout(LOOK, asked).await;
                match asked {
                    Err(_) => {}
                    Ok(Ok(Some(signals))) => {
                        said.store(false, Ordering::Relaxed);
                        self.state = State::Listening(Box::new(signals), Instant::now());
                    }
                    Ok(Ok(None)) => {
                        if !said.swap(true, Ordering::Relaxed) {
                            tracing::info!(
                                "a pooler gives each transaction another session, and would lose \
                                 what PostgreSQL tells of changes: events are looked for some \
                                 times a second"
                            );
                        }
                        self.state = State::Polling(None);
                    }
                    Ok(Err(error)) => self.give_up(&error, said),
                }
            }
            State::Listening(signals, kept_at) => {
                tokio::time::sleep(PAUSE).await;
                if kept_at.elapsed() >= KEEP {
                    match signals.keep().await {
                        Ok(()) => *kept_at = Instant::now(),
                        Err(error) => return self.give_up(&error, said),
                    }
                }
                match tokio::time::timeout(LOOK_SELDOM, signals.changed()).await {
                    Ok(Ok(())) | Err(_) => {}
                    Ok(Err(error)) => self.give_up(&error, said),
                }
            }
            State::Polling(again) => {
                tokio::time::sleep(LOOK).await;
                if again.is_some_and(|again| Instant::now() >= again) {
                    self.state = State::Asking(ask(&self.database));
                }
            }
        }
    }

    fn give_up(&mut self, error: &Error, said: &AtomicBool) {
        if !said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "PostgreSQL cannot tell of changes: events are looked for some times a second until \
                 it can"
            );
        }
        self.state = State::Polling(Some(Instant::now() + AGAIN));
    }
}

fn ask(database: &Database) -> BoxFuture<'static, Result<Option<Signals>, Error>> {
    let database = database.clone();
    async move { database.signals().await }.boxed()
}
