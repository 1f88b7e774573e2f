//! Whether browsers can show the file of an image, and how large the image is.
//!
//! Of a file its structure is read: the lengths that it declares, up to its end. Then its pixels
//! are decoded by `picture`.

use std::fmt;

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::picture::{self, Effort, MAX_SCANS, PictureFault};
use super::problem::{Problems, Rule};
use crate::path::SitePath;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Maximum bytes of an image that are read. 8 MiB: what is behind them is not looked at, and the
/// pixels of a larger file are not decoded.
pub(super) const MAX_READ: usize = 8 << 20;

/// The memory for images that are read, over all sites that are checked at this time: 64 MiB. Each
/// check is on a thread of its own, of which there may be hundreds.
pub(super) static MEMORY: ImageMemory = ImageMemory::new(64 << 20);

/// Memory that is given out.
pub(super) struct ImageMemory {
    left: Mutex<usize>,
    returned: Condvar,
}

/// A part of an [`ImageMemory`]. Dropping it gives it back.
pub(super) struct HeldMemory<'a> {
    memory: &'a ImageMemory,
    bytes: usize,
}

impl ImageMemory {
    const fn new(bytes: usize) -> Self {
        ImageMemory { left: Mutex::new(bytes), returned: Condvar::new() }
    }

    /// Waits until there are so many bytes, at most those of an image that is read and decoded at
    /// once. Blocking: whoever has some must not wait for more.
    pub(super) fn take(&self, bytes: usize) -> HeldMemory<'_> {
        let mut left = self.left.lock();
        while *left < bytes {
            self.returned.wait(&mut left);
        }
        *left -= bytes;
        HeldMemory { memory: self, bytes }
    }
}

impl Drop for HeldMemory<'_> {
    fn drop(&mut self) {
        *self.memory.left.lock() += self.bytes;
        self.memory.returned.notify_all();
    }
}

/// A format of images that are not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, Serialize, Deserialize)]
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
    #[strum(serialize = "BMP")]
    Bmp,
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
            "bmp" => Format::Bmp,
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
                if brands
                    .chunks(4)
                    .take(MAX_BRANDS)
                    .any(|brand| matches!(brand, b"avif" | b"avis")) =>
            {
                Format::Avif
            }
            [0, 0, 1 | 2, 0, ..] => Format::Ico,
            [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Format::Bmp,
            _ => return None,
        })
    }
}

/// Maximum number of brands of an AVIF file that are looked at.
const MAX_BRANDS: usize = 6;

/// Maximum pixels of an image. 268 million: browsers need 4 bytes for each, which are 1 GiB, and
/// show nothing if they do not get them.
const MAX_PIXELS: f64 = 268_435_456.0;

/// Why browsers cannot show the file of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    Empty,
    /// It begins as no image does.
    NoFormat,
    /// It is shorter than it declares.
    Cut,
    /// It ends without the mark that browsers need at its end.
    NoEnd,
    /// Its header says what its format does not allow.
    Header,
    /// Its structure is whole, but without pixels.
    NoPicture,
    /// Its width or height is 0.
    NoSize,
    /// It has more than [`MAX_PIXELS`].
    TooManyPixels,
}

/// What the file of an image is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageFile {
    bytes: u64,
    /// What its content begins with.
    content: Option<Format>,
    fault: Option<Fault>,
    /// What is wrong with its pixels, whose data is cut or has another fault.
    picture: Option<PictureFault>,
    /// Width by height in pixels, as far as they are known.
    size: Option<(f64, f64)>,
}

impl ImageFile {
    /// Of a file of `bytes` bytes that begins with `start`: all of it, or its first [`MAX_READ`].
    /// Its pixels are decoded as far as `effort` allows.
    pub(super) fn of(start: &[u8], bytes: u64, effort: Effort<'_>) -> Self {
        let content = Format::in_content(start);
        let size = content.and_then(|_| imagesize::blob_size(start).ok()).and_then(|size| {
            let (width, height) = (u32::try_from(size.width), u32::try_from(size.height));
            Some((f64::from(width.ok()?), f64::from(height.ok()?)))
        });
        let fault = match content {
            _ if bytes == 0 => Some(Fault::Empty),
            None => Some(Fault::NoFormat),
            Some(format) => Content { start, bytes }.fault(format, size),
        };
        let is_read = bytes <= MAX_READ as u64 && start.len() as u64 >= bytes;
        let picture = match (content, fault) {
            (Some(format), None | Some(Fault::Cut | Fault::NoEnd)) if is_read => {
                picture::fault(format, start, effort)
            }
            _ => None,
        };
        ImageFile { bytes, content, fault, picture, size }
    }

