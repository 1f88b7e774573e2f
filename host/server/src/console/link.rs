//! The one-time link to the console of a server without tokens, which `sitewright serve` prints:
//! who has it gets a session. Other users of the machine do not see it.
//!
//! The link has a host of its own, `RANDOM.localhost`, which browsers look for on their own machine.
//! A browser sends a cookie to all ports of a host: with the session of 127.0.0.1, any page could lead
//! it to the port of another user. The host of the link is known to nobody else.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::session::{is_same, random};
use crate::problem::Problem;

/// How long a link can be used: 15 min.
const LASTS: Duration = Duration::from_secs(15 * 60);
/// Hexadecimal digits of the host's random label: 128 bits. A label has at most 63 characters.
const LABEL: usize = 32;

/// The link of this process, if one was made.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: Mutex<State>,
    host: OnceLock<String>,
}

#[derive(Debug, Default)]
enum State {
    /// None was made: whoever is on this machine gets in.
    #[default]
    Unneeded,
    Made {
        key: String,
        at: Instant,
    },
    Used,
}

impl Link {
    /// Makes a link: its key, and its host. From now on the console needs a session.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn make(&self) -> Result<(String, String), Problem> {
        let (key, label) = (random()?, random()?);
        let label: String = label.chars().take(LABEL).collect();
        let host = self.host.get_or_init(|| format!("{label}.localhost")).clone();
        *self.state.lock() = State::Made { key: key.clone(), at: Instant::now() };
        Ok((key, host))
    }

    /// The host of the link, if one was made.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.get().map(String::as_str)
    }

    /// Whether nobody gets in without a session.
    pub(crate) fn is_needed(&self) -> bool {
        !matches!(*self.state.lock(), State::Unneeded)
    }

    /// Uses the link, once and in time. Whether the key is right.
    pub(crate) fn is_used_with(&self, key: &str, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_right = match &*state {
            State::Made { key: right, at } => {
                is_same(right, key) && now.saturating_duration_since(*at) < LASTS
            }
            State::Unneeded | State::Used => false,
        };
        if is_right {
            *state = State::Used;
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_valid_once_and_for_a_short_time() {
        let link = Link::default();
        let now = Instant::now();
        assert!(!link.is_needed() && !link.is_used_with("", now));
        assert_eq!(link.host(), None);
        let (key, host) = link.make().unwrap();
        assert!(link.is_needed());
        assert_eq!(link.host(), Some(host.as_str()));
        for wrong in ["", "0", &key[1..]] {
            assert!(!link.is_used_with(wrong, now), "{wrong}");
        }
        assert!(!link.is_used_with(&key, now + LASTS * 2), "too late");
        assert!(link.is_used_with(&key, now));
        assert!(!link.is_used_with(&key, now), "a second time");
        assert!(link.is_needed());
    }
}
