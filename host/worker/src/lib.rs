//! The worker: claims orders, makes their attempts, completes them and activates their releases.
//! The only place where the queue and the sandbox meet.
//!
//! | file | what it answers |
//! |---|---|
//! | `worker` | what runs beside the orders; how does a worker start and drain? |
//! | `orders` | one attempt at a claimed order: from its document to a resolution |
//! | `holds` | which orders wait because a fault is not theirs, and when is it gone? |
//! | `fault`, `circuit` | is a failure the order's own? By its kind; by what the last attempts have in common |
//! | `breakers` | which circuit breakers of this process are open, for people? |
//! | `activate` | when is a release activated, and who does it after a crash? |
//! | `journal` | the AI replies of an order, in the database |
//! | `reply_cache` | the AI replies that orders share |
//! | `marks` | whose code runs in this process, for the one that rescues its orders |
//! | `descriptors` | how many files and connections may this process have? |
//! | `progress` | the stages of all running orders, stored in batches |
//! | `reload` | how are new and changed templates loaded without a restart? |
//! | `retention` | `[retention]`: how long is what kept? |
//! | `sweep` | what has expired, or was erased, and is removed from the database and from disk? |
//! | `clock` | was the machine's clock set? |
//! | `supervisor` | what is systemd notified of? |
//! | `watchdog` | is a thread of the runtime stuck, and does the process end when it must? |
//! | `config` | `[worker]` of the configuration |
//!
//! **Invariant:** a release is activated only after the database says that it counts.
//!
//! **Invariant:** progress and logs can neither fail nor delay an order.
//!
//! **Invariant:** it does not know SQL, providers or file formats: the queue is a `Database`, an
//! attempt is a call of the runtime, a site is a release id.

mod activate;
mod batches;
mod breakers;
mod circuit;
mod clock;
mod config;
mod descriptors;
mod fault;
mod holds;
mod journal;
mod marks;
mod orders;
mod progress;
mod reload;
mod reply_cache;
mod retention;
mod supervisor;
mod sweep;
mod watchdog;
mod worker;

pub use circuit::CircuitSettings;
pub use config::{MOST_ORDERS, WorkerConfig};
pub use retention::{Keep, KeepByState, RetentionConfig};
pub use sweep::{SweepMode, Swept, sweep_database, sweep_files};
pub use watchdog::{ENDS_WITHIN, FORCED_EXIT, Watchdog};
pub use worker::{PrepareError, Worker, WorkerOptions, WorkerParts};