    /// Of a drawing.
    pub(super) fn of_drawing(bytes: u64, view: &View) -> Self {
        ImageFile { bytes, size: view.size(), ..ImageFile::default() }
    }

    /// The size of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Width by height in pixels, both more than 0. `None` if they are not known.
    pub(super) fn size(&self) -> Option<(f64, f64)> {
        self.size.filter(|(width, height)| *width > 0.0 && *height > 0.0)
    }

    /// Whether its pixels are not counted.
    pub(super) fn is_drawing(&self) -> bool {
        self.content.is_none()
    }

    /// Whether browsers may turn it by a quarter: photos say how the camera was held.
    pub(super) fn may_be_turned(&self) -> bool {
        self.content == Some(Format::Jpeg)
    }

    /// Reports what keeps browsers from showing the file, which is named as `named`.
    pub(super) fn check(&self, path: &SitePath, named: Format, problems: &mut Problems) {
        if let Some(fault) = self.fault {
            problems.add(path, Rule::ImageBroken, None, None, self.broken(fault, named));
            return;
        }
        if let Some(fault) = self.picture {
            problems.add(path, Rule::ImageBroken, None, None, self.undecodable(fault, named));
            return;
        }
        let Some(content) = self.content else { return };
        // Browsers and servers accept a PNG as icon.
        let is_icon = named == Format::Ico && content == Format::Png;
        if content != named && !is_icon {
            let message = message!(
                "the image is named as {named}, but its content is {content}; name it after its \
                 content"
            );
            problems.add(path, Rule::ImageFile, None, None, message);
        }
    }

    fn broken(&self, fault: Fault, named: Format) -> Message {
        let format = self.content.unwrap_or(named);
        match fault {
            Fault::Empty => message!("the image is empty; write its content or leave it out"),
            Fault::NoFormat => message!(
                "the image is not {named}, and no format that browsers show; write its bytes \
                 unchanged"
            ),
            Fault::Cut => message!(
                "the image is cut: its {format} data says that it is longer than the {} bytes of \
                 the file{}; write all of its bytes",
                self.bytes,
                self.also_ends()
            ),
            Fault::NoEnd => message!(
                "the image is cut: it ends without the end mark of a {format}{}; write all of its \
                 bytes",
                self.also_ends()
            ),
            Fault::Header => message!(
                "the image begins as {format}, but its header says what that format does not \
                 allow, so browsers do not show it; write its bytes unchanged"
            ),
            Fault::NoPicture => message!(
                "the image begins as {format}, but has no pixels, so browsers show nothing; write \
                 all of its bytes"
            ),
            Fault::NoSize => message!(
                "the image has a width or height of 0, so browsers show nothing; write one with \
                 pixels, or leave it out"
            ),
            Fault::TooManyPixels => message!(
                "the image has {} pixels, for which browsers need more memory than they get; scale \
                 it down to fewer than {MAX_PIXELS}",
                Shown(self.size.unwrap_or_default())
            ),
        }
    }

    /// Where the picture of a file that is cut ends, if that is known.
    fn also_ends(&self) -> String {
        match self.picture {
            Some(PictureFault::Ends(place)) => format!(", and the picture ends {place}"),
            _ => String::new(),
        }
    }

    fn undecodable(&self, fault: PictureFault, named: Format) -> Message {
        let format = self.content.unwrap_or(named);
        match fault {
            PictureFault::Ends(place) => message!(
                "the picture ends {place}, so browsers show a part of it, or nothing: its {format} \
                 data is cut; write all of its bytes"
            ),
            PictureFault::Corrupt(place) => message!(
                "the picture is broken {place}, so browsers show a part of it, or nothing: its \
                 {format} data cannot be decoded there; write its bytes unchanged"
            ),
            PictureFault::Checksum(place) => message!(
                "the picture was changed {place}: the checksum of its {format} data is that of \
                 other data, so browsers show a part of it, or nothing; write its bytes unchanged"
            ),
            PictureFault::Undecodable => message!(
                "the picture is broken: its {format} data cannot be decoded, so browsers show a \
                 part of it, or nothing; write its bytes unchanged"
            ),
            PictureFault::NoPalette => message!(
                "the picture has numbers of colours, but no colours, so browsers show nothing; \
                 write its bytes unchanged"
            ),
            PictureFault::TooManyScans => message!(
                "the picture has more than {MAX_SCANS} scans, which keep browsers busy; write it \
                 with an encoder that makes a few"
            ),
        }
    }
}

/// Why the structure of an image was not read to its end.
enum Stop {
    Broken(Fault),
    /// The rest was not read, or is of a kind that is not known here.
    Unread,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Broken(fault)
    }
}

/// The content of an image. Each of its parts is looked at once.
struct Content<'a> {
    start: &'a [u8],
    /// Of the whole file.
    bytes: u64,
}

