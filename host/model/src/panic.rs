//! The message of a panic.

use std::any::Any;

/// The text of a panic's payload, as `catch_unwind` and `JoinError::into_panic` return it.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic whose payload is no text".to_owned())
}
