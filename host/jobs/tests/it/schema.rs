//! Opening and migrating a database.

use super::*;

on_both!(
    b5_g2_tables_are_made_once_by_many_at_a_time,
    b5_g2_a_schema_that_is_too_new_is_refused,
    g2_failures_from_before_there_were_fingerprints_are_found_too,
    g2_running_workers_read_on_while_a_newer_program_adds_columns,
);

mod tests {
    use super::*;

    pub(super) async fn b5_g2_tables_are_made_once_by_many_at_a_time(place: Place) {
        let first = Database::open(&place.url).await.unwrap();
        let error = first.check_schema().await.unwrap_err();
        assert!(error.to_string().contains("run `sitewright migrate`"), "{error}");
        let starts = (0..4).map(|_| async {
            let database = Database::open(&place.url).await.unwrap();
            database.migrate().await.unwrap().from
        });
        let from = futures::future::join_all(starts).await;
        assert_eq!(from.iter().filter(|from| **from == 0).count(), 1, "{from:?}");
        first.check_schema().await.unwrap();
        assert_eq!(first.migrate().await.unwrap().river, Vec::<i64>::new());
    }

    pub(super) async fn b5_g2_a_schema_that_is_too_new_is_refused(place: Place) {
        let database = place.open().await;
        for (table, column, known) in [
            ("sitewright_schema", "program, applied_at", SCHEMA_VERSION),
            ("river_migration", "", 8),
        ] {
            let newer = known + 4;
            if column.is_empty() {
                place
                    .sql(&format!("INSERT INTO {table} (line, version) VALUES ('main', {newer})"))
                    .await;
            } else {
                place
                    .sql(&format!(
                        "INSERT INTO {table} (version, {column}) VALUES ({newer}, '9', 0)"
                    ))
                    .await;
            }
            for error in
                [database.migrate().await.unwrap_err(), database.check_schema().await.unwrap_err()]
            {
                assert!(matches!(error, Error::NewerSchema { .. }), "{error:?}");
                let text = error.to_string();
                for part in [
                    format!("version {newer}"),
                    format!("up to {known}"),
                    "newer sitewright".to_owned(),
                ] {
                    assert!(text.contains(&part), "{part} is missing in: {text}");
                }
            }
            let refused = start(database.clone(), quick(), Scripted::all_succeed()).await;
            assert!(matches!(refused, Err(Error::NewerSchema { .. })));
            place.sql(&format!("DELETE FROM {table} WHERE version = {newer}")).await;
        }
        database.check_schema().await.unwrap();
    }

