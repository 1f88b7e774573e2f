//! Whether a claimed order passes the holds of what it needs. Decided inside the claim's
//! transaction: an order that does not pass is parked and gets no attempt.

use std::collections::BTreeSet;
use std::fmt;

use sitewright_model::message::Message;

use super::{HoldCause, HoldId, HoldKind, NewHold, PARKED_AT_MOST, Probing, set, shown};
use crate::driver::{Tx, args, river, sql};

/// What a worker knows about the holds of an order, without asking the database.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    /// The holds that an order of this template and with the label of this tenant has to pass on
    /// this worker. Called for each claim, so it must be fast and must not wait; empty if nothing
    /// is held.
    fn holds_of(&self, template: &str, tenant: Option<&str>) -> Vec<HoldId>;

    /// A hold that [`holds_of`](Self::holds_of) named was released at `at`, in milliseconds since
    /// the Unix epoch, perhaps since this worker read the holds, and its order runs. Called before
    /// it runs; must be fast.
    fn released(&self, _id: &HoldId, _at: i64) {}
}

/// The answer for one order.
pub(crate) enum Admitted {
    /// It may run.
    Runs {
        /// It is the probe of these holds.
        probes: Vec<HoldId>,
        /// These are not set any more, and since when.
        released: Vec<(HoldId, i64)>,
    },
    /// It is parked.
    Parked { hold: HoldId, reason: String },
}

/// The order that asks to pass.
pub(crate) struct Asking<'a> {
    pub(crate) order: &'a str,
    pub(crate) attempt: &'a str,
    /// Its River job, which parking replaces.
    pub(crate) job: i64,
    pub(crate) priority: i64,
    /// The configuration that the claim wrote into an order without one.
    pub(crate) config_version: Option<&'a str>,
}

/// Decides about an order that the same transaction has claimed. `held_by` is the hold that it was
/// parked for.
pub(crate) async fn admit(
    tx: &mut Tx,
    river: &river::JobClient,
    asking: &Asking<'_>,
    gate: Vec<HoldId>,
    held_by: Option<&str>,
    now: i64,
) -> Result<Admitted, sqlx::Error> {
    let mut ids: BTreeSet<HoldId> = gate.into_iter().collect();
    // An order can need a route that its template does not declare. A missing template is the
    // worker's affair: the gate knows.
    let before = held_by.and_then(|id| id.parse::<HoldId>().ok());
    ids.extend(before.filter(|id| id.kind != HoldKind::Missing));
    let (mut due, mut released) = (Vec::new(), Vec::new());
    for id in ids {
        match passes(tx, &id, now).await? {
            Passes::Free => {}
            Passes::Released { at } => released.push((id, at)),
            Passes::Probe { before } => due.push((id, before)),
            Passes::No { reason } => {
                park(tx, river, asking, &id, &reason, now).await?;
                return Ok(Admitted::Parked { hold: id, reason });
            }
        }
    }
    let mut probes = Vec::with_capacity(due.len());
    for (id, before) in due {
        // Of two orders that are claimed at the same time one becomes the probe.
        let began = tx
            .execute(
                "UPDATE sitewright_holds SET probe_order = $2, probe_attempt = $3
                 WHERE id = $1 AND released_at IS NULL
                    AND coalesce(probe_attempt, '') = coalesce($4, '')",
                args![&id.to_string(), asking.order, asking.attempt, &before],
            )
            .await?;
        if began == 0 {
            let reason = "another order is the probe of its hold".to_owned();
            park(tx, river, asking, &id, &reason, now).await?;
            return Ok(Admitted::Parked { hold: id, reason });
        }
        probes.push(id);
    }
    Ok(Admitted::Runs { probes, released })
}

