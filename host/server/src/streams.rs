//! The streams of events that are open: one token cannot have all connections. Behind a proxy all
//! clients have one address, so [`Places`](super::places::Places) does not tell them apart.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use parking_lot::Mutex;

use super::console::Visit;
use super::problem::{Problem, ProblemKind};
use super::revocation::TokenId;

/// One token may have this part of `server.connections` as streams.
const PART: u32 = 4;

/// Who listens. A stream ends with the token, and with the session of the console.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) token: Option<TokenId>,
    /// Id of the session.
    pub(crate) session: Option<String>,
}

/// The guards add both.
impl<S: Send + Sync> FromRequestParts<S> for Listener {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let token = parts.extensions.get::<TokenId>().cloned();
        let session = parts.extensions.get::<Visit>().and_then(|visit| visit.session.clone());
        Ok(Listener { token, session })
    }
}

/// The streams of each token.
#[derive(Debug)]
pub(crate) struct Streams {
    max_of_token: u32,
    of_tokens: Mutex<HashMap<String, u32>>,
}

/// A stream that is open. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct OpenStream {
    streams: Arc<Streams>,
    token: String,
}

impl Streams {
    pub(crate) fn new(connections: u32) -> Arc<Self> {
        let max_of_token = (connections / PART).max(1);
        Arc::new(Streams { max_of_token, of_tokens: Mutex::default() })
    }

    /// Opens a stream. `None` without a token: then only this machine is served.
    ///
    /// # Errors
    /// If the token has as many as it may.
    pub(crate) fn open(
        self: &Arc<Self>,
        token: Option<&TokenId>,
    ) -> Result<Option<OpenStream>, Problem> {
        let Some(TokenId(token)) = token else { return Ok(None) };
        let mut of_tokens = self.of_tokens.lock();
        let has = of_tokens.entry(token.clone()).or_default();
        if *has >= self.max_of_token {
            let most = self.max_of_token;
            let detail =
                format!("the token has {most} streams of events open, and may have no more");
            return Err(Problem::new(ProblemKind::TooManyStreams, detail).with("limit", most));
        }
        *has += 1;
        Ok(Some(OpenStream { streams: Arc::clone(self), token: token.clone() }))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut of_tokens = self.streams.of_tokens.lock();
        if let Some(has) = of_tokens.get_mut(&self.token) {
            *has = has.saturating_sub(1);
            if *has == 0 {
                of_tokens.remove(&self.token);
            }
        }
    }
}
