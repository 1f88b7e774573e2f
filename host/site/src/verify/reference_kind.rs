//! What a reference of a file is, and what follows from that.

/// What a reference is: `image` in "the image `a.png` leads to …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub(super) enum ReferenceKind {
    #[strum(serialize = "link")]
    Link,
    /// `<meta http-equiv="refresh">`
    #[strum(serialize = "redirection")]
    Redirection,
    #[strum(serialize = "form's `action`")]
    FormAction,
    #[strum(serialize = "embedded content")]
    Embedded,
    #[strum(serialize = "script")]
    Script,
    #[strum(serialize = "image")]
    Image,
    #[strum(serialize = "image of the `srcset`")]
    SrcsetImage,
    #[strum(serialize = "media file")]
    Media,
    /// `<use href>`
    #[strum(serialize = "drawing")]
    Drawing,
    #[strum(serialize = "style sheet")]
    StyleSheet,
    #[strum(serialize = "style sheet's `url()`")]
    StyleSheetUrl,
    /// Of a `<style>` or an attribute `style`.
    #[strum(serialize = "style's `url()`")]
    StyleUrl,
    #[strum(serialize = "icon")]
    Icon,
    #[strum(serialize = "web app manifest")]
    AppManifest,
    #[strum(serialize = "web app manifest's address")]
    AppManifestAddress,
    #[strum(serialize = "preloaded file")]
    Preload,
    /// `<link rel="preconnect">`
    #[strum(serialize = "connection")]
    Connection,
    /// A host of which a script loads.
    #[strum(serialize = "tracker in a script")]
    Tracker,
    #[strum(serialize = "canonical address")]
    Canonical,
    #[strum(serialize = "link in the head")]
    HeadLink,
    #[strum(serialize = "preview image")]
    PreviewImage,
    #[strum(serialize = "address for previews")]
    PreviewAddress,
    #[strum(serialize = "drawing's link")]
    DrawingLink,
    #[strum(serialize = "sitemap's entry")]
    SitemapEntry,
}

impl ReferenceKind {
    /// Whether a visitor follows it to a page.
    pub(super) fn leads(self) -> bool {
        use ReferenceKind::{Embedded, FormAction, Link, Redirection};
        matches!(self, Link | Redirection | Embedded | FormAction)
    }

    /// Whether a page or style sheet shows it, if it is an image.
    pub(super) fn shows(self) -> bool {
        use ReferenceKind::{Image, SrcsetImage, StyleSheetUrl, StyleUrl};
        matches!(self, Image | SrcsetImage | StyleSheetUrl | StyleUrl)
    }

    /// Whether browsers load it, or connect to its host, when a visitor opens the page.
    pub(super) fn is_loaded(self) -> bool {
        match self {
            ReferenceKind::Embedded
            | ReferenceKind::Script
            | ReferenceKind::Image
            | ReferenceKind::SrcsetImage
            | ReferenceKind::Media
            | ReferenceKind::Drawing
            | ReferenceKind::StyleSheet
            | ReferenceKind::StyleSheetUrl
            | ReferenceKind::StyleUrl
            | ReferenceKind::Icon
            | ReferenceKind::AppManifest
            | ReferenceKind::Preload
            | ReferenceKind::Connection
            | ReferenceKind::Tracker => true,
            ReferenceKind::Link
            | ReferenceKind::Redirection
            | ReferenceKind::FormAction
            | ReferenceKind::AppManifestAddress
            | ReferenceKind::Canonical
            | ReferenceKind::HeadLink
            | ReferenceKind::PreviewImage
            | ReferenceKind::PreviewAddress
            | ReferenceKind::DrawingLink
            | ReferenceKind::SitemapEntry => false,
        }
    }
}
