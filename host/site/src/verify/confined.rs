//! How a site is checked with limits on time and memory: small sites at once, with little work;
//! all others in a child process.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;

use serde::{Deserialize, Serialize};
use sitewright_confined::{Budget, Confined, ConfinedError, Task};
use tokio::sync::Semaphore;

use super::files::is_text;
use super::work::Work;
use super::{
    ImageFile, SiteFiles, StagedSite, Verdict, VerifiedSite, VerifyError, VerifyOptions, check,
    cpu, images, verify,
};
use crate::excerpt::excerpt;
use crate::path::SitePath;
use crate::storage::{StorageError, blocking};
use sitewright_model::time::millis;

/// Maximum bytes of text of a site that [`StagedSite::verify_quickly`] checks. 192 KiB: the sites of
/// the shipped templates have 50 to 150.
pub const QUICK_BYTES: u64 = 192 << 10;
/// Maximum bytes that are read of the images of such a site. 2 MiB: what they may hold takes as
/// long to read as text.
pub const QUICK_IMAGE_BYTES: u64 = 2 << 20;
/// Maximum number of files of such a site.
const QUICK_FILES: usize = 200;
/// Sites with more bytes of text than this wait for [`LARGE_SITES`]. 1 MiB.
const LARGE: u64 = 1 << 20;
/// The turns of the lanes that have large sites: one large site of a lane waits for memory at a
/// time, so that those of a slow template are not in line before all others.
static LANES: LazyLock<Mutex<HashMap<String, Turn>>> = LazyLock::new(Mutex::default);
type Turn = Arc<tokio::sync::Mutex<()>>;
/// Bytes of large sites that are in memory at once, in KiB: 96 MiB. A site waits for its child in
/// memory.
static LARGE_SITES: Semaphore = Semaphore::const_new(LARGE_KIB as usize);
const LARGE_KIB: u32 = 96 << 10;

/// The check of a site as work of a child. Its input and output are of the same build.
pub static SITE_CHECK: Task = Task { name: "site-check", run: run_task };

/// Maximum characters of what a child says in place of a result.
const WHY: usize = 400;

/// The result of a check, and what it used.
#[derive(Debug)]
pub struct Checked<T> {
    /// Processor time.
    pub cpu: Duration,
    pub result: Result<T, VerifyError>,
}

/// The result of a quick check.
#[derive(Debug)]
pub enum QuickCheck {
    Verified(VerifiedSite),
    /// The site is not small, or checking it takes long.
    Undecided(StagedSite),
}

/// A check did not end.
#[derive(Debug, thiserror::Error)]
#[error("the checks of the site did not end: {error}")]
pub struct CheckStopped {
    pub error: ConfinedError,
    /// The largest file that the checks read and its bytes: most likely it took so much.
    pub largest: Option<(SitePath, u64)>,
}

impl StagedSite {
    /// Checks a small site at once: at most 192 KiB of text and 2 MiB of images in at most 200
    /// files, with work of a few milliseconds. Blocking.
    pub fn verify_quickly(self, options: &VerifyOptions) -> Checked<QuickCheck> {
        let started = cpu::used();
        let verdict = self.quick_verdict(options);
        let result = match verdict {
            Ok(Some(verdict)) => self.verified(verdict).map(QuickCheck::Verified),
            Ok(None) => Ok(QuickCheck::Undecided(self)),
            Err(error) => Err(error.into()),
        };
        Checked { cpu: cpu::used().saturating_sub(started), result }
    }

    fn quick_verdict(&self, options: &VerifyOptions) -> Result<Option<Verdict>, StorageError> {
        let literals: usize = options.literal_texts.iter().map(String::len).sum();
        let bytes = self.text_bytes().saturating_add(literals as u64);
        if bytes > QUICK_BYTES
            || self.image_bytes() > QUICK_IMAGE_BYTES
            || self.files.len() > QUICK_FILES
        {
            return Ok(None);
        }
        let work = Work::quick(bytes);
        let (problems, _) = check(self, options, Some(&work))?;
        Ok((!work.is_exhausted()).then(|| problems.finish()))
    }

