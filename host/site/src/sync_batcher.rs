//! Many sites at once: their files go to the disk together.
//!
//! A release alone waits for the disk seven times, once for each file and folder. A worker with ten
//! thousand orders finishes hundreds in the same moment: then each step is done for all of them,
//! and one `syncfs` writes all to the disk before the next step begins. The steps, their order and
//! what holds after each are those of [`release`](super::release).
//!
//! `syncfs` also writes what other programs left to be written to that file system. Where that
//! takes long, and where few sites are finished at a time, each waits for its own files.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::manifest::{ReleaseId, ReleaseInfo};
use super::release::{Disk, Place, PublishError, ReadError, Release, Written, activate, place};
use super::root::{OrderDir, SitesRoot};
use super::storage::StorageError;
use super::verify::VerifiedSite;

/// Sites of one crowd: few enough that the first one does not wait long for the last.
const MOST: usize = 64;
/// Fewer than these wait for their own files.
const FEWEST: usize = 4;
/// Crowds at a time: one works while the other one waits for the disk.
const CROWDS: usize = 2;
/// What a `syncfs` may take. Longer means that it writes for others...
const SLOW: Duration = Duration::from_millis(500);
/// ... and then it is not used for so long.
const REST: Duration = Duration::from_secs(30);
/// The first kernel whose `syncfs` tells that something could not be written.
const TELLING_KERNEL: (u32, u32) = (5, 8);

/// Where sites that are to be finished meet.
#[derive(Debug)]
pub(super) struct Crowd {
    line: mpsc::UnboundedSender<Box<dyn Work>>,
}

/// What is done for one site, in steps between which the disk is waited for.
trait Work: Send {
    /// All of it, as if there were no others.
    fn alone(self: Box<Self>);
    /// The next step; whether there is one after it, for which everything so far must be on the
    /// disk.
    fn step(&mut self) -> bool;
    /// Ends it: what was done so far did not get to the disk.
    fn fail(self: Box<Self>, error: io::Error);
}

impl Crowd {
    /// A crowd on the file system of this folder. Nothing where the kernel cannot do it. Ends with
    /// the last who may bring a site. Must be called on a runtime.
    pub(super) fn start(root: &Arc<Dir>, path: &Arc<Path>) -> Option<Self> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        if kernel(&release)? < TELLING_KERNEL {
            return None;
        }
        let (line, waiting) = mpsc::unbounded_channel();
        let (waiting, rests) =
            (Arc::new(Mutex::new(waiting)), Arc::new(std::sync::Mutex::new(None)));
        for _ in 0..CROWDS {
            tokio::spawn(gather(waiting.clone(), root.clone(), path.clone(), rests.clone()));
        }
        Some(Crowd { line })
    }
}

/// Major and minor version.
fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

type Waiting = Mutex<mpsc::UnboundedReceiver<Box<dyn Work>>>;
type Rests = std::sync::Mutex<Option<Instant>>;

async fn gather(waiting: Arc<Waiting>, root: Arc<Dir>, path: Arc<Path>, rests: Arc<Rests>) {
    loop {
        let mut crowd = Vec::with_capacity(MOST);
        // Whoever waits for the next ones holds the lock; nobody does while a crowd is finished.
        if waiting.lock().await.recv_many(&mut crowd, MOST).await == 0 {
            return;
        }
        let (root, path, rests) = (root.clone(), path.clone(), rests.clone());
        let finished = tokio::task::spawn_blocking(move || finish(crowd, &root, &path, &rests));
        if let Err(error) = finished.await {
            tracing::error!(%error, "finishing many sites at once did not end");
        }
    }
}

fn finish(mut crowd: Vec<Box<dyn Work>>, root: &Dir, path: &Path, rests: &Rests) {
    let rest = *rests.lock().unwrap_or_else(PoisonError::into_inner);
    if crowd.len() < FEWEST || rest.is_some_and(|until| Instant::now() < until) {
        for work in crowd {
            // Its own panic is its own end: whoever waits is told that nothing came.
            drop(catch_unwind(AssertUnwindSafe(|| work.alone())));
        }
        return;
    }
    while !crowd.is_empty() {
        crowd.retain_mut(|work| catch_unwind(AssertUnwindSafe(|| work.step())).unwrap_or(false));
        if crowd.is_empty() {
            return;
        }
        let begin = Instant::now();
        if let Err(error) = rustix::io::retry_on_intr(|| rustix::fs::syncfs(root)) {
            tracing::error!(%error, folder = %path.display(), sites = crowd.len(), "sites could not be written to the disk");
            crowd.drain(..).for_each(|work| work.fail(error.into()));
            return;
        }
        if begin.elapsed() > SLOW {
            tracing::info!(
                took_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
                folder = %path.display(),
                "writing a file system to the disk took long: for a while each site waits for its own files only"
            );
            *rests.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        }
    }
}

/// How a site that was prepared ended: in its preparation, or as a release or none.
type Placed<E> = Result<Result<Release, PublishError>, E>;

/// [`place`], for a site that `prepare` makes on a thread where it may block; together with others
/// where there are any. Nothing when it did not end.
pub async fn place_prepared<E: Send + 'static>(
    root: &SitesRoot,
    prepare: impl FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E> + Send + 'static,
) -> Option<Placed<E>> {
    let Some(crowd) = root.crowd() else {
        let placed =
            tokio::task::spawn_blocking(move || prepare().map(|(site, info)| place(site, info)));
        return placed.await.ok();
    };
    let (reply, answer) = oneshot::channel();
    let placing = Placing {
        root: root.path().to_owned(),
        prepare: Some(prepare),
        written: None,
        reply: Some(reply),
    };
    crowd.line.send(Box::new(placing)).ok()?;
    answer.await.ok()
}

