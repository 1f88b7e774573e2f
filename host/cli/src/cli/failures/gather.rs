//! Reads failure records from files in `sites` and from the database. A worker writes each record
//! to both; here it counts once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use crate::cli::setup::{Setup, SetupError};
use crate::config::Config;
use sitewright_failure::group::{Brief, Filter, Group, Groups};
use sitewright_failure::{records, store};
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

/// Failures by fingerprint and template.
pub(super) struct Grouped {
    pub(super) groups: Vec<Group>,
    /// The number of those that the database has, by template.
    pub(super) in_queue: BTreeMap<String, u64>,
    pub(super) unreadable: Vec<Unreadable>,
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
    pub(super) async fn groups(&self, filter: &Filter) -> Result<Grouped, SetupError> {
        let mut groups = BTreeMap::new();
        let mut in_queue: BTreeMap<String, u64> = BTreeMap::new();
        if let Some(database) = &self.database {
            for group in database.failure_groups(filter).await? {
                *in_queue.entry(group.template.clone()).or_default() += group.count;
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
                    let there = database.orders_of_failures(&group.fingerprint, None).await?;
                    for order in &there {
                        orders.remove(order);
                    }
                    known.with(Group { orders: orders.len() as u64, ..group })
                }
                _ => group,
            };
            groups.insert(key, both);
        }
        Ok(Grouped { groups: groups.into_values().collect(), in_queue, unreadable })
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
        let has_database = self.database.is_some();
        let indexed = match order {
            Some(order) => Indexed::Read(blocking(move || store::files_of(&sites, &order)).await??),
            None => blocking(move || Indexed::of(&sites, has_database)).await??,
        };
        let (files, is_unindexed) = match indexed {
            Indexed::Read(files) => (files, false),
            Indexed::Walked(files) => (files, has_database),
        };
        let (mut unindexed, mut is_enough) = (Vec::new(), false);
        for chunk in files.chunks(AT_ONCE) {
            let known = self.known(chunk).await?;
            let alone: Vec<PathBuf> = chunk
                .iter()
                .filter(|file| id_of(file).is_none_or(|id| !known.contains(&id)))
                .cloned()
                .collect();
            if is_unindexed {
                unindexed.extend(alone.iter().cloned());
            }
            if is_enough {
                continue;
            }
            let filter = filter.clone();
            let read = blocking(move || read_briefs(alone, &filter)).await?;
            is_enough = !visit(read);
            if is_enough && !is_unindexed {
                return Ok(());
            }
        }
        if is_unindexed {
            self.index(unindexed).await?;
        }
        Ok(())
    }

    /// Remembers the records that no database has, so that the next list does not read the folders
    /// of all orders again. A user who may only read the sites reads them each time.
    async fn index(&self, files: Vec<PathBuf>) -> Result<(), SetupError> {
        let sites = self.sites.clone();
        let indexed =
            blocking(move || if sites.is_dir() { records::finish(&sites, &files) } else { Ok(()) });
        if let Err(error) = indexed.await? {
            let folder = self.sites.join(records::FOLDER);
            tracing::info!(
                folder = %folder.display(),
                %error,
                "cannot remember which failure records are in files only"
            );
        }
        Ok(())
    }

    /// The files of all records, or of those that no database has if they are known.
    async fn files(&self) -> Result<Vec<PathBuf>, SetupError> {
        let (sites, has_database) = (self.sites.clone(), self.database.is_some());
        match blocking(move || Indexed::of(&sites, has_database)).await?? {
            Indexed::Read(files) | Indexed::Walked(files) => Ok(files),
        }
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
        let upper = beginning.to_ascii_uppercase();
        let files = self.files().await?;
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
            for failure in database.failures_of(fingerprint, None, limit).await? {
                records.push(parsed(&failure)?);
            }
            orders = database.orders_of_failures(fingerprint, None).await?;
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

    /// One record by its complete id, from the database or else from the sites.
    pub(super) async fn record(&self, id: &str) -> Result<FailureRecord, SetupError> {
        if let Some(database) = &self.database
            && let Some(failure) = database.failure(id).await?
        {
            return parsed(&failure);
        }
        let (sites, wanted) = (self.sites.clone(), id.to_owned());
        let file = blocking(move || store::find(&sites, &wanted)).await??;
        self.read(vec![file]).await?.pop().ok_or_else(|| self.unknown(id))
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

/// Files of records.
enum Indexed {
    /// Of those that no database has.
    Read(Vec<PathBuf>),
    /// Of all, since it is not known which of them no database has.
    Walked(Vec<PathBuf>),
}

impl Indexed {
    /// Blocking.
    fn of(sites: &Path, has_database: bool) -> Result<Self, SetupError> {
        if has_database {
            let read = records::list(sites).map_err(|source| store::StoreError::Io {
                what: "cannot read the folder",
                path: sites.join(records::FOLDER),
                source,
            })?;
            if let Some(files) = read {
                return Ok(Indexed::Read(files));
            }
        }
        Ok(Indexed::Walked(store::files(sites)?))
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
