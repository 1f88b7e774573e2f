//! Which orders may have ended a process.
//!
//! Whatever ends a process (an operator, the out-of-memory killer, a deploy, the machine) ends all
//! attempts in it, and almost all of them only wait. So the end of a process is no order's fault
//! unless the order's code ran in that moment. That is a suspicion, not a proof: where several ran,
//! or when somebody sent SIGKILL, all but one or all are innocent. A suspected order is tried
//! alone: no other order's code runs beside its own. Only what ends its process then is counted as
//! the order's crash.
//!
//! | the order | what becomes of it |
//! |---|---|
//! | waited, for AI, a slot, the disk | queued again, nothing is counted |
//! | its code ran, or code of the host for it, a few milliseconds ago at most | queued again as suspected, nothing is counted |
//! | suspected, and its code alone ran | a crash is counted; the last one makes it dead |
//!
//! If the marks of a process cannot be read (another machine, a machine that was started again, a
//! container whose folder is gone), nobody is suspected.

use crate::marks::Inside;

/// What the end of a process says about an order that it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// None of its code ran.
    Innocent,
    /// Its code ran. It is tried alone.
    Suspected,
    /// It was tried, and its code alone ran; or the attempt ended without its process.
    Crashed,
}

impl Blame {
    /// `suspected`: whether the order was suspected before. `inside`: the code that ran, if known.
    pub(super) fn of(attempt: &str, suspected: bool, inside: Option<&Inside>) -> Self {
        match inside.and_then(|inside| inside.alone(attempt)) {
            None => Blame::Innocent,
            Some(true) if suspected => Blame::Crashed,
            Some(_) => Blame::Suspected,
        }
    }
}