    /// Checks the site in a child process. `lane` is the template's name: the sites of one template
    /// do not hold up those of another. Dropping the future ends the check. The images are read
    /// here, and what that takes is part of the budget.
    pub async fn verify_confined(
        self,
        options: VerifyOptions,
        confined: &Confined,
        lane: &str,
        budget: Budget,
    ) -> Checked<VerifiedSite> {
        let largest = self.largest_file();
        let stopped = |error: ConfinedError, cpu| Checked {
            cpu,
            result: Err(Box::new(CheckStopped { error, largest: largest.clone() }).into()),
        };
        let bytes = self.text_bytes();
        let room = match (bytes > LARGE).then(|| room_for(bytes, lane)) {
            None => None,
            Some(room) => match within(budget.deadline, room).await {
                Some(room) => Some(room),
                None => return stopped(ConfinedError::Deadline, Duration::ZERO),
            },
        };
        let shown = self.area.path();
        let reading = blocking(shown, move || {
            let started = cpu::used();
            let input = encode(&self, &options, budget.cpu)?;
            Ok::<_, StorageError>((self, input, cpu::used().saturating_sub(started)))
        });
        let (staged, input, read) = match reading.await {
            Ok(read) => read,
            Err(error) => return Checked { cpu: Duration::ZERO, result: Err(error.into()) },
        };
        let out_of_time = || ConfinedError::Cpu { limit_ms: millis(budget.cpu) };
        let left = budget.cpu.saturating_sub(read);
        if left.is_zero() {
            return stopped(out_of_time(), budget.cpu);
        }
        let answer = confined.run(&SITE_CHECK, lane, input, Budget { cpu: left, ..budget }).await;
        drop(room);
        let answer = match answer {
            Ok(answer) => answer,
            Err(ConfinedError::Cpu { .. }) => return stopped(out_of_time(), budget.cpu),
            Err(error) => return stopped(error, read),
        };
        match serde_json::from_slice::<Answer>(&answer) {
            Ok(Answer { verdict, cpu_us }) => Checked {
                cpu: read.saturating_add(Duration::from_micros(cpu_us)),
                result: staged.verified(verdict),
            },
            // What kept the child from checking the site.
            Err(_) => {
                let why = excerpt(&String::from_utf8_lossy(&answer), WHY);
                stopped(ConfinedError::Crashed(why), read)
            }
        }
    }

    /// Bytes that the checks read of all images.
    fn image_bytes(&self) -> u64 {
        let is_image = |path: &SitePath| images::Format::of(path).is_some();
        let of_images = self.files.iter().filter(|(path, _)| is_image(path));
        of_images.map(|(_, file)| file.bytes.min(images::MAX_READ as u64)).sum()
    }

    /// Bytes of all texts that the checks read.
    fn text_bytes(&self) -> u64 {
        let text = self.files.iter().filter(|(path, _)| is_text(path));
        text.map(|(_, file)| file.bytes).sum()
    }

    fn largest_file(&self) -> Option<(SitePath, u64)> {
        let text = self.files.iter().filter(|(path, _)| is_text(path));
        text.max_by_key(|(_, file)| file.bytes).map(|(path, file)| (path.clone(), file.bytes))
    }
}

/// Memory for a large site. The lane's next one waits until it is dropped.
struct Room {
    _memory: Option<tokio::sync::SemaphorePermit<'static>>,
    _turn: tokio::sync::OwnedMutexGuard<()>,
}

/// Waits until it is the turn of the lane's site, and the site fits into the memory for large
/// sites.
async fn room_for(bytes: u64, lane: &str) -> Room {
    let turn = {
        let mut lanes = LANES.lock();
        // Those of lanes without large sites.
        lanes.retain(|_, turn| Arc::strong_count(turn) > 1);
        lanes.entry(lane.to_owned()).or_default().clone()
    };
    let turn = turn.lock_owned().await;
    let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).min(LARGE_KIB);
    // Never closed.
    Room { _memory: LARGE_SITES.acquire_many(kib).await.ok(), _turn: turn }
}

/// `None` if the deadline passes first.
async fn within<T>(
    deadline: Option<std::time::Instant>,
    work: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.into(), work).await.ok(),
        None => Some(work.await),
    }
}

