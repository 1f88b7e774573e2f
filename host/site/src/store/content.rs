//! What a web server tells of a file: an object store tells visitors what was told to it.

use crate::path::SitePath;

/// Release files never change: another site is another release, under another id.
pub const CACHE_RELEASE: &str = "public, max-age=31536000, immutable";
/// The pointer is asked for anew each time.
pub const CACHE_POINTER: &str = "no-cache";
/// What JSON of ours is.
pub const JSON: &str = "application/json";

/// The content type of a file by its extension, in the spelling of the IANA registry. Text is
/// UTF-8: the checks have seen to that.
pub fn content_type(path: &SitePath) -> &'static str {
    match path.extension().as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("xhtml") => "application/xhtml+xml",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("md") => "text/markdown; charset=utf-8",
        Some("csv") => "text/csv; charset=utf-8",
        Some("vcf") => "text/vcard; charset=utf-8",
        Some("ics") => "text/calendar; charset=utf-8",
        Some("vtt") => "text/vtt; charset=utf-8",
        Some("json" | "map") => JSON,
        Some("jsonld") => "application/ld+json",
        Some("geojson") => "application/geo+json",
        Some("webmanifest") => "application/manifest+json",
        Some("xml") => "application/xml",
        Some("rss") => "application/rss+xml",
        Some("atom") => "application/atom+xml",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("ico") => "image/vnd.microsoft.icon",
        Some("bmp") => "image/bmp",
        Some("woff2") => "font/woff2",
        Some("woff") => "font/woff",
        Some("ttf") => "font/ttf",
        Some("otf") => "font/otf",
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        Some("wav") => "audio/wav",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        Some("pdf") => "application/pdf",
        Some("zip") => "application/zip",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    }
}
