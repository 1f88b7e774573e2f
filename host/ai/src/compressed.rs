//! Bodies that a server or a proxy compressed, although the host asks for no compression.
//!
//! The work is bounded by the size that is asked for, whatever the body claims to contain.

use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

/// Maximum number of compressions on top of each other: a server's, and one of a proxy.
const MAX_LAYERS: usize = 2;

/// Buffer of the brotli decoder in bytes.
const BUFFER_BYTES: usize = 4096;

/// The part of a body that decides whether it is text, in bytes.
const LOOK_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// With the header of zlib, as HTTP means it.
    Zlib,
    /// Without it, as some servers send it.
    Deflate,
    Brotli,
}

/// Whether the headers say that the body is compressed.
pub(super) fn is_declared(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        value.to_str().is_ok_and(|text| {
            let text = text.trim();
            !text.is_empty() && !text.eq_ignore_ascii_case("identity")
        })
    })
}

/// Whether the body may be compressed: it is not text. Cheap.
pub(super) fn may_be(body: &[u8]) -> bool {
    !is_text(body)
}

/// The body without its compression, at most `max` bytes of it; `None` if it is not compressed in a
/// known way. Of a body that was cut, what can be read counts. Takes time in proportion to `max`;
/// brotli also memory for its window, at most 16 MiB.
pub(super) fn decompressed(headers: &HeaderMap, body: &[u8], max: usize) -> Option<Vec<u8>> {
    let declared: Vec<Coding> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Coding::Gzip),
            "deflate" => Some(Coding::Zlib),
            "br" => Some(Coding::Brotli),
            _ => None,
        })
        .collect();
    // The last one was applied last.
    let mut declared = declared.into_iter().rev();
    let mut plain: Option<Vec<u8>> = None;
    for _ in 0..MAX_LAYERS {
        let from = plain.as_deref().unwrap_or(body);
        // A relay may have lost the header, or have kept it of a body that is plain already.
        if is_text(from) {
            break;
        }
        let next = match by_magic(from).or(declared.next()) {
            Some(Coding::Zlib) => {
                read(Coding::Zlib, from, max).or_else(|| read(Coding::Deflate, from, max))
            }
            Some(coding) => read(coding, from, max),
            // These two have no beginning by which they are known, so all of the body must fit.
            None => [Coding::Brotli, Coding::Deflate].into_iter().find_map(|coding| {
                read(coding, from, max).filter(|read| read.to_the_end && is_text(&read.plain))
            }),
        };
        match next {
            Some(next) => plain = Some(next.plain),
            None => break,
        }
    }
    plain
}

fn by_magic(body: &[u8]) -> Option<Coding> {
    match body {
        [0x1f, 0x8b, ..] => Some(Coding::Gzip),
        // The method, and a check of the first two bytes (RFC 1950).
        [first, second, ..]
            if first & 0x0f == 8
                && first >> 4 <= 7
                && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 =>
        {
            Some(Coding::Zlib)
        }
        _ => None,
    }
}

/// What was read of a body.
struct Decompressed {
    plain: Vec<u8>,
    /// Whether it ended as its format wants, or at the limit.
    to_the_end: bool,
}

/// What can be read of the body, at most `max` bytes; `None` if that is nothing.
fn read(coding: Coding, body: &[u8], max: usize) -> Option<Decompressed> {
    let read = match coding {
        Coding::Gzip => beginning(MultiGzDecoder::new(body), max),
        Coding::Zlib => beginning(ZlibDecoder::new(body), max),
        Coding::Deflate => beginning(DeflateDecoder::new(body), max),
        Coding::Brotli => beginning(Decompressor::new(body, BUFFER_BYTES), max),
    };
    Some(read).filter(|read| !read.plain.is_empty())
}

fn beginning(mut from: impl Read, max: usize) -> Decompressed {
    let mut plain = Vec::new();
    let mut piece = [0; BUFFER_BYTES];
    while plain.len() < max {
        let room = piece.len().min(max - plain.len());
        match from.read(&mut piece[..room]) {
            Ok(0) => return Decompressed { plain, to_the_end: true },
            Ok(read) => plain.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Decompressed { plain, to_the_end: false },
        }
    }
    Decompressed { plain, to_the_end: true }
}

