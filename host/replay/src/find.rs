//! Finds a recorded attempt in the folder of sites, in the database of orders or in a bundle.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::bundle::{self, BundleError};
use super::hashed::copy_hashed;
use super::subject::{Origin, RecordedAttempt, RecordedEnd};
use crate::settings::ReplaySettings;
use sitewright_ai::{JournalEntry, read_journal};
use sitewright_failure::store;
use sitewright_failure::store::StoreError;
use sitewright_files::{FileError, Limit, json};
use sitewright_jobs::{Database, Error as DatabaseError};
use sitewright_model::failure::{FailureRecord, TemplateRef};
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::plugin::MAX_TEMPLATE_BYTES;
use sitewright_runtime::run::recording::Recording;
use sitewright_runtime::run::{
    ArchivedRelease, AttemptId, attempt_file, document_file, journal_file,
};
use sitewright_site::OrderDir;

/// Minimum characters of a prefix that is searched as the id of a failure.
const ID_BEGINNING: usize = 10;
/// Maximum bytes of a file that may be a template.
const MAX_TEMPLATE: Limit = Limit::fixed(MAX_TEMPLATE_BYTES);
/// Maximum bytes of a failure record that the caller names.
const MAX_RECORD: Limit = Limit::fixed(16 << 20);
/// Maximum values and names of fields of such a record.
const MAX_RECORD_VALUES: usize = 200_000;
/// Maximum bytes of an order's document.
const MAX_DOCUMENT: Limit = Limit::fixed(64 << 20);

/// Why a recorded attempt was not found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing has this name.
    #[error(
        "there is no failure, attempt or order {asked:?} under {}{}; `sitewright failures list` \
         and `sitewright order list` show those there are",
        .sites.display(),
        .database
    )]
    Unknown {
        asked: String,
        /// The folder of sites that was searched.
        sites: PathBuf,
        /// Names the database, if there is one; otherwise empty.
        database: &'static str,
    },
    /// A record cannot be read, or several match.
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    File(#[from] FileError),
    /// The attempt was found, but not all of it can be read.
    #[error("{0}")]
    Unreadable(Message),
}

/// Where recorded attempts are searched.
pub struct Locations<'a> {
    pub config: &'a ReplaySettings,
    /// The database of orders, if there is one.
    pub database: Option<&'a Database>,
}

/// What one location has of a recorded attempt.
struct Found {
    origin: Origin,
    attempt: String,
    order: String,
    template: TemplateRef,
    ended: RecordedEnd,
    recording: Option<Recording>,
}

/// Finds the attempt that `asked` names: a bundle, a failure (its id, a prefix of it, or its file),
/// an attempt, or an order, which means its last attempt. A bundle is unpacked into `scratch`.
///
/// # Errors
/// If nothing matches, several attempts match, or the attempt cannot be read.
pub async fn find(
    places: &Locations<'_>,
    asked: &str,
    scratch: &Path,
) -> Result<RecordedAttempt, FindError> {
    let path = Path::new(asked);
    if path.extension().is_some_and(|extension| extension == "tar") {
        let (file, folder) = (path.to_owned(), scratch.to_owned());
        return blocking(move || Ok(bundle::open(&file, &folder)?)).await;
    }
    let found = match lookup(places, asked).await? {
        Some(found) => found,
        None => {
            return Err(FindError::Unknown {
                asked: asked.to_owned(),
                sites: places.config.sites.clone(),
                database: if places.database.is_some() {
                    " or in the database of orders"
                } else {
                    ""
                },
            });
        }
    };
    assemble(places, found).await
}

