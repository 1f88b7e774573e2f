//! How a site is checked with limits on time and memory: small sites at once, with little work;
//! all others in a child process.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use parking_lot::Mutex;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sitewright_confined::{Budget, Confined, ConfinedError, Task};
use tokio::sync::Semaphore;

use super::files::is_text;
use super::picture::Effort;
use super::work::{self, Work};
use super::{
    ImageFile, Level, Rule, SiteFiles, StagedSite, Verdict, VerifiedSite, VerifyError,
    VerifyOptions, check, cpu, images, verify,
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
/// Sites with more bytes of text than this, or of images for one child, wait for [`LARGE_SITES`].
/// 1 MiB.
const LARGE: u64 = 1 << 20;
/// The turns of the lanes that have large sites: one large site of a lane waits for memory at a
/// time, so that those of a slow template are not in line before all others.
static LANES: LazyLock<Mutex<HashMap<String, Turn>>> = LazyLock::new(Mutex::default);
type Turn = Arc<tokio::sync::Mutex<()>>;
/// Bytes of large sites that are in memory at once, in KiB: 96 MiB. A site waits for its child in
/// memory.
static LARGE_SITES: Semaphore = Semaphore::const_new(LARGE_KIB as usize);
const LARGE_KIB: u32 = 96 << 10;

/// Bytes of images that a child gets at once, and their number.
const BATCH: (u64, usize) = (images::MAX_READ as u64, 200);

/// The check of a site as work of a child. Its input and output are of the same build.
pub static SITE_CHECK: Task = Task { name: "site-check", run: run_task };

/// What images are, as work of a child: their pixels are decoded there. Its input and output are of
/// the same build.
pub static IMAGE_CHECK: Task = Task { name: "image-check", run: run_image_task };

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
    /// do not hold up those of another. Dropping the future ends the check. Its images are decoded
    /// in a child before, some at a time, and what that takes is part of the budget.
    pub async fn verify_confined(
        self,
        options: VerifyOptions,
        confined: &Confined,
        lane: &str,
        budget: Budget,
    ) -> Checked<VerifiedSite> {
        let checked = self.checked_images(&options, confined, lane, budget).await;
        let (site, images, spent) = match checked {
            Ok(checked) => checked,
            Err(stopped) => return *stopped,
        };
        let largest = site.largest_file(is_text);
        let stopped = |error: ConfinedError, cpu| not_ended(error, largest.clone(), cpu);
        let bytes = site.text_bytes();
        let room = match (bytes > LARGE).then(|| room_for(bytes, lane)) {
            None => None,
            Some(room) => match within(budget.deadline, room).await {
                Some(room) => Some(room),
                None => return stopped(ConfinedError::Deadline, spent),
            },
        };
        let shown = site.area.path();
        let reading = blocking(shown, move || {
            let started = cpu::used();
            let input = encode(&site, &options, images)?;
            Ok::<_, StorageError>((site, input, cpu::used().saturating_sub(started)))
        });
        let (site, input, spent) = match reading.await {
            Ok((site, input, read)) => (site, input, spent.saturating_add(read)),
            Err(error) => return Checked { cpu: spent, result: Err(error.into()) },
        };
        let answer = in_child::<Answer>(&SITE_CHECK, confined, lane, input, budget, spent).await;
        drop(room);
        match answer {
            Ok(Answer { verdict, cpu_us }) => Checked {
                cpu: spent.saturating_add(Duration::from_micros(cpu_us)),
                result: site.verified(verdict),
            },
            Err((error, cpu)) => stopped(error, cpu),
        }
    }

    /// The site, what its images are, and the processor time that took.
    async fn checked_images(
        self,
        options: &VerifyOptions,
        confined: &Confined,
        lane: &str,
        budget: Budget,
    ) -> Result<(Self, BTreeMap<SitePath, ImageFile>, Duration), Box<Checked<VerifiedSite>>> {
        let is_image = |path: &SitePath| images::Format::of(path).is_some();
        let of_images = self.largest_file(is_image);
        let of_all = self.largest_file(|path| is_text(path) || is_image(path));
        let stopped = |error: ConfinedError, cpu| {
            // A deadline would have passed without images, too.
            let largest = if error == ConfinedError::Deadline { &of_all } else { &of_images };
            Err(Box::new(not_ended(error, largest.clone(), cpu)))
        };
        // The other half is for the input, and what surrounds it.
        let memory = budget.memory_bytes / 2;
        let is_off = options.levels.of(Rule::ImageBroken) == Level::Off;
        let mut steps = if is_off { 0 } else { work::IMAGES };
        let (mut site, mut images, mut spent) = (self, BTreeMap::new(), Duration::ZERO);
        for batch in site.batches() {
            let room = match (batch.bytes > LARGE).then(|| room_for(batch.bytes, lane)) {
                None => None,
                Some(room) => match within(budget.deadline, room).await {
                    Some(room) => Some(room),
                    None => return stopped(ConfinedError::Deadline, spent),
                },
            };
            let (shown, paths) = (site.area.path(), batch.paths.clone());
            let reading = blocking(shown, move || {
                let started = cpu::used();
                let input = encode_images(&site, &paths, memory, steps)?;
                Ok::<_, StorageError>((site, input, cpu::used().saturating_sub(started)))
            });
            let (back, input, read) = match reading.await {
                Ok(read) => read,
                Err(error) => {
                    return Err(Box::new(Checked { cpu: spent, result: Err(error.into()) }));
                }
            };
            site = back;
            spent = spent.saturating_add(read);
            let answer =
                in_child::<ImageAnswer>(&IMAGE_CHECK, confined, lane, input, budget, spent).await;
            drop(room);
            match answer {
                Ok(answer) => {
                    images.extend(batch.paths.into_iter().zip(answer.images));
                    steps = answer.steps;
                    spent = spent.saturating_add(Duration::from_micros(answer.cpu_us));
                }
                Err((error, cpu)) => return stopped(error, cpu),
            }
        }
        Ok((site, images, spent))
    }

    /// The images in parts that a child gets at once.
    fn batches(&self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        for (path, file) in &self.files {
            if images::Format::of(path).is_none() {
                continue;
            }
            let bytes = file.bytes.min(images::MAX_READ as u64);
            match batches.last_mut() {
                Some(last) if last.bytes + bytes <= BATCH.0 && last.paths.len() < BATCH.1 => {
                    last.bytes += bytes;
                    last.paths.push(path.clone());
                }
                _ => batches.push(Batch { paths: vec![path.clone()], bytes }),
            }
        }
        batches
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

    /// The largest of the files for which `is_meant` is true.
    fn largest_file(&self, is_meant: impl Fn(&SitePath) -> bool) -> Option<(SitePath, u64)> {
        let meant = self.files.iter().filter(|(path, _)| is_meant(path));
        meant.max_by_key(|(_, file)| file.bytes).map(|(path, file)| (path.clone(), file.bytes))
    }
}

/// Some images of a site.
struct Batch {
    paths: Vec<SitePath>,
    /// That are read of them.
    bytes: u64,
}

/// A check that did not end, after so much processor time.
fn not_ended(
    error: ConfinedError,
    largest: Option<(SitePath, u64)>,
    cpu: Duration,
) -> Checked<VerifiedSite> {
    Checked { cpu, result: Err(Box::new(CheckStopped { error, largest }).into()) }
}

/// Runs a task with what is left of the budget. The error has the processor time that was used in
/// all.
async fn in_child<T: DeserializeOwned>(
    task: &'static Task,
    confined: &Confined,
    lane: &str,
    input: Vec<u8>,
    budget: Budget,
    spent: Duration,
) -> Result<T, (ConfinedError, Duration)> {
    let out_of_time = || (ConfinedError::Cpu { limit_ms: millis(budget.cpu) }, budget.cpu);
    let left = budget.cpu.saturating_sub(spent);
    if left.is_zero() {
        return Err(out_of_time());
    }
    let answer = confined.run(task, lane, input, Budget { cpu: left, ..budget }).await;
    let answer = answer.map_err(|error| match error {
        ConfinedError::Cpu { .. } => out_of_time(),
        error => (error, spent),
    })?;
    serde_json::from_slice(&answer).map_err(|_| {
        // What kept the child from doing it.
        let why = excerpt(&String::from_utf8_lossy(&answer), WHY);
        (ConfinedError::Crashed(why), spent)
    })
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

/// What precedes the images' bytes in the input of [`IMAGE_CHECK`], as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct ImageHeader {
    /// Of each image: the bytes of its file, and how many of them follow.
    files: Vec<(u64, usize)>,
    /// Bytes that decoding one may take.
    memory: u64,
    /// Steps that decoding all may take.
    steps: u64,
}

/// The output of [`IMAGE_CHECK`], as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct ImageAnswer {
    /// In the order of the input.
    images: Vec<ImageFile>,
    /// Steps that are left.
    steps: u64,
    cpu_us: u64,
}

