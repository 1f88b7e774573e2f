//! The worker: takes orders from the queue, makes their attempts and settles what came of them.
//!
//! | file | what is in it |
//! |---|---|
//! | `orders` | one attempt of a claimed order, from its document to a resolution |
//! | `config` | `[worker]` of the configuration |
//! | `clock` | tells when the clock of the machine was set |
//! | `journal` | the AI replies of an order, in the database |
//! | `progress` | the stages of all running orders, written down in batches |
//! | `activate` | the last step of a release: what visitors see follows what the database says |
//! | `process` | all of a worker: what runs beside the orders, how it begins and ends |
//! | `reload` | templates that are new or changed are served without a restart |
//!
//! ```text
//! jobs::take ──> run::attempt ──> jobs::settle ──> visible
//!                   │  journal, progress
//! ```

mod activate;
mod clock;
mod config;
mod journal;
mod orders;
mod process;
mod progress;
mod reload;

pub use config::{MOST_ORDERS, WorkerConfig};
pub use orders::Orders;
pub use process::{Prepared, Worker, WorkerOptions};
pub use progress::Progress;
