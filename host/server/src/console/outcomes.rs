//! What a form did is said once, by the page that it leads to. The address of that page names it;
//! an address that no form led to says nothing.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Maximum number of outcomes that nobody has seen yet; if there are more, none is said.
const MAX_OUTCOMES: usize = 10_000;

/// The address that the last form of each session led to.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// By the secret of the session's forms.
    addresses: Mutex<HashMap<String, String>>,
}

impl Outcomes {
    /// A form led to this address.
    pub(crate) fn lead(&self, csrf: &str, address: &str) {
        let mut addresses = self.addresses.lock();
        if addresses.len() >= MAX_OUTCOMES && !addresses.contains_key(csrf) {
            addresses.clear();
        }
        addresses.insert(csrf.to_owned(), address.to_owned());
    }

    /// Whether a form led to this address, and nobody has seen its outcome.
    pub(crate) fn see(&self, csrf: &str, address: &str) -> bool {
        let mut addresses = self.addresses.lock();
        let is_new = addresses.get(csrf).is_some_and(|led| led == address);
        if is_new {
            addresses.remove(csrf);
        }
        is_new
    }
}
