//! Holds: what orders wait for instead of failing, because the fault is not theirs.
//!
//! A hold is a row that every worker and the command line see: a route whose provider refuses its
//! key, a template that no worker here has, a template whose attempts all end alike. Orders that
//! need it are *parked*: they wait, use no attempt, and their row names the hold. They are not
//! woken one by one: a worker's sweep makes their jobs due when the hold is released.
//!
//! | kind | set when | ends when |
//! |---|---|---|
//! | [`HoldKind::Route`] | a provider refuses a request for a reason that is not the order's, or the circuit of the route opens | an order that is let through as a probe gets an answer |
//! | [`HoldKind::Template`] | the circuit of the template opens | a probe ends otherwise |
//! | [`HoldKind::Missing`] | a worker that does not have the template gets one of its orders | a live worker has it |
//!
//! An operator can set and release each of the first two. A circuit, and circuit breakers that are
//! open for the calls of one tenant, may hold the orders of that tenant only: [`HoldScope`].
//!
//! | file | what is in it |
//! |---|---|
//! | `mod` | the rows: set, list, release |
//! | `admit` | does a claimed order pass its holds, and is it the probe? |
//! | `own_queue` | how does a worker get orders that others cannot attempt? |
//! | `shown` | what may an order that waits say of its hold? |
//! | `sweep` | makes parked orders due: released ones, one probe at a time, those for this worker |
//!
//! **Invariant:** whatever happens to a hold's row, a parked order's job becomes due by itself
//! after [`PARKED_AT_MOST`].

pub(crate) mod admit;
mod own_queue;
mod shown;
mod sweep;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_model::time::{millis, now_ms};

use super::database::Database;
use super::driver::{Row, Tx, args, sql};
use super::error::Error;

pub use admit::Gate;
pub use own_queue::OwnQueue;
pub(crate) use shown::{over, shown};
pub use sweep::{Served, Sweep, Swept};

/// A parked order is tried again after this long even if nobody releases it: workers of an earlier
/// version do not know holds.
pub(crate) const PARKED_AT_MOST: Duration = Duration::from_secs(15 * 60);

/// A hold that is set again for the same cause within this time of its release by a probe continues
/// to probe at the distance it had: its release did not last.
const STABLE_AFTER_MS: i64 = 10 * 60 * 1_000;

/// Finds one order with the label of a tenant, by index on both databases: no label is empty.
const ANY_TENANT: &str = "SELECT 1 AS found FROM sitewright_orders WHERE tenant > '' LIMIT 1";

/// What a hold stops.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HoldKind {
    /// Orders whose templates use this route for AI calls.
    Route,
    /// Orders of this template.
    Template,
    /// Orders of this template on workers that do not have it.
    Missing,
}

/// Whose orders a hold stops.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldScope {
    /// All that need what is held.
    #[default]
    All,
    /// Of these, those of the tenant with this label.
    Tenant(String),
    /// Of these, those without a tenant.
    NoTenant,
}

impl HoldScope {
    /// That of an order with the label of this tenant.
    pub fn of_tenant(tenant: Option<&str>) -> Self {
        tenant.map_or(HoldScope::NoTenant, |tenant| HoldScope::Tenant(tenant.to_owned()))
    }

    /// The label of the tenant, empty for orders without one; `None` for all orders.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            HoldScope::All => None,
            HoldScope::Tenant(tenant) => Some(tenant),
            HoldScope::NoTenant => Some(""),
        }
    }
}

/// Separates what is held from the tenant whose orders wait for it. No name of a route or of a
/// template's file can have it.
const OF_TENANT: char = '/';

/// Identifies a hold: `route:copywriting`, `template:landing`, `missing:landing`; of one tenant's
/// orders `template:landing/TENANT`, and of those without a tenant `template:landing/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId {
    pub kind: HoldKind,
    /// Name of the route or the template.
    pub name: String,
    pub scope: HoldScope,
}

impl HoldId {
    /// The hold of all orders that need this.
    pub fn new(kind: HoldKind, name: impl Into<String>) -> Self {
        HoldId { kind, name: name.into(), scope: HoldScope::All }
    }

