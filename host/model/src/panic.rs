//! Panics that were caught.

use std::any::Any;

/// The message of a caught panic: the payload if it is text, as it is for `panic!` with a literal
/// or with arguments; otherwise a text that says that there is none.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    let formatted = || payload.downcast_ref::<String>().map(String::as_str);
    literal.or_else(formatted).unwrap_or("the panic has no message")
}