impl<'a> Content<'a> {
    fn fault(&self, format: Format, size: Option<(f64, f64)>) -> Option<Fault> {
        let read = match format {
            Format::Png => self.png(),
            Format::Jpeg => self.jpeg(),
            Format::Gif => self.gif(),
            Format::WebP => self.webp(),
            Format::Avif => self.avif(),
            Format::Ico => self.ico(),
            Format::Bmp => Ok(()),
        };
        // The size of a GIF is that of its first frame, if it says none itself.
        let is_sized =
            format == Format::Gif || size.is_none_or(|(width, height)| width > 0.0 && height > 0.0);
        match read {
            Err(Stop::Broken(fault)) => Some(fault),
            Ok(()) | Err(Stop::Unread) if !is_sized => Some(Fault::NoSize),
            Ok(()) | Err(Stop::Unread) => {
                let pixels = size.map_or(0.0, |(width, height)| width * height);
                (pixels > MAX_PIXELS).then_some(Fault::TooManyPixels)
            }
        }
    }

    /// The `length` bytes from `at` on.
    fn part(&self, at: u64, length: usize) -> Result<&'a [u8], Stop> {
        let rest = usize::try_from(at).ok().and_then(|at| self.start.get(at..));
        match rest.and_then(|rest| rest.get(..length)) {
            Some(part) => Ok(part),
            None => {
                self.reaches(at.saturating_add(length as u64))?;
                Err(Stop::Unread)
            }
        }
    }

    /// Whether the file has the bytes up to `end`.
    fn reaches(&self, end: u64) -> Result<(), Stop> {
        if end > self.bytes { Err(Fault::Cut.into()) } else { Ok(()) }
    }

    fn png(&self) -> Result<(), Stop> {
        let mut at = 8;
        let mut has_picture = false;
        loop {
            // Browsers need no chunk for the end: the pixels show whether the file is whole.
            if at > 8 && self.bytes.saturating_sub(at) < 8 {
                return if has_picture { Ok(()) } else { Err(Fault::NoPicture.into()) };
            }
            let head = self.part(at, 8)?;
            let (length, name) = head.split_at(4);
            if at == 8 {
                if name != b"IHDR" || big(length) != 13 {
                    return Err(Fault::Header.into());
                }
                let is_known = match *self.part(at + 8, 13)? {
                    [_, _, _, _, _, _, _, _, depth, color, 0, 0, 0 | 1] => matches!(
                        (depth, color),
                        (1 | 2 | 4 | 8 | 16, 0) | (8 | 16, 2 | 4 | 6) | (1 | 2 | 4 | 8, 3)
                    ),
                    _ => false,
                };
                if !is_known {
                    return Err(Fault::Header.into());
                }
            }
            has_picture |= name == b"IDAT";
            if name == b"IEND" {
                return if has_picture { Ok(()) } else { Err(Fault::NoPicture.into()) };
            }
            // Length, name, data and checksum.
            at += 12 + big(length);
            self.reaches(at)?;
        }
    }

    fn jpeg(&self) -> Result<(), Stop> {
        let mut at = 2;
        loop {
            match *self.part(at, 2)? {
                [0xff, 0xff] => at += 1,
                [0xff, 0x01 | 0xd0..=0xd8] => at += 2,
                [0xff, 0xd9] => return Err(Fault::NoPicture.into()),
                [0xff, 0xda] => break,
                [0xff, 1..=0xff] => {
                    let length = big(self.part(at + 2, 2)?);
                    if length < 2 {
                        return Err(Fault::Header.into());
                    }
                    at += 2 + length;
                    self.reaches(at)?;
                }
                // Decoders skip what is between two segments.
                _ => return Err(Stop::Unread),
            }
        }
        // In pixels, no byte but 0 or the number of a restart follows a 0xff.
        let pixels = usize::try_from(at).ok().and_then(|at| self.start.get(at..));
        let mut pairs = pixels.unwrap_or_default().windows(2).rev();
        if pairs.any(|pair| matches!(pair, [0xff, 0xd9])) {
            return Ok(());
        }
        let is_whole = self.start.len() as u64 >= self.bytes;
        Err(if is_whole { Fault::NoEnd.into() } else { Stop::Unread })
    }

    fn gif(&self) -> Result<(), Stop> {
        let head = self.part(0, 13)?;
        let mut at = 13 + palette(head[10]);
        let mut has_picture = false;
        loop {
            // Browsers need no mark at the end.
            if has_picture && at >= self.bytes {
                return Ok(());
            }
            match self.part(at, 1)?[0] {
                0x3b if has_picture => return Ok(()),
                0x3b => return Err(Fault::NoPicture.into()),
                0x21 => at = self.after_blocks(at + 2)?,
                0x2c => {
                    let frame = self.part(at, 10)?;
                    let is_empty = little(&frame[5..7]) == 0 || little(&frame[7..9]) == 0;
                    if is_empty && !has_picture {
                        return Err(Fault::NoSize.into());
                    }
                    has_picture = true;
                    at = self.after_blocks(at + 11 + palette(frame[9]))?;
                }
                // Some encoders write one end of blocks too many.
                0 => at += 1,
                _ => return Err(Stop::Unread),
            }
        }
    }

    /// The end of the blocks of a GIF that begin at `at`.
    fn after_blocks(&self, mut at: u64) -> Result<u64, Stop> {
        loop {
            let length = u64::from(self.part(at, 1)?[0]);
            at += 1 + length;
            if length == 0 {
                return Ok(at);
            }
        }
    }

    fn webp(&self) -> Result<(), Stop> {
        let end = 8 + little(&self.part(0, 12)?[4..8]);
        self.reaches(end)?;
        let mut at = 12;
        let mut has_picture = false;
        while at + 8 <= end {
            let head = self.part(at, 8)?;
            let (name, length) = head.split_at(4);
            let length = little(length);
            has_picture |= matches!(name, b"VP8 " | b"VP8L" | b"ANMF");
            at += 8 + length;
            self.reaches(at)?;
            // The length is filled to an even one.
            at += length % 2;
        }
        if has_picture { Ok(()) } else { Err(Fault::NoPicture.into()) }
    }

    fn avif(&self) -> Result<(), Stop> {
        let mut at = 0;
        let mut has_picture = false;
        while at + 8 <= self.bytes {
            let head = self.part(at, 8)?;
            let (length, name) = head.split_at(4);
            has_picture |= matches!(name, b"meta" | b"moov");
            let length = match big(length) {
                // To the end of the file.
                0 => self.bytes - at,
                1 => big(self.part(at + 8, 8)?),
                length => length,
            };
            if length < 8 {
                return Err(Fault::Header.into());
            }
            at = at.saturating_add(length);
            self.reaches(at)?;
        }
        if has_picture { Ok(()) } else { Err(Fault::NoPicture.into()) }
    }

    fn ico(&self) -> Result<(), Stop> {
        let number = little(&self.part(0, 6)?[4..6]);
        for entry in 0..number {
            let entry = self.part(6 + 16 * entry, 16)?;
            self.reaches(little(&entry[8..12]) + little(&entry[12..16]))?;
        }
        if number > 0 { Ok(()) } else { Err(Fault::NoPicture.into()) }
    }
}

