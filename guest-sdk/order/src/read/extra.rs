//! Unknown fields: which are kept, and which are removed as secrets or bookkeeping.

use serde_json::{Map, Value};

use super::fields::{Fields, is_empty, meant_name, words};
use crate::{MAX_NOTICES, child, excerpt};

/// The CRM's bookkeeping about the order, which templates do not need.
const BOOKKEEPING: [&str; 22] = [
    "addons",
    "admin_notes",
    "base_price",
    "completed_steps",
    "created_at",
    "delivery_days",
    "expected_delivery_date",
    "is_complete",
    "onboarding",
    "onboarding_completed_at",
    "onboarding_id",
    "order",
    "order_id",
    "paid_at",
    "price_paid",
    "repository_url",
    "revisions_included",
    "revisions_used",
    "status",
    "total_price",
    "updated_at",
    "user_id",
];

/// Maximum number of values in all unknown fields together. Real forms send fewer than 500.
const MAX_EXTRA_VALUES: usize = 5_000;

/// Maximum length of the name of such a field, in bytes.
const MAX_NAME: usize = 60;

/// What a CRM knows about who ordered, who is not always who is shown on the site.
const CUSTOMER: [&str; 7] = [
    "customer_name",
    "customer_email",
    "customer_phone",
    "customer_id",
    "customer_ip",
    "customer_address",
    "customer_password",
];

/// The unknown fields and the contents of `extra`, without secrets and bookkeeping. A secret that
/// is removed is named; its value is not.
pub(super) fn read(f: &mut Fields<'_>) -> Map<String, Value> {
    let (at, extra) = f.first(&["extra"]);
    let mut kept = Map::new();
    let mut removed = Removed::default();
    let extra_at = at.clone();
    match extra {
        None => {}
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                if !removed.fits(&child(&extra_at, name), value) {
                    continue;
                }
                if let Some(value) = removed.keep(&extra_at, name, value) {
                    kept.insert(name.clone(), value);
                }
            }
        }
        Some(other) => f.dropped(
            &at,
            format!("must be an object of further fields, but is {}: left out", excerpt(other)),
        ),
    }
    let business = f.at.clone();
    let unknown: Vec<_> = f.unknown().map(|(name, value)| (name.clone(), value)).collect();
    for (name, value) in unknown {
        // `ID` is the order's, as `id` is.
        if name.len() <= MAX_NAME && meant_name(&name) == "id" {
            continue;
        }
        if !removed.fits(&child(&business, &name), value) {
            continue;
        }
        let Some(value) = removed.keep(&business, &name, value) else { continue };
        if let Some(other) = f.other_spelling(&name) {
            let message = format!(
                "means the same as `{other}`, which is given too and counts; kept as a further \
                 field"
            );
            f.dropped(&child(&business, &name), message);
        }
        if kept.contains_key(&name) {
            f.dropped(
                &child(&at, &name),
                format!("`{name}` is also given outside of `extra`, and that one counts"),
            );
        }
        kept.insert(name, value);
    }
    if let Some(first) = &removed.first_unfit {
        let message = format!(
            "is left out with {} more unknown fields: those of one order have at most \
             {MAX_EXTRA_VALUES} values together",
            removed.unfit - 1
        );
        f.dropped(first, message);
    }
    for at in removed.secrets {
        f.findings.note(&at, "looks like a secret or payment data: it is not kept");
    }
    kept
}

/// What was removed.
#[derive(Default)]
struct Removed {
    /// Pointers of the fields that look like secrets, at most [`MAX_NOTICES`].
    secrets: Vec<String>,
    /// Values of the fields that are kept.
    values: usize,
    /// Number of fields that are left out for their size, and the pointer of the first.
    unfit: usize,
    first_unfit: Option<String>,
}

/// Number of values in a value, itself included.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(entries) => 1 + entries.iter().map(values).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(values).sum::<usize>(),
        _ => 1,
    }
}

/// A part of a pointer. The pointer itself is made only for a secret: made for each value, the
/// pointers of a document with a long name would take thousands of times its bytes.
enum Step<'v> {
    Name(&'v str),
    Index(usize),
}

impl Removed {
    /// Whether there is room for a field: templates and the host look at each value.
    fn fits(&mut self, at: &str, value: &Value) -> bool {
        let values = values(value);
        if self.values + values > MAX_EXTRA_VALUES {
            self.unfit += 1;
            self.first_unfit.get_or_insert_with(|| at.to_owned());
            return false;
        }
        self.values += values;
        true
    }

    /// The value without the secrets inside; `None` if the whole field is removed. `at` is the
    /// pointer of the object that it is in.
    fn keep<'v>(&mut self, at: &str, name: &'v str, value: &'v Value) -> Option<Value> {
        if value.is_null() {
            return None;
        }
        // `Created At`, `ID`
        let meant = meant_name(name.get(..name.floor_char_boundary(MAX_NAME)).unwrap_or(name));
        let is_meant = |names: &[&str]| names.contains(&&*meant);
        if is_meant(&BOOKKEEPING) || is_meant(&CUSTOMER) {
            return None;
        }
        let mut steps = vec![Step::Name(name)];
        self.without_secrets(at, &mut steps, name, value)
    }

    fn without_secrets<'v>(
        &mut self,
        at: &str,
        steps: &mut Vec<Step<'v>>,
        name: &str,
        value: &'v Value,
    ) -> Option<Value> {
        if is_secret(name, value) {
            if self.secrets.len() < MAX_NOTICES {
                let pointer = steps.iter().fold(at.to_owned(), |at, step| match step {
                    Step::Name(name) => child(&at, name),
                    Step::Index(index) => child(&at, index),
                });
                self.secrets.push(pointer);
            }
            return None;
        }
        let mut within = |step: Step<'v>, name: &str, value: &'v Value| {
            steps.push(step);
            let kept = self.without_secrets(at, steps, name, value);
            steps.pop();
            kept
        };
        Some(match value {
            Value::Array(entries) => entries
                .iter()
                .enumerate()
                .filter_map(|(index, entry)| within(Step::Index(index), "", entry))
                .collect(),
            Value::Object(fields) => fields
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.clone(), within(Step::Name(name), name, value)?))
                })
                .collect(),
            other => other.clone(),
        })
    }
}

