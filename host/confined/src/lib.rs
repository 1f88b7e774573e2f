//! Work on a stranger's bytes, in child processes with limits of their own.
//!
//! Parsers of HTML, CSS, JSON Schema and debug information promise neither linear time nor bounded
//! memory, and their input comes from anyone. A [`Task`] is such work as a function from bytes to
//! bytes. [`Confined`] runs it in one of a few children of the running program, each of which has
//! no environment, no network and no files, does one job at a time, and is killed and replaced when
//! the job's [`Budget`] is used up, its deadline is over or its future is dropped.
//!
//! | file | question |
//! |---|---|
//! | `pool` | which child does a job, and when does an idle one end? |
//! | `queue` | which job is next? |
//! | `child` | how is a child started, given a job, watched and stopped? |
//! | `frame` | what is written to the pipes? |
//! | `process` | what does the kernel say about a process? |
//! | `serve` | what does the child do? |
//! | `sandbox` | what may it not do? |
//!
//! **Invariant:** it does not know what a task does, and no task has state.
//!
//! **Invariant:** nothing that a child sends is believed beyond its own job: lengths are capped
//! before anything is read, and limits are enforced from outside the child.

mod child;
mod frame;
mod pool;
pub mod process;
mod queue;
pub mod sandbox;
mod serve;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use child::is_out_of_memory;
pub use frame::MAX_ANSWER_BYTES;
pub use serve::{SUBCOMMAND, serve};

use pool::Pool;

/// The running program, even if its file was replaced: only it has the same tasks.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// Work on a stranger's bytes: a function without state, from bytes to bytes.
#[derive(Debug)]
pub struct Task {
    /// Name in the protocol, unique in the program. At most 255 bytes.
    pub name: &'static str,
    /// The work. It may panic, and may take any amount of time and memory.
    pub run: fn(&[u8]) -> Vec<u8>,
}

/// A child without a job ends after this time.
const IDLE: Duration = Duration::from_secs(60);

/// What one job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Processor time, measured about every 100 ms.
    pub cpu: Duration,
    /// Bytes of address space beyond those of an idle child. Input and answer count.
    pub memory_bytes: u64,
    /// When the job is given up, waiting included. `None`: never.
    pub deadline: Option<Instant>,
}

/// Runs tasks in confined children. Clones share the children.
#[derive(Clone)]
pub struct Confined(Runner);

#[derive(Clone)]
enum Runner {
    Here,
    Children(Arc<Pool>),
}

impl fmt::Debug for Confined {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Runner::Here => "Confined::here",
            Runner::Children(_) => "Confined::program",
        })
    }
}

/// A job has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfinedError {
    /// The job used its processor time.
    #[error("it took more than {limit_ms} ms of CPU time")]
    Cpu {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The job used its memory.
    #[error("it took more than {limit_bytes} bytes of memory")]
    Memory {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The deadline is over, while the job waited or ran.
    #[error("it was not done before the deadline")]
    Deadline,
    /// The task panicked, aborted or answered too much: what the child wrote to stderr. The input
    /// is the cause, so the same input crashes again.
    #[error("it crashed: {0}")]
    Crashed(String),
    /// The host failed: a child cannot be started, or was killed by something else. The job may
    /// succeed when it is tried again.
    #[error("the host could not do it: {0}")]
    Host(String),
    /// The operating system refused the host something: descriptors, processes, memory. The job may
    /// succeed when it is tried again.
    #[error("the host could not do it: {why}")]
    Refused {
        /// The error's number.
        code: i32,
        /// What was tried, and the error.
        why: String,
    },
}

impl ConfinedError {
    /// The limit that was hit: milliseconds of processor time, or bytes of memory.
    pub fn limit(&self) -> Option<u64> {
        match self {
            ConfinedError::Cpu { limit_ms } => Some(*limit_ms),
            ConfinedError::Memory { limit_bytes } => Some(*limit_bytes),
            ConfinedError::Deadline
            | ConfinedError::Crashed(_)
            | ConfinedError::Host(_)
            | ConfinedError::Refused { .. } => None,
        }
    }

    /// Whether the host or its machine is the cause, not the input: the job may succeed when it is
    /// tried again.
    pub fn is_of_host(&self) -> bool {
        matches!(self, ConfinedError::Host(_) | ConfinedError::Refused { .. })
    }
}

impl Confined {
    /// Runs tasks in this process on blocking threads, without limits except the deadline: for
    /// tests of libraries.
    pub fn here() -> Self {
        Confined(Runner::Here)
    }

    /// Runs tasks in at most `children` children of the running program, which must be
    /// `sitewright`. Children start when they are needed.
    pub fn this_program(children: usize) -> Self {
        Confined::program(Path::new(THIS_PROGRAM), children)
    }

    /// Runs tasks in at most `children` children of the binary in `path`, which must be of the same
    /// build.
    pub fn program(path: &Path, children: usize) -> Self {
        Confined(Runner::Children(Pool::new(path.to_owned(), children, IDLE)))
    }

    /// The same with children of its own, which end after `idle` without a job. Default: 60 s.
    #[must_use]
    pub fn with_idle_time(self, idle: Duration) -> Self {
        match self.0 {
            Runner::Here => self,
            Runner::Children(pool) => Confined(Runner::Children(pool.with_idle_time(idle))),
        }
    }

    /// Runs `task` over `input`. `lane` is the template's name: the lane that has used the least
    /// processor time is next. Dropping the future kills the child.
    ///
    /// # Errors
    /// If the budget is used up, the deadline is over, the task crashes, or the host fails.
    pub async fn run(
        &self,
        task: &'static Task,
        lane: &str,
        input: Vec<u8>,
        budget: Budget,
    ) -> Result<Vec<u8>, ConfinedError> {
        let running = async {
            match &self.0 {
                Runner::Here => here(task, input).await,
                Runner::Children(pool) => pool.run(task, lane, &input, &budget).await,
            }
        };
        match budget.deadline {
            None => running.await,
            // Not begun, whoever would be first.
            Some(deadline) if deadline <= Instant::now() => Err(ConfinedError::Deadline),
            Some(deadline) => tokio::time::timeout_at(deadline.into(), running)
                .await
                .unwrap_or(Err(ConfinedError::Deadline)),
        }
    }
}

async fn here(task: &'static Task, input: Vec<u8>) -> Result<Vec<u8>, ConfinedError> {
    let answer = tokio::task::spawn_blocking(move || (task.run)(&input))
        .await
        .map_err(|error| ConfinedError::Crashed(error.to_string()))?;
    frame::fits(answer.len()).map_err(ConfinedError::Crashed)?;
    Ok(answer)
}