/// Bytes of the palette that the flags of a GIF announce.
pub(super) fn palette(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// A number of at most 8 bytes, the highest first.
pub(super) fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A number of at most 8 bytes, the lowest first.
pub(super) fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// What the root element of a drawing says of its size.
#[derive(Debug, Default)]
pub(super) struct View {
    width: Option<f64>,
    height: Option<f64>,
    view_box: Option<(f64, f64)>,
}

impl View {
    /// Reads an attribute of the root element.
    pub(super) fn read(&mut self, name: &str, value: &str) {
        match name {
            "width" => self.width = pixels(value),
            "height" => self.height = pixels(value),
            "viewBox" => {
                let parts = value.split(|c: char| c == ',' || c.is_ascii_whitespace());
                let mut numbers = parts.filter(|part| !part.is_empty()).map(pixels);
                let (width, height) = (numbers.nth(2).flatten(), numbers.next().flatten());
                self.view_box = width.zip(height);
            }
            _ => {}
        }
    }

    /// Width by height, as far as they are certain.
    fn size(&self) -> Option<(f64, f64)> {
        self.width.zip(self.height).or(self.view_box)
    }
}

/// A length in CSS pixels; `None` in other units.
pub(super) fn pixels(text: &str) -> Option<f64> {
    let text = text.trim();
    let number: f64 = text.strip_suffix("px").unwrap_or(text).parse().ok()?;
    number.is_finite().then_some(number)
}

/// Width by height, for messages.
pub(super) struct Shown(pub(super) (f64, f64));

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown((width, height)) = self;
        write!(f, "{width} by {height}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{TryRecvError, channel};

    use super::*;

    #[test]
    fn an_image_waits_until_there_is_memory_for_it() {
        let memory = ImageMemory::new(10);
        let (sender, taken) = channel();
        let (first, second) = (memory.take(6), memory.take(4));
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(memory.take(5).bytes));
            drop(second);
            assert_eq!(taken.try_recv(), Err(TryRecvError::Empty), "only four are left");
            drop(first);
            assert_eq!(taken.recv(), Ok(5));
        });
        drop(memory.take(10));
    }
}
