//! Our tables beside River's, and their migrations.

use std::time::Duration;

#[cfg(feature = "postgres")]
use riverqueue::migrate::PostgresMigrator;
use riverqueue::migrate::{self as river, SqliteMigrator};
use sitewright_model::time::now_ms;

use super::database::Database;
#[cfg(feature = "postgres")]
use super::driver::postgres;
use super::driver::{Pool, Tx, args, river as queue};
use super::error::Error;
use super::migration_lock::MigrationLock;

/// The newest version of our tables that this build knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// The oldest schema version whose programs may work with the tables of [`SCHEMA_VERSION`]. A
/// migration that only adds something leaves it alone. One that takes something away raises it to
/// the first version whose programs do not need that any more: programs before it do not start, and
/// running workers stop ([`Database::until_outdated`]).
const MINIMUM_VERSION: i64 = 3;

/// The version since which the tables say the oldest usable one.
const MINIMUM_SINCE: i64 = 6;

/// Time between two checks whether a newer program has migrated the database.
const OUTDATED_EVERY: Duration = Duration::from_secs(10);

/// How long a statement of a migration waits for the lock on a table: everybody else who wants the
/// table waits behind it.
#[cfg(feature = "postgres")]
const TABLE_LOCK_WITHIN: Duration = Duration::from_secs(10);

/// Each migration brings the tables one version further; a published one never changes. `{now}` is
/// the time in milliseconds since the Unix epoch, `{sequence}` a key that counts up; a line that
/// begins with `{sqlite}` is for SQLite only, and one with `{postgres}` for PostgreSQL only.
///
/// A producer needs to insert only `id`, `document` and `template` into `sitewright_orders`:
/// everything else has a default, and workers give a job to orders without one. Times are
/// milliseconds since the Unix epoch, documents are JSON texts.
const MIGRATIONS: [&str; 28] = [
    "
CREATE TABLE sitewright_orders (
    id TEXT PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 200),
    document TEXT NOT NULL,
    template TEXT NOT NULL CHECK (length(template) > 0),
    priority BIGINT NOT NULL DEFAULT 2 CHECK (priority BETWEEN 1 AND 4),
    config_version TEXT,
    idempotency_key TEXT UNIQUE,
    state TEXT NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'dead', \
     'cancelled')),
    owner_attempt TEXT,
    owner_worker TEXT,
    job_id BIGINT,
    runs BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    crashes BIGINT NOT NULL DEFAULT 0,
    current_release TEXT,
    visible_release TEXT,
    last_failure TEXT,
    waiting_reason TEXT,
    next_attempt_at BIGINT,
    cancel_requested_at BIGINT,
    created_at BIGINT NOT NULL DEFAULT {now},
    updated_at BIGINT NOT NULL DEFAULT {now},
    finished_at BIGINT,
    CHECK ((state = 'running') = (owner_attempt IS NOT NULL)),
    CHECK ((state IN ('succeeded', 'failed', 'dead', 'cancelled')) = (finished_at IS NOT NULL))
);
CREATE INDEX sitewright_orders_state ON sitewright_orders (state, updated_at);
CREATE INDEX sitewright_orders_line ON sitewright_orders (template) WHERE state = 'queued';
CREATE INDEX sitewright_orders_pending ON sitewright_orders (updated_at)
    WHERE current_release IS NOT NULL AND (visible_release IS NULL OR visible_release <> \
     current_release);
CREATE INDEX sitewright_orders_created ON sitewright_orders (created_at);

CREATE TABLE sitewright_attempts (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    worker TEXT NOT NULL,
    job_id BIGINT,
    trace_id TEXT NOT NULL,
    config_version TEXT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    outcome TEXT CHECK (outcome IN ('succeeded', 'failed', 'retry', 'snoozed', 'dead', \
     'cancelled', 'returned', 'crashed')),
    lease_lost_at BIGINT,
    release TEXT,
    failure_id TEXT,
    last_stage TEXT,
    UNIQUE (order_id, number)
);

