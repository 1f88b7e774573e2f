//! The marks of a worker's process: which attempts' code runs in it at this moment, in a file that
//! outlives the process however it ends.
//!
//! The file has a slot for each attempt whose code runs at the same time. A slot is written with
//! `pwrite`: what was written is in the system's cache, so it survives `kill -9`, an abort and the
//! out-of-memory killer. After a reboot nobody reads it. (A mapped file would cost less, but a full
//! disk can end a process that writes to one.)
//!
//! The code of an attempt runs in bursts: dozens of polls, with moments between them in which it
//! waits for a file or the database. So a mark stays for some milliseconds after the code has
//! ended, and an attempt that comes back meanwhile writes nothing. A thread removes marks later.
//!
//! The process holds an exclusive lock on the file, which the system releases when the process
//! ends. So one file answers both questions of a rescue: is the process dead, and whose code did
//! it die in? A process id could not: it is reused, and differs between containers.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use ulid::Ulid;

/// Bytes of a slot: an attempt's id, [`ALONE`] or [`BESIDE`], and padding.
const SLOT: usize = 24;
const ID: usize = 16;
/// The attempt is on trial, and no other attempt's code runs beside it.
const ALONE: u8 = 2;
/// Code of other attempts may run beside it.
const BESIDE: u8 = 1;
/// Bytes that are allocated when the file is created, so that a disk that is full later does not
/// matter.
const ALLOCATED: usize = 256 * SLOT;
/// Maximum number of bytes that are read of another process's file.
const MAX_BYTES: u64 = 1 << 20;
/// The extension of the files.
const EXTENSION: &str = "marks";
/// How long a mark stays after the code has ended. 2 ms: an attempt that waits for a file or the
/// database comes back sooner, and one that waits for AI does not.
const LINGERS: Duration = Duration::from_millis(2);
/// Age after which the file of a dead process that nobody needed is deleted.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The marks of this process. One for each worker.
#[derive(Debug)]
pub struct Marks {
    shared: Arc<Shared>,
    folder: PathBuf,
    name: String,
    /// Removes marks of code that has ended. Parked while there are none.
    remover: Thread,
}

#[derive(Debug)]
struct Shared {
    file: File,
    path: PathBuf,
    slots: Mutex<Slots>,
    /// Whether a mark could not be written.
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Slots {
    /// A slot that is neither here nor in `free` is being removed.
    taken: HashMap<usize, Slot>,
    of: HashMap<Ulid, usize>,
    free: Vec<usize>,
    used: usize,
    /// The number of taken slots whose code has ended.
    lingering: usize,
}

#[derive(Debug)]
struct Slot {
    attempt: Ulid,
    alone: bool,
    /// The number of places where the attempt's code runs.
    inside: usize,
    /// When the last of them was left.
    left: Instant,
}

impl Slots {
    /// Takes away the slots whose code has ended, if `removes` says so.
    fn take_lingering(&mut self, removes: impl Fn(&Slot) -> bool) -> Vec<usize> {
        if self.lingering == 0 {
            return Vec::new();
        }
        let mut gone = Vec::with_capacity(self.lingering);
        for (number, slot) in self.taken.extract_if(|_, slot| slot.inside == 0 && removes(slot)) {
            self.of.remove(&slot.attempt);
            gone.push(number);
        }
        self.lingering -= gone.len();
        gone
    }
}

impl Shared {
    fn write(&self, bytes: &[u8], slot: usize, offset: usize) {
        let at = (slot * SLOT + offset) as u64;
        if let Err(error) = self.file.write_all_at(bytes, at)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::error!(
                file = %self.path.display(),
                %error,
                "it cannot be marked which order's code runs: an order that ends this process may \
                 not be recognized"
            );
        }
    }

    /// Removes marks from the file, and then gives their slots to others.
    fn remove(&self, mut slots: Vec<usize>) {
        if slots.is_empty() {
            return;
        }
        // Those that are side by side with one write.
        slots.sort_unstable();
        for side_by_side in slots.chunk_by(|one, next| one + 1 == *next) {
            if let [first, ..] = side_by_side {
                self.write(&vec![0; SLOT * side_by_side.len()], *first, 0);
            }
        }
        self.slots.lock().free.extend(slots);
    }
}