    pub(super) async fn g2_failures_from_before_there_were_fingerprints_are_found_too(
        place: Place,
    ) {
        let database = place.open().await;
        fail(&database, "a", whole("a", "bakery", "no dish 1")).await;
        fail(&database, "b", whole("b", "bakery", "no dish 2")).await;
        fail(&database, "c", failure("template_error", "no whole record")).await;
        let before = database.failure_groups(&ListedFailures::default()).await.unwrap();
        assert_eq!(before.len(), 2);
        let trigger = match place.is_sqlite() {
            true => "DROP TRIGGER sitewright_orders_webhooks",
            false => "DROP TRIGGER sitewright_orders_webhooks ON sitewright_orders",
        };
        if !place.is_sqlite() {
            place.sql("DROP TRIGGER sitewright_events_changed ON sitewright_events").await;
            place.sql("DROP TRIGGER sitewright_orders_changed ON sitewright_orders").await;
            place.sql("DROP TABLE sitewright_watchers").await;
        }
        let on = |table: &str| match place.is_sqlite() {
            true => String::new(),
            false => format!(" ON sitewright_{table}"),
        };
        for (trigger, table) in [
            ("ai_calls_added", "ai_calls"),
            ("ai_calls_changed", "ai_calls"),
            ("orders_relabelled", "orders"),
            ("orders_gone", "orders"),
            ("removed_orders_back", "removed_orders"),
            ("orders_ended_anew", "orders"),
            ("orders_ends", "orders"),
        ] {
            place.sql(&format!("DROP TRIGGER sitewright_{trigger}{}", on(table))).await;
        }
        match place.is_sqlite() {
            true => {
                place.sql("DROP TRIGGER sitewright_ai_calls_removed").await;
                place.sql("DROP INDEX sitewright_orders_states").await;
            }
            false => {
                place.sql("DROP TRIGGER sitewright_orders_ended_gone ON sitewright_orders").await;
            }
        }
        for sql in [
            // With their triggers, which name other tables that are dropped.
            "DROP TABLE sitewright_summed_hours",
            "DROP TABLE sitewright_ai_sums",
            "DROP TABLE sitewright_ai_tenant_sums",
            "DROP TABLE sitewright_ai_label_sums",
            "DROP TABLE sitewright_ended_sums",
            "DROP TABLE sitewright_used_budgets",
            "DROP TABLE sitewright_holds",
            "DROP INDEX sitewright_orders_last_failure",
            "DROP INDEX sitewright_orders_ended",
            "DROP INDEX sitewright_failures_of_kind",
            "ALTER TABLE sitewright_orders DROP COLUMN due_at",
            "ALTER TABLE sitewright_workers DROP COLUMN drain_requested_at",
            "ALTER TABLE sitewright_workers DROP COLUMN program",
            "ALTER TABLE sitewright_workers DROP COLUMN contract",
            "DROP TABLE sitewright_hook_deliveries",
            "DROP TABLE sitewright_bulk_runs",
            "DROP INDEX sitewright_ai_calls_took",
            "DROP INDEX sitewright_ai_calls_at",
            "ALTER TABLE sitewright_ai_calls DROP COLUMN took_ms",
            "DROP INDEX sitewright_ai_calls_cached",
            "ALTER TABLE sitewright_ai_calls DROP COLUMN tries",
            "ALTER TABLE sitewright_ai_calls DROP COLUMN cached",
            "ALTER TABLE sitewright_ai_calls DROP COLUMN saved_nano_usd",
            "DROP TABLE sitewright_ai_errors",
            "DROP TABLE sitewright_breakers",
            "DROP TABLE sitewright_template_ends",
            "DROP TABLE sitewright_template_versions",
            "DROP INDEX IF EXISTS sitewright_orders_named",
            trigger,
            "DROP INDEX sitewright_orders_of_tenant",
            "DROP INDEX sitewright_orders_states_of_tenant",
            "ALTER TABLE sitewright_orders DROP COLUMN tenant",
            "DROP TABLE sitewright_cached_replies",
            "DROP TABLE sitewright_webhooks",
            "DROP TABLE sitewright_callbacks",
            "DROP TABLE sitewright_deliveries",
            "DROP TABLE sitewright_delivery_attempts",
            "DROP TABLE sitewright_worker_ends",
            "DROP TABLE sitewright_tokens",
            "DROP TABLE sitewright_audit",
            "DROP TABLE sitewright_templates",
            "DROP INDEX sitewright_orders_held",
            "DROP INDEX sitewright_orders_batched",
            "DROP INDEX IF EXISTS sitewright_orders_of_batches",
            "ALTER TABLE sitewright_orders DROP COLUMN batch",
            "ALTER TABLE sitewright_orders DROP COLUMN awaits_batch",
            "DROP TABLE sitewright_batches",
            "DROP TABLE sitewright_batch_items",
            "ALTER TABLE sitewright_orders DROP COLUMN held_by",
            "ALTER TABLE sitewright_orders DROP COLUMN sent_digest",
            "ALTER TABLE sitewright_orders DROP COLUMN traceparent",
            "ALTER TABLE sitewright_orders DROP COLUMN suspected_at",
            "ALTER TABLE sitewright_workers DROP COLUMN marks",
            "ALTER TABLE sitewright_workers DROP COLUMN stale_since",
            "ALTER TABLE sitewright_workers DROP COLUMN stale_beats",
            "DROP TABLE sitewright_sweeps",
            "DROP TABLE sitewright_removed_orders",
            "DROP TABLE sitewright_revisions",
            "ALTER TABLE sitewright_orders DROP COLUMN revision",
            "DROP INDEX sitewright_ai_calls_of_order",
            "DROP INDEX sitewright_orders_due",
            "DROP INDEX IF EXISTS sitewright_orders_of_template",
            "ALTER TABLE sitewright_schema DROP COLUMN minimum",
            "DROP INDEX sitewright_orders_spelling",
            "DROP INDEX sitewright_failures_alike",
            "DROP INDEX sitewright_failures_unlike",
            "DROP INDEX IF EXISTS sitewright_failures_begin",
            "ALTER TABLE sitewright_failures DROP COLUMN fingerprint",
            "ALTER TABLE sitewright_failures DROP COLUMN template",
            "ALTER TABLE sitewright_failures DROP COLUMN frame",
            "DELETE FROM sitewright_schema WHERE version >= 2",
        ] {
            place.sql(sql).await;
        }
        let database = Database::open(&place.url).await.unwrap();
        assert!(
            database
                .check_schema()
                .await
                .unwrap_err()
                .to_string()
                .contains("run `sitewright migrate`")
        );
        let migrated = database.migrate().await.unwrap();
        assert_eq!((migrated.from, migrated.to), (1, SCHEMA_VERSION));
        let refusing = "SELECT count(*) FROM sitewright_schema WHERE minimum IS NULL
            AND version > 5";
        assert_eq!(place.number(refusing).await, 0, "running workers of version 6 go on");
        if !place.is_sqlite() {
            let commits = "SELECT count(DISTINCT xmin::text) FROM sitewright_schema";
            assert_eq!(place.number(commits).await, SCHEMA_VERSION, "one for each version");
        }
        let after = database.failure_groups(&ListedFailures::default()).await.unwrap();
        assert_eq!(after, before);
        assert_eq!(
            place
                .number("SELECT count(*) FROM sitewright_failures WHERE fingerprint IS NULL")
                .await,
            0
        );
    }