/// What precedes the files' bytes in the input of [`SITE_CHECK`], as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Header<'a> {
    options: Cow<'a, VerifyOptions>,
    /// Each file with the number of its bytes that follow: all of a text, 0 for all others.
    files: Vec<(SitePath, usize)>,
    /// What was read of images, which may be larger than all texts.
    images: BTreeMap<SitePath, ImageFile>,
}

/// The output of [`SITE_CHECK`], as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    verdict: Verdict,
    cpu_us: u64,
}

/// What the images of a site are, as far as this processor time suffices to read them. Blocking.
fn read_images(
    site: &StagedSite,
    max: Duration,
) -> Result<BTreeMap<SitePath, ImageFile>, StorageError> {
    let started = cpu::used();
    let mut images = BTreeMap::new();
    for path in site.files.keys().filter(|path| images::Format::of(path).is_some()) {
        if cpu::used().saturating_sub(started) >= max {
            break;
        }
        images.insert(path.clone(), site.image(path)?);
    }
    Ok(images)
}

/// The input of [`SITE_CHECK`]: the length of the header in 8 bytes, the header, and the bytes of
/// the files. Of no use if it took `max` of processor time, or more. Blocking.
fn encode(
    site: &StagedSite,
    options: &VerifyOptions,
    max: Duration,
) -> Result<Vec<u8>, StorageError> {
    let sizes = site.files.iter().map(|(path, file)| {
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        (path.clone(), if is_text(path) { bytes } else { 0 })
    });
    let files: Vec<_> = sizes.collect();
    let images = read_images(site, max)?;
    let text: usize = files.iter().map(|(_, bytes)| *bytes).sum();
    let header = Header { options: Cow::Borrowed(options), files, images };
    let json = serde_json::to_vec(&header).map_err(|error| {
        StorageError::on("write the description of", site.area.path())(error.into())
    })?;
    let mut input = Vec::with_capacity(8 + json.len() + text);
    input.extend_from_slice(&(json.len() as u64).to_le_bytes());
    input.extend_from_slice(&json);
    for (path, bytes) in header.files.iter().filter(|(_, bytes)| *bytes > 0) {
        let before = input.len();
        input.extend_from_slice(&site.read_start(path, *bytes)?);
        // The file may have been changed by someone else since it was sealed.
        input.resize(before + bytes, 0);
    }
    Ok(input)
}

/// The files in the input of [`SITE_CHECK`].
struct Framed<'a> {
    files: BTreeMap<SitePath, &'a [u8]>,
    images: BTreeMap<SitePath, ImageFile>,
}

impl SiteFiles for Framed<'_> {
    fn paths(&self) -> Vec<SitePath> {
        self.files.keys().cloned().collect()
    }

    fn read(&self, path: &SitePath) -> Result<Cow<'_, [u8]>, StorageError> {
        Ok(Cow::Borrowed(self.files.get(path).copied().unwrap_or_default()))
    }

    fn image(&self, path: &SitePath) -> Result<ImageFile, StorageError> {
        Ok(self.images.get(path).cloned().unwrap_or_default())
    }
}

fn decode(input: &[u8]) -> Result<(VerifyOptions, Framed<'_>), String> {
    let short = || "the input is too short".to_owned();
    let (length, rest) = input.split_first_chunk::<8>().ok_or_else(short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, mut rest) = rest.split_at_checked(length).ok_or_else(short)?;
    let header: Header<'_> =
        serde_json::from_slice(header).map_err(|error| format!("the header: {error}"))?;
    let mut files = BTreeMap::new();
    for (path, bytes) in header.files {
        let (file, after) = rest.split_at_checked(bytes).ok_or_else(short)?;
        files.insert(path, file);
        rest = after;
    }
    Ok((header.options.into_owned(), Framed { files, images: header.images }))
}

/// [`SITE_CHECK`] in the child. It may panic: the child is then replaced.
fn run_task(input: &[u8]) -> Vec<u8> {
    let started = cpu::used();
    let answer = decode(input).and_then(|(options, files)| {
        let verdict = verify(&files, &options).map_err(|error| error.to_string())?;
        let cpu = cpu::used().saturating_sub(started);
        let cpu_us = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
        serde_json::to_vec(&Answer { verdict, cpu_us }).map_err(|error| error.to_string())
    });
    // The host shows an answer that is no `Answer`, as it shows the last words of a crash.
    answer.unwrap_or_else(String::into_bytes)
}
