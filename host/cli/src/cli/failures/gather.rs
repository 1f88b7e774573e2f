//! Reads failure records from files in `sites` and from the database. A worker writes each record
//! to both; here it counts once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_failure::group::{Brief, Filter, Group, Groups};
use sitewright_failure::store;
use sitewright_jobs::{Database, Failure};
use sitewright_model::failure::FailureRecord;

/// Number of files that are read in one batch.
const AT_ONCE: usize = 500;

/// Where records are read from.
pub(super) struct Sources {
    sites: PathBuf,
    database: Option<Database>,
}

/// A file in a folder of records that cannot be read as a record.
#[derive(Debug, serde::Serialize)]
pub(super) struct Unreadable {
    pub(super) file: PathBuf,
    pub(super) error: String,
}

/// Summaries of records, and files that cannot be read.
type Briefs = (Vec<Brief>, Vec<Unreadable>);

impl Sources {
    /// Opens the sites, and the database if there is one.
    pub(super) async fn open(config: &Config, without_database: bool) -> Result<Self, SetupError> {
        let database = match Setup::orders(config).await {
            _ if without_database => None,
            Ok(database) => Some(database),
            Err(SetupError::Database(error)) if error.is_without_tables() => None,
            // A database that cannot be read is not the same as none (catalogue B4).
            Err(error) => return Err(error),
        };
        Ok(Sources { sites: config.sites.clone(), database })
    }

    pub(super) async fn close(&self) {
        if let Some(database) = &self.database {
            database.close().await;
        }
    }

    pub(super) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Failures by fingerprint and template.
    pub(super) async fn groups(
        &self,
        filter: &Filter,
    ) -> Result<(Vec<Group>, Vec<Unreadable>), SetupError> {
        let mut groups = BTreeMap::new();
        if let Some(database) = &self.database {
            for group in database.failure_groups(filter).await? {
                groups.insert((group.fingerprint.clone(), group.template.clone()), group);
            }
        }
        let mut counted = Groups::default();
        let mut unreadable = Vec::new();
        self.in_files_alone(filter, |(briefs, wrong)| {
            briefs.into_iter().for_each(|brief| counted.add(brief));
            unreadable.extend(wrong);
            true
        })
        .await?;
        for (group, mut orders) in counted.finish() {
            let key = (group.fingerprint.clone(), group.template.clone());
            let both = match (groups.remove(&key), &self.database) {
                (Some(known), Some(database)) => {
                    // An order that failed with `generate` and in the queue counts once.
                    let there = database.orders_of_failures(&group.fingerprint).await?;
                    for order in &there {
                        orders.remove(order);
                    }
                    known.with(Group { orders: orders.len() as u64, ..group })
                }
                _ => group,
            };
            groups.insert(key, both);
        }
        Ok((groups.into_values().collect(), unreadable))
    }

    /// The newest failures, one by one.
    pub(super) async fn briefs(&self, filter: &Filter, limit: usize) -> Result<Briefs, SetupError> {
        let mut all = match &self.database {
            Some(database) => database.failures_in_brief(filter, limit).await?,
            None => Vec::new(),
        };
        let (mut files, mut unreadable) = (Vec::new(), Vec::new());
        self.in_files_alone(filter, |(briefs, wrong)| {
            files.extend(briefs);
            unreadable.extend(wrong);
            // Files come newest first.
            files.len() < limit
        })
        .await?;
        all.extend(files);
        all.sort_by(|a, b| b.id.cmp(&a.id));
        all.truncate(limit);
        Ok((all, unreadable))
    }