CREATE TABLE sitewright_failures (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    attempt_id TEXT,
    kind TEXT NOT NULL CHECK (length(kind) > 0),
    message TEXT NOT NULL CHECK (length(message) > 0),
    record TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX sitewright_failures_order ON sitewright_failures (order_id, created_at);

CREATE TABLE sitewright_ai_calls (
    id {sequence},
    order_id TEXT NOT NULL,
    attempt_id TEXT,
    request TEXT NOT NULL,
    occurrence BIGINT NOT NULL,
    current BIGINT NOT NULL DEFAULT 1,
    asked_again_at BIGINT,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    cost_nano_usd BIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    entry TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX sitewright_ai_calls_current ON sitewright_ai_calls (order_id, request, \
     occurrence) WHERE current = 1;

CREATE TABLE sitewright_events (
    id {sequence},
    order_id TEXT NOT NULL,
    attempt_id TEXT,
    at BIGINT NOT NULL,
    stage TEXT NOT NULL,
    done BIGINT,
    total BIGINT,
    message TEXT
);
CREATE INDEX sitewright_events_order ON sitewright_events (order_id, id);

CREATE TABLE sitewright_workers (
    client_id TEXT PRIMARY KEY,
    boot_id TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    max_orders BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    beats BIGINT NOT NULL
);
",
    // Columns that failures are counted by. The index holds all that counting reads: records are
    // large, and SQLite would read past them to reach the columns behind. `Database::fill_index`
    // fills rows of earlier versions in after the migration.
    "
ALTER TABLE sitewright_failures ADD COLUMN fingerprint TEXT;
ALTER TABLE sitewright_failures ADD COLUMN template TEXT;
ALTER TABLE sitewright_failures ADD COLUMN frame TEXT;
CREATE INDEX sitewright_failures_alike ON sitewright_failures (fingerprint, template, created_at, \
     order_id, kind, id);
CREATE INDEX sitewright_failures_unlike ON sitewright_failures (id) WHERE fingerprint IS NULL;
",
    // Ids that differ only in case are refused. Not unique: earlier versions accepted them.
    "
CREATE INDEX sitewright_orders_spelling ON sitewright_orders (lower(id));
",
    // Rescue without one process's memory, and orders that are suspected of ending processes.
    "
ALTER TABLE sitewright_orders ADD COLUMN suspected_at BIGINT;
ALTER TABLE sitewright_workers ADD COLUMN marks TEXT;
ALTER TABLE sitewright_workers ADD COLUMN stale_since BIGINT;
ALTER TABLE sitewright_workers ADD COLUMN stale_beats BIGINT;
",
    // Lists, retention, erasure and revisions. An order's document is larger than a page of SQLite,
    // so what lists read must be in an index; PostgreSQL keeps documents elsewhere.
    "
{sqlite}CREATE INDEX sitewright_orders_of_template ON sitewright_orders (template, created_at, id);
{sqlite}CREATE INDEX sitewright_orders_named ON sitewright_orders (id, template);
CREATE INDEX sitewright_orders_due ON sitewright_orders (next_attempt_at) WHERE state = 'waiting';
CREATE INDEX sitewright_ai_calls_of_order ON sitewright_ai_calls (order_id, id);
ALTER TABLE sitewright_orders ADD COLUMN revision BIGINT NOT NULL DEFAULT 1;
CREATE TABLE sitewright_revisions (
    order_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    document TEXT NOT NULL,
    template TEXT NOT NULL,
    replaced_at BIGINT NOT NULL,
    PRIMARY KEY (order_id, revision)
);
CREATE TABLE sitewright_removed_orders (
    id TEXT PRIMARY KEY,
    cause TEXT NOT NULL CHECK (cause IN ('erased', 'expired')),
    removed_at BIGINT NOT NULL
);
CREATE INDEX sitewright_removed_orders_at ON sitewright_removed_orders (removed_at);
CREATE TABLE sitewright_sweeps (
    name TEXT PRIMARY KEY,
    begun_at BIGINT NOT NULL DEFAULT 0,
    done_until BIGINT NOT NULL DEFAULT 0
);
",
    // The oldest version whose programs may use the tables; `NULL` for the version itself.
    "
ALTER TABLE sitewright_schema ADD COLUMN minimum BIGINT;
",
    // Holds, and which worker has which template. Workers of earlier versions read neither: they
    // attempt a parked order when its job becomes due by itself.
    "
CREATE TABLE sitewright_holds (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (length(reason) > 0),
    fingerprint TEXT,
    since BIGINT NOT NULL,
    probes BIGINT NOT NULL DEFAULT 0,
    next_probe_at BIGINT,
    probe_order TEXT,
    probe_attempt TEXT,
    expired_at BIGINT,
    released_at BIGINT
);
ALTER TABLE sitewright_orders ADD COLUMN held_by TEXT;
CREATE INDEX sitewright_orders_held ON sitewright_orders (held_by, updated_at)
    WHERE held_by IS NOT NULL;
CREATE TABLE sitewright_templates (
    worker TEXT NOT NULL,
    template TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (worker, template)
);
",
    // The processes of workers that ended without stopping, for some minutes.
    "
CREATE TABLE sitewright_worker_ends (
    worker TEXT PRIMARY KEY,
    ended_at BIGINT NOT NULL
);
",
    // The HTTP API: who may use it, and what was done through it.
    "
CREATE TABLE sitewright_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL CHECK (length(name) > 0),
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL CHECK (length(scopes) > 0),
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    last_used_at BIGINT
);
CREATE TABLE sitewright_audit (
    id {sequence},
    at BIGINT NOT NULL,
    token_id TEXT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT,
    status BIGINT NOT NULL,
    client TEXT NOT NULL
);
",
    // Outgoing webhooks. A trigger writes the deliveries, so that each change of a state is in the
    // outbox with the transaction that made it, whichever statement, program or version that was.
    "
CREATE TABLE sitewright_webhooks (
    name TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    disabled_at BIGINT,
    disabled_reason TEXT
);
CREATE TABLE sitewright_callbacks (
    order_id TEXT PRIMARY KEY,
    url TEXT NOT NULL CHECK (length(url) > 0),
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);
CREATE TABLE sitewright_deliveries (
    id TEXT PRIMARY KEY,
    webhook TEXT NOT NULL,
    url TEXT,
    event TEXT NOT NULL,
    order_id TEXT,
    at BIGINT NOT NULL,
    template TEXT,
    revision BIGINT,
    release TEXT,
    failure_id TEXT,
    hold TEXT,
    payload TEXT,
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'given_up')),
    attempts BIGINT NOT NULL DEFAULT 0,
    first_attempt_at BIGINT,
    next_at BIGINT,
    lease TEXT,
    ended_at BIGINT,
    CHECK ((state = 'pending') = (next_at IS NOT NULL)),
    CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE INDEX sitewright_deliveries_due ON sitewright_deliveries (webhook, next_at)
    WHERE state = 'pending';
CREATE INDEX sitewright_deliveries_at ON sitewright_deliveries (at, id);
CREATE INDEX sitewright_deliveries_ended ON sitewright_deliveries (ended_at)
    WHERE ended_at IS NOT NULL;