/// The holds that an attempt is the probe of.
pub(crate) async fn probed_by(tx: &mut Tx, attempt: &str) -> Result<Vec<HoldId>, sqlx::Error> {
    let sql = "SELECT id FROM sitewright_holds
         WHERE probe_attempt = $1 AND released_at IS NULL ORDER BY id";
    let rows = tx.all(sql, args![attempt]).await?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

enum Passes {
    Free,
    /// The hold is not set any more.
    Released {
        at: i64,
    },
    /// If no other order becomes the probe first; `before` is the last attempt that was it.
    Probe {
        before: Option<String>,
    },
    No {
        reason: String,
    },
}

async fn passes(tx: &mut Tx, id: &HoldId, now: i64) -> Result<Passes, sqlx::Error> {
    let row = tx
        .optional(
            "SELECT h.cause AS cause, h.reason AS reason, h.fingerprint AS fingerprint,
                h.next_probe_at AS next_probe_at,
                h.probe_attempt AS probe_attempt, h.expired_at AS expired_at,
                h.released_at AS released_at,
                (SELECT o.id FROM sitewright_orders o
                    WHERE o.id = h.probe_order AND o.owner_attempt = h.probe_attempt) AS probing
             FROM sitewright_holds h WHERE h.id = $1",
            args![&id.to_string()],
        )
        .await?;
    let released = row.as_ref().map(|row| row.opt_int("released_at")).transpose()?.flatten();
    let Some(row) = row.filter(|_| released.is_none()) else {
        return match (id.kind, released) {
            (HoldKind::Missing, _) => {
                let hold = missing(id);
                set(tx, &hold, None, now).await?;
                Ok(Passes::No { reason: hold.shown() })
            }
            (HoldKind::Route | HoldKind::Template, Some(at)) => Ok(Passes::Released { at }),
            // The worker has just found it, and it is not stored yet.
            (HoldKind::Route | HoldKind::Template, None) => Ok(Passes::Free),
        };
    };
    let (cause, words) = (row.text("cause")?, row.text("reason")?);
    let fingerprint = row.opt_text("fingerprint")?;
    let reason = shown(&id.to_string(), &cause, &words, fingerprint.as_deref());
    if id.kind == HoldKind::Missing {
        return Ok(match row.opt_int("expired_at")? {
            // Its attempt fails, and its record says which templates there are.
            Some(_) => Passes::Free,
            None => Passes::No { reason },
        });
    }
    let due = row.opt_int("next_probe_at")?.is_some_and(|next| next <= now);
    if due && row.opt_text("probing")?.is_none() {
        return Ok(Passes::Probe { before: row.opt_text("probe_attempt")? });
    }
    Ok(Passes::No { reason })
}

fn missing(id: &HoldId) -> NewHold {
    let reason = format!(
        "the template `{}` is not on the worker that got the order; it goes to a worker that has \
         it, or waits until its file is in the templates folder of one",
        id.name
    );
    let reason =
        Message::or(&reason, sitewright_model::message!("its template is not on this worker"));
    NewHold {
        id: id.clone(),
        cause: HoldCause::Missing,
        reason,
        fingerprint: None,
        probing: Probing::Never,
    }
}

/// Undoes the claim of the order and lets it wait for a hold.
async fn park(
    tx: &mut Tx,
    river: &river::JobClient,
    asking: &Asking<'_>,
    hold: &HoldId,
    reason: &str,
    now: i64,
) -> Result<(), sqlx::Error> {
    let at = parked_until(now);
    let (priority, old) = (asking.priority, Some(asking.job));
    let job = river::replace(river, tx, asking.order, priority, old, None, Some(at)).await?;
    let sql = sql!(
        "UPDATE sitewright_orders SET state = {waiting}, owner_attempt = NULL, owner_worker = NULL,
            runs = runs - 1, job_id = $2, held_by = $3, waiting_reason = $4, next_attempt_at = NULL,
            updated_at = $5,
            config_version = CASE WHEN runs = 1 AND config_version = $6 THEN NULL
                ELSE config_version END
         WHERE id = $1"
    );
    let (hold, config) = (hold.to_string(), asking.config_version);
    tx.execute(sql, args![asking.order, job, &hold, reason, now, config]).await.map(drop)
}

/// When a parked order's job becomes due by itself.
pub(crate) fn parked_until(now: i64) -> i64 {
    let most = i64::try_from(PARKED_AT_MOST.as_millis()).unwrap_or(i64::MAX / 2);
    now.saturating_add(most)
}
