//! Notifications to systemd (`Type=notify`): ready, stopping, and the watchdog. Without
//! `NOTIFY_SOCKET` in the environment nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use sitewright_jobs::Liveness;
use sitewright_model::time::millis;

use super::watchdog::Watchdog;

/// Sends `READY=1`: the worker claims orders.
pub(super) fn ready() {
    send(&[NotifyState::Ready]);
}

/// Sends `STOPPING=1`: the worker drains.
pub(super) fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Sends `WATCHDOG=1` at half of the watchdog's interval (`WATCHDOG_USEC`) while the heartbeat task
/// runs and no thread of the runtime is stuck. Being a task of the same runtime, it also proves
/// that the runtime runs tasks. Returns at once if no watchdog is configured.
pub(super) async fn feed_watchdog(liveness: Liveness, watchdog: Watchdog) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return;
    };
    feed_every(limit / 2, || liveness.age(), || watchdog.is_stuck()).await;
}

async fn feed_every(interval: Duration, age: impl Fn() -> Duration, is_stuck: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let age = age();
        if is_stuck() {
            // The watchdog has logged which thread and which order.
            continue;
        }
        if age <= interval {
            send(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(
                age_ms = millis(age),
                "the heartbeat task does not run: systemd is not notified and restarts the worker"
            );
        }
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, ?state, "systemd could not be notified (NOTIFY_SOCKET)");
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test has a runtime of its own")]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    /// Runs in a process of its own, since it depends on the environment. Also run without
    /// `NOTIFY_SOCKET`, like all tests: then it sends nothing and fails at nothing.
    #[tokio::test]
    async fn notifications_are_sent() {
        ready();
        let interval = sd_notify::watchdog_enabled().unwrap_or(Duration::from_millis(100)) / 2;
        let feed = |age, is_stuck| {
            tokio::time::timeout(interval / 2, feed_every(interval, move || age, move || is_stuck))
        };
        feed(Duration::ZERO, false).await.unwrap_err();
        feed(interval * 2, false).await.unwrap_err();
        feed(Duration::ZERO, true).await.unwrap_err();
        stopping();
    }

    #[test]
    fn systemd_gets_ready_watchdog_and_stopping() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervisor::tests::notifications_are_sent"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000")
            .env_remove("WATCHDOG_PID")
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        let next = || {
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
        };
        // One watchdog message: neither the stale heartbeat nor the stuck thread sends one.
        assert_eq!([next(), next(), next()], ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
    }
}