CREATE INDEX sitewright_deliveries_of_order ON sitewright_deliveries (order_id);
CREATE TABLE sitewright_delivery_attempts (
    id {sequence},
    delivery_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    status BIGINT,
    error TEXT,
    body TEXT
);
CREATE INDEX sitewright_delivery_attempts_of ON sitewright_delivery_attempts (delivery_id, id);
{sqlite}CREATE TRIGGER sitewright_orders_webhooks AFTER UPDATE OF state ON sitewright_orders \
     WHEN NEW.state <> OLD.state AND (NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled') \
     OR (NEW.state = 'waiting' AND NEW.held_by IS NOT NULL \
     AND NEW.held_by IS DISTINCT FROM OLD.held_by)) BEGIN {insert} END;
{postgres}CREATE OR REPLACE FUNCTION sitewright_orders_webhooks() RETURNS trigger LANGUAGE plpgsql \
     AS $$ BEGIN {insert} RETURN NULL; END $$;
{postgres}CREATE TRIGGER sitewright_orders_webhooks AFTER UPDATE OF state ON sitewright_orders \
     FOR EACH ROW WHEN (NEW.state <> OLD.state AND (NEW.state IN ('succeeded', 'failed', 'dead', \
     'cancelled') OR (NEW.state = 'waiting' AND NEW.held_by IS NOT NULL \
     AND NEW.held_by IS DISTINCT FROM OLD.held_by))) \
     EXECUTE FUNCTION sitewright_orders_webhooks();
",
    // AI replies that answer equal requests of several orders.
    "
CREATE TABLE sitewright_cached_replies (
    key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    occurrence BIGINT NOT NULL,
    order_id TEXT NOT NULL,
    entry TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sitewright_cached_replies_of_order ON sitewright_cached_replies (order_id);
CREATE INDEX sitewright_cached_replies_of_request ON sitewright_cached_replies (request, occurrence);
CREATE INDEX sitewright_cached_replies_due ON sitewright_cached_replies (expires_at);
CREATE INDEX sitewright_cached_replies_at ON sitewright_cached_replies (created_at, bytes, key);
",
    // A label of whoever an order is for.
    "
ALTER TABLE sitewright_orders ADD COLUMN tenant TEXT;
",
    // The same document is normalised otherwise by another version or configuration.
    "
ALTER TABLE sitewright_orders ADD COLUMN sent_digest TEXT;
",
    // Webhooks of others, as they came. An event of a sender is stored once. The body is last, so
    // that SQLite does not read past it. And bulk actions of servers.
    "
CREATE TABLE sitewright_hook_deliveries (
    id TEXT PRIMARY KEY,
    hook TEXT NOT NULL,
    event_id TEXT NOT NULL CHECK (length(event_id) > 0),
    at BIGINT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'accepted', 'refused', 'erased')),
    due_at BIGINT NOT NULL,
    ended_at BIGINT,
    order_id TEXT,
    reason TEXT,
    bytes BIGINT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (hook, event_id),
    CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE INDEX sitewright_hook_deliveries_due ON sitewright_hook_deliveries (due_at)
    WHERE state = 'pending';
CREATE INDEX sitewright_hook_deliveries_ended ON sitewright_hook_deliveries (ended_at)
    WHERE ended_at IS NOT NULL;
CREATE INDEX sitewright_hook_deliveries_of_order ON sitewright_hook_deliveries (order_id);
CREATE TABLE sitewright_bulk_runs (
    id TEXT PRIMARY KEY,
    action TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'running'
        CHECK (state IN ('running', 'done', 'stopped', 'failed')),
    at BIGINT NOT NULL,
    selected BIGINT NOT NULL,
    changed BIGINT NOT NULL DEFAULT 0,
    unchanged BIGINT NOT NULL DEFAULT 0,
    seen_at BIGINT NOT NULL,
    stop_requested_at BIGINT,
    ended_at BIGINT,
    reason TEXT
);
CREATE INDEX sitewright_audit_at ON sitewright_audit (at);
CREATE INDEX sitewright_ai_calls_at ON sitewright_ai_calls (created_at);
",
    // AI calls that wait for a batch. The bodies are last, so that SQLite does not read past them.
    "
ALTER TABLE sitewright_orders ADD COLUMN batch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sitewright_orders ADD COLUMN awaits_batch BIGINT;
CREATE INDEX sitewright_orders_batched ON sitewright_orders (updated_at) WHERE awaits_batch = 1;
CREATE TABLE sitewright_batches (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    worker TEXT,
    taken BIGINT NOT NULL DEFAULT 0,
    remote_id TEXT,
    looks BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);
CREATE INDEX sitewright_batches_due ON sitewright_batches (due_at);
CREATE TABLE sitewright_batch_items (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    request TEXT NOT NULL,
    occurrence BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    route TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'sent', 'answered', 'used', 'direct')),
    batch_id TEXT,
    reason TEXT,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    answer TEXT,
    body TEXT NOT NULL,
    UNIQUE (order_id, request, occurrence)
);
CREATE INDEX sitewright_batch_items_open ON sitewright_batch_items (created_at, id)
    WHERE state = 'open';
CREATE INDEX sitewright_batch_items_sent ON sitewright_batch_items (batch_id) WHERE state = 'sent';
",
    // Bulk actions outlive their servers, tokens belong to tenants, and PostgreSQL tells those who
    // watch that something has changed, also if a producer made it who may not read who watches.
    "
ALTER TABLE sitewright_bulk_runs ADD COLUMN selection TEXT;
ALTER TABLE sitewright_bulk_runs ADD COLUMN position TEXT;
ALTER TABLE sitewright_bulk_runs ADD COLUMN outcomes TEXT;
ALTER TABLE sitewright_bulk_runs ADD COLUMN owner TEXT;
ALTER TABLE sitewright_bulk_runs ADD COLUMN token_id TEXT;
ALTER TABLE sitewright_bulk_runs ADD COLUMN actor TEXT;
ALTER TABLE sitewright_bulk_runs ADD COLUMN tenant TEXT;
ALTER TABLE sitewright_tokens ADD COLUMN tenant TEXT;
CREATE INDEX sitewright_orders_of_tenant ON sitewright_orders (tenant, created_at, id)
    WHERE tenant IS NOT NULL;
CREATE INDEX sitewright_orders_states_of_tenant ON sitewright_orders (tenant, state, updated_at)
    WHERE tenant IS NOT NULL;
{postgres}CREATE TABLE sitewright_watchers (id TEXT PRIMARY KEY, until BIGINT NOT NULL);
{postgres}CREATE OR REPLACE FUNCTION sitewright_changed() RETURNS trigger LANGUAGE plpgsql \
     SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN \
     IF EXISTS (SELECT 1 FROM sitewright_watchers WHERE until >= {now}) THEN \
     PERFORM pg_notify('sitewright_changed', ''); END IF; RETURN NULL; END $$;
{postgres}CREATE TRIGGER sitewright_events_changed AFTER INSERT ON sitewright_events \
     FOR EACH STATEMENT EXECUTE FUNCTION sitewright_changed();
{postgres}CREATE TRIGGER sitewright_orders_changed AFTER INSERT OR DELETE OR UPDATE OF state, \
     current_release, last_failure, waiting_reason ON sitewright_orders \
     FOR EACH STATEMENT EXECUTE FUNCTION sitewright_changed();
",
    // The trace that an order is a part of: the header of whoever sent it, or a webhook for it.
    "
ALTER TABLE sitewright_orders ADD COLUMN traceparent TEXT;
ALTER TABLE sitewright_hook_deliveries ADD COLUMN traceparent TEXT;
 ",
    // How long AI calls took and how they failed. Replies of batches and of other orders took no
    // time, and may be almost all: the index leaves them out. That of orders takes the place of a
    // narrower one, so that pages about costs read no documents.
    "
