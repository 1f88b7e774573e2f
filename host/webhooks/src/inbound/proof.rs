//! Who sent a body: signatures over the bytes as they came, compared in constant time.

use std::time::Duration;

use ring::{digest, hmac};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sitewright_model::message;
use sitewright_model::message::Message;

use super::HookKind;
use crate::secret::Secret;

/// How old a signed time may be, and how far ahead.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Minimum length of a secret that is a text, in bytes.
const MIN_SECRET: usize = 16;
/// Maximum number of secrets of one sender.
const MAX_SECRETS: usize = 4;
/// Maximum length of an id that a sender gives an event, in bytes.
const MAX_ID: usize = 200;
/// Maximum number of signatures of one body: more are not compared.
const MAX_SIGNATURES: usize = 16;

/// Why it is not known who sent a body. For the log: whoever sent it learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("it has no single header `{0}`")]
    NoHeader(&'static str),
    #[error("its header `{0}` cannot be read")]
    Unreadable(&'static str),
    #[error("its header `webhook-id` does not have 1 to 200 bytes")]
    IdLength,
    #[error(
        "its header `webhook-id` has a dot, by which id and time could change places in what is \
         signed; the sender must use another id"
    )]
    IdWithDot,
    #[error("it was signed more than 5 minutes ago, or the clocks differ")]
    TooOld,
    #[error("its signature is not that of a secret")]
    WrongSignature,
    #[error("its token is not a secret of the hook")]
    WrongToken,
}

/// The secrets of a sender.
#[derive(Clone)]
pub(super) enum Proof {
    Standard(Vec<Secret>),
    Stripe(Vec<hmac::Key>),
    Github(Vec<hmac::Key>),
    /// Each secret as a key, with the MAC of itself: comparing MACs takes as long whatever was
    /// sent.
    Bearer(Vec<(hmac::Key, hmac::Tag)>),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(hidden)")
    }
}

/// What the headers of a request say. Its body decides.
#[derive(Debug)]
pub struct Begun<'a> {
    says: Says<'a>,
}

enum Says<'a> {
    Standard {
        secrets: &'a [Secret],
        id: &'a str,
        sent: i64,
        signatures: &'a str,
    },
    Stripe {
        keys: &'a [hmac::Key],
        sent: &'a str,
        signatures: Vec<Vec<u8>>,
    },
    Github {
        keys: &'a [hmac::Key],
        signature: Vec<u8>,
    },
    /// The token was that of a secret.
    Bearer,
}

impl std::fmt::Debug for Says<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Says(hidden)")
    }
}

/// The member of Stripe's events that names the event.
#[derive(Deserialize)]
struct StripeEvent {
    id: String,
}

impl Proof {
    /// # Errors
    /// What is wrong with the secrets, without a part of them.
    pub(super) fn new(kind: HookKind, text: &SecretString) -> Result<Self, Message> {
        let keys = || {
            let key = |text: &SecretString| {
                hmac::Key::new(hmac::HMAC_SHA256, text.expose_secret().as_bytes())
            };
            texts(text).map(|texts| texts.iter().map(key).collect::<Vec<_>>())
        };
        Ok(match kind {
            HookKind::StandardWebhooks => Proof::Standard(Secret::read_all(text)?),
            HookKind::Stripe => Proof::Stripe(keys()?),
            HookKind::Github => Proof::Github(keys()?),
            HookKind::Bearer => {
                let pair = |text: &SecretString| {
                    let bytes = text.expose_secret().as_bytes();
                    let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
                    let tag = hmac::sign(&key, bytes);
                    (key, tag)
                };
                Proof::Bearer(texts(text)?.iter().map(pair).collect())
            }
        })
    }