/// The input of [`IMAGE_CHECK`], framed as that of [`SITE_CHECK`]. Blocking.
fn encode_images(
    site: &StagedSite,
    paths: &[SitePath],
    memory: u64,
    steps: u64,
) -> Result<Vec<u8>, StorageError> {
    let sizes = paths.iter().map(|path| {
        let bytes = site.files.get(path).map_or(0, |file| file.bytes);
        (bytes, usize::try_from(bytes).unwrap_or(usize::MAX).min(images::MAX_READ))
    });
    let header = ImageHeader { files: sizes.collect(), memory, steps };
    let mut input = framed(&header, site)?;
    for (path, (_, bytes)) in paths.iter().zip(&header.files) {
        append(&mut input, site, path, *bytes)?;
    }
    Ok(input)
}

/// A header as JSON, behind its length in 8 bytes.
fn framed(header: &impl Serialize, site: &StagedSite) -> Result<Vec<u8>, StorageError> {
    let json = serde_json::to_vec(header).map_err(|error| {
        StorageError::on("write the description of", site.area.path())(error.into())
    })?;
    let mut input = (json.len() as u64).to_le_bytes().to_vec();
    input.extend_from_slice(&json);
    Ok(input)
}

/// The input of [`SITE_CHECK`]: the length of the header in 8 bytes, the header, and the bytes of
/// the files. Blocking.
fn encode(
    site: &StagedSite,
    options: &VerifyOptions,
    images: BTreeMap<SitePath, ImageFile>,
) -> Result<Vec<u8>, StorageError> {
    let sizes = site.files.iter().map(|(path, file)| {
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        (path.clone(), if is_text(path) { bytes } else { 0 })
    });
    let files: Vec<_> = sizes.collect();
    let text: usize = files.iter().map(|(_, bytes)| *bytes).sum();
    let header = Header { options: Cow::Borrowed(options), files, images };
    let mut input = framed(&header, site)?;
    input.reserve(text);
    for (path, bytes) in header.files.iter().filter(|(_, bytes)| *bytes > 0) {
        append(&mut input, site, path, *bytes)?;
    }
    Ok(input)
}

