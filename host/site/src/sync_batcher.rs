//! Group commit: many releases share the wait for the disk.
//!
//! A release of its own waits for the disk seven times, once for each file and folder. A worker
//! with ten thousand orders finishes hundreds at the same moment: then each step is taken for all
//! of them, and one `syncfs` writes all of it to the disk before the next step begins. The steps,
//! their order and what holds after each are those of [`release`](super::release).
//!
//! `syncfs` also writes what other programs have left to write to that file system. Where that is
//! slow, and where few sites finish at a time, each site syncs its own files.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use sitewright_model::time::millis;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::manifest::{ReleaseId, ReleaseInfo};
use super::release::{
    BatchedRelease, Batching, OrderFolders, PublishOutcome, ReadError, activate, place,
};
use super::root::{OrderDir, SitesRoot};
use super::storage::StorageError;
use super::verify::VerifiedSite;

/// Maximum sites in a batch: few enough that the first one does not wait long for the last.
const MAX_BATCH: usize = 64;
/// Minimum sites in a batch. Fewer sync their own files.
const MIN_BATCH: usize = 4;
/// Batches at a time: one works while the other one waits for the disk.
const BATCHES: usize = 2;
/// Maximum duration of a `syncfs`. A longer one writes for other programs...
const SLOW_SYNC: Duration = Duration::from_millis(500);
/// ... and pauses the group commit for this long.
const PAUSE: Duration = Duration::from_secs(30);
/// The first kernel whose `syncfs` reports write errors (syncfs(2), "BUGS").
const MIN_KERNEL: (u32, u32) = (5, 8);

/// Places and activates releases of one sites folder, in batches. Cheap to clone. The default one
/// is off: each site syncs its own files.
#[derive(Debug, Clone, Default)]
pub struct SyncBatcher {
    queue: Option<Queue>,
}

#[derive(Debug, Clone)]
struct Queue {
    jobs: mpsc::UnboundedSender<Box<dyn Job>>,
    path: Arc<Path>,
}

/// Why a release was not activated.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActivateError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The work panicked, or the runtime is shutting down.
    #[error("the work did not end, which is a bug in Sitewright; run the order again")]
    Lost,
}

impl SyncBatcher {
    /// A group commit for the sites folder `root`; off if the system is not Linux 5.8 or later.
    /// Ends when the last clone is dropped. Call it on a runtime.
    pub fn start(root: &SitesRoot) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
        let version = release.ok().and_then(|release| kernel(&release));
        if version.is_none_or(|version| version < MIN_KERNEL) {
            return SyncBatcher::default();
        }
        let (jobs, waiting) = mpsc::unbounded_channel();
        let path: Arc<Path> = root.path().into();
        let disk = Arc::new(SharedDisk {
            dir: root.dir().clone(),
            path: path.clone(),
            paused_until: parking_lot::Mutex::new(None),
        });
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..BATCHES {
            tokio::spawn(run_batches(waiting.clone(), disk.clone()));
        }
        SyncBatcher { queue: Some(Queue { jobs, path }) }
    }

    /// Runs `prepare` and [`place`] on the blocking pool, in a batch if other sites are waiting.
    pub async fn place_prepared<E: Send + 'static>(
        &self,
        prepare: impl FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E> + Send + 'static,
    ) -> PublishOutcome<E> {
        let Some(queue) = &self.queue else {
            let place = move || PublishOutcome::of(prepare, place);
            return tokio::task::spawn_blocking(place).await.unwrap_or(PublishOutcome::Lost);
        };
        let (reply, outcome) = oneshot::channel();
        let job = Placing {
            path: queue.path.clone(),
            prepare: Some(prepare),
            written: None,
            reply: Reply(Some(reply)),
        };
        if queue.jobs.send(Box::new(job)).is_err() {
            return PublishOutcome::Lost;
        }
        outcome.await.unwrap_or(PublishOutcome::Lost)
    }

    /// Runs [`activate`] on the blocking pool, in a batch if other releases are waiting.
    pub(super) async fn activate(
        &self,
        root: &SitesRoot,
        order: &OrderDir,
        id: ReleaseId,
        keep: usize,
    ) -> Result<(), ActivateError> {
        let target = Target { root: root.clone(), order: order.clone(), id, keep };
        let Some(queue) = &self.queue else {
            let activated = tokio::task::spawn_blocking(move || target.activate_alone()).await;
            return activated.unwrap_or(Err(ActivateError::Lost));
        };
        let (reply, outcome) = oneshot::channel();
        let job = Activating { target, switched: None, reply: Reply(Some(reply)) };
        queue.jobs.send(Box::new(job)).map_err(|_| ActivateError::Lost)?;
        outcome.await.unwrap_or(Err(ActivateError::Lost))
    }
}

