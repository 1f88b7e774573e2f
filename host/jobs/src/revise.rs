//! Revisions: the same order with a changed document. The release that visitors see stays until the
//! new one is verified, and AI replies whose request did not change are not paid for again.

use std::sync::Arc;

use serde::Serialize;
use sitewright_model::time::now_ms;

use super::batch_items;
use super::database::Database;
use super::driver::{Row, Tx, args, river};
use super::error::Error;
use super::fair_share::FairShare;
use super::model::{NOT_DUE, OrderState};
use super::webhooks::{check_callback, set_callback_in};

/// The answer to revising an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Revised {
    /// The new document is queued.
    Queued {
        /// Counts the documents of the order, from 1.
        revision: i64,
        job: i64,
    },
    /// Document and template are those that the order has.
    Unchanged { revision: i64 },
}

/// What is new in an order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Revision<'a> {
    /// The order document, JSON.
    pub document: &'a str,
    /// Name of the template. Default: that of the order.
    pub template: Option<&'a str>,
    /// Configuration of its attempts. Default: that of the order.
    pub config_version: Option<&'a str>,
    /// [`NewOrder::sent_digest`](crate::NewOrder::sent_digest) of the document.
    pub sent_digest: Option<&'a str>,
    /// [`NewOrder::callback`](crate::NewOrder::callback). Default: that of the order.
    pub callback: Option<&'a str>,
}

/// A document that an order had before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OldRevision {
    /// Counts the documents of the order, from 1.
    pub revision: i64,
    pub template: String,
    /// When the next one replaced it, in milliseconds since the Unix epoch.
    pub replaced_at: i64,
}

enum Answer {
    Revised(Revised),
    Running,
    NoSuchOrder,
}

impl Database {
    /// Replaces the document of an order, and its template if one is given, and queues it: all
    /// counters at zero. Attempts, records, AI replies and the current release stay. An order that
    /// is queued or waits keeps its position; one whose due time has not come waits for it.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; [`Error::NotEnded`] if a worker has it; [`Error::Invalid`]; or the
    /// database fails.
    pub async fn revise(
        &self,
        id: &str,
        document: &str,
        template: Option<&str>,
        config_version: Option<&str>,
    ) -> Result<Revised, Error> {
        let revision = Revision { document, template, config_version, ..Revision::default() };
        self.revise_as(id, revision).await
    }

    /// As [`Database::revise`], with all that can be new. A callback replaces the one that the order
    /// has, also if the document is unchanged.
    ///
    /// # Errors
    /// As [`Database::revise`].
    pub async fn revise_as(&self, id: &str, revision: Revision<'_>) -> Result<Revised, Error> {
        let Revision { document, template, config_version, sent_digest, callback } = revision;
        if let Some(url) = callback {
            check_callback(id, url)?;
        }
        if document.contains('\0') {
            return Err(Error::Invalid {
                order: id.to_owned(),
                why: "its texts must not contain the character NUL, which PostgreSQL cannot store"
                    .to_owned(),
            });
        }
        let river = self.river().clone();
        let new = Arc::new(NewRevision {
            order: id.to_owned(),
            document: document.to_owned(),
            template: template.map(str::to_owned),
            config: config_version.map(str::to_owned),
            sent_digest: sent_digest.map(str::to_owned),
            callback: callback.map(str::to_owned),
        });
        let answer = self.write(format!("revising order {id:?}"), move |tx| {
            let (new, river) = (new.clone(), river.clone());
            Box::pin(async move { revise_in(tx, &river, &new).await })
        });
        match answer.await? {
            Answer::Revised(revised) => Ok(revised),
            Answer::Running => {
                Err(Error::NotEnded { order: id.to_owned(), state: OrderState::Running })
            }
            Answer::NoSuchOrder => Err(Error::NoSuchOrder { order: id.to_owned() }),
        }
    }

