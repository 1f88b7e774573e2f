//! Copies releases that an earlier version has stored to the two prefixes of this one.
//!
//! Before version 0.2 there was `<prefix>/<order>/releases/<id>/`, with `manifest.json` among the
//! site's files, and the pointer `<prefix>/<order>/current.json`. Files and pointer stay there too,
//! so that visitors have their sites until whatever serves them reads `<prefix>/public`; the
//! manifests, which visitors must not get, do not stay. Each worker does this once, in the
//! background, and repeats it at its next start if it did not get to the end.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use futures::stream::StreamExt as _;
use object_store::path::Path;
use time::OffsetDateTime;

use super::bucket_client::{BucketClient, Object, PRIVATE};
use super::content::{CACHE_POINTER, TEXT};
use super::error::StoreErrorKind;
use super::objects::ObjectSites;
use super::pointer::POINTER_FILE;
use super::request_error::RequestError;
use crate::manifest::ReleaseId;
use crate::release::release_id;
use crate::root::{OrderDir, PUBLIC, RELEASES};

/// The manifest's name in a release of the old layout.
const OLD_MANIFEST: &str = "manifest.json";
/// The object that says that nothing of the old layout is left to copy.
const MARK: &str = ".layout-2";
/// While workers are replaced one after the other, those of the earlier version go on storing in
/// its layout: until the mark is this old, a start looks again.
const MIXED: time::Duration = time::Duration::days(7);

/// A release in the old layout.
#[derive(Default)]
struct OldRelease {
    /// From and to, without the manifest.
    files: Vec<(Path, Path)>,
    manifest: Option<Path>,
}

impl ObjectSites {
    pub(super) async fn migrate(self) {
        let url = self.0.client.url().to_owned();
        match self.migrate_all().await {
            Ok(0) => {}
            Ok(orders) => tracing::info!(
                orders,
                store = url,
                "releases of an earlier version were copied to `{PUBLIC}/`: serve visitors from \
                 there, and then remove the old ones"
            ),
            Err(error) => tracing::warn!(
                reason = error.why,
                store = url,
                "not all releases of an earlier version were copied to `{PUBLIC}/`; the next start \
                 tries again"
            ),
        }
    }