/// Words that make a field payment data, wherever they are in its name.
const ANYWHERE: [&str; 4] = ["cvc", "cvv", "iban", "creditcard"];
/// Words for a password, at the end of a name or before one of [`OF_PASSWORDS`].
const PASSWORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "senha",
    "contrasena",
    "passwort",
    "kennwort",
];
const OF_PASSWORDS: [&str; 9] =
    ["hash", "salt", "confirmation", "confirm", "repeat", "again", "encrypted", "plain", "old"];
/// Words after `stripe` that make it the payment service and not a pattern.
const OF_STRIPE: [&str; 12] = [
    "session",
    "customer",
    "payment",
    "subscription",
    "account",
    "price",
    "product",
    "charge",
    "invoice",
    "id",
    "key",
    "secret",
];
/// Words that make it one at the end: `client_secret`, but not `secret_menu`.
const AT_END: [&str; 5] = ["secret", "secrets", "token", "tokens", "apikey"];
/// Whole names.
const WHOLE: [&str; 9] =
    ["key", "keys", "pin", "auth", "payment", "payments", "invoice", "billing", "secret"];
/// Words before `key` and `credentials`.
const KEYS: [&str; 12] = [
    "api",
    "access",
    "private",
    "secret",
    "auth",
    "encryption",
    "signing",
    "ssh",
    "master",
    "login",
    "aws",
    "admin",
];
/// Words that begin the names of payment data, together with one of [`OF_PAYMENTS`].
const PAYMENTS: [&str; 5] = ["payment", "invoice", "billing", "checkout", "card"];
const OF_PAYMENTS: [&str; 13] = [
    "id",
    "intent",
    "session",
    "status",
    "number",
    "reference",
    "customer",
    "email",
    "address",
    "name",
    "expiry",
    "hash",
    "details",
];
/// Names without separators.
const SQUASHED: [&str; 6] =
    ["apikey", "accesskey", "privatekey", "secretkey", "cardnumber", "creditcard"];
/// Beginnings of the secrets of services.
const PREFIXES: [&str; 16] = [
    "sk_live_",
    "sk_test_",
    "pk_live_",
    "pk_test_",
    "rk_live_",
    "whsec_",
    "cs_test_",
    "cs_live_",
    "pi_",
    "cus_",
    "ghp_",
    "github_pat_",
    "xoxb-",
    "xoxp-",
    "sk-",
    "-----BEGIN ",
];

/// Whether a field is a secret or payment data: by the words of its name, or by a value that cannot
/// be anything else. `pin_code` is a postal code, `key_features` and `payment_methods` are business
/// data, and a flag is never a secret.
pub(super) fn is_secret(name: &str, value: &Value) -> bool {
    if matches!(value, Value::Bool(_)) || is_empty(value) {
        return false;
    }
    let words = words(name);
    let first = words.first().map(String::as_str).unwrap_or_default();
    let last = words.last().map(String::as_str).unwrap_or_default();
    let squashed = words.concat();
    let is_one_of = |word: &String, list: &[&str]| list.contains(&word.as_str());
    let named = words.iter().any(|word| is_one_of(word, &ANYWHERE))
        || is_one_of(&last.to_owned(), &PASSWORDS)
        || squashed == "stripe"
        || AT_END.contains(&last)
        || WHOLE.contains(&squashed.as_str())
        || SQUASHED.iter().any(|part| squashed.contains(part))
        || words.windows(2).any(|pair| match pair {
            [before, after] => {
                let key = matches!(after.as_str(), "key" | "keys" | "credentials");
                key && is_one_of(before, &KEYS)
                    || is_one_of(before, &PASSWORDS) && is_one_of(after, &OF_PASSWORDS)
                    || before == "stripe" && is_one_of(after, &OF_STRIPE)
            }
            _ => false,
        })
        || (PAYMENTS.contains(&first) && OF_PAYMENTS.contains(&last));
    named || value.as_str().is_some_and(is_secret_text)
}

/// Whether a text is the secret of a service, or the number of a payment card.
fn is_secret_text(text: &str) -> bool {
    let text = text.trim();
    let one_word = !text.contains(char::is_whitespace);
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let is_token = one_word
        && text.len() >= 16
        && PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        && text.bytes().any(|b| b.is_ascii_digit());
    let is_jwt = one_word && text.starts_with("eyJ") && text.matches('.').count() == 2;
    let is_pem = text.starts_with("-----BEGIN ");
    let is_card = (15..=16).contains(&digits.len())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-'))
        && matches!(digits.first(), Some(3..=6))
        && luhn(&digits);
    is_token || is_jwt || is_pem || is_card
}

/// The check digit of payment cards.
fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match at % 2 {
            0 => *digit,
            _ if *digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}