    /// The hold of the same that stops these orders.
    #[must_use]
    pub fn within(self, scope: HoldScope) -> Self {
        HoldId { scope, ..self }
    }

    /// Whether both hold the same template or route, of whatever scope.
    pub fn is_of_same(&self, other: &HoldId) -> bool {
        self.kind == other.kind && self.name == other.name
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)?;
        self.scope.tenant().map_or(Ok(()), |tenant| write!(f, "{OF_TENANT}{tenant}"))
    }
}

impl FromStr for HoldId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (kind, rest) = text.split_once(':')?;
            let kind: HoldKind = kind.parse().ok()?;
            // A producer may name a template that cannot exist, and its orders are all missing it.
            let parts = rest.split_once(OF_TENANT).filter(|_| kind != HoldKind::Missing);
            let (name, tenant) = parts.map_or((rest, None), |(name, of)| (name, Some(of)));
            let scope = tenant.map_or(HoldScope::All, |tenant| {
                HoldScope::of_tenant(Some(tenant).filter(|tenant| !tenant.is_empty()))
            });
            (!name.is_empty()).then(|| HoldId::new(kind, name).within(scope))
        };
        parse().ok_or_else(|| {
            format!(
                "{text:?} does not identify a hold; such an id is `route:NAME` or `template:NAME`, \
                 and `template:NAME/TENANT` of the orders of one tenant"
            )
        })
    }
}

impl Serialize for HoldId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a hold was set.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum HoldCause {
    /// The provider refused the key.
    Auth,
    /// The provider does not permit the key to use the model.
    Permission,
    /// The provider's account has no credit left.
    Quota,
    /// The provider does not know the model or the address.
    NotFound,
    /// The worker's configuration has no route for the purpose.
    NoRoute,
    /// No connection to the provider can be made, or something in front of it answers.
    Unreachable,
    /// Too many attempts in a row ended with the same failure.
    Circuit,
    /// No worker that got the order has its template.
    Missing,
    /// An operator set it.
    Operator,
}

/// A hold to be set.
#[derive(Debug, Clone, PartialEq)]
pub struct NewHold {
    pub id: HoldId,
    pub cause: HoldCause,
    /// What happened and what to do, for operators: it may quote the failure of one order. The
    /// orders that wait show it only if the cause is [`HoldCause::Operator`] or
    /// [`HoldCause::Missing`].
    pub reason: Message,
    /// The failure that all attempts had, of [`HoldCause::Circuit`].
    pub fingerprint: Option<String>,
    pub probing: Probing,
}

impl HoldId {
    /// The hold that a person names: a route's name alone, or with its kind.
    ///
    /// # Errors
    /// What would be right.
    pub fn named(name: &str) -> Result<Self, String> {
        let id = match name.split_once(':') {
            None if !name.trim().is_empty() => {
                format!("{}:{name}", HoldKind::Route).parse::<HoldId>()?
            }
            _ => name.parse::<HoldId>()?,
        };
        if id.kind == HoldKind::Missing {
            return Err(format!(
                "`{id}` cannot be held or released by hand: its orders wait for the template; put \
                 its file into the templates folder of a worker"
            ));
        }
        Ok(id)
    }
}

impl NewHold {
    /// A hold that an operator sets, and releases.
    pub fn by_operator(id: HoldId, reason: Option<&str>) -> Self {
        let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        NewHold {
            reason: message!("held by an operator{why}; `sitewright route release {id}` ends it"),
            id,
            cause: HoldCause::Operator,
            fingerprint: None,
            probing: Probing::Never,
        }
    }
}

/// When orders are let through to see whether the cause of a hold is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probing {
    /// One at a time, with a distance that doubles.
    Every {
        /// The distance before the first probe.
        first: Duration,
        /// Upper bound of the distance.
        longest: Duration,
        /// The next probe is not sent before this time has passed, because the provider asked to
        /// wait that long.
        not_before: Duration,
    },
    /// Never: somebody has to release the hold.
    Never,
}

impl Probing {
    /// Milliseconds before the probe that follows `probes` failed ones.
    fn wait_ms(self, probes: i64) -> Option<i64> {
        let Probing::Every { first, longest, not_before } = self else { return None };
        let doubled = u32::try_from(probes).ok().and_then(|probes| 2u32.checked_pow(probes));
        let distance = first.saturating_mul(doubled.unwrap_or(u32::MAX)).min(longest);
        Some(i64::try_from(millis(distance.max(not_before))).unwrap_or(i64::MAX / 2))
    }

