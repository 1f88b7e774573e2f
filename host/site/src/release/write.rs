//! A release's id, manifest and files, and the group commit's way through steps 1 and 2.

use std::collections::BTreeSet;
use std::path::Path;

use cap_std::fs::Dir;
use ulid::Ulid;

use super::folders::{OrderFolders, SyncMode};
use super::{PublishError, Release};
use crate::manifest::{MANIFEST_FORMAT, Manifest, ManifestFile, ReleaseId, ReleaseInfo};
use crate::root::OrderDir;
use crate::staging::{Area, StagedSite, write_file};
use crate::storage::{StorageError, open_file, sync_folder, sync_folder_at};
use crate::verify::VerifiedSite;

/// A release between steps 1 and 2 of [`place`](super::place). The caller writes each step to the
/// disk before the next one, for many releases at once.
pub(crate) struct BatchedRelease {
    folders: OrderFolders,
    release: Release,
    renamed: bool,
}

/// Whether a site can take part in a group commit.
#[allow(clippy::large_enum_variant, reason = "a return value, which is not stored")]
pub(crate) enum Batching {
    /// Step 1 is done.
    Written(Box<BatchedRelease>),
    /// Nothing was done: the site is on the disk already, or another publication of the order is
    /// in progress.
    Alone(VerifiedSite, ReleaseInfo),
}

impl BatchedRelease {
    /// Step 1.
    pub(crate) fn write(site: VerifiedSite, info: ReleaseInfo) -> Result<Batching, PublishError> {
        let staged = site.staged();
        let area = &staged.area;
        if area.opened().is_some() {
            return Ok(Batching::Alone(site, info));
        }
        let Some(folders) = OrderFolders::try_lock(&area.root, &area.order)? else {
            return Ok(Batching::Alone(site, info));
        };
        let id = choose_id(info.id, &folders.existing()?, &area.order)?;
        let (manifest, json) = manifest_of(staged, id, info)?;
        folders.write_buffered(area, &manifest, &json, id, SyncMode::Batched)?;
        let release = Release { path: folders.release_path(id), manifest };
        Ok(Batching::Written(Box::new(BatchedRelease { folders, release, renamed: false })))
    }

    /// Step 2.
    pub(crate) fn rename(&mut self) -> Result<(), StorageError> {
        self.folders.rename_written(self.release.manifest.id)?;
        self.renamed = true;
        Ok(())
    }

    /// Whether step 2 is done.
    pub(crate) fn is_renamed(&self) -> bool {
        self.renamed
    }

    pub(crate) fn into_release(self) -> Release {
        self.release
    }
}

/// The manifest, and its JSON text.
pub(super) fn manifest_of(
    staged: &StagedSite,
    id: ReleaseId,
    info: ReleaseInfo,
) -> Result<(Manifest, Vec<u8>), PublishError> {
    let files = staged.files.iter().map(|(path, file)| ManifestFile {
        path: path.clone(),
        size: file.bytes,
        sha256: file.sha256.clone(),
    });
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        id,
        order: staged.area.order.clone(),
        attempt: staged.area.attempt.clone(),
        template: info.template,
        host_build: info.host_build,
        locale: info.locale,
        warnings: info.warnings,
        diagnostics: info.diagnostics,
        revision: info.revision,
        created_at: info.created_at,
        ai: info.ai,
        usage: info.usage,
        total_bytes: staged.files.values().map(|file| file.bytes).sum(),
        files: files.collect(),
    };
    let json = serde_json::to_vec_pretty(&manifest)
        .map_err(|source| PublishError::Manifest { id, source })?;
    Ok((manifest, json))
}

/// `wanted` if it is free, otherwise a new id that is greater than every existing one.
pub(super) fn choose_id(
    wanted: Option<ReleaseId>,
    existing: &BTreeSet<ReleaseId>,
    order: &OrderDir,
) -> Result<ReleaseId, PublishError> {
    if let Some(id) = wanted {
        return if existing.contains(&id) {
            Err(PublishError::Exists { order: order.clone(), id })
        } else {
            Ok(id)
        };
    }
    let id = ReleaseId(Ulid::generate());
    match existing.last() {
        // Two in one millisecond, or the clock was set back: newer must sort after older.
        Some(newest) if *newest >= id => newest
            .0
            .increment()
            .map(ReleaseId)
            .map_err(|_| PublishError::IdsExhausted { order: order.clone(), newest: *newest }),
        _ => Ok(id),
    }
}

/// Step 1 but for the manifest: stores all files in `folder`. `shown` is the folder's path, for
/// errors.
pub(super) fn store_site(
    folder: &Dir,
    area: &Area,
    manifest: &Manifest,
    shown: &Path,
    sync: SyncMode,
) -> Result<(), StorageError> {
    let now = sync == SyncMode::Now;
    let mut folders = BTreeSet::new();
    let buffer = area.buffer();
    for file in &manifest.files {
        let open = match buffer.get(&file.path) {
            Some(bytes) => write_file(folder, &file.path, bytes, shown)?,
            None => open_file(folder, file.path.as_str())
                .map_err(StorageError::on("open", shown.join(&file.path)))?,
        };
        if now {
            open.sync_all()
                .map_err(StorageError::on("write to the disk", shown.join(&file.path)))?;
            folders.extend(file.path.folders());
        }
    }
    drop(buffer);
    // A folder sorts before its content, so the reverse order is innermost first.
    for name in folders.into_iter().rev() {
        sync_folder_at(folder, name)
            .map_err(StorageError::on("write to the disk", shown.join(name)))?;
    }
    if now {
        sync_folder(folder).map_err(StorageError::on("write to the disk", shown))?;
    }
    Ok(())
}
