//! Stores which circuit breakers of this process are open, so that people see them, and releases
//! those that they ask for.

use std::sync::Arc;
use std::time::Duration;

use sitewright_ai::{Gateway, OpenBreaker};
use sitewright_jobs::{BreakerScope, Database, NewBreaker};
use sitewright_model::ai::OpenFor;
use sitewright_model::time::{millis, now_ms};

/// Time between two looks at the breakers.
const EVERY: Duration = Duration::from_secs(1);
/// Two times of the next probe that differ by less are the same: they are computed anew each time.
const SAME_WITHIN_MS: u64 = 1_000;

/// Stores the breakers that are open whenever they change, and releases those that somebody asks
/// for. While the database is away it is tried again.
pub(super) async fn publish(database: Database, gateway: Arc<Gateway>, worker: String) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stored: Vec<NewBreaker> = Vec::new();
    loop {
        ticks.tick().await;
        if !stored.is_empty() {
            release(&database, &gateway, &worker).await;
        }
        let open: Vec<NewBreaker> = gateway.open_breakers().into_iter().map(row).collect();
        if is_same(&stored, &open) {
            continue;
        }
        match database.publish_breakers(&worker, open.clone()).await {
            Ok(()) => stored = open,
            Err(error) => tracing::debug!(%error, "open circuit breakers are stored later"),
        }
    }
}

/// Lets calls of the providers through that somebody has asked for. Their rows go with the next look,
/// because their breakers are not open any more.
async fn release(database: &Database, gateway: &Gateway, worker: &str) {
    match database.claim_breaker_releases(worker).await {
        Ok(providers) => {
            for provider in providers {
                gateway.half_open_provider(&provider);
                tracing::info!(
                    provider,
                    "its circuit breakers are released: the next call is let through"
                );
            }
        }
        Err(error) => tracing::debug!(%error, "circuit breakers are released later"),
    }
}

fn row(open: OpenBreaker) -> NewBreaker {
    let OpenBreaker { provider, model, routes, failures, kind, status, closed_for, .. } = open;
    let scope = match (open.open_for, open.order) {
        (OpenFor::All, _) => BreakerScope::All,
        (OpenFor::Order, Some(order)) => BreakerScope::Order { order, tenant: open.tenant },
        (OpenFor::Order | OpenFor::Tenant, _) => BreakerScope::Tenant { tenant: open.tenant },
    };
    let wait = i64::try_from(millis(closed_for)).unwrap_or(i64::MAX);
    let next_probe_at = (wait > 0).then(|| now_ms().saturating_add(wait));
    let kind = kind.as_str();
    NewBreaker { provider, model, routes, failures, kind, status, next_probe_at, scope }
}

/// Whether there is nothing new to store.
fn is_same(stored: &[NewBreaker], open: &[NewBreaker]) -> bool {
    let is_one = |(old, new): (&NewBreaker, &NewBreaker)| {
        let is_due_alike = match (old.next_probe_at, new.next_probe_at) {
            (Some(old), Some(new)) => old.abs_diff(new) < SAME_WITHIN_MS,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let next_probe_at = new.next_probe_at;
        is_due_alike && NewBreaker { next_probe_at, ..old.clone() } == *new
    };
    stored.len() == open.len() && stored.iter().zip(open).all(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakers_are_stored_again_only_if_somebody_sees_a_difference() {
        let one = NewBreaker {
            provider: "local".to_owned(),
            model: Some("m".to_owned()),
            routes: vec!["default".to_owned()],
            failures: 3,
            kind: "overloaded",
            status: Some(503),
            next_probe_at: Some(10_000),
            scope: BreakerScope::Tenant { tenant: Some("acme".to_owned()) },
        };
        for (what, other, is_alike) in [
            ("the same", one.clone(), true),
            ("computed later", NewBreaker { next_probe_at: Some(10_003), ..one.clone() }, true),
            ("opened again", NewBreaker { next_probe_at: Some(40_000), ..one.clone() }, false),
            ("a call may try", NewBreaker { next_probe_at: None, ..one.clone() }, false),
            ("another failure", NewBreaker { failures: 4, ..one.clone() }, false),
            ("of others, too", NewBreaker { scope: BreakerScope::All, ..one.clone() }, false),
            ("of the address", NewBreaker { model: None, ..one.clone() }, false),
        ] {
            assert_eq!(is_same(std::slice::from_ref(&one), &[other]), is_alike, "{what}");
        }
        assert!(is_same(&[], &[]) && !is_same(&[], std::slice::from_ref(&one)));
        assert!(!is_same(std::slice::from_ref(&one), &[]));
    }
}