/// Whether the beginning is UTF-8 text without control characters.
fn is_text(body: &[u8]) -> bool {
    let look = &body[..body.len().min(LOOK_BYTES)];
    let text = match std::str::from_utf8(look) {
        Ok(text) => text,
        // A character that is cut at the end.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&look[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    /// Brotli without compression: the text in one block that is stored as it is (RFC 7932).
    fn brotli(text: &[u8]) -> Vec<u8> {
        assert!((2..=1 << 16).contains(&text.len()));
        // A window of 16 bits; not the last block; 4 digits for the length; the length less one;
        // stored.
        let bits = u64::from(u16::try_from(text.len() - 1).unwrap()) << 4 | 1 << 20;
        let mut bytes = bits.to_le_bytes()[..3].to_vec();
        bytes.extend_from_slice(text);
        // The last block, which is empty.
        bytes.push(0b11);
        bytes
    }

    fn compress(name: &str, text: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match name {
            "gzip" => {
                let mut to = GzEncoder::new(Vec::new(), level);
                to.write_all(text).unwrap();
                to.finish().unwrap()
            }
            "zlib" => {
                let mut to = ZlibEncoder::new(Vec::new(), level);
                to.write_all(text).unwrap();
                to.finish().unwrap()
            }
            "raw" => {
                let mut to = DeflateEncoder::new(Vec::new(), level);
                to.write_all(text).unwrap();
                to.finish().unwrap()
            }
            _ => brotli(text),
        }
    }

    fn headers(encoding: &str) -> HeaderMap {
        let value = (!encoding.is_empty()).then(|| encoding.parse().unwrap());
        value.into_iter().map(|value| (CONTENT_ENCODING, value)).collect()
    }

    const TEXT: &[u8] = br#"{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}"#;

    #[test]
    fn what_was_compressed_is_read_with_and_without_its_header() {
        for (format, names) in [
            ("gzip", ["gzip", "x-gzip", "GZIP", "", "identity", "br"].as_slice()),
            ("zlib", &["deflate", "", "identity"]),
            ("raw", &["deflate", ""]),
            ("br", &["br", ""]),
        ] {
            for name in names {
                let body = compress(format, TEXT);
                assert!(may_be(&body), "{format} as {name:?}");
                let plain = decompressed(&headers(name), &body, 1 << 16);
                assert_eq!(plain.as_deref(), Some(TEXT), "{format} as {name:?}");
            }
        }
        let twice = compress("gzip", &compress("zlib", TEXT));
        for name in ["deflate, gzip", ""] {
            assert_eq!(decompressed(&headers(name), &twice, 1 << 16).as_deref(), Some(TEXT));
        }
        // A header that is not true.
        for name in ["gzip", "deflate", "br", "zstd", ""] {
            assert_eq!(decompressed(&headers(name), TEXT, 1 << 16), None, "{name:?}");
        }
        assert!(!may_be(TEXT) && !may_be(b""));
    }

    #[test]
    fn what_was_cut_is_read_as_far_as_it_goes() {
        let text: Vec<u8> = (0..4000_u32).flat_map(|n| format!("{n} ").into_bytes()).collect();
        for format in ["gzip", "zlib", "raw", "br"] {
            let name = if format == "br" { "br" } else { "deflate" };
            let body = compress(format, &text);
            let plain = decompressed(&headers(name), &body[..body.len() / 2], 1 << 16).unwrap();
            assert!(plain.len() > 100 && text.starts_with(&plain), "{format}: {}", plain.len());
        }
    }

    #[test]
    fn a_bomb_is_read_up_to_the_limit() {
        let bomb = compress("gzip", &vec![b'x'; 64 << 20]);
        let nested = compress("gzip", &bomb);
        for (body, limit) in [(&bomb, 1 << 16), (&bomb, 10), (&nested, 1 << 16)] {
            let plain = decompressed(&headers("gzip"), body, limit).unwrap();
            assert!(plain.len() <= limit);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_the_limit(body: Vec<u8>, name in "(gzip|deflate|br|x)?") {
            let plain = decompressed(&headers(&name), &body, 1000);
            prop_assert!(plain.is_none_or(|plain| plain.len() <= 1000));
        }

        #[test]
        fn text_stays_what_it_is(text in "[ -~]{0,80}") {
            prop_assert_eq!(decompressed(&headers(""), text.as_bytes(), 1000), None);
        }
    }
}