async fn lookup(places: &Locations<'_>, asked: &str) -> Result<Option<Found>, FindError> {
    let sites = places.config.sites.clone();
    let looks_like_id = asked.len() >= ID_BEGINNING
        && asked.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && asked.starts_with('0');
    let is_file = Path::new(asked).extension().is_some_and(|extension| extension == "json");
    if is_file {
        let path = PathBuf::from(asked);
        return blocking(move || read_record(&path, &sites).map(Some)).await;
    }
    // The database first: it looks ids up in an index, and the sites folder has no index.
    if let Some(database) = places.database.filter(|_| looks_like_id) {
        let id = asked.to_ascii_uppercase();
        if let Some(failure) = database.failure(&id).await? {
            let from = PathBuf::from(format!("the record {id} in the database"));
            return Ok(Some(of_record(store::parse(failure.record, &from)?)));
        }
        if let Ok(attempt) = asked.parse::<AttemptId>()
            && let Some(kept) = database.attempt(&attempt.to_string()).await?
            && (kept.failure.is_some() || kept.release.is_some())
        {
            return attempt_in_database(places, database, kept).await.map(Some);
        }
    }
    if looks_like_id {
        let (sites, id) = (sites.clone(), asked.to_owned());
        let read = blocking(move || match store::find(&sites, &id) {
            Ok(file) => Ok(Some(store::read(&file)?)),
            Err(StoreError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        });
        if let Some(record) = read.await? {
            return Ok(Some(of_record(record)));
        }
        if let Some(database) = places.database {
            let like = database.failures_like(asked).await?;
            if let [failure] = like.as_slice() {
                let from = PathBuf::from(format!("the record {} in the database", failure.id));
                return Ok(Some(of_record(store::parse(failure.record.clone(), &from)?)));
            }
        }
    }
    if let Ok(attempt) = asked.parse::<AttemptId>() {
        if let Some(found) = attempt_among_sites(&sites, attempt).await? {
            return Ok(Some(found));
        }
        if let Some(database) = places.database
            && let Some(kept) = database.attempt(&attempt.to_string()).await?
        {
            return attempt_in_database(places, database, kept).await.map(Some);
        }
    }
    order(places, asked).await
}

async fn attempt_among_sites(sites: &Path, attempt: AttemptId) -> Result<Option<Found>, FindError> {
    let sites = sites.to_owned();
    blocking(move || {
        for order in folders(&sites) {
            let file = attempt_file(&sites, &order, attempt);
            if file.is_file() {
                return Ok(Some(of_release(read_kept(&file)?)));
            }
            let records = records_of(&sites, &order)?;
            if let Some(record) =
                records.into_iter().find(|record| record.attempt == attempt.to_string())
            {
                return Ok(Some(of_record(record)));
            }
            if journal_file(&sites, &order, attempt).is_file() {
                // Its process ended before it wrote anything else.
                let template = TemplateRef {
                    name: String::new(),
                    version: String::new(),
                    digest: String::new(),
                };
                return Ok(Some(Found {
                    origin: Origin::Host,
                    attempt: attempt.to_string(),
                    order,
                    template,
                    ended: RecordedEnd::Unknown,
                    recording: None,
                }));
            }
        }
        Ok(None)
    })
    .await
}

async fn attempt_in_database(
    places: &Locations<'_>,
    database: &Database,
    kept: sitewright_jobs::Attempt,
) -> Result<Found, FindError> {
    if let Some(id) = &kept.failure
        && let Some(failure) = database.failure(id).await?
    {
        let from = PathBuf::from(format!("the record {id} in the database"));
        return Ok(of_record(store::parse(failure.record, &from)?));
    }
    let sites = places.config.sites.clone();
    let id: Option<AttemptId> = kept.id.parse().ok();
    let order = kept.order.clone();
    let released = blocking(move || {
        let file = id.map(|id| attempt_file(&sites, &order, id)).filter(|file| file.is_file());
        file.map(|file| read_kept(&file)).transpose()
    });
    if let Some(kept) = released.await? {
        return Ok(of_release(kept));
    }
    let name = database.order(&kept.order).await?.template;
    Ok(Found {
        origin: Origin::Host,
        attempt: kept.id,
        order: kept.order,
        template: TemplateRef { name, version: String::new(), digest: String::new() },
        ended: RecordedEnd::Unknown,
        recording: None,
    })
}

/// The last attempt at an order.
async fn order(places: &Locations<'_>, order: &str) -> Result<Option<Found>, FindError> {
    if let Some(database) = places.database
        && let Some(last) = database.attempts(order).await?.into_iter().next_back()
    {
        return attempt_in_database(places, database, last).await.map(Some);
    }
    let (sites, order) = (places.config.sites.clone(), order.to_owned());
    blocking(move || {
        if !folders(&sites).contains(&order) {
            return Ok(None);
        }
        let mut all: Vec<(String, Found)> = records_of(&sites, &order)?
            .into_iter()
            .map(|record| (record.time.clone(), of_record(record)))
            .collect();
        for file in files(&sites.join(&order).join("attempts"), "json") {
            let kept = read_kept(&file)?;
            all.push((kept.time.clone(), of_release(kept)));
        }
        Ok(all.into_iter().max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, found)| found))
    })
    .await
}