    /// The number of orders.
    pub(super) async fn migrate_all(&self) -> Result<usize, RequestError> {
        let client = &self.0.client;
        let mark = client.key(&format!("{PRIVATE}/{MARK}"))?;
        let is_marked = match client.modified(&mark).await {
            Ok(marked) if OffsetDateTime::now_utc() - marked > MIXED => return Ok(0),
            Ok(_) => true,
            Err(error) if error.kind == StoreErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        let (mut migrated, mut failed) = (0, None);
        for folder in client.list_folder(client.prefix()).await?.common_prefixes {
            // Not the two prefixes of this version, and nothing that is none of ours.
            let name = folder.filename().filter(|name| *name != PRIVATE);
            let Some(order) = name.and_then(|name| OrderDir::new(name).ok()) else { continue };
            // One order that cannot be copied does not keep the others waiting.
            match self.migrate_order(&order).await {
                Ok(moved) => migrated += usize::from(moved),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        // Written anew, the mark would never grow old.
        if is_marked && migrated == 0 {
            return Ok(0);
        }
        let object = Object {
            key: &mark,
            bytes: "nothing of the layout before 0.2 is left to copy".into(),
            content_type: TEXT,
            cache_control: CACHE_POINTER,
        };
        client.put(object).await?;
        Ok(migrated)
    }

    /// Whether the order had releases in the old layout.
    async fn migrate_order(&self, order: &OrderDir) -> Result<bool, RequestError> {
        let client = &self.0.client;
        let old = old_releases(client, order).await?;
        if old.is_empty() {
            return Ok(false);
        }
        let mut manifests = Vec::new();
        for (id, release) in old {
            // Without its manifest, it is a part of one; or it was copied before.
            let Some(manifest) = release.manifest else { continue };
            let mut copies = Vec::with_capacity(release.files.len());
            for (from, to) in &release.files {
                copies.push(client.copy(from, to));
            }
            futures::stream::iter(copies)
                .buffer_unordered(self.0.limits.uploads_per_release.max(1))
                .try_collect::<()>()
                .await?;
            client.copy(&manifest, &client.manifest_key(order, id)?).await?;
            manifests.push(manifest);
        }
        if manifests.is_empty() {
            return Ok(false);
        }
        let pointer = client.key(&format!("{order}/{POINTER_FILE}"))?;
        // Another worker may have activated a newer one in the meantime.
        if let Some(old) = client.read_release(&pointer).await?
            && client.current(order).await?.is_none_or(|current| current < old)
        {
            client.point_to(order, old).await?;
        }
        client.delete(manifests).await?;
        Ok(true)
    }
}

async fn old_releases(
    client: &BucketClient,
    order: &OrderDir,
) -> Result<BTreeMap<ReleaseId, OldRelease>, RequestError> {
    let folder = client.key(&format!("{order}/{RELEASES}"))?;
    let mut releases: BTreeMap<ReleaseId, OldRelease> = BTreeMap::new();
    for (from, _) in client.list(&folder).await? {
        let Some(parts) = from.prefix_match(&folder) else { continue };
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        let Some((id, file)) = parts.split_first() else { continue };
        let (Some(id), file) = (release_id(id), file.join("/")) else { continue };
        let release = releases.entry(id).or_default();
        if file == OLD_MANIFEST {
            release.manifest = Some(from);
        } else {
            let to = client.file_key(order, id, &file)?;
            release.files.push((from, to));
        }
    }
    Ok(releases)
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    reason = "each async test has the one runtime of its process: its own"
)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use futures::TryStreamExt as _;
    use object_store::memory::InMemory;
    use object_store::{ObjectStore as _, ObjectStoreExt as _};
    use ulid::Ulid;

    use super::super::location::StoreLocation;
    use super::super::pointer::Pointer;
    use super::*;
    use crate::root::SitesRoot;

    fn id(number: u64) -> ReleaseId {
        ReleaseId(Ulid::from_parts(number, 0))
    }

    async fn names(store: &InMemory) -> BTreeSet<String> {
        let all = store.list(None).map_ok(|meta| meta.location.to_string());
        all.try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn releases_of_an_earlier_version_are_copied_and_their_manifests_are_hidden() {
        for prefix in ["", "p/q/"] {
            let temp = tempfile::tempdir().unwrap();
            let root = SitesRoot::open(temp.path()).unwrap();
            let url = format!("s3://sites/{prefix}");
            let StoreLocation::Bucket(bucket) = StoreLocation::parse(Some(&url), &root).unwrap()
            else {
                panic!("it is a bucket");
            };
            let store = Arc::new(InMemory::new());
            let put = async |name: &str, bytes: &str| {
                let name = Path::parse(format!("{prefix}{name}")).unwrap();
                store.put(&name, bytes.to_owned().into()).await.unwrap();
            };
            let pointer = |id: ReleaseId| {
                let (path, at) = (format!("releases/{id}"), OffsetDateTime::UNIX_EPOCH);
                serde_json::to_string(&Pointer { release: id, path, at }).unwrap()
            };
            for release in [id(1), id(2)] {
                put(&format!("7/releases/{release}/index.html"), "page").await;
                put(&format!("7/releases/{release}/a~b/c d.txt"), "text").await;
                put(&format!("7/releases/{release}/manifest.json"), "{}").await;
            }
            // A part of a release, an order without a pointer, and objects that are none of ours.
            put(&format!("7/releases/{}/index.html", id(3)), "part").await;
            put("7/current.json", &pointer(id(1))).await;
            put(&format!("8/releases/{}/manifest.json", id(4)), "{}").await;
            put("notes.txt", "mine").await;
            put("images/logo.png", "mine").await;
            let before = names(&store).await;

            let sites = ObjectSites::over(store.clone(), bucket, root);
            let order = OrderDir::new("7").unwrap();
            assert_eq!(sites.migrate_all().await.unwrap(), 2);
            assert_eq!(sites.current(&order).await.unwrap(), Some(id(1)));
            sites.activate(&order, id(2), 5).await.unwrap();
            let mut wanted: BTreeSet<String> =
                before.into_iter().filter(|name| !name.ends_with("manifest.json")).collect();
            for release in [id(1), id(2)] {
                wanted.insert(format!("{prefix}public/7/releases/{release}/index.html"));
                wanted.insert(format!("{prefix}public/7/releases/{release}/a~b/c d.txt"));
                wanted.insert(format!("{prefix}private/7/manifests/{release}.json"));
            }
            wanted.insert(format!("{prefix}private/8/manifests/{}.json", id(4)));
            wanted.insert(format!("{prefix}public/7/current.json"));
            wanted.insert(format!("{prefix}private/.layout-2"));
            assert_eq!(names(&store).await, wanted);

            // Again: nothing is left to do, and nothing is set back.
            assert_eq!(sites.migrate_all().await.unwrap(), 0);
            assert_eq!(sites.current(&order).await.unwrap(), Some(id(2)));
            // A worker of the earlier version that is still there stores an older and a newer one.
            for (late, current) in [(id(1), id(2)), (id(9), id(9))] {
                put(&format!("7/releases/{late}/index.html"), "page").await;
                put(&format!("7/releases/{late}/manifest.json"), "{}").await;
                put("7/current.json", &pointer(late)).await;
                assert_eq!(sites.migrate_all().await.unwrap(), 1);
                assert_eq!(sites.current(&order).await.unwrap(), Some(current));
            }
        }
    }
}
