//! The faults and their effect on a connection.

use super::{Form, Shape};

/// A step of the server after it has read a request. It closes the connection after the last one.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one, each in its own packet.
    Dribble(Vec<u8>),
    /// Sends these bytes repeatedly until the client disconnects.
    Repeat(Vec<u8>),
    /// Sends nothing until the client disconnects.
    Silence,
    /// Resets the connection.
    Reset,
}

/// Faults after the connection is established, and harmless answers that look unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault: a successful answer.
    None,
    /// A successful answer in single bytes, so that characters are split too.
    Dribble,
    /// A successful answer with keep-alives and unknown events.
    KeepAlivesAndUnknownEvents,
    /// Connection reset before the first byte.
    ResetAtOnce,
    /// Connection closed before the first byte.
    NoBytes,
    /// A TLS alert instead of an answer.
    TlsAlert,
    /// Bytes that are not HTTP.
    GarbageForHttp,
    /// A valid head with a body of arbitrary bytes.
    GarbageForBody,
    /// Connection reset during the body.
    ResetInBody,
    /// Connection closed during a body with `content-length`.
    EndInBody,
    /// A chunk without a valid length.
    MalformedChunk,
    /// No response at all.
    Silence,
    /// A head without a body.
    HeadThenSilence,
    /// The beginning of a body, then silence.
    Stall,
    /// A body that continues forever without content.
    NeverEnds,
    /// An HTML page with status 200.
    Html,
    /// An HTML page of a proxy with status 502.
    BadGateway,
    /// Truncated JSON in a complete body.
    CutJson,
    /// A redirect to another host.
    Redirect,
    /// An answer of 5 MiB, beyond the limit.
    TooLarge,
    /// An error in a response with status 200.
    ErrorInside,
    /// A stream that ends without its final marker.
    NoFinalMarker,
}

/// Text of successful answers, with characters of two, three and four bytes.
pub const TEXT: &str = "Olá, açúcar 😀 日本";

impl Fault {
    /// Steps of this fault in the format of a provider.
    pub fn script(self, shape: Shape, form: Form) -> Vec<Step> {
        let send = |text: String| Step::Send(text.into_bytes());
        let kind = format!("content-type: {}\r\n", shape.content_type(form));
        let head = shape.head("200 OK", &kind);
        let good = shape.answer(form, TEXT);
        let sized = |status: &str, kind: &str, body: &str| {
            let headers = format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len());
            send(format!("{}{body}", shape.head(status, &headers)))
        };
        let ok = |body: &str| sized("200 OK", shape.content_type(form), body);
        // Half of a whole answer is truncated JSON; the beginning of a stream is valid and has
        // text.
        let half = match form {
            Form::Streamed => shape.begin(TEXT),
            Form::Whole => good[..good.floor_char_boundary(good.len() / 2)].to_owned(),
        };
        let longer = format!("{kind}content-length: {}\r\n", good.len() + 1);
        let page = |title: &str| {
            format!("<!doctype html><html><head><title>{title}</title></head></html>\n")
        };
        match self {
            Fault::None => vec![ok(&good)],
            Fault::Dribble => vec![Step::Dribble(format!("{head}{good}").into_bytes())],
            Fault::KeepAlivesAndUnknownEvents => {
                let (ping, unknown, end) = (shape.ping(), shape.unknown(), shape.end());
                vec![send(format!(
                    "{head}{ping}{unknown}{}{ping}{unknown}{ping}{end}",
                    shape.begin(TEXT)
                ))]
            }
            Fault::ResetAtOnce => vec![Step::Reset],
            Fault::NoBytes => vec![],
            // A fatal alert: handshake failure.
            Fault::TlsAlert => vec![Step::Send(vec![0x15, 3, 3, 0, 2, 2, 40])],
            Fault::GarbageForHttp => {
                vec![send("SSH-2.0-OpenSSH_9.6\r\n\0\u{7f}\r\n\r\n".to_owned())]
            }
            Fault::GarbageForBody => vec![ok("\u{1}\u{7f}%PDF-1.7 what is this\r\n\r\n\u{2}")],
            Fault::ResetInBody => {
                vec![send(format!("{}{half}", shape.head("200 OK", &longer))), Step::Reset]
            }
            Fault::EndInBody => vec![send(format!("{}{half}", shape.head("200 OK", &longer)))],
            Fault::MalformedChunk => {
                let head = shape.head("200 OK", &format!("{kind}transfer-encoding: chunked\r\n"));
                vec![send(format!("{head}{:x}\r\n{half}\r\nzz\r\n", half.len()))]
            }
            Fault::Silence => vec![Step::Silence],
            Fault::HeadThenSilence => vec![send(head), Step::Silence],
            Fault::Stall => vec![send(format!("{head}{half}")), Step::Silence],
            Fault::NeverEnds => {
                let nothing = if form == Form::Streamed { shape.ping() } else { " " };
                vec![send(format!("{head}{half}")), Step::Repeat(nothing.into())]
            }
            Fault::Html => vec![sized("200 OK", "text/html", &page("Login"))],
            Fault::BadGateway => {
                vec![sized("502 Bad Gateway", "text/html", &page("502 Bad Gateway"))]
            }
            Fault::CutJson => match form {
                Form::Streamed => vec![ok(&format!("{half}{}", shape.truncated_delta()))],
                Form::Whole => vec![ok(&half)],
            },
            Fault::Redirect => {
                let headers =
                    "location: http://127.0.0.1:9/elsewhere?key=none\r\ncontent-length: 0\r\n";
                vec![send(shape.head("307 Temporary Redirect", headers))]
            }
            Fault::TooLarge => {
                let text = "x".repeat(5 << 20);
                match form {
                    Form::Whole => vec![ok(&shape.answer(form, &text))],
                    Form::Streamed => {
                        let deltas = shape.delta(&text[..1 << 20]).repeat(5);
                        vec![ok(&format!("{}{deltas}{}", shape.begin(TEXT), shape.end()))]
                    }
                }
            }
            Fault::ErrorInside => match form {
                Form::Whole => vec![ok(&shape.error(form))],
                Form::Streamed => vec![ok(&format!("{half}{}", shape.error(form)))],
            },
            Fault::NoFinalMarker => vec![send(format!("{head}{half}"))],
        }
    }
}
