//! What the triggers of PostgreSQL cost that tell watchers of changes: orders are claimed and
//! completed, two commits each, while somebody watches and while nobody does.

use std::time::Instant;

use anyhow::ensure;
use sqlx::postgres::PgListener;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use super::Rows;
use super::fill::{Texts, is_sqlite, run};
use crate::setup::median;
use crate::table::count;

/// Connections that change orders.
const CONNECTIONS: usize = 8;
/// Orders of each in a round.
const ORDERS: usize = 250;
/// Alternating rounds of each side.
const ROUNDS: usize = 5;

pub(super) async fn measure(url: &str, texts: &Texts, rows: &mut Rows<'_>) -> anyhow::Result<()> {
    let names = ["orders claimed and completed/s, nobody watches", "… somebody watches"];
    if is_sqlite(url) {
        for name in names {
            rows.add(name, "no such trigger".to_owned());
        }
        return Ok(());
    }
    let document = texts.of("watched").replace('\'', "''");
    let sql = format!(
        "INSERT INTO sitewright_orders (id, document, template, created_at, updated_at)
         SELECT 'watched-' || i, '{document}', 'watched', 0, 0
         FROM generate_series(0, {}) AS i",
        CONNECTIONS * ORDERS - 1
    );
    run(url, sql).await?;
    let mut listener = PgListener::connect(url).await?;
    listener.listen("sitewright_changed").await?;
    let listening = tokio::spawn(async move { while listener.recv().await.is_ok() {} });
    let mut measured = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (side, is_watched) in measured.iter_mut().zip([false, true]) {
            // As a server does it, for longer than the benchmark takes.
            let watch = if is_watched {
                "INSERT INTO sitewright_watchers (id, until) VALUES ('bench', 9007199254740991);"
            } else {
                ""
            };
            let reset = format!(
                "DELETE FROM sitewright_watchers; {watch}
                 UPDATE sitewright_orders SET state = 'queued', finished_at = NULL
                 WHERE template = 'watched'"
            );
            run(url, reset).await?;
            side.push(round(url).await?);
        }
    }
    listening.abort();
    let gone = "DELETE FROM sitewright_watchers WHERE id = 'bench';
         DELETE FROM sitewright_orders WHERE template = 'watched'";
    run(url, gone.to_owned()).await?;
    for (name, rates) in names.into_iter().zip(measured) {
        rows.add(name, count(median(rates)));
    }
    Ok(())
}

/// Claims and completes all orders, over several connections. Orders per second.
async fn round(url: &str) -> anyhow::Result<f64> {
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connections.push(PgConnection::connect(url).await?);
    }
    let begin = Instant::now();
    let mut changing = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        changing.spawn(change(connection, number * ORDERS));
    }
    while let Some(ended) = changing.join_next().await {
        ended??;
    }
    Ok((CONNECTIONS * ORDERS) as f64 / begin.elapsed().as_secs_f64())
}

async fn change(mut connection: PgConnection, first: usize) -> anyhow::Result<()> {
    for number in first..first + ORDERS {
        let id = format!("watched-{number}");
        for sql in [
            "UPDATE sitewright_orders SET state = 'running', owner_attempt = 'a', updated_at = 1
             WHERE id = $1 AND state = 'queued'",
            "UPDATE sitewright_orders SET state = 'succeeded', owner_attempt = NULL,
                finished_at = 2, updated_at = 2 WHERE id = $1 AND state = 'running'",
        ] {
            let done = sqlx::query(sql).bind(id.clone()).execute(&mut connection).await?;
            ensure!(done.rows_affected() == 1, "order {id} could not be changed");
        }
    }
    connection.close().await?;
    Ok(())
}
