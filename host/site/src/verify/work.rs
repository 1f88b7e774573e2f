//! How much work a check may do, counted in steps: bytes that are read and comparisons that are
//! made. Not time, so that the same site ends the same way on every machine.

use std::cell::Cell;

/// Steps for each byte of a file. The checks of real pages take about 10.
const PER_BYTE: u64 = 64;
/// Steps that every file may take, whatever its size.
const PER_FILE: u64 = 4 << 20;
/// Steps for each byte of a site that is checked at once, see [`Work::quick`].
const QUICK_PER_BYTE: u64 = 32;
/// Steps that every site may take that is checked at once.
const QUICK: u64 = 256 << 10;
/// Steps that decoding the pixels of one image may take: about a second.
const PER_IMAGE: u64 = 1 << 30;
/// The same of all images of a site: about four seconds.
pub(super) const IMAGES: u64 = 4 << 30;

/// The steps that were made, of those that are allowed.
#[derive(Debug)]
pub struct Work {
    used: Cell<u64>,
    max: u64,
    is_quick: bool,
}

impl Work {
    /// Counts without a limit.
    pub fn unlimited() -> Self {
        Work { used: Cell::new(0), max: u64::MAX, is_quick: false }
    }

    /// What one file of `bytes` bytes may take: linear in its size.
    pub fn of_file(bytes: usize) -> Self {
        let max = (bytes as u64).saturating_mul(PER_BYTE) + PER_FILE;
        Work { max, ..Work::unlimited() }
    }

    /// What one image may take, of `left` steps for all images of its site.
    pub(super) fn of_image(left: u64) -> Self {
        Work { max: left.min(PER_IMAGE), ..Work::unlimited() }
    }

    /// What a whole site of `bytes` bytes may take where nothing can stop its check: a few
    /// milliseconds.
    pub(super) fn quick(bytes: u64) -> Self {
        let max = bytes.saturating_mul(QUICK_PER_BYTE) + QUICK;
        Work { max, is_quick: true, ..Work::unlimited() }
    }

    /// Counts steps.
    pub fn spend(&self, steps: usize) {
        self.used.set(self.used.get().saturating_add(steps as u64));
    }

    /// Whether nothing can stop the check: work whose steps are not known must wait.
    pub(super) fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// Lets the check end.
    pub(super) fn exhaust(&self) {
        self.used.set(u64::MAX);
    }

    /// Steps that were made.
    pub fn used(&self) -> u64 {
        self.used.get()
    }

    /// Steps that were made, at most those that are allowed.
    pub(super) fn used_of_max(&self) -> u64 {
        self.used().min(self.max)
    }

    /// Steps that are allowed.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// Whether more steps were made than allowed. The check must then end soon.
    pub fn is_exhausted(&self) -> bool {
        self.used.get() > self.max
    }
}