/// Major and minor version of a kernel.
fn kernel(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What is done for one site, in steps. Everything is synced between two steps.
trait Job: Send {
    /// Takes all steps, each with a sync of its own.
    fn run_alone(self: Box<Self>);
    /// Takes the next step.
    fn step(&mut self) -> Step;
    /// Ends the job: the last step did not get to the disk.
    fn fail(self: Box<Self>, error: io::Error);
}

/// Whether a job has another step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// After a sync.
    More,
    /// The job has replied, or another thread will.
    Done,
}

/// The answer to the caller of a job; given once.
struct Reply<T>(Option<oneshot::Sender<T>>);

impl<T> Reply<T> {
    fn send(&mut self, outcome: T) {
        if let Some(reply) = self.0.take() {
            // The caller may be gone. The release expires or is swept then.
            drop(reply.send(outcome));
        }
    }

    /// Runs `work` on a thread of its own, so that the batch does not wait for it.
    fn send_later(&mut self, work: impl FnOnce() -> T + Send + 'static)
    where
        T: Send + 'static,
    {
        if let Some(reply) = self.0.take() {
            drop(tokio::task::spawn_blocking(move || drop(reply.send(work()))));
        }
    }
}

/// The file system that all batches sync.
struct SharedDisk {
    dir: Arc<Dir>,
    path: Arc<Path>,
    /// Until when each site syncs its own files.
    paused_until: parking_lot::Mutex<Option<Instant>>,
}

type Waiting = Mutex<mpsc::UnboundedReceiver<Box<dyn Job>>>;

async fn run_batches(waiting: Arc<Waiting>, disk: Arc<SharedDisk>) {
    loop {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        // The lock is held while waiting for jobs, and free while a batch runs.
        if waiting.lock().await.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let disk = disk.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || disk.run(batch)).await {
            tracing::error!(%error, "a batch of releases did not end");
        }
    }
}

impl SharedDisk {
    fn run(&self, mut batch: Vec<Box<dyn Job>>) {
        let paused_until = *self.paused_until.lock();
        if batch.len() < MIN_BATCH || paused_until.is_some_and(|until| Instant::now() < until) {
            for job in batch {
                // A panic ends this job only: its caller sees that the reply was dropped.
                drop(catch_unwind(AssertUnwindSafe(|| job.run_alone())));
            }
            return;
        }
        while !batch.is_empty() {
            batch.retain_mut(|job| {
                let step = catch_unwind(AssertUnwindSafe(|| job.step()));
                step.is_ok_and(|step| step == Step::More)
            });
            if batch.is_empty() {
                return;
            }
            if let Err(error) = self.sync() {
                tracing::error!(
                    %error,
                    folder = %self.path.display(),
                    sites = batch.len(),
                    "releases could not be written to the disk"
                );
                batch.drain(..).for_each(|job| job.fail(error.into()));
                return;
            }
        }
    }

    fn sync(&self) -> Result<(), rustix::io::Errno> {
        let begin = Instant::now();
        rustix::io::retry_on_intr(|| rustix::fs::syncfs(&self.dir))?;
        if begin.elapsed() > SLOW_SYNC {
            tracing::info!(
                took_ms = millis(begin.elapsed()),
                folder = %self.path.display(),
                pause_s = PAUSE.as_secs(),
                "syncing the file system was slow: each site syncs its own files for a while"
            );
            *self.paused_until.lock() = Some(Instant::now() + PAUSE);
        }
        Ok(())
    }
}