/// Removes marks some milliseconds after their code has ended, until the marks are dropped.
#[expect(clippy::disallowed_methods, reason = "an OS thread of its own, not the runtime's")]
fn remove_later(shared: &Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let now = Instant::now();
        let (gone, lingering) = {
            let mut slots = shared.slots.lock();
            let gone = slots.take_lingering(|slot| now.duration_since(slot.left) >= LINGERS);
            (gone, slots.lingering)
        };
        shared.remove(gone);
        drop(shared);
        if lingering > 0 {
            std::thread::sleep(LINGERS);
        } else {
            // `leave` unparks it; if it has done so meanwhile, this returns at once.
            std::thread::park();
        }
    }
}

impl Marks {
    /// Creates and locks the file of this process in `folder`, which is created too, with mode
    /// 0700. Workers that rescue each other's orders on one machine share the folder. Deletes files
    /// that dead processes left more than a week ago.
    ///
    /// # Errors
    /// If the file cannot be created or locked.
    pub async fn create(folder: PathBuf) -> io::Result<Self> {
        let created = tokio::task::spawn_blocking(move || Marks::create_in(folder));
        created.await.map_err(io::Error::other)?
    }

    fn create_in(folder: PathBuf) -> io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&folder)?;
        sweep(&folder);
        let name = format!("{}.{EXTENSION}", Ulid::generate());
        let mut options = File::options();
        options.create_new(true).write(true).mode(0o600);
        let path = folder.join(&name);
        let file = options.open(&path)?;
        let ready = file
            .try_lock()
            .map_err(io::Error::from)
            .and_then(|()| file.write_all_at(&[0; ALLOCATED], 0));
        if let Err(error) = ready {
            drop(std::fs::remove_file(path));
            return Err(error);
        }
        let (slots, failed) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { file, path, slots, failed });
        let weak = Arc::downgrade(&shared);
        let remover = std::thread::Builder::new().name("marks".to_owned());
        let remover = remover.spawn(move || remove_later(&weak))?.thread().clone();
        Ok(Marks { shared, folder, name, remover })
    }

    /// Marks that code of this attempt runs from now on. `alone`: no code of another attempt runs
    /// beside it. The slot, for [`Marks::leave`].
    pub fn enter(&self, attempt: Ulid, alone: bool) -> usize {
        let (gone, slot, is_new) = {
            let mut slots = self.shared.slots.lock();
            // What has ended before does not run beside it.
            let gone = match alone {
                true => slots.take_lingering(|slot| slot.attempt != attempt),
                false => Vec::new(),
            };
            if let Some(&number) = slots.of.get(&attempt)
                && let Some(slot) = slots.taken.get_mut(&number)
            {
                let (comes_back, is_new) = (slot.inside == 0, slot.alone != alone);
                slot.inside += 1;
                slot.alone = alone;
                slots.lingering -= usize::from(comes_back);
                (gone, number, is_new)
            } else {
                let number = slots.free.pop().unwrap_or_else(|| {
                    slots.used += 1;
                    slots.used - 1
                });
                slots.of.insert(attempt, number);
                slots
                    .taken
                    .insert(number, Slot { attempt, alone, inside: 1, left: Instant::now() });
                (gone, number, true)
            }
        };
        self.shared.remove(gone);
        if is_new {
            let mut mark = [0; SLOT];
            mark[..ID].copy_from_slice(&attempt.to_bytes());
            mark[ID] = if alone { ALONE } else { BESIDE };
            self.shared.write(&mark, slot, 0);
        }
        slot
    }

    /// Marks that code of another attempt runs beside the one in this slot.
    pub fn no_longer_alone(&self, slot: usize) {
        if let Some(slot) = self.shared.slots.lock().taken.get_mut(&slot) {
            slot.alone = false;
        }
        self.shared.write(&[BESIDE], slot, ID);
    }

    /// Marks that the attempt in this slot runs no code. The mark is removed a few milliseconds
    /// later, one of code that ran alone at once: that is an accusation.
    pub fn leave(&self, slot: usize) {
        let (gone, is_first) = {
            let mut slots = self.shared.slots.lock();
            let Some(left) = slots.taken.get_mut(&slot) else { return };
            left.inside = left.inside.saturating_sub(1);
            if left.inside > 0 {
                return;
            }
            left.left = Instant::now();
            let (attempt, alone) = (left.attempt, left.alone);
            slots.lingering += 1;
            let gone = match alone {
                true => slots.take_lingering(|slot| slot.attempt == attempt),
                false => Vec::new(),
            };
            (gone, slots.lingering == 1)
        };
        self.shared.remove(gone);
        if is_first {
            self.remover.unpark();
        }
    }

    /// The name of the file, for other workers.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the file of another process in the same folder says. Blocking.
    pub(super) fn look(folder: &Path, name: &str) -> Found {
        // The name comes from the database.
        if name.contains('/') || !name.ends_with(EXTENSION) {
            return Found::Unknown;
        }
        let file = match File::open(folder.join(name)) {
            Ok(file) => file,
            Err(_) => return Found::Unknown,
        };
        // Shared, so that two rescuers that look at the same time both succeed.
        let ended = match file.try_lock_shared() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => return Found::Unknown,
        };
        match read(&file) {
            Ok(inside) if ended => Found::Ended(inside),
            Ok(inside) => Found::Runs(inside),
            Err(error) => {
                tracing::warn!(name, %error, "the marks of another worker cannot be read");
                Found::Unknown
            }
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Deletes the file of another process that has ended. Blocking.
    pub(super) fn delete(folder: &Path, name: &str) {
        if !name.contains('/') {
            // One that is gone or that cannot be deleted does no harm: `sweep` tries again.
            drop(std::fs::remove_file(folder.join(name)));
        }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        // Not deleted: orders that could not be returned are found faster with it.
        if let Err(error) = self.shared.file.unlock() {
            tracing::debug!(%error, "the marks of this worker could not be unlocked");
        }
        self.remover.unpark();
    }
}