    fn not_before_ms(self) -> i64 {
        match self {
            Probing::Every { not_before, .. } => {
                i64::try_from(millis(not_before)).unwrap_or(i64::MAX / 2)
            }
            Probing::Never => 0,
        }
    }
}

/// A hold's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Hold {
    #[schemars(with = "String")]
    pub id: HoldId,
    pub kind: HoldKind,
    /// Name of the route or the template.
    pub name: String,
    /// The tenant whose orders alone wait, an empty text for orders without one; null for all.
    pub tenant: Option<String>,
    pub cause: HoldCause,
    /// What happened and what to do.
    pub reason: String,
    pub fingerprint: Option<String>,
    /// Milliseconds since the Unix epoch, like all times here. Of [`HoldKind::Missing`]: when a
    /// live worker was last seen to have the template.
    pub since: i64,
    /// Probes that failed.
    pub probes: i64,
    /// When the next order is let through; `None` if somebody has to release it.
    pub next_probe_at: Option<i64>,
    /// The order that was let through and still runs.
    pub probe_order: Option<String>,
    /// Of [`HoldKind::Missing`]: since when its orders are attempted, and so fail, because no live
    /// worker has had the template for the grace time.
    pub expired_at: Option<i64>,
    /// The number of orders that wait for it.
    pub orders: i64,
}

impl Hold {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        let id: HoldId = row.parsed("id")?;
        Ok(Hold {
            kind: id.kind,
            name: id.name.clone(),
            tenant: id.scope.tenant().map(str::to_owned),
            id,
            cause: row.parsed("cause")?,
            reason: row.text("reason")?,
            fingerprint: row.opt_text("fingerprint")?,
            since: row.int("since")?,
            probes: row.int("probes")?,
            next_probe_at: row.opt_int("next_probe_at")?,
            probe_order: row.opt_text("probe_order")?,
            expired_at: row.opt_int("expired_at")?,
            orders: row.int("orders")?,
        })
    }
}

impl Database {
    /// The holds that are set, the oldest first. A missing template is not one of them while a live
    /// worker has it, which takes its orders within about a second, or no order waits for it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn holds(&self) -> Result<Vec<Hold>, Error> {
        let doing = "reading the holds";
        let sql = sql!(
            "SELECT h.id AS id, h.cause AS cause, h.reason AS reason,
                h.fingerprint AS fingerprint, h.since AS since, h.probes AS probes,
                h.next_probe_at AS next_probe_at, h.expired_at AS expired_at,
                (SELECT o.id FROM sitewright_orders o
                    WHERE o.id = h.probe_order AND o.owner_attempt = h.probe_attempt)
                    AS probe_order,
                (SELECT count(*) FROM sitewright_orders o
                    WHERE o.held_by = h.id AND o.state = {waiting}) AS orders
             FROM sitewright_holds h WHERE h.released_at IS NULL
                AND (h.kind <> 'missing' OR h.expired_at IS NOT NULL
                    OR EXISTS (SELECT 1 FROM sitewright_orders o
                        WHERE o.held_by = h.id AND o.state = {waiting}))
                AND (h.kind <> 'missing' OR NOT EXISTS (SELECT 1 FROM sitewright_templates t
                    JOIN sitewright_workers w ON w.client_id = t.worker
                    WHERE t.template = h.name))
             ORDER BY h.since, h.id"
        );
        let rows = self.read(doing, sql, vec![]).await?;
        let holds = rows.iter().map(Hold::read).collect::<Result<_, _>>();
        holds.map_err(|error| Error::database(doing, error))
    }

    /// Whether any order has the label of a tenant.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn has_tenants(&self) -> Result<bool, Error> {
        Ok(!self.read("looking for orders of tenants", ANY_TENANT, vec![]).await?.is_empty())
    }

    /// Sets a hold. Whether it was not set before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hold(&self, hold: NewHold) -> Result<bool, Error> {
        self.write(format!("holding {}", hold.id), move |tx| {
            let hold = hold.clone();
            Box::pin(async move { set(tx, &hold, None, now_ms()).await })
        })
        .await
    }

    /// Releases a hold because somebody corrected its cause: its orders become due with the next
    /// sweep of a worker. If it is set again, it begins with the first distance between probes.
    /// Whether it was set.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release_hold(&self, id: &HoldId) -> Result<bool, Error> {
        // Without the time of its next probe, so that `set` does not continue its probes.
        let sql = "UPDATE sitewright_holds
             SET released_at = $2, next_probe_at = NULL, probe_order = NULL, probe_attempt = NULL
             WHERE id = $1 AND released_at IS NULL";
        self.release_by(sql, id).await
    }

    /// Releases a hold because its probe showed that the cause is gone, unless an operator has held
    /// the same meanwhile. If it is set again for the same cause within 10 minutes, it continues with
    /// the distance between probes that it had. Whether it was set, and not by an operator.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn release_probed_hold(&self, id: &HoldId) -> Result<bool, Error> {
        let sql = "UPDATE sitewright_holds
             SET released_at = $2, probe_order = NULL, probe_attempt = NULL
             WHERE id = $1 AND released_at IS NULL AND cause <> 'operator'";
        self.release_by(sql, id).await
    }

    async fn release_by(&self, sql: &'static str, id: &HoldId) -> Result<bool, Error> {
        let doing = format!("releasing {id}");
        let id = id.to_string();
        self.write(doing, move |tx| {
            let id = id.clone();
            Box::pin(async move { Ok(tx.execute(sql, args![&id, now_ms()]).await? > 0) })
        })
        .await
    }
}