struct Placing<E, F> {
    root: PathBuf,
    prepare: Option<F>,
    written: Option<Written>,
    reply: Option<oneshot::Sender<Placed<E>>>,
}

impl<E: Send, F: Send> Placing<E, F> {
    fn answer(&mut self, placed: Placed<E>) {
        if let Some(reply) = self.reply.take() {
            // Nobody may be waiting any more; the release is swept or expires.
            drop(reply.send(placed));
        }
    }
}

impl<E: Send + 'static, F> Work for Placing<E, F>
where
    F: FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E> + Send,
{
    fn alone(mut self: Box<Self>) {
        if let Some(prepare) = self.prepare.take() {
            let placed = prepare().map(|(site, info)| place(site, info));
            self.answer(placed);
        }
    }

    fn step(&mut self) -> bool {
        if let Some(prepare) = self.prepare.take() {
            let (site, info) = match prepare() {
                Ok(prepared) => prepared,
                Err(error) => {
                    self.answer(Err(error));
                    return false;
                }
            };
            match Written::together(site, info) {
                Ok(Ok(written)) => {
                    self.written = Some(written);
                    return true;
                }
                // It is on the disk already, or somebody else is at work in the order's folder:
                // nobody waits for that.
                Ok(Err(other)) => {
                    let (site, info) = *other;
                    if let Some(reply) = self.reply.take() {
                        drop(tokio::task::spawn_blocking(move || {
                            drop(reply.send(Ok(place(site, info))))
                        }));
                    }
                }
                Err(error) => self.answer(Ok(Err(error))),
            }
            return false;
        }
        let Some(mut written) = self.written.take() else { return false };
        if !written.is_placed() {
            match written.rename() {
                Ok(()) => {
                    self.written = Some(written);
                    return true;
                }
                Err(error) => self.answer(Ok(Err(error.into()))),
            }
            return false;
        }
        self.answer(Ok(Ok(written.release())));
        false
    }

    fn fail(mut self: Box<Self>, error: io::Error) {
        let error = StorageError::on("write the site to the disk in", self.root.clone())(error);
        self.answer(Ok(Err(error.into())));
    }
}

/// [`activate`], together with others where there are any. Nothing when it did not end.
pub(super) async fn activate_together(
    root: &SitesRoot,
    order: &OrderDir,
    id: ReleaseId,
    keep: usize,
) -> Option<Result<(), ReadError>> {
    let (root, order) = (root.clone(), order.clone());
    let Some(crowd) = root.crowd().cloned() else {
        return tokio::task::spawn_blocking(move || activate(&root, &order, id, keep)).await.ok();
    };
    let (reply, answer) = oneshot::channel();
    let activating = Activating { root, order, id, keep, switched: None, reply: Some(reply) };
    crowd.line.send(Box::new(activating)).ok()?;
    answer.await.ok()
}

struct Activating {
    root: SitesRoot,
    order: OrderDir,
    id: ReleaseId,
    keep: usize,
    /// Once the link is switched: the order's folder, and the releases in it.
    switched: Option<(Place, BTreeSet<ReleaseId>)>,
    reply: Option<oneshot::Sender<Result<(), ReadError>>>,
}

impl Activating {
    fn answer(&mut self, done: Result<(), ReadError>) {
        if let Some(reply) = self.reply.take() {
            drop(reply.send(done));
        }
    }

    /// Whether the link was switched and has to get to the disk. Nothing when somebody else is at
    /// work in the folder.
    fn switch(&mut self) -> Result<Option<bool>, ReadError> {
        let Some(place) = Place::open(&self.root, &self.order, Disk::Together)? else {
            return Ok(None);
        };
        let existing = place.existing()?;
        let switched = place.show(self.id, &existing)?;
        self.switched = Some((place, existing));
        Ok(Some(switched))
    }

    fn tidy(&mut self) {
        if let Some((place, existing)) = self.switched.take() {
            place.expire_but(self.id, &existing, self.keep);
        }
    }
}

impl Work for Activating {
    fn alone(mut self: Box<Self>) {
        let done = activate(&self.root, &self.order, self.id, self.keep);
        self.answer(done);
    }

    fn step(&mut self) -> bool {
        if self.switched.is_some() {
            self.tidy();
            self.answer(Ok(()));
            return false;
        }
        match self.switch() {
            Ok(Some(true)) => return true,
            Ok(Some(false)) => {
                self.tidy();
                self.answer(Ok(()));
            }
            Ok(None) => {
                let (root, order, id, keep) =
                    (self.root.clone(), self.order.clone(), self.id, self.keep);
                if let Some(reply) = self.reply.take() {
                    drop(tokio::task::spawn_blocking(move || {
                        drop(reply.send(activate(&root, &order, id, keep)))
                    }));
                }
            }
            Err(error) => self.answer(Err(error)),
        }
        false
    }

    fn fail(mut self: Box<Self>, error: io::Error) {
        let path = self.root.order_path(&self.order);
        self.answer(Err(StorageError::on("write the switch of `current` to the disk in", path)(
            error,
        )
        .into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_told_apart() {
        for (release, version) in [
            ("6.18.44-fc-v657", Some((6, 18))),
            ("5.8.0-generic", Some((5, 8))),
            ("5.10\n", Some((5, 10))),
            ("4.19.0-27-amd64", Some((4, 19))),
            ("unknown", None),
        ] {
            assert_eq!(kernel(release), version, "{release}");
        }
    }
}