/// What the file of a process says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// There is no such file here, or it says nothing.
    Unknown,
    /// The process runs, or is stopped.
    Runs(Inside),
    /// The process has ended.
    Ended(Inside),
}

/// The attempts whose code runs in a process, or ran when it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Inside(HashMap<Ulid, bool>);

impl Inside {
    /// Whether code of this attempt ran, and then whether it ran alone.
    pub(super) fn alone(&self, attempt: &str) -> Option<bool> {
        let attempt: Ulid = attempt.parse().ok()?;
        self.0.get(&attempt).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

fn read(file: &File) -> io::Result<Inside> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES), &mut bytes)?;
    let mut inside = HashMap::new();
    for slot in bytes.as_chunks::<SLOT>().0 {
        let Some((id, rest)) = slot.split_first_chunk::<ID>() else { continue };
        match rest.first() {
            Some(&ALONE) => inside.insert(Ulid::from_bytes(*id), true),
            Some(&BESIDE) => inside.insert(Ulid::from_bytes(*id), false),
            _ => continue,
        };
    }
    // Several at once were not alone, whatever their marks say.
    if inside.len() > 1 {
        inside.values_mut().for_each(|alone| *alone = false);
    }
    Ok(Inside(inside))
}

/// Deletes old files of dead processes. What cannot be read or deleted stays.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > KEPT));
        if is_old
            && path.extension().is_some_and(|extension| extension == EXTENSION)
            && File::open(&path).is_ok_and(|file| file.try_lock_shared().is_ok())
        {
            drop(std::fs::remove_file(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(found: &Found) -> Vec<(Ulid, bool)> {
        let (Found::Runs(inside) | Found::Ended(inside)) = found else { panic!("{found:?}") };
        let mut ids: Vec<_> = inside.0.iter().map(|(id, alone)| (*id, *alone)).collect();
        ids.sort();
        ids
    }

    #[test]
    fn marks_outlive_their_process_and_say_that_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::create_in(folder.path().join("marks")).unwrap();
        let (folder, name) = (marks.folder.clone(), marks.name.clone());
        let look = || Marks::look(&folder, &name);
        assert_eq!(look(), Found::Runs(Inside::default()));

        let (one, two) = (Ulid::generate(), Ulid::generate());
        let slot = marks.enter(one, true);
        assert_eq!(ids(&look()), [(one, true)]);
        let other = marks.enter(two, false);
        let mut both = [(one, false), (two, false)];
        both.sort();
        assert_eq!(ids(&look()), both, "neither ran alone");
        marks.leave(other);
        until(|| ids(&look()) == [(one, true)]);
        marks.no_longer_alone(slot);
        assert_eq!(ids(&look()), [(one, false)]);
        // Slots are used again, so the file does not grow.
        for _ in 0..10_000 {
            marks.leave(marks.enter(two, false));
        }
        for _ in 0..1_000 {
            let many = [(); 20].map(|()| marks.enter(Ulid::generate(), false));
            many.into_iter().for_each(|slot| marks.leave(slot));
            // No trial may see them, so all are removed now.
            marks.leave(marks.enter(two, true));
        }
        assert_eq!(std::fs::metadata(folder.join(&name)).unwrap().len(), ALLOCATED as u64);
        until(|| ids(&look()) == [(one, false)]);

        // What the end of the process does, whatever the reason.
        drop(marks);
        let found = look();
        assert!(matches!(found, Found::Ended(_)), "{found:?}");
        assert_eq!(ids(&found), [(one, false)]);
        let Found::Ended(inside) = found else { return };
        assert_eq!(inside.alone(&one.to_string()), Some(false));
        assert_eq!(inside.alone(&two.to_string()), None);
        assert_eq!(inside.alone("no id"), None);
    }

    #[expect(clippy::disallowed_methods, reason = "a test without a runtime")]
    fn until(is_so: impl Fn() -> bool) {
        for _ in 0..60_000 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it never was");
    }

    /// An accusation is exact: nothing that ended before stands beside it, and it ends with the
    /// code. An attempt whose code runs at two places has ended when both have.
    #[test]
    fn code_that_runs_alone_is_marked_to_the_moment() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::create_in(folder.path().to_owned()).unwrap();
        let look = || ids(&Marks::look(&marks.folder, &marks.name));
        let (trial, other) = (Ulid::generate(), Ulid::generate());
        for _ in 0..500 {
            marks.leave(marks.enter(other, false));
            let slot = marks.enter(trial, true);
            assert_eq!(look(), [(trial, true)]);
            assert_eq!(marks.enter(trial, true), slot);
            marks.leave(slot);
            assert_eq!(look(), [(trial, true)]);
            marks.leave(slot);
            assert_eq!(look(), []);
            // One that comes back while its mark is there is still there, and then removed.
            let slot = marks.enter(other, false);
            marks.leave(slot);
            assert_eq!(marks.enter(other, false), slot);
            assert_eq!(look(), [(other, false)]);
            marks.leave(slot);
        }
        until(|| look().is_empty());
        assert_eq!(marks.shared.slots.lock().lingering, 0);
    }

    /// From many threads at once: what runs is always marked, and nothing stays.
    #[test]
    fn what_runs_is_marked_however_many_run() {
        let folder = tempfile::tempdir().unwrap();
        let marks = Marks::create_in(folder.path().to_owned()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let own = [(); 3].map(|()| Ulid::generate());
                    for turn in 0..600 {
                        let slot = marks.enter(own[turn % 3], false);
                        let Found::Runs(inside) = Marks::look(&marks.folder, &marks.name) else {
                            panic!("it runs");
                        };
                        assert!(inside.0.contains_key(&own[turn % 3]));
                        marks.leave(slot);
                    }
                });
            }
        });
        until(|| Marks::look(&marks.folder, &marks.name) == Found::Runs(Inside::default()));
    }

    #[test]
    fn a_file_of_another_place_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["missing.marks", "../x.marks", "", "passwd"] {
            assert_eq!(Marks::look(folder.path(), name), Found::Unknown, "{name:?}");
        }
        std::fs::write(folder.path().join("short.marks"), [ALONE; SLOT - 1]).unwrap();
        let found = Marks::look(folder.path(), "short.marks");
        assert_eq!(found, Found::Ended(Inside::default()), "half a slot is none");
    }

    #[test]
    fn only_old_files_of_dead_processes_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let alive = Marks::create_in(folder.path().to_owned()).unwrap();
        let long_ago = SystemTime::now() - 2 * KEPT;
        let age = |name: &str| {
            let file = File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        };
        for name in ["old.marks", "new.marks", "old.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        age("old.marks");
        age("old.txt");
        age(&alive.name);
        sweep(folder.path());
        let left = |name: &str| folder.path().join(name).exists();
        assert!(!left("old.marks"));
        assert!(left("new.marks") && left("old.txt") && left(&alive.name));
    }
}
