//! `sites.store`: the sites folder or an object store.

use url::Url;

#[cfg(feature = "object-store")]
use super::bucket::{Bucket, Provider};
use super::error::{StoreError, StoreErrorKind};
use crate::root::SitesRoot;
use sitewright_model::message;
use sitewright_model::message::Message;

/// What `sites.store` may be, for messages.
pub(super) const FORMS: &str = "write it like `s3://bucket/prefix`, `gs://bucket/prefix` or \
                                `az://container/prefix`, or leave it out for the sites folder";

/// Where `sites.store` keeps releases.
#[derive(Debug)]
pub(super) enum StoreLocation {
    /// The sites folder itself.
    Folder,
    #[cfg(feature = "object-store")]
    Bucket(Bucket),
}

impl StoreLocation {
    /// Parses `sites.store`: `None` and `file` mean the sites folder.
    pub(super) fn parse(url: Option<&str>, root: &SitesRoot) -> Result<Self, StoreError> {
        let Some(text) = url.map(str::trim).filter(|text| *text != "file") else {
            return Ok(StoreLocation::Folder);
        };
        // The text is not repeated: it may contain a key.
        let url = Url::parse(text).map_err(|error| {
            wrong(message!("the value of `sites.store` is not a URL: {error}; {FORMS}"))
        })?;
        #[cfg(feature = "object-store")]
        let bucket = |provider| Bucket::parse(provider, &url).map(StoreLocation::Bucket);
        match url.scheme() {
            #[cfg(feature = "object-store")]
            "s3" => bucket(Provider::S3),
            #[cfg(feature = "object-store")]
            "gs" => bucket(Provider::Google),
            #[cfg(feature = "object-store")]
            "az" => bucket(Provider::Azure),
            #[cfg(not(feature = "object-store"))]
            scheme @ ("s3" | "gs" | "az") => Err(wrong(message!(
                "the value of `sites.store` begins with `{scheme}://`, and this build has no \
                 support for object stores: leave it out for the sites folder, or use a \
                 sitewright built with the feature `object-store`"
            ))),
            "file" => {
                let path = url.to_file_path().ok().and_then(|path| std::path::absolute(path).ok());
                if path.as_deref().is_some_and(|path| root.path() == path) {
                    Ok(StoreLocation::Folder)
                } else {
                    Err(wrong(message!(
                        "the value of `sites.store` names a folder that is not the sites folder \
                         `{}`; releases in a folder stay where they are made: set `sites` and \
                         leave out `sites.store`",
                        root.path().display()
                    )))
                }
            }
            scheme => Err(wrong(message!(
                "the value of `sites.store` begins with `{scheme}://`, which is not a \
                 known store; {FORMS}"
            ))),
        }
    }
}

pub(super) fn wrong(message: Message) -> StoreError {
    StoreError::new(StoreErrorKind::Configuration, message)
}

#[cfg(test)]
#[cfg(not(feature = "object-store"))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_object_stores_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let root = SitesRoot::open(folder.path()).unwrap();
        assert!(StoreLocation::parse(Some("file"), &root).is_ok());
        for scheme in ["s3", "gs", "az"] {
            let url = format!("{scheme}://bucket/prefix");
            let error = StoreLocation::parse(Some(&url), &root).unwrap_err().to_string();
            for part in [scheme, "sites folder", "feature `object-store`"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