    pub(super) async fn g2_running_workers_read_on_while_a_newer_program_adds_columns(
        place: Place,
    ) {
        let database = place.open().await;
        fail(&database, "a", whole("a", "bakery", "no dish 1")).await;
        database.keep_reply("a", "x", reply("q", 0)).await.unwrap();
        let groups = database.failure_groups(&ListedFailures::default()).await.unwrap();
        let cause = groups[0].fingerprint.clone();
        let read = async || {
            assert!(database.reply("a", "q", 0).await.unwrap().is_some());
            assert_eq!(database.kept_replies("a").await.unwrap(), 1);
            assert_eq!(database.ai_calls("a").await.unwrap().len(), 1);
            assert_eq!(database.uncounted_replies("a").await.unwrap().len(), 1);
            let failures = database.failures("a").await.unwrap();
            assert_eq!(database.failure(&failures[0].id).await.unwrap(), Some(failures[0].clone()));
            assert_eq!(database.failures_of(&cause, None, 5).await.unwrap(), failures);
            assert_eq!(database.order("a").await.unwrap().id, "a");
        };
        // Each connection of the pool has prepared its statements.
        for _ in 0..4 {
            read().await;
        }
        for table in ["sitewright_ai_calls", "sitewright_failures", "sitewright_orders"] {
            place.sql(&format!("ALTER TABLE {table} ADD COLUMN of_a_newer_program TEXT")).await;
        }
        for _ in 0..4 {
            read().await;
        }
    }
}

#[tokio::test]
async fn f1_a_database_cannot_be_read_by_other_users() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/orders.db");
    let url = format!("sqlite://{}", file.display());
    let modes = || -> Vec<u32> {
        let entries = std::fs::read_dir(file.parent().unwrap()).unwrap();
        let mode = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().metadata().unwrap().permissions().mode() & 0o777
        };
        entries.map(mode).collect()
    };
    let database = Database::open(&url).await.unwrap();
    database.migrate().await.unwrap();
    assert!(modes().len() > 2 && modes().iter().all(|mode| *mode == 0o600), "{:?}", modes());
    database.close().await;
    // One that an earlier version has created, readable by everybody.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let database = Database::open(&url).await.unwrap();
    database.check_schema().await.unwrap();
    assert!(modes().iter().all(|mode| mode & 0o007 == 0), "{:?}", modes());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn a8_a_database_url_is_checked_and_never_shown_with_its_password() {
    for (url, why) in [
        ("mysql://me:s3cr3t@host/db", "names no database"),
        ("sqlite::memory:", "forgets its orders"),
        ("orders.db", "names no database"),
        ("postgres://me:s3cr3t@nowhere.invalid:1/db", "cannot be opened"),
    ] {
        let error = Database::open(url).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("s3cr3t"), "{told}");
    }
}
