//! Style sheet, script and icon. The address of each has a part of its digest, so that a browser
//! keeps it for ever and a new version is another address.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// A file that pages refer to.
#[derive(Debug)]
pub struct Asset {
    /// Its name in the address: `style-1a2b3c4d5e6f.css`.
    pub name: String,
    pub content_type: &'static str,
    pub bytes: &'static [u8],
}

impl Asset {
    fn new(stem: &str, ending: &str, content_type: &'static str, bytes: &'static [u8]) -> Self {
        let digest = hex::encode(Sha256::digest(bytes));
        let short = digest.get(..12).unwrap_or_default();
        Asset { name: format!("{stem}-{short}.{ending}"), content_type, bytes }
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("/console/assets/{}", self.name)
    }
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let bytes = include_bytes!("../assets/style.css");
    Asset::new("style", "css", "text/css; charset=utf-8", bytes)
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let bytes = include_bytes!("../assets/live.js");
    Asset::new("live", "js", "text/javascript; charset=utf-8", bytes)
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../assets/icon.svg"))
});

/// The style sheet of all pages.
pub fn style() -> &'static Asset {
    &STYLE
}

/// The script that keeps pages up to date. Everything works without it.
pub fn script() -> &'static Asset {
    &SCRIPT
}

/// The icon of the tab.
pub fn icon() -> &'static Asset {
    &ICON
}

/// The file with this name in its address.
pub fn asset(name: &str) -> Option<&'static Asset> {
    [style(), script(), icon()].into_iter().find(|asset| asset.name == name)
}