/// Appends the first `bytes` bytes of a file.
fn append(
    input: &mut Vec<u8>,
    site: &StagedSite,
    path: &SitePath,
    bytes: usize,
) -> Result<(), StorageError> {
    let before = input.len();
    input.extend_from_slice(&site.read_start(path, bytes)?);
    // The file may have been changed by someone else since it was sealed.
    input.resize(before + bytes, 0);
    Ok(())
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

    fn image(&self, path: &SitePath, _: &Work) -> Result<ImageFile, StorageError> {
        Ok(self.images.get(path).cloned().unwrap_or_default())
    }
}

/// The header of an input, and the bytes of the files.
fn unframed<'a, T: Deserialize<'a>>(input: &'a [u8]) -> Result<(T, &'a [u8]), String> {
    let (length, rest) = input.split_first_chunk::<8>().ok_or_else(too_short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (header, rest) = rest.split_at_checked(length).ok_or_else(too_short)?;
    let header = serde_json::from_slice(header).map_err(|error| format!("the header: {error}"))?;
    Ok((header, rest))
}

fn too_short() -> String {
    "the input is too short".to_owned()
}

fn decode(input: &[u8]) -> Result<(VerifyOptions, Framed<'_>), String> {
    let (header, mut rest) = unframed::<Header<'_>>(input)?;
    let mut files = BTreeMap::new();
    for (path, bytes) in header.files {
        let (file, after) = rest.split_at_checked(bytes).ok_or_else(too_short)?;
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
        let cpu_us = micros_since(started);
        serde_json::to_vec(&Answer { verdict, cpu_us }).map_err(|error| error.to_string())
    });
    // The host shows an answer that is no `Answer`, as it shows the last words of a crash.
    answer.unwrap_or_else(String::into_bytes)
}

/// Microseconds of processor time since then.
fn micros_since(started: Duration) -> u64 {
    let cpu = cpu::used().saturating_sub(started);
    u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX)
}

/// [`IMAGE_CHECK`] in the child. It may panic: the child is then replaced.
fn run_image_task(input: &[u8]) -> Vec<u8> {
    let started = cpu::used();
    let answer = read_images(input).and_then(|(images, steps)| {
        let cpu_us = micros_since(started);
        serde_json::to_vec(&ImageAnswer { images, steps, cpu_us })
            .map_err(|error| error.to_string())
    });
    answer.unwrap_or_else(String::into_bytes)
}

/// What the images of an input are, and the steps that are left.
fn read_images(input: &[u8]) -> Result<(Vec<ImageFile>, u64), String> {
    let (header, mut rest) = unframed::<ImageHeader>(input)?;
    let ImageHeader { files, memory, mut steps } = header;
    let mut images = Vec::new();
    for (bytes, here) in files {
        let (start, after) = rest.split_at_checked(here).ok_or_else(too_short)?;
        let work = Work::of_image(steps);
        images.push(ImageFile::of(start, bytes, Effort::new(&work, memory)));
        steps -= work.used_of_max();
        rest = after;
    }
    Ok((images, steps))
}
