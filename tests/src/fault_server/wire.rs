//! The faults, and what each of them does to a connection.

use super::{Form, Shape};

/// What a server does after it has read a request; at the end it closes.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes at once.
    Send(Vec<u8>),
    /// Sends these bytes, each in a packet of its own.
    Dribble(Vec<u8>),
    /// Sends these bytes again and again, until the client goes away.
    Repeat(Vec<u8>),
    /// Says nothing, until the client goes away.
    Silence,
    /// Breaks the connection.
    Reset,
}

/// What can go wrong after a connection was made, and what only looks as if.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: a good answer.
    None,
    /// A good answer in single bytes, so that characters are split too.
    Dribble,
    /// A good answer with pings and with what nobody knows yet.
    PingsAndNews,
    /// Broken before the first byte.
    ResetAtOnce,
    /// Closed before the first byte.
    NoBytes,
    /// A TLS alert in place of an answer.
    TlsAlert,
    /// Bytes that are no HTTP.
    GarbageForHttp,
    /// A good head, and a body of anything.
    GarbageForBody,
    /// Broken in the middle of the body.
    ResetInBody,
    /// Closed in the middle of a body that has a length.
    EndInBody,
    /// A chunk without a length.
    MalformedChunk,
    /// Not even a head.
    Silence,
    /// A head, and no body.
    HeadThenSilence,
    /// The beginning of a body, and no more.
    Stall,
    /// A body that never stops coming and never says anything.
    NeverEnds,
    /// A page, with a status that says that all is well.
    Html,
    /// A page of something between here and there.
    BadGateway,
    /// JSON that is cut, in a body that is whole.
    CutJson,
    /// To somewhere else.
    Redirect,
    /// More than any answer could be.
    TooLarge,
    /// An error inside a success.
    ErrorInside,
    /// A stream without its final marker, in good order.
    NoFinalMarker,
}

/// What good answers say: characters of two, three and four bytes.
pub const TEXT: &str = "Olá, açúcar 😀 日本";

impl Fault {
    /// What it does to a connection, in the words of a provider.
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
        // A stream's beginning has text; half of a whole answer is cut in its JSON.
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
            Fault::PingsAndNews => {
                let (ping, newer, end) = (shape.ping(), shape.newer(), shape.end());
                vec![send(format!(
                    "{head}{ping}{newer}{}{ping}{newer}{ping}{end}",
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
                Form::Streamed => vec![ok(&format!("{half}{}", shape.cut_part()))],
                Form::Whole => vec![ok(&half)],
            },
            Fault::Redirect => {
                let headers =
                    "location: http://127.0.0.1:9/elsewhere?key=none\r\ncontent-length: 0\r\n";
                vec![send(shape.head("307 Temporary Redirect", headers))]
            }
            Fault::TooLarge => {
                let much = "x".repeat(5 << 20);
                match form {
                    Form::Whole => vec![ok(&shape.answer(form, &much))],
                    Form::Streamed => {
                        let parts = shape.part(&much[..1 << 20]).repeat(5);
                        vec![ok(&format!("{}{parts}{}", shape.begin(TEXT), shape.end()))]
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
