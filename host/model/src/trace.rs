//! The trace that an order is a part of, as the W3C's Trace Context writes it.

use std::fmt;
use std::str::FromStr;

/// The header `traceparent` of whoever sent an order: version, trace id, id of the sender's span,
/// and whether the sender records the trace.
///
/// Kept as text in one form: of version `00`, in lower case, with no flag but `sampled`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceParent(String);

/// This is not a `traceparent`. Who receives one ignores it, as the standard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no traceparent; write it like 00-<32 hexadecimal digits>-<16 of them>-01")]
pub struct NotATraceParent;

impl TraceParent {
    /// The trace id: 32 hexadecimal digits in lower case, not all of them zero.
    pub fn trace_id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }

    /// The id of the sender's span: 16 hexadecimal digits in lower case, not all of them zero.
    pub fn span_id(&self) -> &str {
        self.0.get(36..52).unwrap_or_default()
    }

    /// Whether the sender records the trace.
    pub fn is_sampled(&self) -> bool {
        self.0.ends_with("-01")
    }

    /// The header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    /// Reads the header. One of a later version counts as far as version `00` knows it.
    fn from_str(header: &str) -> Result<Self, NotATraceParent> {
        let header = header.trim();
        let mut parts = header.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits);
            part.filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (part(2), part(32), part(16), part(2))
        else {
            return Err(NotATraceParent);
        };
        let is_zero = |id: &str| id.bytes().all(|byte| byte == b'0');
        let has_more = parts.next().is_some();
        let flags = u8::from_str_radix(flags, 16).map_err(|_| NotATraceParent)?;
        if version.eq_ignore_ascii_case("ff")
            || (version == "00" && has_more)
            || is_zero(trace)
            || is_zero(span)
        {
            return Err(NotATraceParent);
        }
        let (trace, span) = (trace.to_ascii_lowercase(), span.to_ascii_lowercase());
        Ok(TraceParent(format!("00-{trace}-{span}-{:02x}", flags & 1)))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{NotATraceParent, TraceParent};

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_header_is_read_as_far_as_it_is_known() {
        for (header, flags) in [
            (format!("00-{TRACE}-{SPAN}-01"), "01"),
            (format!(" 00-{}-{SPAN}-00 ", TRACE.to_uppercase()), "00"),
            (format!("00-{TRACE}-{SPAN}-ff"), "01"),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), "01"),
        ] {
            let read: TraceParent = header.parse().unwrap();
            assert_eq!(read.as_str(), format!("00-{TRACE}-{SPAN}-{flags}"), "{header}");
            assert_eq!((read.trace_id(), read.span_id()), (TRACE, SPAN));
            assert_eq!(read.is_sampled(), flags == "01");
            assert_eq!(read.as_str().parse::<TraceParent>().as_ref(), Ok(&read));
        }
    }

    #[test]
    fn what_is_no_header_is_none() {
        let zeros = "0".repeat(32);
        for header in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{TRACE}-{}-01", &SPAN[1..]),
            format!("00-{}é-{SPAN}-01", &TRACE[2..]),
            format!("00-{TRACE}-{SPAN}-0x"),
        ] {
            assert_eq!(header.parse::<TraceParent>(), Err(NotATraceParent), "{header}");
        }
    }
}
