//! Whether the content of an image is of the kind that its name says. Browsers go by the content,
//! many servers and all previews by the name.

use super::problem::{Problems, Rule};
use crate::path::SitePath;
use sitewright_model::message;

/// Bytes of the beginning of an image that are read.
pub(super) const START: usize = 32;

/// A format of images that are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub(super) enum Format {
    #[strum(serialize = "PNG")]
    Png,
    #[strum(serialize = "JPEG")]
    Jpeg,
    #[strum(serialize = "GIF")]
    Gif,
    #[strum(serialize = "WebP")]
    WebP,
    #[strum(serialize = "AVIF")]
    Avif,
    #[strum(serialize = "ICO")]
    Ico,
}

impl Format {
    /// That a file's name says; `None` for other files.
    pub(super) fn of(path: &SitePath) -> Option<Self> {
        Some(match path.extension()?.as_str() {
            "png" => Format::Png,
            "jpg" | "jpeg" => Format::Jpeg,
            "gif" => Format::Gif,
            "webp" => Format::WebP,
            "avif" => Format::Avif,
            "ico" => Format::Ico,
            _ => return None,
        })
    }

    /// That a file begins with.
    fn in_content(start: &[u8]) -> Option<Self> {
        Some(match start {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Format::Png,
            [0xff, 0xd8, 0xff, ..] => Format::Jpeg,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Format::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Format::WebP,
            // The first brand may be that of the container, `mif1`.
            [_, _, _, _, b'f', b't', b'y', b'p', brands @ ..]
                if brands.chunks(4).any(|brand| matches!(brand, b"avif" | b"avis")) =>
            {
                Format::Avif
            }
            [0, 0, 1 | 2, 0, ..] => Format::Ico,
            _ => return None,
        })
    }
}

/// Checks an image by its first [`START`] bytes.
pub(super) fn check(path: &SitePath, format: Format, start: &[u8], problems: &mut Problems) {
    let content = Format::in_content(start);
    // Browsers and servers accept a PNG as icon.
    let icon = format == Format::Ico && content == Some(Format::Png);
    if content == Some(format) || icon {
        return;
    }
    let message = match content {
        _ if start.is_empty() => message!("the image is empty; write its content or leave it out"),
        Some(other) => message!(
            "the image is named as {format}, but its content is {other}; name it after its content"
        ),
        None => message!(
            "the image is not {format}, and no format that browsers show; write its bytes unchanged"
        ),
    };
    problems.add(path, Rule::ImageFile, None, None, message);
}