    /// Calls `visit` with the files whose record is not in the database, newest first, in batches,
    /// until it returns `false`.
    async fn in_files_alone(
        &self,
        filter: &Filter,
        mut visit: impl FnMut(Briefs) -> bool,
    ) -> Result<(), SetupError> {
        let (sites, order) = (self.sites.clone(), filter.order.clone());
        let files = blocking(move || match &order {
            Some(order) => store::files_of(&sites, order),
            None => store::files(&sites),
        })
        .await??;
        for chunk in files.chunks(AT_ONCE) {
            let known = self.known(chunk).await?;
            let alone: Vec<PathBuf> = chunk
                .iter()
                .filter(|file| id_of(file).is_none_or(|id| !known.contains(&id)))
                .cloned()
                .collect();
            let filter = filter.clone();
            let read = blocking(move || read_briefs(alone, &filter)).await?;
            if !visit(read) {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn known(&self, files: &[PathBuf]) -> Result<HashSet<String>, SetupError> {
        let Some(database) = &self.database else { return Ok(HashSet::new()) };
        let ids: Vec<String> = files.iter().filter_map(id_of).collect();
        Ok(database.known_failures(&ids).await?)
    }

    /// The ids and the fingerprints with this prefix.
    pub(super) async fn like(
        &self,
        beginning: &str,
    ) -> Result<(BTreeSet<String>, BTreeSet<String>), SetupError> {
        let (mut ids, mut alike) = (BTreeSet::new(), BTreeSet::new());
        let is_digits =
            beginning.len() >= MIN_FINGERPRINT && beginning.chars().all(|c| c.is_ascii_hexdigit());
        let wanted = is_digits.then(|| beginning.to_ascii_lowercase());
        let (sites, upper) = (self.sites.clone(), beginning.to_ascii_uppercase());
        let files = blocking(move || store::files(&sites)).await??;
        ids.extend(files.iter().filter_map(id_of).filter(|id| id.starts_with(&upper)));
        if let Some(database) = &self.database {
            ids.extend(
                database.failures_like(beginning).await?.into_iter().map(|failure| failure.id),
            );
            if let Some(wanted) = &wanted {
                alike.extend(database.fingerprints_like(wanted).await?);
            }
        }
        if let Some(wanted) = wanted.filter(|_| ids.is_empty()) {
            self.in_files_alone(&Filter::default(), |(briefs, _)| {
                let found = briefs.into_iter().map(|brief| brief.fingerprint);
                alike.extend(found.filter(|found| found.starts_with(&wanted)));
                true
            })
            .await?;
        }
        Ok((ids, alike))
    }

    /// The newest records of a fingerprint, and the ids of all its orders: those of the database
    /// first, latest first.
    pub(super) async fn of(
        &self,
        fingerprint: &str,
        limit: usize,
    ) -> Result<(Vec<FailureRecord>, Vec<String>), SetupError> {
        let (mut records, mut orders) = (Vec::new(), Vec::new());
        if let Some(database) = &self.database {
            for failure in database.failures_of(fingerprint, limit).await? {
                records.push(parsed(&failure)?);
            }
            orders = database.orders_of_failures(fingerprint).await?;
        }
        let mut files: Vec<Brief> = Vec::new();
        self.in_files_alone(&Filter::default(), |(briefs, _)| {
            files.extend(briefs.into_iter().filter(|brief| brief.fingerprint == fingerprint));
            true
        })
        .await?;
        let known: HashSet<String> = orders.iter().cloned().collect();
        let mut more = BTreeSet::new();
        for brief in &files {
            if !known.contains(&brief.order) && more.insert(brief.order.clone()) {
                orders.push(brief.order.clone());
            }
        }
        let newest = files.into_iter().filter_map(|brief| brief.file).take(limit).collect();
        records.extend(self.read(newest).await?);
        records.sort_by(|a, b| b.id.cmp(&a.id));
        records.truncate(limit);
        Ok((records, orders))
    }

    /// The records of an order, newest first.
    pub(super) async fn of_order(&self, order: &str) -> Result<Vec<FailureRecord>, SetupError> {
        let filter = Filter { order: Some(order.to_owned()), ..Filter::default() };
        let mut records = Vec::new();
        if let Some(database) = &self.database {
            for failure in database.failures(order).await? {
                records.push(parsed(&failure)?);
            }
        }
        let mut files = Vec::new();
        self.in_files_alone(&filter, |(briefs, _)| {
            files.extend(briefs.into_iter().filter_map(|brief| brief.file));
            true
        })
        .await?;
        records.extend(self.read(files).await?);
        records.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(records)
    }

    /// One record by its complete id, from the sites or else from the database.
    pub(super) async fn record(&self, id: &str) -> Result<FailureRecord, SetupError> {
        let (sites, wanted) = (self.sites.clone(), id.to_owned());
        let unknown = match blocking(move || store::find(&sites, &wanted)).await? {
            Ok(file) => return self.read(vec![file]).await?.pop().ok_or_else(|| self.unknown(id)),
            Err(unknown @ store::StoreError::Unknown { .. }) => unknown,
            Err(error) => return Err(error.into()),
        };
        let found = match &self.database {
            Some(database) => database.failure(id).await?,
            None => None,
        };
        found.as_ref().map_or_else(|| Err(unknown.into()), parsed)
    }

    pub(super) fn unknown(&self, id: &str) -> SetupError {
        store::StoreError::Unknown { id: id.to_owned(), root: self.sites.clone() }.into()
    }

    pub(super) async fn read(&self, files: Vec<PathBuf>) -> Result<Vec<FailureRecord>, SetupError> {
        let read =
            blocking(move || files.iter().map(|file| store::read(file)).collect::<Result<_, _>>());
        Ok(read.await??)
    }
}

/// Shortest prefix of a fingerprint that is searched for.
const MIN_FINGERPRINT: usize = 4;

fn parsed(failure: &Failure) -> Result<FailureRecord, SetupError> {
    let from = PathBuf::from(format!("the record {} in the database", failure.id));
    Ok(store::parse(failure.record.clone(), &from)?)
}

fn id_of(file: impl AsRef<Path>) -> Option<String> {
    Some(file.as_ref().file_stem()?.to_string_lossy().into_owned())
}

fn read_briefs(files: Vec<PathBuf>, filter: &Filter) -> Briefs {
    let (mut briefs, mut unreadable) = (Vec::new(), Vec::new());
    for file in files {
        match store::read_brief(&file) {
            Ok(brief) if filter.fits(&brief) => briefs.push(brief),
            Ok(_) => {}
            // Reported: it might be the record that the caller looks for.
            Err(error) => unreadable.push(Unreadable { file, error: error.to_string() }),
        }
    }
    (briefs, unreadable)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SetupError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        SetupError::Host(sitewright_model::message!("reading the records failed: {error}"))
    })
}
