//! Ids of orders, which are also names of folders.

use std::borrow::Cow;

/// Maximum length of an id that a CRM sends, in bytes.
const MAX_SENT: usize = 500;
/// Maximum length of what is kept of an id that does not name a folder, in characters.
const MAX_KEPT: usize = 40;

/// The error for a text that is not an order id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not an order id: {reason}; it names a folder, so it must be 1 to 64 letters (A-Z, \
     a-z), digits, `-`, `_` or `.`, must not begin with `-` or `.` or end with `.`, and must not \
     be reserved (`public`, `private`, `unknown`) or a Windows device name such as `nul` or `com1`",
    crate::problem::truncated(.id)
)]
pub struct IdError {
    /// The invalid text.
    pub id: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// Device names of Windows, reserved with any extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Names that mean something else where ids of orders are, in any case: the folders for visitors
/// and for the host, and the order of a document without an id.
const RESERVED: [&str; 3] = ["public", "private", "unknown"];

/// Validates an order id: 1 to 64 characters of `A-Z a-z 0-9 - _ .`, not beginning with `-` or `.`,
/// not ending with `.`, not reserved, and not a device name of Windows.
///
/// # Errors
/// [`IdError`] with the first broken rule.
pub fn check_id(id: &str) -> Result<(), IdError> {
    let wrong = |reason| Err(IdError { id: id.to_owned(), reason });
    if id.is_empty() {
        return wrong("it is empty");
    }
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return wrong("it holds other characters");
    }
    if id.len() > 64 {
        return wrong("it is longer than 64 characters");
    }
    if id.starts_with('.') {
        return wrong("it begins with `.`");
    }
    if id.starts_with('-') {
        return wrong("it begins with `-`, like the options of a program");
    }
    if id.ends_with('.') {
        return wrong("it ends with `.`");
    }
    if RESERVED.iter().any(|reserved| id.eq_ignore_ascii_case(reserved)) {
        return wrong("it is reserved");
    }
    let stem = id.split('.').next().unwrap_or(id).to_ascii_lowercase();
    let numbered = |name: &str| {
        stem.strip_prefix(name).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']))
    };
    if DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt") {
        return wrong("it is the name of a Windows device");
    }
    Ok(())
}

/// The id under which an order is kept: `id` itself if it can name a folder, see [`check_id`];
/// otherwise what of it can, and 12 hexadecimal digits of its hash. `2026/117` is
/// `2026-117-` and 12 digits, in every program. An id that was made by this function stays as it
/// is.
///
/// # Errors
/// [`IdError`] if `id` is empty or longer than 500 bytes.
pub fn folder_id(id: &str) -> Result<Cow<'_, str>, IdError> {
    let trimmed = id.trim();
    if check_id(trimmed).is_ok() {
        return Ok(Cow::Borrowed(trimmed));
    }
    let wrong = |reason| Err(IdError { id: id.to_owned(), reason });
    if trimmed.is_empty() {
        return wrong("it is empty");
    }
    if trimmed.len() > MAX_SENT {
        return wrong("it is longer than 500 bytes");
    }
    let mut kept = String::with_capacity(trimmed.len());
    for c in trimmed.chars() {
        let c = if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        if c != '-' || !(kept.is_empty() || kept.ends_with('-')) {
            kept.push(c);
        }
    }
    kept.truncate(MAX_KEPT);
    let kept = kept.trim_matches('-');
    // FNV-1a, 64 bits.
    let hash = trimmed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let digits = format!("{:012x}", hash >> 16);
    Ok(Cow::Owned(if kept.is_empty() {
        format!("order-{digits}")
    } else {
        format!("{kept}-{digits}")
    }))
}