    /// The documents that an order had before its present one, the oldest first, without their
    /// texts.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn old_revisions(&self, order: &str) -> Result<Vec<OldRevision>, Error> {
        let doing = "reading the revisions of an order";
        let sql = "SELECT revision, template, replaced_at FROM sitewright_revisions
             WHERE order_id = $1 ORDER BY revision";
        let read = |row: &Row| {
            Ok(OldRevision {
                revision: row.int("revision")?,
                template: row.text("template")?,
                replaced_at: row.int("replaced_at")?,
            })
        };
        let rows = self.read(doing, sql, args![order]).await?;
        rows.iter()
            .map(read)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::database(doing, error))
    }

    /// All documents of an order, the present one first.
    ///
    /// # Errors
    /// [`Error::NoSuchOrder`]; or the database fails.
    pub async fn documents(&self, order: &str) -> Result<Vec<String>, Error> {
        let doing = "reading an order's documents";
        let mut documents = vec![self.document(order).await?];
        let sql = "SELECT document FROM sitewright_revisions WHERE order_id = $1
             ORDER BY revision DESC";
        for row in self.read(doing, sql, args![order]).await? {
            documents.push(row.text("document").map_err(|error| Error::database(doing, error))?);
        }
        Ok(documents)
    }
}

struct NewRevision {
    order: String,
    document: String,
    template: Option<String>,
    config: Option<String>,
    sent_digest: Option<String>,
    callback: Option<String>,
}

async fn revise_in(
    tx: &mut Tx,
    river: &river::JobClient,
    new: &NewRevision,
) -> Result<Answer, sqlx::Error> {
    let now = now_ms();
    // Locks the row, so that no worker claims the old document meanwhile.
    let sql = "UPDATE sitewright_orders SET updated_at = updated_at WHERE id = $1
         RETURNING state, document, template, tenant, priority, revision, job_id,
            CAST(due_at AS BIGINT) AS due_at";
    let Some(row) = tx.optional(sql, args![&new.order]).await? else {
        return Ok(Answer::NoSuchOrder);
    };
    let state: OrderState = row.parsed("state")?;
    let (document, template) = (row.text("document")?, row.text("template")?);
    let revision = row.int("revision")?;
    let wanted = new.template.as_deref().unwrap_or(&template);
    let is_unchanged = document == new.document && template == wanted;
    if state == OrderState::Running && !is_unchanged {
        return Ok(Answer::Running);
    }
    if let Some(url) = &new.callback {
        set_callback_in(tx, &new.order, url).await?;
    }
    if is_unchanged {
        return Ok(Answer::Revised(Revised::Unchanged { revision }));
    }
    tx.execute(
        "INSERT INTO sitewright_revisions (order_id, revision, document, template, replaced_at)
         VALUES ($1, $2, $3, $4, $5)",
        args![&new.order, revision, &document, &template, now],
    )
    .await?;
    let due = row.opt_int("due_at")?.filter(|due| *due > now);
    let queued = if due.is_some() { OrderState::Waiting } else { OrderState::Queued };
    tx.execute(
        "UPDATE sitewright_orders SET document = $2, template = $3, revision = $4, state = $8,
            attempts = 0, crashes = 0, cancel_requested_at = NULL,
            config_version = coalesce($5, config_version), waiting_reason = $9,
            next_attempt_at = $10, finished_at = NULL, updated_at = $6, sent_digest = $7
         WHERE id = $1",
        args![
            &new.order,
            &new.document,
            wanted,
            revision + 1,
            &new.config,
            now,
            &new.sent_digest,
            queued.as_str(),
            due.map(|_| NOT_DUE),
            due
        ],
    )
    .await?;
    batch_items::drop_open(tx, &new.order).await?;
    let priority = row.int("priority")?;
    let job = match row.opt_int("job_id")?.filter(|_| state.is_unclaimed()) {
        Some(old) => river::replace(river, tx, &new.order, priority, Some(old), None, due).await?,
        None => {
            let (mut share, tenant) = (FairShare::default(), row.opt_text("tenant")?);
            let priority = share.job_priority(tx, wanted, tenant.as_deref(), priority).await?;
            river::insert(river, tx, &new.order, priority, due).await?
        }
    };
    let sql = "UPDATE sitewright_orders SET job_id = $2 WHERE id = $1";
    tx.execute(sql, args![&new.order, job]).await?;
    Ok(Answer::Revised(Revised::Queued { revision: revision + 1, job }))
}