    /// As [`Hook::begin`](super::Hook::begin).
    pub(super) fn begin<'a>(
        &'a self,
        header: &dyn Fn(&str) -> Option<&'a str>,
        now: i64,
    ) -> Result<Begun<'a>, Unproven> {
        let one = |name: &'static str| header(name).ok_or(Unproven::NoHeader(name));
        let in_time = |sent: i64| match now.abs_diff(sent) <= MAX_AGE.as_secs() {
            true => Ok(()),
            false => Err(Unproven::TooOld),
        };
        let says = match self {
            Proof::Standard(secrets) => {
                let id = one("webhook-id")?;
                if id.is_empty() || id.len() > MAX_ID {
                    return Err(Unproven::IdLength);
                }
                // It would let an id and a time change places in what is signed.
                if id.contains('.') {
                    return Err(Unproven::IdWithDot);
                }
                let sent = one("webhook-timestamp")?.parse::<i64>();
                let sent = sent.map_err(|_| Unproven::Unreadable("webhook-timestamp"))?;
                in_time(sent)?;
                let signatures = one("webhook-signature")?;
                Says::Standard { secrets, id, sent, signatures }
            }
            Proof::Stripe(keys) => {
                let wrong = Unproven::Unreadable("stripe-signature");
                let (mut sent, mut signatures) = (None, Vec::new());
                // One that cannot be read is as good as one by another secret: it proves nothing,
                // and the next one may.
                for part in one("stripe-signature")?.split(',').take(MAX_SIGNATURES) {
                    match part.trim().split_once('=') {
                        Some(("t", time)) => sent = Some(time),
                        Some(("v1", digits)) => signatures.extend(bytes_of(digits)),
                        Some(_) | None => {}
                    }
                }
                let sent = sent.ok_or(wrong)?;
                in_time(sent.parse().map_err(|_| wrong)?)?;
                Says::Stripe { keys, sent, signatures }
            }
            Proof::Github(keys) => {
                let wrong = Unproven::Unreadable("x-hub-signature-256");
                let digits = one("x-hub-signature-256")?.strip_prefix("sha256=").ok_or(wrong)?;
                Says::Github { keys, signature: bytes_of(digits).ok_or(wrong)? }
            }
            Proof::Bearer(secrets) => {
                let (scheme, token) = one("authorization")?.split_once(' ').unwrap_or_default();
                if !scheme.eq_ignore_ascii_case("bearer") {
                    return Err(Unproven::Unreadable("authorization"));
                }
                let token = token.trim().as_bytes();
                let is_own = |(key, tag): &(hmac::Key, hmac::Tag)| {
                    hmac::verify(key, token, tag.as_ref()).is_ok()
                };
                if !secrets.iter().any(is_own) {
                    return Err(Unproven::WrongToken);
                }
                Says::Bearer
            }
        };
        Ok(Begun { says })
    }
}

impl Begun<'_> {
    /// Checks the body; the id of the event. Where the signature covers none, that is the digest of
    /// the body: the same bytes are the same event.
    ///
    /// # Errors
    /// Why it is not known who sent it.
    pub fn finish(self, body: &[u8]) -> Result<String, Unproven> {
        let signed = |keys: &[hmac::Key], parts: &[&[u8]], signature: &[u8]| {
            let message = parts.concat();
            keys.iter().any(|key| hmac::verify(key, &message, signature).is_ok())
        };
        let (is_known, id) = match &self.says {
            Says::Standard { secrets, id, sent, signatures } => {
                let signatures = signatures.split_ascii_whitespace().take(MAX_SIGNATURES);
                let known = signatures.filter_map(|one| one.strip_prefix("v1,")).any(|one| {
                    secrets.iter().any(|secret| secret.has_signed(one, id, *sent, body))
                });
                (known, Some((*id).to_owned()))
            }
            Says::Stripe { keys, sent, signatures } => {
                let parts: [&[u8]; 3] = [sent.as_bytes(), b".", body];
                let known = signatures.iter().any(|signature| signed(keys, &parts, signature));
                let event = || serde_json::from_slice::<StripeEvent>(body).ok();
                (known, known.then(event).flatten().map(|event| event.id))
            }
            Says::Github { keys, signature } => (signed(keys, &[body], signature), None),
            Says::Bearer => (true, None),
        };
        if !is_known {
            return Err(Unproven::WrongSignature);
        }
        let id = id.filter(|id| !id.is_empty() && id.len() <= MAX_ID && !id.contains('\0'));
        Ok(id.unwrap_or_else(|| format!("sha256:{}", digits_of(body))))
    }
}

/// SHA-256 in hexadecimal.
fn digits_of(body: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, body))
}

/// The bytes of a MAC in hexadecimal.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    hex::decode(digits).ok().filter(|bytes| bytes.len() == digest::SHA256_OUTPUT_LEN)
}

/// Secrets that are texts, with white space between them. Only characters that a person sees and
/// a header can have: an editor or a copy may have added others, and no sender would be known then.
fn texts(text: &SecretString) -> Result<Vec<SecretString>, Message> {
    let secrets: Vec<SecretString> =
        text.expose_secret().split_whitespace().map(SecretString::from).collect();
    let is_short = |secret: &SecretString| secret.expose_secret().len() < MIN_SECRET;
    let is_plain =
        |secret: &SecretString| secret.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
    match secrets.len() {
        0 => Err(message!("is empty; put a secret there")),
        1..=MAX_SECRETS if secrets.iter().any(is_short) => {
            Err(message!("has a secret with less than {MIN_SECRET} characters"))
        }
        1..=MAX_SECRETS if !secrets.iter().all(is_plain) => Err(message!(
            "has a secret with a character that is not visible ASCII, perhaps one that nobody \
             sees; write it again, with letters, digits and signs"
        )),
        1..=MAX_SECRETS => Ok(secrets),
        more => Err(message!("has {more} secrets; a sender can have at most {MAX_SECRETS}")),
    }
}