/// Sets a hold, or records that its cause persists. `attempt` is the one that met the cause: if it
/// is the hold's probe, the next one follows after a longer distance. Whether the hold was not set
/// before.
pub(super) async fn set(
    tx: &mut Tx,
    hold: &NewHold,
    attempt: Option<&str>,
    now: i64,
) -> Result<bool, sqlx::Error> {
    let id = hold.id.to_string();
    let known = tx
        .optional(
            "SELECT cause, fingerprint, probes, next_probe_at, probe_attempt, released_at
             FROM sitewright_holds WHERE id = $1",
            args![&id],
        )
        .await?;
    let next = |probes: i64| hold.probing.wait_ms(probes).map(|wait| now.saturating_add(wait));
    let Some(known) = known else {
        let inserted = tx
            .execute(
                "INSERT INTO sitewright_holds
                    (id, kind, name, cause, reason, fingerprint, since, probes, next_probe_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) ON CONFLICT (id) DO NOTHING",
                args![
                    &id,
                    <&str>::from(hold.id.kind),
                    &hold.id.name,
                    <&str>::from(hold.cause),
                    hold.reason.as_str(),
                    &hold.fingerprint,
                    now,
                    next(0)
                ],
            )
            .await?;
        return Ok(inserted > 0);
    };
    let probes = known.int("probes")?;
    if let Some(released) = known.opt_int("released_at")? {
        let lasted = now.saturating_sub(released) >= STABLE_AFTER_MS;
        // A row that an operator released has no time of its next probe.
        let by_probe = known.opt_int("next_probe_at")?.is_some();
        let is_same = known.parsed::<HoldCause>("cause")? == hold.cause
            && known.opt_text("fingerprint")? == hold.fingerprint;
        let continues = by_probe && is_same && !lasted;
        let probes = if continues { probes.saturating_add(1) } else { 0 };
        let set = tx
            .execute(
                "UPDATE sitewright_holds SET cause = $2, reason = $3, fingerprint = $4, since = $5,
                    probes = $6, next_probe_at = $7, probe_order = NULL, probe_attempt = NULL,
                    expired_at = NULL, released_at = NULL
                 WHERE id = $1 AND released_at IS NOT NULL",
                args![
                    &id,
                    <&str>::from(hold.cause),
                    hold.reason.as_str(),
                    &hold.fingerprint,
                    now,
                    probes,
                    next(probes)
                ],
            )
            .await?;
        return Ok(set > 0);
    }
    let by_operator = known.parsed::<HoldCause>("cause")? == HoldCause::Operator;
    if hold.cause == HoldCause::Operator {
        tx.execute(
            "UPDATE sitewright_holds SET cause = $2, reason = $3, next_probe_at = NULL
             WHERE id = $1",
            args![&id, <&str>::from(hold.cause), hold.reason.as_str()],
        )
        .await?;
        return Ok(!by_operator);
    }
    if by_operator {
        return Ok(false);
    }
    let probed = attempt.is_some() && known.opt_text("probe_attempt")?.as_deref() == attempt;
    if probed {
        let probes = probes.saturating_add(1);
        tx.execute(
            // A circuit's reason says how many attempts opened it.
            "UPDATE sitewright_holds SET cause = $2, fingerprint = $4, probes = $5,
                reason = CASE WHEN cause = $7 THEN reason ELSE $3 END,
                next_probe_at = $6, probe_order = NULL, probe_attempt = NULL
             WHERE id = $1",
            args![
                &id,
                <&str>::from(hold.cause),
                hold.reason.as_str(),
                &hold.fingerprint,
                probes,
                next(probes),
                <&str>::from(HoldCause::Circuit)
            ],
        )
        .await?;
        return Ok(false);
    }
    // An attempt that began before the hold. It tells at most how long the provider asked to wait.
    let earliest = now.saturating_add(hold.probing.not_before_ms());
    if known.opt_int("next_probe_at")?.is_some_and(|next| next < earliest) {
        tx.execute(
            "UPDATE sitewright_holds SET next_probe_at = $2
             WHERE id = $1 AND next_probe_at < $2",
            args![&id, earliest],
        )
        .await?;
    }
    Ok(false)
}

