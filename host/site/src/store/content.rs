//! Content types and cache rules, which an object store serves with each file.

use crate::path::SitePath;

/// `Cache-Control` of a release's files. They never change: another site is another release, with
/// another id.
pub const CACHE_RELEASE: &str = "public, max-age=31536000, immutable";
/// `Cache-Control` of the pointer, which changes with each activation.
pub const CACHE_POINTER: &str = "no-cache";
pub const JSON: &str = "application/json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The content type of a file by its extension, as in the IANA registry. Unknown extensions are
/// `application/octet-stream`. The checks of the site have made sure that text is UTF-8.
pub fn content_type(path: &SitePath) -> &'static str {
    match path.extension().as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("xhtml") => "application/xhtml+xml",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("txt") => TEXT,
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