/// A failure record in a file that the caller named. Outside of the folder of sites, somebody else
/// may have written it.
fn read_record(path: &Path, sites: &Path) -> Result<Found, FindError> {
    let bytes =
        sitewright_files::read(path, MAX_RECORD).map_err(|error| match error.is_missing() {
            true => FindError::Store(StoreError::NoFile { path: path.to_owned() }),
            false => FindError::File(error),
        })?;
    let record = json::parse(&bytes, MAX_RECORD_VALUES).map_err(|error| {
        FindError::Unreadable(message!(
            "the failure record {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let found = of_record(store::parse(record, path)?);
    let ours = match (path.canonicalize(), sites.canonicalize()) {
        (Ok(path), Ok(sites)) => is_stored(&path, &sites),
        _ => false,
    };
    Ok(if ours { found } else { Found { origin: Origin::RecordFile, ..found } })
}

/// Whether the path is `<sites>/<order>/failures/<file>`: only the host writes there. Templates
/// write to other folders below the sites folder.
fn is_stored(path: &Path, sites: &Path) -> bool {
    let Ok(inside) = path.strip_prefix(sites) else { return false };
    let names: Vec<&str> = inside.iter().filter_map(|name| name.to_str()).collect();
    matches!(names[..], [order, store::FOLDER, _] if OrderDir::new(order).is_ok())
}

/// Takes the recording out of a failure record. If it cannot be read, a warning is logged and the
/// replay goes without it.
pub(crate) fn recording_of(record: &mut FailureRecord) -> Option<Recording> {
    record.recording.take().and_then(|value| {
        Recording::of_record(&value)
            .inspect_err(|error| {
                tracing::warn!(
                    failure = record.id,
                    %error,
                    "the recording in a failure record cannot be read; the replay goes without it"
                );
            })
            .ok()
    })
}

fn of_record(mut record: FailureRecord) -> Found {
    let recording = recording_of(&mut record);
    Found {
        origin: Origin::Host,
        attempt: record.attempt.clone(),
        order: record.order.clone(),
        template: record.template.clone(),
        recording,
        ended: RecordedEnd::Failed(Box::new(record)),
    }
}

fn of_release(kept: ArchivedRelease) -> Found {
    Found {
        origin: Origin::Host,
        attempt: kept.attempt.clone(),
        order: kept.order.clone(),
        template: kept.template.clone(),
        recording: Some(kept.recording.clone()),
        ended: RecordedEnd::Released(Box::new(kept)),
    }
}

/// Adds document, replies and template.
async fn assemble(places: &Locations<'_>, found: Found) -> Result<RecordedAttempt, FindError> {
    let Found { origin, attempt, order, mut template, ended, recording } = found;
    let id: AttemptId = attempt.parse().map_err(|error| {
        FindError::Unreadable(message!("the text {attempt:?} is no id of an attempt: {error}"))
    })?;
    // Both become parts of paths.
    if OrderDir::new(&order).is_err() {
        return Err(FindError::Unreadable(message!("the text {order:?} is no id of an order")));
    }
    let config = places.config;
    let wanted = recording.as_ref().map(|recording| recording.document.clone());
    if let Some(wanted) = wanted.as_ref().filter(|wanted| !is_sha256(wanted)) {
        return Err(FindError::Unreadable(message!(
            "the text {wanted:?} is no digest of a document"
        )));
    }
    let (mut document, mut replies) = {
        let (sites, order) = (config.sites.clone(), order.clone());
        let wanted = wanted.clone();
        blocking(move || {
            let document = match &wanted {
                Some(sha256) => {
                    let file = document_file(&sites, &order, sha256);
                    sitewright_files::read(&file, MAX_DOCUMENT).unwrap_or_default()
                }
                None => newest(&sites.join(&order).join("documents")).unwrap_or_default(),
            };
            let read =
                read_journal(&journal_file(&sites, &order, id)).map_err(FindError::Unreadable)?;
            Ok((document, read.into_values().collect::<Vec<JournalEntry>>()))
        })
        .await?
    };
    let mut notes = Vec::new();
    if let Some(database) = places.database
        && let Ok(stored) = database.documents(&order).await
    {
        // The order may have been revised since.
        let mut fit = stored.into_iter().filter(|stored| {
            let digest = || hex::encode(Sha256::digest(stored.as_bytes()));
            wanted.as_ref().is_none_or(|wanted| *wanted == digest())
        });
        if document.is_empty()
            && let Some(stored) = fit.next()
        {
            document = stored.into_bytes();
        }
        let kept = database.ai_calls(&order).await?;
        let this = kept.iter().filter(|call| {
            recording.is_some() || call.attempt.as_deref() == Some(&attempt) || call.current
        });
        replies.extend(this.filter_map(|call| {
            serde_json::from_value::<JournalEntry>(call.call.entry.clone()).ok()
        }));
        if template.name.is_empty()
            && let Ok(stored) = database.order(&order).await
        {
            template.name = stored.template;
        }
    }
    if recording.is_none() {
        notes.push(
            "Nothing was recorded of this run but its AI replies: limits, routes and the language \
             of orders without one are those of today's configuration, and AI calls end in no \
             recorded order."
                .to_owned(),
        );
    }
    // A path in somebody else's record may be any.
    let path = recording.as_ref().filter(|_| !origin.is_untrusted());
    let path = path.map(|recording| PathBuf::from(&recording.template));
    let (wasm, looked) = template_file(config, &template, path).await?;
    let ai = &config.ai;
    Ok(RecordedAttempt {
        attempt: id,
        origin,
        order,
        template,
        ended,
        recording,
        document,
        replies,
        limits: config.limits.clone(),
        default_locale: config.default_locale.to_string(),
        routes: ai.routes.keys().cloned().collect(),
        wasm,
        looked,
        scrubbed: false,
        notes,
    })
}

/// The file with the recorded digest: at its recorded path, or in the templates' folder.
async fn template_file(
    config: &ReplaySettings,
    template: &TemplateRef,
    recorded: Option<PathBuf>,
) -> Result<(Option<PathBuf>, Vec<PathBuf>), FindError> {
    let folder = config.templates.clone();
    let template = template.clone();
    blocking(move || {
        let mut looked: Vec<PathBuf> = recorded
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ext| ext == "wasm"))
            .collect();
        if template.digest.is_empty() {
            // Without a recorded digest, the template of that name is a guess, and the report says
            // so.
            let named = folder.join(format!("{}.wasm", template.name));
            let is_name = !template.name.is_empty() && !template.name.contains('/');
            let there = (is_name && named.is_file()).then(|| named.clone());
            return Ok((there, vec![named]));
        }
        looked.extend(files(&folder, "wasm"));
        let found = looked
            .iter()
            .find(|path| digest(path).is_ok_and(|digest| digest == template.digest))
            .cloned();
        if !looked.iter().any(|path| path.starts_with(&folder)) {
            looked.push(folder);
        }
        Ok((found, looked))
    })
    .await
}

/// `sha256:` and the digest of a file that may be a template. Blocking.
///
/// # Errors
/// If the file cannot be read, or is larger than any template.
pub(super) fn digest(path: &Path) -> std::io::Result<String> {
    let file = sitewright_files::open(path, MAX_TEMPLATE).map_err(std::io::Error::other)?;
    let (sha256, _) = copy_hashed(file.take(MAX_TEMPLATE.bytes), std::io::sink())?;
    Ok(format!("sha256:{sha256}"))
}

/// Whether this is a SHA-256 in hexadecimal digits.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn read_kept(file: &Path) -> Result<ArchivedRelease, FindError> {
    let wrong = |what: String| {
        FindError::Unreadable(message!("the kept attempt {} {what}", file.display()))
    };
    let bytes = std::fs::read(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is none: {error}")))
}

/// The readable failure records of one order.
fn records_of(sites: &Path, order: &str) -> Result<Vec<FailureRecord>, FindError> {
    let files = files(&sites.join(order).join(store::FOLDER), "json");
    Ok(files.iter().filter_map(|file| store::read(file).ok()).collect())
}

/// Names of the orders' folders.
fn folders(sites: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(sites).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The files of a folder with this extension, sorted; empty if there is no folder.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

/// The newest file of a folder.
fn newest(folder: &Path) -> Option<Vec<u8>> {
    let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    sitewright_files::read(&files(folder, "json").into_iter().max_by_key(changed)?, MAX_DOCUMENT)
        .ok()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FindError> + Send + 'static,
) -> Result<T, FindError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        FindError::Unreadable(message!("looking for the attempt failed: {error}"))
    })?
}
