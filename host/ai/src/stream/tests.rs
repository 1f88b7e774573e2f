use proptest::collection::vec;
use proptest::prelude::*;

use super::{Lines, Overlong, Sse, SseEvent, looks_like_sse};

fn events(pieces: &[&[u8]]) -> Result<Vec<SseEvent>, Overlong> {
    let mut sse = Sse::default();
    let mut events = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while let Some(event) = sse.next_in(&mut rest)? {
            events.push(event.clone());
            sse.reuse(event);
        }
    }
    events.extend(sse.rest());
    Ok(events)
}

fn lines(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, Overlong> {
    let mut framing = Lines::default();
    let mut lines = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while let Some(line) = framing.next_in(&mut rest)? {
            lines.push(line);
        }
    }
    lines.extend(framing.rest());
    Ok(lines)
}

/// The bytes, cut at these places.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.sort_unstable();
    at.push(bytes.len());
    let mut from = 0;
    at.into_iter().map(|to| &bytes[std::mem::replace(&mut from, to)..to]).collect()
}

#[test]
fn events_are_found_in_every_spelling() {
    let rows: [(&str, &[(&str, &str)]); 12] = [
        ("data: a\n\n", &[("", "a")]),
        ("data:a\r\n\r\ndata: b\r\rdata:  c\n\n", &[("", "a"), ("", "b"), ("", " c")]),
        ("\u{feff}data: a\n\n", &[("", "a")]),
        (": keep-alive\n\nid: 7\nretry: 10\nnewer: x\ndata: a\n\n", &[("", "a")]),
        ("event: ping\n\ndata: a\n\n", &[("", "a")]),
        ("event: ping\ndata: {}\n\n", &[("ping", "{}")]),
        ("data: a\ndata: b\ndata\n\n", &[("", "a\nb\n")]),
        ("data\n\n", &[("", "")]),
        ("data: [DONE]", &[("", "[DONE]")]),
        ("data: [DONE]\n", &[("", "[DONE]")]),
        ("\n\n\n", &[]),
        ("", &[]),
    ];
    for (text, expected) in rows {
        let expected: Vec<SseEvent> = expected
            .iter()
            .map(|(event, data)| SseEvent {
                event: (*event).to_owned(),
                data: data.as_bytes().to_vec(),
            })
            .collect();
        assert_eq!(events(&[text.as_bytes()]).unwrap(), expected, "{text:?}");
        let one_by_one: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(events(&one_by_one).unwrap(), expected, "{text:?}, byte by byte");
    }
    for (text, stream) in
        [("data: x", true), (": ping", true), (" \r\nevent: x", true), ("da", true), ("", true)]
            .into_iter()
            .chain([("{\"error\"", false), ("[1]", false), ("<html>", false), ("Loading", false)])
    {
        assert_eq!(looks_like_sse(text.as_bytes()), stream, "{text:?}");
    }
}

#[test]
fn an_event_without_end_is_refused() {
    let megabyte = vec![b'x'; 1 << 20];
    let mut sse = Sse::default();
    let mut lines = Lines::default();
    assert!(sse.next_in(&mut b"data: ".as_slice()).is_ok());
    let mut full = (0..5).map(|_| {
        let (mut event, mut line) = (megabyte.as_slice(), megabyte.as_slice());
        (sse.next_in(&mut event).is_err(), lines.next_in(&mut line).is_err())
    });
    assert_eq!(full.find(|full| full.0 || full.1), Some((true, false)).or(Some((true, true))));
    // Many lines of one event count together.
    let mut sse = Sse::default();
    let line = [b"data: ", megabyte.as_slice(), b"\n"].concat();
    assert!((0..5).any(|_| sse.next_in(&mut line.as_slice()).is_err()));
}

proptest! {
    /// However the wire cuts the bytes, also within a character, the same comes out.
    #[test]
    fn any_split_gives_the_same_events(
        text in "(data|event|id|:|é|😀|\u{feff}|\r|\n|\r\n|\n\n| |x|\\{\\}){0,40}",
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = text.as_bytes();
        prop_assert_eq!(events(&pieces(bytes, &cuts)), events(&[bytes]));
        prop_assert_eq!(lines(&pieces(bytes, &cuts)), lines(&[bytes]));
    }

    #[test]
    fn any_bytes_are_framed_without_a_panic(bytes: Vec<u8>, cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        prop_assert_eq!(events(&pieces(&bytes, &cuts)), events(&[&bytes]));
        prop_assert_eq!(lines(&pieces(&bytes, &cuts)), lines(&[&bytes]));
    }
}
