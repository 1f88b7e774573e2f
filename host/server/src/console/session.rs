//! Sessions: who logged in, and how. They are in the memory of this process: a restart ends
//! them all, and logging out ends one at once.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use sitewright_model::time::now_ms;
use tokio::sync::Notify;

use crate::oidc::Person;
use crate::problem::{Problem, ProblemKind};

/// How long a session lasts: 12 h.
pub(crate) const LASTS_MS: i64 = 12 * 60 * 60 * 1_000;
/// Maximum number of sessions; the one that would end first makes room.
const MAX_SESSIONS: usize = 10_000;
/// Of one holder, so that nobody logs others out; the oldest of the same holder makes room.
const MAX_OF_HOLDER: usize = 100;
/// Random bytes of a session's id and of the secret in its forms.
const BYTES: usize = 32;

/// Somebody who logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) holder: Holder,
    /// What every form of the session carries.
    pub(crate) csrf: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) ends_at: i64,
}

/// Who has a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The id of a token. Whether it is still valid is looked up with every request.
    Token(String),
    /// Who had the one-time link of a server without tokens.
    Link,
    /// Who logged in with OpenID Connect, with what they may do until the session ends.
    Person(Person),
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    sessions: Mutex<HashMap<String, Session>>,
    /// Told when one is ended.
    ended: Notify,
    /// What every form carries on a server without tokens, where nobody logs in.
    local: OnceLock<String>,
    /// The same for those whom a proxy names.
    of_names: Mutex<HashMap<String, String>>,
}

impl Sessions {
    /// Begins a session. Its id, which goes into the cookie.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn begin(&self, holder: Holder, now: i64) -> Result<String, Problem> {
        let (id, csrf) = (random()?, random()?);
        let session = Session { holder, csrf, ends_at: now + LASTS_MS };
        let mut sessions = self.sessions.lock();
        make_room(&mut sessions, &session);
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| now < session.ends_at);
        }
        if sessions.len() >= MAX_SESSIONS {
            let first = sessions.iter().min_by_key(|(_, session)| session.ends_at);
            if let Some(id) = first.map(|(id, _)| id.clone()) {
                sessions.remove(&id);
            }
        }
        sessions.insert(id.clone(), session);
        Ok(id)
    }

    /// The session with this id, if it has not ended.
    pub(crate) fn of(&self, id: &str, now: i64) -> Option<Session> {
        let mut sessions = self.sessions.lock();
        match sessions.get(id) {
            Some(session) if now < session.ends_at => Some(session.clone()),
            Some(_) => {
                sessions.remove(id);
                None
            }
            None => None,
        }
    }

    /// Ends a session.
    pub(crate) fn end(&self, id: &str) {
        self.sessions.lock().remove(id);
        self.ended.notify_waiters();
    }

    /// Waits until a session has ended; for ever without one.
    pub(crate) async fn ended(&self, id: Option<&str>, look_every: Duration) {
        let Some(id) = id else { return std::future::pending().await };
        loop {
            let ended = self.ended.notified();
            if self.of(id, now_ms()).is_none() {
                return;
            }
            // Not all end by logging out.
            tokio::time::timeout(look_every, ended).await.ok();
        }
    }

    /// What every form carries on a server without tokens.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn local(&self) -> Result<String, Problem> {
        if let Some(secret) = self.local.get() {
            return Ok(secret.clone());
        }
        let secret = random()?;
        Ok(self.local.get_or_init(|| secret).clone())
    }
}

/// Removes the oldest sessions of who gets this one, if there are too many.
fn make_room(sessions: &mut HashMap<String, Session>, new: &Session) {
    let mut own: Vec<(i64, String)> = sessions
        .iter()
        .filter(|(_, session)| session.holder == new.holder)
        .map(|(id, session)| (session.ends_at, id.clone()))
        .collect();
    let excess = (own.len() + 1).saturating_sub(MAX_OF_HOLDER);
    own.sort_unstable();
    for (_, id) in own.into_iter().take(excess) {
        sessions.remove(&id);
    }
}

impl Sessions {
    /// What every form of somebody carries whom a proxy names.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(crate) fn of_name(&self, name: &str) -> Result<String, Problem> {
        let secret = random()?;
        let mut of_names = self.of_names.lock();
        if !of_names.contains_key(name) && of_names.len() >= MAX_SESSIONS {
            // Forms that are open at this moment are sent a second time.
            of_names.clear();
        }
        Ok(of_names.entry(name.to_owned()).or_insert(secret).clone())
    }
}

/// 256 random bits, in hexadecimal digits.
///
/// # Errors
/// If the system has no random numbers.
pub(crate) fn random() -> Result<String, Problem> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        let detail = format!("the system has no random numbers: {error}");
        Problem::new(ProblemKind::Internal, detail)
    })?;
    Ok(hex::encode(bytes))
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && !one.is_empty()
        && one.bytes().zip(other.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(sessions: &Sessions, token: &str, now: i64) -> String {
        sessions.begin(Holder::Token(token.to_owned()), now).unwrap()
    }

    #[test]
    fn a_session_ends_after_its_time_and_when_it_is_ended() {
        let sessions = Sessions::default();
        let (one, other) = (begin(&sessions, "a", 0), begin(&sessions, "b", 0));
        assert_eq!(sessions.of(&one, LASTS_MS - 1).unwrap().holder, Holder::Token("a".to_owned()));
        assert_eq!(sessions.of(&one, LASTS_MS), None);
        assert_eq!(sessions.of(&one, 0), None, "it is forgotten");
        assert_ne!(sessions.of(&other, 0).unwrap().csrf, other);
        sessions.end(&other);
        assert_eq!(sessions.of(&other, 0), None);
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::default();
        let first = begin(&sessions, "first", 0);
        for at in 1..=MAX_SESSIONS {
            begin(&sessions, &format!("later {}", at % 1_000), i64::try_from(at).unwrap());
        }
        assert_eq!(sessions.sessions.lock().len(), MAX_SESSIONS);
        assert_eq!(sessions.of(&first, 1), None);
    }

    #[test]
    fn secrets_are_compared_as_a_whole() {
        assert!(is_same("ab", "ab"));
        for (one, other) in [("", ""), ("ab", "a"), ("ab", "ac"), ("ab", "bb"), ("", "a")] {
            assert!(!is_same(one, other), "{one:?} {other:?}");
        }
    }
}