ALTER TABLE sitewright_ai_calls ADD COLUMN took_ms BIGINT;
CREATE INDEX sitewright_ai_calls_took ON sitewright_ai_calls (created_at, provider, model, \
     took_ms, order_id) WHERE took_ms IS NOT NULL;
{sqlite}DROP INDEX sitewright_orders_named;
{sqlite}CREATE INDEX sitewright_orders_named ON sitewright_orders (id, template, tenant);
CREATE TABLE sitewright_ai_errors (
    hour BIGINT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    kind TEXT NOT NULL,
    failures BIGINT NOT NULL,
    PRIMARY KEY (hour, provider, model, kind)
);
",
    // Answers of batches that orders have not read: those of orders that have ended are charged.
    "
CREATE INDEX sitewright_batch_items_answered ON sitewright_batch_items (order_id)
    WHERE state = 'answered';
",
    // Which orders with batches have ended, without their documents. Fingerprints by how they begin:
    // the order of PostgreSQL's other index depends on the language of the database. Whether a
    // worker has cancelled a batch.
    "
{sqlite}CREATE INDEX sitewright_orders_of_batches ON sitewright_orders (id, state, batch) \
     WHERE batch = 1;
{postgres}CREATE INDEX sitewright_failures_begin ON sitewright_failures (fingerprint COLLATE \"C\", \
     id);
ALTER TABLE sitewright_batches ADD COLUMN cancelled BIGINT NOT NULL DEFAULT 0;
",
    // Lists of orders by their last failure and by when they ended, which read no document. Orders
    // that must not begin before a time, and workers that are to claim no others: workers of earlier
    // versions read neither.
    "
CREATE INDEX sitewright_orders_last_failure ON sitewright_orders (last_failure)
    WHERE last_failure IS NOT NULL;
CREATE INDEX sitewright_failures_of_kind ON sitewright_failures (kind, fingerprint, id);
CREATE INDEX sitewright_orders_ended ON sitewright_orders (finished_at)
    WHERE finished_at IS NOT NULL;
ALTER TABLE sitewright_orders ADD COLUMN due_at BIGINT;
ALTER TABLE sitewright_workers ADD COLUMN drain_requested_at BIGINT;
",
    // How orders ended with each version of a template, by the hour, and since when there is one.
    "
CREATE TABLE sitewright_template_ends (
    hour BIGINT NOT NULL,
    template TEXT NOT NULL,
    digest TEXT NOT NULL,
    succeeded BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    PRIMARY KEY (hour, template, digest)
);
CREATE TABLE sitewright_template_versions (
    template TEXT NOT NULL,
    digest TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (template, digest)
);
",
    // Webhooks about holds and budgets. Triggers write these deliveries too, whichever program sets
    // or releases a hold. A budget of a day is reported once, by the worker that stores it first.
    "
ALTER TABLE sitewright_deliveries ADD COLUMN cause TEXT;
ALTER TABLE sitewright_deliveries ADD COLUMN fingerprint TEXT;
ALTER TABLE sitewright_deliveries ADD COLUMN tenant TEXT;
CREATE TABLE sitewright_used_budgets (
    day BIGINT NOT NULL,
    tenant TEXT NOT NULL,
    cause TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (day, tenant)
);
{sqlite}CREATE TRIGGER sitewright_holds_set AFTER INSERT ON sitewright_holds \
     WHEN NEW.kind IN ('route', 'template') AND NEW.released_at IS NULL BEGIN {insert_hold} END;
{sqlite}CREATE TRIGGER sitewright_holds_changed AFTER UPDATE OF released_at ON sitewright_holds \
     WHEN NEW.kind IN ('route', 'template') \
     AND (NEW.released_at IS NULL) <> (OLD.released_at IS NULL) BEGIN {insert_hold} END;
{sqlite}CREATE TRIGGER sitewright_budgets_used AFTER INSERT ON sitewright_used_budgets \
     BEGIN {insert_budget} END;
{postgres}CREATE OR REPLACE FUNCTION sitewright_holds_webhooks() RETURNS trigger LANGUAGE plpgsql \
     AS $$ BEGIN {insert_hold} RETURN NULL; END $$;
{postgres}CREATE TRIGGER sitewright_holds_set AFTER INSERT ON sitewright_holds FOR EACH ROW \
     WHEN (NEW.kind IN ('route', 'template') AND NEW.released_at IS NULL) \
     EXECUTE FUNCTION sitewright_holds_webhooks();
{postgres}CREATE TRIGGER sitewright_holds_changed AFTER UPDATE OF released_at ON sitewright_holds \
     FOR EACH ROW WHEN (NEW.kind IN ('route', 'template') \
     AND (NEW.released_at IS NULL) <> (OLD.released_at IS NULL)) \
     EXECUTE FUNCTION sitewright_holds_webhooks();
{postgres}CREATE OR REPLACE FUNCTION sitewright_budgets_webhooks() RETURNS trigger \
     LANGUAGE plpgsql AS $$ BEGIN {insert_budget} RETURN NULL; END $$;
{postgres}CREATE TRIGGER sitewright_budgets_used AFTER INSERT ON sitewright_used_budgets \
     FOR EACH ROW EXECUTE FUNCTION sitewright_budgets_webhooks();
",
    // Which program a worker runs, and the newest contract that it knows. AI replies that another
    // order has paid for, of which an index has all that is counted; and the attempts of calls that
    // did not succeed at once. Circuit breakers that are open in workers; the model is empty for
    // that of an address.
    "
ALTER TABLE sitewright_workers ADD COLUMN program TEXT;
ALTER TABLE sitewright_workers ADD COLUMN contract TEXT;
ALTER TABLE sitewright_ai_calls ADD COLUMN tries TEXT;
ALTER TABLE sitewright_ai_calls ADD COLUMN cached BIGINT;
ALTER TABLE sitewright_ai_calls ADD COLUMN saved_nano_usd BIGINT;
CREATE INDEX sitewright_ai_calls_cached ON sitewright_ai_calls (created_at, saved_nano_usd, \
     order_id) WHERE cached = 1;
CREATE TABLE sitewright_breakers (
    worker TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    routes TEXT NOT NULL,
    failures BIGINT NOT NULL,
    kind TEXT NOT NULL,
    status BIGINT,
    since BIGINT NOT NULL,
    next_probe_at BIGINT,
    release_requested_at BIGINT,
    PRIMARY KEY (worker, provider, model)
);
",
    // Sums of hours that are over, so that pages read neither each AI reply nor each order that has
    // ended. An hour is in `sitewright_summed_hours` before it is summed up, and `built` is 1 while
    // its sums are right: triggers take it out, with its sums, when a row of the hour changes,
    // whichever program or version that was. SQLite's lists of orders by state, and searches by
    // id, read no document.
    "
CREATE TABLE sitewright_summed_hours (
    subject TEXT NOT NULL CHECK (subject IN ('ai', 'ended')),
    hour BIGINT NOT NULL,
    built BIGINT NOT NULL DEFAULT 0 CHECK (built IN (0, 1)),
    PRIMARY KEY (subject, hour)
);
CREATE TABLE sitewright_ai_sums (
    hour BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    template TEXT,
    calls BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    unpriced BIGINT NOT NULL
);
CREATE INDEX sitewright_ai_sums_of_hour ON sitewright_ai_sums (hour);
CREATE TABLE sitewright_ai_tenant_sums (
    hour BIGINT NOT NULL,
    tenant TEXT,
    calls BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL
);
CREATE INDEX sitewright_ai_tenant_sums_of_hour ON sitewright_ai_tenant_sums (hour);
CREATE TABLE sitewright_ended_sums (
    hour BIGINT NOT NULL,
    state TEXT NOT NULL,
    orders BIGINT NOT NULL,
    PRIMARY KEY (hour, state)
);
{sqlite}CREATE INDEX sitewright_orders_states ON sitewright_orders (state, created_at, id, \
     template);
{sqlite}DROP INDEX sitewright_orders_created;
{sqlite}CREATE INDEX sitewright_orders_created ON sitewright_orders (created_at, id);
{sqlite}CREATE TRIGGER sitewright_summed_hours_gone AFTER DELETE ON sitewright_summed_hours \
     WHEN OLD.built = 1 BEGIN {drop_sums} END;
{sqlite}CREATE TRIGGER sitewright_ai_calls_added AFTER INSERT ON sitewright_ai_calls BEGIN \
     DELETE FROM sitewright_summed_hours WHERE subject = 'ai' \
     AND hour = NEW.created_at - NEW.created_at % 3600000; END;
{sqlite}CREATE TRIGGER sitewright_ai_calls_removed AFTER DELETE ON sitewright_ai_calls BEGIN \
     DELETE FROM sitewright_summed_hours WHERE subject = 'ai' \
     AND hour = OLD.created_at - OLD.created_at % 3600000; END;
{sqlite}CREATE TRIGGER sitewright_ai_calls_changed AFTER UPDATE OF order_id, purpose, provider, \
     model, cost_nano_usd, input_tokens, output_tokens, created_at ON sitewright_ai_calls BEGIN \
     DELETE FROM sitewright_summed_hours WHERE subject = 'ai' \
     AND hour IN (OLD.created_at - OLD.created_at % 3600000, \
     NEW.created_at - NEW.created_at % 3600000); END;
{sqlite}CREATE TRIGGER sitewright_orders_relabelled AFTER UPDATE OF template, tenant \
     ON sitewright_orders WHEN NEW.template <> OLD.template \
     OR NEW.tenant IS DISTINCT FROM OLD.tenant BEGIN {drop_hours_of_order} END;
{sqlite}CREATE TRIGGER sitewright_orders_gone AFTER DELETE ON sitewright_orders BEGIN \
     {drop_hours_of_order} {drop_old_end} END;
{sqlite}CREATE TRIGGER sitewright_removed_orders_back AFTER DELETE ON sitewright_removed_orders \
     BEGIN {drop_hours_of_order} END;
{sqlite}CREATE TRIGGER sitewright_orders_ended_anew AFTER INSERT ON sitewright_orders \
     WHEN NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled') BEGIN {drop_new_end} END;
{sqlite}CREATE TRIGGER sitewright_orders_ends AFTER UPDATE OF state, updated_at \
     ON sitewright_orders WHEN (NEW.state <> OLD.state OR NEW.updated_at <> OLD.updated_at) \
     AND (NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled') \
     OR OLD.state IN ('succeeded', 'failed', 'dead', 'cancelled')) \
     BEGIN {drop_old_end} {drop_new_end} END;
{postgres}CREATE OR REPLACE FUNCTION sitewright_drop_sums() RETURNS trigger LANGUAGE plpgsql \
     SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN {drop_sums} RETURN NULL; END $$;
{postgres}CREATE OR REPLACE FUNCTION sitewright_drop_hours_of_call() RETURNS trigger \
     LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN \
     IF TG_OP <> 'INSERT' THEN DELETE FROM sitewright_summed_hours WHERE subject = 'ai' \
     AND hour = OLD.created_at - OLD.created_at % 3600000; END IF; \
     IF TG_OP <> 'DELETE' THEN DELETE FROM sitewright_summed_hours WHERE subject = 'ai' \
     AND hour = NEW.created_at - NEW.created_at % 3600000; END IF; RETURN NULL; END $$;
{postgres}CREATE OR REPLACE FUNCTION sitewright_drop_hours_of_order() RETURNS trigger \
     LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN \
     {drop_hours_of_order} RETURN NULL; END $$;
{postgres}CREATE OR REPLACE FUNCTION sitewright_drop_hour_of_end() RETURNS trigger \
     LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN \
     IF TG_OP <> 'INSERT' THEN {drop_old_end} END IF; \
     IF TG_OP <> 'DELETE' THEN {drop_new_end} END IF; RETURN NULL; END $$;
{postgres}CREATE TRIGGER sitewright_summed_hours_gone AFTER DELETE ON sitewright_summed_hours \
     FOR EACH ROW WHEN (OLD.built = 1) EXECUTE FUNCTION sitewright_drop_sums();
{postgres}CREATE TRIGGER sitewright_ai_calls_added AFTER INSERT OR DELETE ON sitewright_ai_calls \
     FOR EACH ROW EXECUTE FUNCTION sitewright_drop_hours_of_call();
{postgres}CREATE TRIGGER sitewright_ai_calls_changed AFTER UPDATE OF order_id, purpose, provider, \
     model, cost_nano_usd, input_tokens, output_tokens, created_at ON sitewright_ai_calls \
     FOR EACH ROW EXECUTE FUNCTION sitewright_drop_hours_of_call();
{postgres}CREATE TRIGGER sitewright_orders_relabelled AFTER UPDATE OF template, tenant \
     ON sitewright_orders FOR EACH ROW WHEN (NEW.template <> OLD.template \
     OR NEW.tenant IS DISTINCT FROM OLD.tenant) EXECUTE FUNCTION sitewright_drop_hours_of_order();
{postgres}CREATE TRIGGER sitewright_orders_gone AFTER DELETE ON sitewright_orders \
     FOR EACH ROW EXECUTE FUNCTION sitewright_drop_hours_of_order();
{postgres}CREATE TRIGGER sitewright_removed_orders_back AFTER DELETE ON sitewright_removed_orders \
     FOR EACH ROW EXECUTE FUNCTION sitewright_drop_hours_of_order();
{postgres}CREATE TRIGGER sitewright_orders_ended_anew AFTER INSERT ON sitewright_orders \
     FOR EACH ROW WHEN (NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled')) \
     EXECUTE FUNCTION sitewright_drop_hour_of_end();
{postgres}CREATE TRIGGER sitewright_orders_ended_gone AFTER DELETE ON sitewright_orders \
     FOR EACH ROW WHEN (OLD.state IN ('succeeded', 'failed', 'dead', 'cancelled')) \
     EXECUTE FUNCTION sitewright_drop_hour_of_end();
{postgres}CREATE TRIGGER sitewright_orders_ends AFTER UPDATE OF state, updated_at \
     ON sitewright_orders FOR EACH ROW WHEN ((NEW.state <> OLD.state \
     OR NEW.updated_at <> OLD.updated_at) \
     AND (NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled') \
     OR OLD.state IN ('succeeded', 'failed', 'dead', 'cancelled'))) \
     EXECUTE FUNCTION sitewright_drop_hour_of_end();
",
    // Which announcement of an hour it is: the sums that a process has made after one must not be
    // those of a later one. And functions that run with the rights of their owner find no temporary
    // table of a producer: PostgreSQL would look there first.
    "
ALTER TABLE sitewright_summed_hours ADD COLUMN announcement TEXT NOT NULL DEFAULT '';
{postgres}SELECT set_config('search_path', concat_ws(', ', \
     nullif(current_setting('search_path'), ''), 'pg_temp'), true);
{postgres}ALTER FUNCTION sitewright_changed() SET search_path FROM CURRENT;
{postgres}ALTER FUNCTION sitewright_drop_sums() SET search_path FROM CURRENT;
{postgres}ALTER FUNCTION sitewright_drop_hours_of_call() SET search_path FROM CURRENT;
{postgres}ALTER FUNCTION sitewright_drop_hours_of_order() SET search_path FROM CURRENT;
{postgres}ALTER FUNCTION sitewright_drop_hour_of_end() SET search_path FROM CURRENT;
",
    // Sums of hours by label too, beside purpose, model and template, so that what a tenant spends
    // is not read from each reply. `labelled` is 1 for hours that have them: programs of earlier
    // versions sum up without. All sums stay; `Database::sum_hours` adds these to them.
    "
ALTER TABLE sitewright_summed_hours ADD COLUMN labelled BIGINT NOT NULL DEFAULT 0;
CREATE TABLE sitewright_ai_label_sums (
    hour BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    template TEXT,
    tenant TEXT,
    calls BIGINT NOT NULL,
    nano_usd BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    unpriced BIGINT NOT NULL
);
CREATE INDEX sitewright_ai_label_sums_of_hour ON sitewright_ai_label_sums (hour);
{sqlite}CREATE TRIGGER sitewright_label_sums_gone AFTER DELETE ON sitewright_summed_hours \
     WHEN OLD.built = 1 AND OLD.subject = 'ai' BEGIN \
     DELETE FROM sitewright_ai_label_sums WHERE hour = OLD.hour; END;
{postgres}SELECT set_config('search_path', CASE \
     WHEN current_setting('search_path') LIKE '%pg_temp' THEN current_setting('search_path') \
     ELSE concat_ws(', ', nullif(current_setting('search_path'), ''), 'pg_temp') END, true);
{postgres}CREATE OR REPLACE FUNCTION sitewright_drop_label_sums() RETURNS trigger \
     LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN \
     DELETE FROM sitewright_ai_label_sums WHERE hour = OLD.hour; RETURN NULL; END $$;
{postgres}CREATE TRIGGER sitewright_label_sums_gone AFTER DELETE ON sitewright_summed_hours \
     FOR EACH ROW WHEN (OLD.built = 1 AND OLD.subject = 'ai') \
     EXECUTE FUNCTION sitewright_drop_label_sums();
",
    // Whose calls an open circuit breaker rejects, as JSON; null of workers of earlier versions.
    "
ALTER TABLE sitewright_breakers ADD COLUMN scope TEXT;
",
];

/// What the triggers of version 25 do: `{drop_sums}` and so on there. Each is one or more whole
/// statements on one line. The hour of a row is taken out of those that are summed up, and the sums
/// of an hour that was taken out are removed.
const DROP_SUMS: [(&str, &str); 4] = [
    (
        "{drop_sums}",
        "DELETE FROM sitewright_ai_sums WHERE OLD.subject = 'ai' AND hour = OLD.hour; \
         DELETE FROM sitewright_ai_tenant_sums WHERE OLD.subject = 'ai' AND hour = OLD.hour; \
         DELETE FROM sitewright_ended_sums WHERE OLD.subject = 'ended' AND hour = OLD.hour;",
    ),
    (
        "{drop_hours_of_order}",
        "DELETE FROM sitewright_summed_hours WHERE subject = 'ai' AND hour IN (\
         SELECT c.created_at - c.created_at % 3600000 FROM sitewright_ai_calls c \
         WHERE c.order_id = OLD.id);",
    ),
    (
        "{drop_old_end}",
        "DELETE FROM sitewright_summed_hours WHERE subject = 'ended' \
         AND hour = OLD.updated_at - OLD.updated_at % 3600000 \
         AND OLD.state IN ('succeeded', 'failed', 'dead', 'cancelled');",
    ),
    (
        "{drop_new_end}",
        "DELETE FROM sitewright_summed_hours WHERE subject = 'ended' \
         AND hour = NEW.updated_at - NEW.updated_at % 3600000 \
         AND NEW.state IN ('succeeded', 'failed', 'dead', 'cancelled');",
    ),
];

/// The statement of the trigger of version 10, `{insert}` there, on one line for the placeholders
/// at the beginning of lines. `updated_at` is the time of the change by the clock of the process
/// that made it.
const INSERT_DELIVERIES: &str = "INSERT INTO sitewright_deliveries (id, webhook, url, event, \
     order_id, at, next_at, template, revision, release, failure_id, hold) \
     SELECT 'msg_' || {unique}, t.webhook, t.url, 'order.' || NEW.state, NEW.id, \
     coalesce(NEW.finished_at, NEW.updated_at), coalesce(NEW.finished_at, NEW.updated_at), \
     NEW.template, NEW.revision, \
     CASE WHEN NEW.state = 'succeeded' THEN NEW.current_release END, \
     CASE WHEN NEW.state IN ('failed', 'dead') THEN NEW.last_failure END, \
     CASE WHEN NEW.state = 'waiting' THEN NEW.held_by END \
     FROM (SELECT w.name AS webhook, NULL AS url FROM sitewright_webhooks w \
     WHERE w.disabled_at IS NULL AND w.events LIKE '%,order.' || NEW.state || ',%' \
     UNION ALL SELECT 'callback' AS webhook, c.url AS url FROM sitewright_callbacks c \
     WHERE c.order_id = NEW.id AND c.disabled_at IS NULL) AS t;";

/// The statement of the triggers of version 23 on holds, `{insert_hold}` there.
const INSERT_HOLD_DELIVERIES: &str = "INSERT INTO sitewright_deliveries (id, webhook, event, at, \
     next_at, template, hold, cause, fingerprint) \
     SELECT 'msg_' || {unique}, w.name, e.event, e.at, e.at, \
     CASE WHEN NEW.kind = 'template' THEN NEW.name END, NEW.id, NEW.cause, NEW.fingerprint \
     FROM (SELECT CASE WHEN NEW.kind = 'route' AND NEW.released_at IS NULL THEN 'route.held' \
     WHEN NEW.kind = 'route' THEN 'route.released' \
     WHEN NEW.released_at IS NULL THEN 'template.paused' ELSE 'template.resumed' END AS event, \
     coalesce(NEW.released_at, NEW.since) AS at) AS e \
     JOIN sitewright_webhooks w ON w.disabled_at IS NULL \
     AND w.events LIKE '%,' || e.event || ',%';";

/// The statement of the trigger of version 23 on budgets, `{insert_budget}` there.
const INSERT_BUDGET_DELIVERIES: &str = "INSERT INTO sitewright_deliveries (id, webhook, event, at, \
     next_at, cause, tenant) \
     SELECT 'msg_' || {unique}, w.name, 'budget.reached', NEW.at, NEW.at, NEW.cause, \
     nullif(NEW.tenant, '') FROM sitewright_webhooks w \
     WHERE w.disabled_at IS NULL AND w.events LIKE '%,budget.reached,%';";

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS sitewright_schema (
    version BIGINT PRIMARY KEY,
    program TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

/// The versions that [`Database::migrate`] found and applied.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Migrated {
    /// Version of our tables before; 0 if there were none.
    pub from: i64,
    /// Version of our tables now.
    pub to: i64,
    /// River's versions that were applied.
    pub river: Vec<i64>,
}

impl Database {
    /// Brings River's tables and ours to the versions of this build. Changes nothing, and needs no
    /// right to, if they have them. Of several processes that start at once one migrates and the
    /// others wait.
    ///
    /// # Errors
    /// [`Error::NewerSchema`] if a newer build migrated the database, which is then left unchanged;
    /// [`Error::MigrationLocked`] if another process migrates for too long; or the database fails.
    pub async fn migrate(&self) -> Result<Migrated, Error> {
        if let Some(current) = self.migrated().await? {
            return Ok(current);
        }
        #[cfg(feature = "postgres")]
        if let Pool::Postgres(pool) = self.pool() {
            let pooled = postgres::is_transaction_pooled(pool).await;
            if pooled.map_err(|error| Error::database("looking for a pooler", error))? {
                return Err(Error::TransactionPooling { shown: self.shown().to_owned() });
            }
        }
        let Some(lock) = MigrationLock::acquire(self).await? else {
            return self.migrate_locked().await;
        };
        let migrated = self.migrate_locked().await;
        lock.release().await;
        migrated
    }

    /// The versions, if there is nothing to migrate.
    pub(super) async fn migrated(&self) -> Result<Option<Migrated>, Error> {
        match self.check_schema().await {
            Ok(()) => {
                let (from, _) = self.versions().await?;
                self.fill_index().await?;
                Ok(Some(Migrated { from, to: from, river: Vec::new() }))
            }
            Err(Error::OlderSchema { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn migrate_locked(&self) -> Result<Migrated, Error> {
        if let Some(current) = self.migrated().await? {
            return Ok(current);
        }
        let (ours, _) = self.versions().await?;
        let river = self.migrate_river().await?;
        let failed = |error| Error::database("migrating sitewright's tables", error);
        let mut from = ours;
        for to in steps(ours) {
            let mut tx = self.pool().begin().await.map_err(failed)?;
            apply(&mut tx, from, to).await.map_err(failed)?;
            tx.commit().await.map_err(failed)?;
            from = to;
        }
        self.fill_index().await?;
        Ok(Migrated { from: ours, to: SCHEMA_VERSION.max(ours), river })
    }

    async fn migrate_river(&self) -> Result<Vec<i64>, Error> {
        const DOING: &str = "migrating the queue's tables";
        let migrated = match self.pool() {
            Pool::Sqlite(pool) => SqliteMigrator::new(pool.clone()).migrate_up().await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                let pool = postgres::migration_pool(pool, TABLE_LOCK_WITHIN).await;
                let pool = pool.map_err(|error| Error::database(DOING, error))?;
                let migrated = PostgresMigrator::new(pool.clone()).migrate_up().await;
                pool.close().await;
                migrated
            }
        };
        migrated.map_err(|error| match error {
            river::Error::Database(error) => Error::database(DOING, error),
            other => Error::database(DOING, sqlx::Error::Configuration(Box::new(other))),
        })
    }

    /// Waits until a newer program has migrated the database so that this one must not use it any
    /// more. A database that is away is waited for.
    pub async fn until_outdated(&self) -> Error {
        loop {
            tokio::time::sleep(OUTDATED_EVERY).await;
            match self.versions().await {
                Ok((found, _)) if found > SCHEMA_VERSION => match self.minimum(found).await {
                    Ok(minimum) if minimum > SCHEMA_VERSION => {
                        let (shown, known) = (self.shown().to_owned(), SCHEMA_VERSION);
                        return Error::Outdated { shown, found, minimum, known };
                    }
                    Ok(_) => {}
                    Err(error) => tracing::debug!(%error, "cannot read the oldest usable version"),
                },
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "cannot read the schema version"),
            }
        }
    }

    /// Checks that this build can use the tables: they have its versions, or those of a newer build
    /// that has declared them usable for this one.
    ///
    /// # Errors
    /// [`Error::OlderSchema`], [`Error::NewerSchema`]; or the database fails.
    pub async fn check_schema(&self) -> Result<(), Error> {
        let (ours, rivers) = self.versions().await?;
        if ours > SCHEMA_VERSION && self.minimum(ours).await? <= SCHEMA_VERSION {
            // Who migrated it has also decided that this build can use its version of River.
            return Ok(());
        }
        let known = [
            ("sitewright's", ours, SCHEMA_VERSION),
            ("River's", rivers, river::MIGRATION_VERSION_LATEST),
        ];
        let shown = || self.shown().to_owned();
        if let Some((of, found, known)) = known.into_iter().find(|(_, found, known)| found > known)
        {
            return Err(Error::NewerSchema { shown: shown(), of, found, known });
        }
        match known.into_iter().find(|(_, found, known)| found < known) {
            Some((of, found, known)) => {
                Err(Error::OlderSchema { shown: shown(), of, found, known })
            }
            None => Ok(()),
        }
    }

    /// The oldest version whose programs may use tables of version `found`, which is newer than this
    /// build's.
    async fn minimum(&self, found: i64) -> Result<i64, Error> {
        const MINIMUM: &str = "SELECT max(coalesce(minimum, version)) AS minimum
            FROM sitewright_schema WHERE version > $1";
        let doing = "reading the oldest usable schema version";
        let rows = self.read(doing, MINIMUM, args![SCHEMA_VERSION]).await?;
        let minimum = rows.first().map_or(Ok(None), |row| row.opt_int("minimum"));
        Ok(minimum.map_err(|error| Error::database(doing, error))?.unwrap_or(found))
    }

    /// The versions of our tables and of River's; 0 if there are none.
    async fn versions(&self) -> Result<(i64, i64), Error> {
        const DOING: &str = "reading the schema version";
        let failed = |error| Error::database(DOING, error);
        let exists = self.pool().queries().table_exists.as_str();
        let mut versions = [0, 0];
        let tables = [
            (
                "sitewright_schema",
                "SELECT coalesce(max(version), 0) AS version FROM sitewright_schema",
            ),
            (queue::SCHEMA_TABLE, queue::SCHEMA_VERSION),
        ];
        for ((table, sql), version) in tables.into_iter().zip(&mut versions) {
            if !self.read(DOING, exists, args![table]).await?.is_empty() {
                let rows = self.read(DOING, sql, vec![]).await?;
                *version = rows.first().map_or(Ok(0), |row| row.int("version")).map_err(failed)?;
            }
        }
        Ok((versions[0], versions[1]))
    }
}

/// The versions after each of which the migration commits: a table that one version has locked must
/// not stay locked while the next one builds an index. New tables are made at once, because nobody
/// uses them.
fn steps(from: i64) -> Vec<i64> {
    match from {
        0 => vec![SCHEMA_VERSION],
        from => (from.saturating_add(1)..=SCHEMA_VERSION).collect(),
    }
}

/// Brings the tables from one version to another one.
async fn apply(tx: &mut Tx, from: i64, to: i64) -> Result<(), sqlx::Error> {
    let queries = tx.queries();
    #[cfg(feature = "postgres")]
    if let Tx::Postgres(_) = tx {
        let ms = TABLE_LOCK_WITHIN.as_millis();
        tx.script(format!("SET LOCAL lock_timeout = {ms}")).await?;
    }
    tx.script(VERSIONS.to_owned()).await?;
    let (now, sequence) = (queries.now_ms.as_str(), queries.sequence.as_str());
    // A comment on the other one.
    let (sqlite, postgres) = (tx.pick("", "-- "), tx.pick("-- ", ""));
    let [insert, insert_hold, insert_budget] =
        [INSERT_DELIVERIES, INSERT_HOLD_DELIVERIES, INSERT_BUDGET_DELIVERIES]
            .map(|statement| statement.replace("{unique}", &queries.unique));
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if version > from && version <= to {
            let script = migration.replace("{now}", now).replace("{sequence}", sequence);
            let script = script.replace("{sqlite}", sqlite).replace("{postgres}", postgres);
            let script = script.replace("{insert_hold}", &insert_hold);
            let script = script.replace("{insert_budget}", &insert_budget);
            let script = DROP_SUMS
                .iter()
                .fold(script, |script, (name, statements)| script.replace(name, statements));
            tx.script(script.replace("{insert}", &insert)).await?;
            tx.execute(
                "INSERT INTO sitewright_schema (version, program, applied_at) VALUES ($1, $2, $3)",
                args![version, env!("CARGO_PKG_VERSION"), now_ms()],
            )
            .await?;
        }
    }
    if to < MINIMUM_SINCE {
        return Ok(());
    }
    // Also of the versions in between: running programs read all that are newer than theirs.
    tx.execute(
        "UPDATE sitewright_schema SET minimum = $1 WHERE version > $2 AND version <= $3",
        args![MINIMUM_VERSION, from, to],
    )
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;
    use crate::driver::statement::render;

    /// Published migrations cannot change, so a new state needs a migration of its own.
    #[test]
    fn the_tables_allow_all_states() {
        let spaces = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let orders = spaces(MIGRATIONS[0]);
        let (unfinished, ended) = (render("{unfinished}"), render("{ended}"));
        let all = format!("{}, {}", unfinished.trim_end_matches(')'), &ended[1..]);
        assert!(orders.contains(&format!("CHECK (state IN {all})")), "{all}");
        assert!(orders.contains(&format!("state IN {ended}")), "{ended}");
    }
}