/// [`place`] for a site that is not prepared yet.
struct Placing<E, F> {
    /// The sites folder, for errors.
    path: Arc<Path>,
    prepare: Option<F>,
    /// The release after step 1 or 2.
    written: Option<Box<BatchedRelease>>,
    reply: Reply<PublishOutcome<E>>,
}

impl<E: Send + 'static, F> Placing<E, F>
where
    F: FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E> + Send,
{
    fn write(&mut self, prepare: F) -> Step {
        let (site, info) = match prepare() {
            Ok(prepared) => prepared,
            Err(error) => {
                self.reply.send(PublishOutcome::Unprepared(error));
                return Step::Done;
            }
        };
        match BatchedRelease::write(site, info) {
            Ok(Batching::Written(written)) => {
                self.written = Some(written);
                return Step::More;
            }
            Ok(Batching::Alone(site, info)) => {
                self.reply.send_later(move || place(site, info).into());
            }
            Err(error) => self.reply.send(PublishOutcome::Failed(error)),
        }
        Step::Done
    }
}

impl<E: Send + 'static, F> Job for Placing<E, F>
where
    F: FnOnce() -> Result<(VerifiedSite, ReleaseInfo), E> + Send,
{
    fn run_alone(mut self: Box<Self>) {
        if let Some(prepare) = self.prepare.take() {
            let outcome = PublishOutcome::of(prepare, place);
            self.reply.send(outcome);
        }
    }

    fn step(&mut self) -> Step {
        if let Some(prepare) = self.prepare.take() {
            return self.write(prepare);
        }
        let Some(mut written) = self.written.take() else { return Step::Done };
        if written.is_renamed() {
            self.reply.send(PublishOutcome::Released(written.into_release()));
            return Step::Done;
        }
        match written.rename() {
            Ok(()) => {
                self.written = Some(written);
                Step::More
            }
            Err(error) => {
                self.reply.send(PublishOutcome::Failed(error.into()));
                Step::Done
            }
        }
    }

    fn fail(mut self: Box<Self>, error: io::Error) {
        let error =
            StorageError::on("write the site to the disk in", self.path.to_path_buf())(error);
        self.reply.send(PublishOutcome::Failed(error.into()));
    }
}

/// The release to activate, and how many releases of the order to keep.
#[derive(Clone)]
struct Target {
    root: SitesRoot,
    order: OrderDir,
    id: ReleaseId,
    keep: usize,
}

impl Target {
    fn activate_alone(&self) -> Result<(), ActivateError> {
        Ok(activate(&self.root, &self.order, self.id, self.keep)?)
    }
}

/// [`activate`].
struct Activating {
    target: Target,
    /// The order's folders and its releases, while the switch is not synced yet.
    switched: Option<(OrderFolders, BTreeSet<ReleaseId>)>,
    reply: Reply<Result<(), ActivateError>>,
}

impl Activating {
    fn switch(&mut self) -> Result<Step, ReadError> {
        let Target { root, order, id, keep } = &self.target;
        let Some(folders) = OrderFolders::try_lock(root, order)? else {
            let target = self.target.clone();
            self.reply.send_later(move || target.activate_alone());
            return Ok(Step::Done);
        };
        let existing = folders.existing()?;
        if folders.activate(*id, &existing)? {
            self.switched = Some((folders, existing));
            return Ok(Step::More);
        }
        folders.expire_others(*id, &existing, *keep);
        drop(folders);
        self.reply.send(Ok(()));
        Ok(Step::Done)
    }
}

impl Job for Activating {
    fn run_alone(mut self: Box<Self>) {
        let activated = self.target.activate_alone();
        self.reply.send(activated);
    }

    fn step(&mut self) -> Step {
        if let Some((folders, existing)) = self.switched.take() {
            folders.expire_others(self.target.id, &existing, self.target.keep);
            drop(folders);
            self.reply.send(Ok(()));
            return Step::Done;
        }
        self.switch().unwrap_or_else(|error| {
            self.reply.send(Err(error.into()));
            Step::Done
        })
    }

    fn fail(mut self: Box<Self>, error: io::Error) {
        let path = self.target.root.order_path(&self.target.order);
        let error = StorageError::on("write the switch of `current` to the disk in", path)(error);
        self.reply.send(Err(ReadError::from(error).into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_parsed() {
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
