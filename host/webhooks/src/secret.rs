//! Secrets and signatures after Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use sitewright_model::message;
use sitewright_model::message::Message;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, at least and at most.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;
/// Maximum number of secrets of one receiver.
const MAX_SECRETS: usize = 4;

/// Stands in a text where a secret was.
const REMOVED: &str = "[secret removed]";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that a receiver shares. `Debug` does not print it.
#[derive(Clone)]
pub struct Secret {
    key: hmac::Key,
    text: SecretString,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Secret {
    /// Reads secrets with white space between them.
    ///
    /// # Errors
    /// There is none, there are more than four, or one is no secret. The message contains no part
    /// of them.
    pub fn read_all(text: &SecretString) -> Result<Vec<Secret>, Message> {
        let secrets: Vec<Secret> =
            text.expose_secret().split_whitespace().map(Secret::read).collect::<Result<_, _>>()?;
        match secrets.len() {
            0 => Err(message!("is empty; put a secret there: {}", how())),
            1..=MAX_SECRETS => Ok(secrets),
            more => Err(message!("has {more} secrets; a receiver can have at most {MAX_SECRETS}")),
        }
    }

    fn read(text: &str) -> Result<Secret, Message> {
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Err(message!("does not begin with {PREFIX}: {}", how()));
        };
        let bytes = BASE64
            .decode(encoded)
            .map_err(|_| message!("is not base64 behind {PREFIX}: {}", how()))?;
        if !LENGTH.contains(&bytes.len()) {
            let (least, most) = (LENGTH.start(), LENGTH.end());
            return Err(message!(
                "has {} bytes and must have {least} to {most}: {}",
                bytes.len(),
                how()
            ));
        }
        Ok(Secret {
            key: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
            text: SecretString::from(encoded),
        })
    }

    /// Whether this is the signature, in base64, of this secret. Compared in constant time.
    pub(crate) fn has_signed(
        &self,
        signature: &str,
        id: &str,
        timestamp: i64,
        body: &[u8],
    ) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        let message = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        hmac::verify(&self.key, &message, &signature).is_ok()
    }

    /// The text without this secret.
    pub(crate) fn removed_from(&self, text: &str) -> String {
        let secret = self.text.expose_secret().trim_end_matches('=');
        let url_safe = secret.replace('+', "-").replace('/', "_");
        let mut text = text.replace(secret, REMOVED).replace(&url_safe, REMOVED);
        // It was decoded when it was read. Nothing is in every text.
        let digits = BASE64.decode(secret).map(hex::encode).unwrap_or_default();
        if digits.is_empty() {
            return text;
        }
        // In lower case a text has the same length.
        while let Some(at) = text.to_ascii_lowercase().find(&digits) {
            text.replace_range(at..at + digits.len(), REMOVED);
        }
        text
    }
}

/// How a secret is made.
fn how() -> String {
    "`printf 'whsec_%s' \"$(openssl rand -base64 32)\"` makes one".to_owned()
}

/// The value of the header `webhook-signature`: one signature by each secret.
pub(crate) fn signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signed = |secret: &Secret| {
        let mut context = hmac::Context::with_key(&secret.key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    secrets.iter().map(signed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Secret>, Message> {
        Secret::read_all(&SecretString::from(text))
    }

    /// The example of the specification and its libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secrets = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let one = signature(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(one, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let other = format!("whsec_{}", STANDARD.encode([7; 32]));
        let secrets = read(&format!(" whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n{other}\n")).unwrap();
        let both = signature(&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        let parts: Vec<&str> = both.split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0], one);
        assert!(parts[1].starts_with("v1,") && parts[1] != one);
    }

    #[test]
    fn what_is_no_secret_is_refused_and_not_shown() {
        let short = format!("whsec_{}", STANDARD.encode([1; 23]));
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        let five = vec![format!("whsec_{}", STANDARD.encode([1; 24])); 5].join(" ");
        for (text, says) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("hunter2hunter2hunter2hunter2", "does not begin with whsec_"),
            ("whsec_!!!hunter2", "is not base64"),
            (&short, "has 23 bytes"),
            (&long, "has 65 bytes"),
            (&five, "has 5 secrets"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let unpadded = format!("whsec_{}", STANDARD.encode([1; 32]).trim_end_matches('='));
        let secret = read(&unpadded).unwrap().remove(0);
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        assert_eq!(
            secret.removed_from(&format!("bad {unpadded}=!")),
            "bad whsec_[secret removed]=!"
        );
        let secret = read(&format!("whsec_{}", STANDARD.encode([0xfb; 32]))).unwrap().remove(0);
        for echoed in ["fb".repeat(32), "FB".repeat(32), "Fb".repeat(32), "-_v7".repeat(10) + "-_s"]
        {
            assert_eq!(secret.removed_from(&format!("ä{echoed}=")), "ä[secret removed]=");
        }
    }
}
