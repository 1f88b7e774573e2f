//! The marks of a worker's process: which attempts' code runs in it at this moment, in a file that
//! outlives the process however it ends.
//!
//! The file has a slot for each attempt whose code runs at the same time. A slot is written with
//! one `pwrite` when the code begins and when it ends: what was written is in the system's cache,
//! so it survives `kill -9`, an abort and the out-of-memory killer. After a reboot nobody reads it.
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
use std::time::{Duration, SystemTime};

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
/// Age after which the file of a dead process that nobody needed is deleted.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The marks of this process. One for each worker.
#[derive(Debug)]
pub struct Marks {
    file: File,
    folder: PathBuf,
    name: String,
    slots: Mutex<Slots>,
    /// Whether a mark could not be written.
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<usize>,
    used: usize,
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
        let slots = Mutex::default();
        Ok(Marks { file, folder, name, slots, failed: AtomicBool::new(false) })
    }

    /// Marks that code of this attempt runs from now on. `alone`: no code of another attempt runs
    /// beside it. The slot, for [`Marks::leave`].
    pub fn enter(&self, attempt: Ulid, alone: bool) -> usize {
        let slot = {
            let mut slots = self.slots.lock();
            slots.free.pop().unwrap_or_else(|| {
                slots.used += 1;
                slots.used - 1
            })
        };
        let mut mark = [0; SLOT];
        mark[..ID].copy_from_slice(&attempt.to_bytes());
        mark[ID] = if alone { ALONE } else { BESIDE };
        self.write(&mark, slot, 0);
        slot
    }

    /// Marks that code of another attempt runs beside the one in this slot.
    pub fn no_longer_alone(&self, slot: usize) {
        self.write(&[BESIDE], slot, ID);
    }

    /// Marks that the attempt in this slot runs no code.
    pub fn leave(&self, slot: usize) {
        self.write(&[0; SLOT], slot, 0);
        self.slots.lock().free.push(slot);
    }

    fn write(&self, bytes: &[u8], slot: usize, offset: usize) {
        let at = (slot * SLOT + offset) as u64;
        if let Err(error) = self.file.write_all_at(bytes, at)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::error!(
                file = %self.folder.join(&self.name).display(),
                %error,
                "it cannot be marked which order's code runs: an order that ends this process may \
                 not be recognized"
            );
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
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "the marks of this worker could not be unlocked");
        }
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
        assert_eq!(ids(&look()), [(one, true)]);
        marks.no_longer_alone(slot);
        assert_eq!(ids(&look()), [(one, false)]);
        // A slot is used again, so the file does not grow.
        for _ in 0..10_000 {
            marks.leave(marks.enter(two, false));
        }
        assert_eq!(std::fs::metadata(folder.join(&name)).unwrap().len(), ALLOCATED as u64);

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