/// Lets the next probe of a hold go at once, if it has probes.
pub(super) async fn probe_now(tx: &mut Tx, id: &HoldId, now: i64) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sitewright_holds SET next_probe_at = $2
         WHERE id = $1 AND released_at IS NULL AND next_probe_at > $2";
    tx.execute(sql, args![&id.to_string(), now]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_shown() {
        for (text, kind, name, tenant) in [
            ("route:default", HoldKind::Route, "default", None),
            ("template:a:b", HoldKind::Template, "a:b", None),
            ("missing:landing", HoldKind::Missing, "landing", None),
            ("missing:a/b", HoldKind::Missing, "a/b", None),
            ("template:a@b/a/b: c", HoldKind::Template, "a@b", Some("a/b: c")),
            ("route:default/", HoldKind::Route, "default", Some("")),
        ] {
            let id: HoldId = text.parse().unwrap();
            assert_eq!((id.kind, &*id.name, id.scope.tenant()), (kind, name, tenant));
            assert_eq!(id.to_string(), text);
            assert!(id.is_of_same(&HoldId::new(kind, name)), "{text}");
        }
        for wrong in ["", "default", "route:", ":default", "Route:x", "template:/acme"] {
            assert!(wrong.parse::<HoldId>().unwrap_err().contains("route:NAME"), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_a_route_unless_it_says_otherwise() {
        for (name, id) in [
            ("default", Some("route:default")),
            ("route:default", Some("route:default")),
            ("template:landing", Some("template:landing")),
            ("default/acme", Some("route:default/acme")),
            ("template:landing/acme", Some("template:landing/acme")),
            ("missing:landing", None),
            ("templates:landing", None),
            ("template:", None),
            ("", None),
        ] {
            assert_eq!(
                HoldId::named(name).ok().map(|id| id.to_string()).as_deref(),
                id,
                "{name:?}"
            );
        }
    }

    #[test]
    fn the_distance_between_probes_doubles_up_to_its_bound() {
        let (first, longest) = (Duration::from_secs(2), Duration::from_secs(300));
        let probing = |not_before| Probing::Every { first, longest, not_before };
        for (probes, seconds) in [(0, 2), (1, 4), (5, 64), (8, 300), (40, 300), (i64::MAX, 300)] {
            assert_eq!(probing(Duration::ZERO).wait_ms(probes), Some(seconds * 1_000), "{probes}");
        }
        assert_eq!(probing(Duration::from_secs(30)).wait_ms(0), Some(30_000));
        assert_eq!(Probing::Never.wait_ms(0), None);
    }
}
