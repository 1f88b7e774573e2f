//! Releases: published whole and in one step, and a failure leaves the current release as it is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "each async test has the one runtime of its process: its own"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{
    dir, good_site, info, options, path, publish_marked, staged, staging, verified,
};
use sitewright_site::{
    Manifest, PublishError, PublishOutcome, ReadError, Release, ReleaseId, Rule, SiteStore,
    SitesRoot, SyncBatcher, VerifyError, activate, discard, list_releases, place, publish,
    read_current,
};

fn root() -> (tempfile::TempDir, SitesRoot) {
    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(&temp.path().join("sites")).unwrap();
    (temp, root)
}

/// Every file and link under `top`, with its bytes or its target.
fn snapshot(top: &Path) -> BTreeSet<(PathBuf, Vec<u8>)> {
    let mut found = BTreeSet::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                found.insert((path, target.to_string_lossy().into_owned().into_bytes()));
            } else if kind.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                found.insert((path, bytes));
            }
        }
    }
    found
}

fn ids(root: &SitesRoot, order: &str) -> Vec<(ReleaseId, bool)> {
    let listed = list_releases(root, &dir(order)).unwrap();
    listed.into_iter().map(|release| (release.id, release.current)).collect()
}

#[test]
fn f3_a_release_has_a_manifest_of_every_file() {
    let (_temp, root) = root();
    let files = good_site();
    let release = publish(verified(&root, "7", "a1", &files), info(None), 5).unwrap();
    let order = root.public_path().join("7");
    assert_eq!(release.path, order.join("releases").join(release.manifest.id.to_string()));
    assert_eq!(
        std::fs::read_link(order.join("current")).unwrap(),
        Path::new("releases").join(release.manifest.id.to_string())
    );
    for (path, bytes) in &files {
        assert_eq!(&std::fs::read(order.join("current").join(path)).unwrap(), bytes, "{path}");
    }
    let json = std::fs::read_to_string(manifest_of(&root, &release)).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), release.manifest);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["created_at"], "2026-11-23T12:00:00Z");
    assert_eq!(
        (&json["order"], &json["attempt"], &json["locale"]),
        (&"7".into(), &"a1".into(), &"pt-BR".into())
    );
    assert_eq!(
        (&json["template"]["digest"], &json["ai"]["calls"]),
        (&"sha256:abc".into(), &3.into())
    );
    let listed: Vec<_> =
        release.manifest.files.iter().map(|file| (file.path.clone(), file.size)).collect();
    let wanted: Vec<_> =
        files.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect();
    assert_eq!(listed, wanted, "sorted by path");
    let font =
        release.manifest.files.iter().find(|file| file.path == path("img/letra.woff2")).unwrap();
    assert_eq!(font.sha256, "ea5dbf9596d187e9500f23e9a680109475341cf4e81f7e043f7d97152c10772f");
    assert_eq!(read_current(&root, &dir("7")).unwrap().unwrap(), release);
    assert!(std::fs::read_dir(root.path().join("7/staging")).unwrap().next().is_none());
}

fn manifest_of(root: &SitesRoot, release: &Release) -> PathBuf {
    root.manifest_path(&release.manifest.order, release.manifest.id)
}

#[test]
fn f3_a_later_change_of_the_working_directory_changes_nothing() {
    // A relative path, resolved when the root is opened. The working directory is not changed:
    // other tests run in this process.
    let here = std::env::current_dir().unwrap();
    let temp = tempfile::tempdir_in(&here).unwrap();
    let relative = Path::new(temp.path().file_name().unwrap()).join("sites");
    let root = SitesRoot::open(&relative).unwrap();
    assert_eq!(root.path(), temp.path().canonicalize().unwrap().join("sites"));
    // The open folder stays the same when it is moved.
    std::fs::rename(temp.path().join("sites"), temp.path().join("moved")).unwrap();
    publish_marked(&root, "7", 1, 5);
    assert!(temp.path().join("moved/7/current/index.html").is_file());
    assert!(temp.path().join("moved/public/7/current/index.html").is_file());
    assert!(!temp.path().join("sites").exists());
}

#[test]
fn f4_a_reader_never_misses_the_site_while_it_is_switched() {
    let (_temp, root) = root();
    publish_marked(&root, "7", 0, 2);
    let entry = root.public_path().join("7/current/index.html");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0_u32;
            let mut newest = 0;
            while !done.load(Ordering::Acquire) || reads == 0 {
                let text = std::fs::read_to_string(&entry).unwrap();
                let mark = text
                    .split("versão ")
                    .nth(1)
                    .unwrap()
                    .split('<')
                    .next()
                    .unwrap()
                    .parse::<u32>()
                    .unwrap();
                assert!(mark >= newest, "{mark} after {newest}");
                assert!(text.ends_with("</html>\n"));
                newest = mark;
                reads += 1;
            }
            reads
        });
        for mark in 1..=20 {
            publish_marked(&root, "7", mark, 5);
        }
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
    });
    assert!(std::fs::read_to_string(&entry).unwrap().contains("versão 20"));
}

#[test]
fn f4_a_crash_between_any_two_steps_leaves_the_old_site_or_the_new_one() {
    let (_temp, root) = root();
    let first = publish_marked(&root, "7", 1, 5);
    let (private, order) = (root.path().join("7"), root.public_path().join("7"));
    let current = || read_current(&root, &dir("7")).unwrap().unwrap().manifest.id;
    let id = |number: u64| ReleaseId(ulid_of(number));
    // After step 1: the staging area is whole, and the release has a manifest.
    std::fs::create_dir_all(private.join("staging/crashed")).unwrap();
    std::fs::write(private.join("staging/crashed/index.html"), b"x").unwrap();
    let left = private.join("manifests").join(format!("{}.json", id(2)));
    std::fs::write(&left, b"{").unwrap();
    assert_eq!(current(), first.manifest.id);
    // In the middle of step 2: the folder is a whole release, and no link points to it.
    let orphan = order.join("releases").join(id(1).to_string());
    std::fs::create_dir(&orphan).unwrap();
    assert_eq!(current(), first.manifest.id);
    // In the middle of step 3: the link is created but not renamed.
    std::os::unix::fs::symlink(
        format!("releases/{}", id(1)),
        order.join(format!(".current-{}", id(1))),
    )
    .unwrap();
    assert_eq!(current(), first.manifest.id);
    // The next publication succeeds and removes the link; the sweep removes the rest.
    let second = publish_marked(&root, "7", 2, 5);
    assert_eq!(current(), second.manifest.id);
    assert!(!order.join(format!(".current-{}", id(1))).is_symlink());
    assert_eq!(root.sweep().unwrap(), 1);
    assert!(!left.exists());
    assert_eq!(current(), second.manifest.id);
    let listed = list_releases(&root, &dir("7")).unwrap();
    assert_eq!(listed.len(), 3);
    assert!(
        matches!(listed[2].manifest, Err(ReadError::Storage(_))),
        "the orphan says why it cannot be read"
    );
}

fn ulid_of(number: u64) -> ulid::Ulid {
    ulid::Ulid::from_parts(number, 0)
}

#[test]
fn d1_the_newest_five_releases_stay() {
    let (_temp, root) = root();
    let published: Vec<ReleaseId> =
        (1..=7).map(|mark| publish_marked(&root, "7", mark, 5).manifest.id).collect();
    assert!(published.is_sorted(), "ids grow with time, also within one millisecond");
    let kept: Vec<_> =
        published.iter().rev().take(5).map(|id| (*id, *id == published[6])).collect();
    assert_eq!(ids(&root, "7"), kept);
    // The current one stays whatever `keep` is, also if its id is older than others.
    let last = publish_marked(&root, "7", 8, 0).manifest.id;
    assert_eq!(ids(&root, "7"), [(last, true)]);
    let old = ReleaseId(ulid_of(1));
    publish(verified(&root, "7", "a9", &good_site()), info(Some(old)), 1).unwrap();
    assert_eq!(ids(&root, "7"), [(old, true)]);
}

#[test]
fn d1_a_failed_attempt_touches_no_release() {
    let (_temp, root) = root();
    publish_marked(&root, "7", 1, 1);
    let order = root.public_path().join("7");
    let before = snapshot(root.path());
    // Rejected by the checks.
    let mut bad = good_site();
    bad.remove(&path("index.html"));
    let error = staged(&root, "7", "bad", &bad).verify(&options()).unwrap_err();
    let VerifyError::Rejected(verdict) = &error else { panic!("{error:?}") };
    assert!(verdict.problems.iter().any(|problem| problem.rule == Rule::EntryPage));
    assert!(error.to_string().contains("index.html"), "{error}");
    assert_eq!(snapshot(root.path()), before);
    // Abandoned in the middle.
    let run = staging(&root, "7", "cancelled");
    run.write("index.html", b"half").unwrap();
    run.abandon();
    assert_eq!(snapshot(root.path()), before);
    // Never published.
    drop(verified(&root, "7", "late", &good_site()));
    assert_eq!(snapshot(root.path()), before);
    // Its id is already used.
    let taken = read_current(&root, &dir("7")).unwrap().unwrap().manifest.id;
    let error =
        publish(verified(&root, "7", "twin", &good_site()), info(Some(taken)), 1).unwrap_err();
    assert!(matches!(error, PublishError::Exists { id, .. } if id == taken), "{error:?}");
    assert_eq!(snapshot(root.path()), before);
    // The file system rejects the switch.
    std::fs::rename(order.join("current"), order.join("was")).unwrap();
    std::fs::create_dir(order.join("current")).unwrap();
    let error = publish(verified(&root, "7", "blocked", &good_site()), info(None), 1).unwrap_err();
    assert!(error.to_string().contains("7/current"), "{error}");
    std::fs::remove_dir(order.join("current")).unwrap();
    std::fs::rename(order.join("was"), order.join("current")).unwrap();
    assert_eq!(snapshot(root.path()), before);
}

#[test]
fn f1_planted_links_lead_no_release_outside() {
    let (temp, root) = root();
    let outside = temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let site = verified(&root, "7", "a1", &good_site());
    let order = root.public_path().join("7");
    // In the place of the order's whole public folder, and of its releases.
    std::os::unix::fs::symlink(&outside, &order).unwrap();
    let error = publish(site, info(None), 5).unwrap_err();
    assert!(error.to_string().contains("public/7`"), "{error}");
    assert!(list_releases(&root, &dir("7")).is_err());
    std::fs::remove_file(&order).unwrap();
    std::fs::create_dir(&order).unwrap();
    let site = verified(&root, "7", "a2", &good_site());
    std::os::unix::fs::symlink(&outside, order.join("releases")).unwrap();
    let error = publish(site, info(None), 5).unwrap_err();
    assert!(error.to_string().contains("7/releases"), "{error}");
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
    assert!(list_releases(&root, &dir("7")).is_err());
    // A `current` that points elsewhere is reported, not followed, and a publication replaces it.
    std::fs::remove_file(order.join("releases")).unwrap();
    for target in ["../../outside", "releases/../../8", "/etc", "releases/not-an-id"] {
        std::os::unix::fs::symlink(target, order.join("current")).unwrap();
        let error = read_current(&root, &dir("7")).unwrap_err();
        assert!(
            matches!(error, ReadError::Link { .. }) && error.to_string().contains(target),
            "{error}"
        );
        std::fs::remove_file(order.join("current")).unwrap();
    }
    std::os::unix::fs::symlink(&outside, order.join("current")).unwrap();
    publish_marked(&root, "7", 2, 5);
    assert!(order.join("current/index.html").is_file());
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
}

#[test]
fn b4_nothing_there_and_cannot_be_read_are_different_answers() {
    let (_temp, root) = root();
    assert!(read_current(&root, &dir("7")).unwrap().is_none());
    assert!(list_releases(&root, &dir("7")).unwrap().is_empty());
    let release = publish_marked(&root, "7", 1, 5);
    std::fs::write(manifest_of(&root, &release), b"{\"format\": 1").unwrap();
    let error = read_current(&root, &dir("7")).unwrap_err();
    assert!(
        matches!(error, ReadError::Manifest { .. }) && error.to_string().contains("7/manifests/"),
        "{error}"
    );
    assert!(list_releases(&root, &dir("7")).unwrap()[0].manifest.is_err());
    std::fs::remove_dir_all(&release.path).unwrap();
    assert!(matches!(read_current(&root, &dir("7")), Err(ReadError::Storage(_))));
}

/// Sites in the staging buffer: each way in which one can end, and what is on the disk afterwards.
#[test]
fn d1_a_buffered_site_is_released_like_any_other() {
    let files = good_site();
    let bytes: u64 = files.values().map(|bytes| bytes.len() as u64).sum();
    // Bytes in the buffer: none, half of the site, all of it.
    for room in [0, bytes / 2, bytes] {
        let temp = tempfile::tempdir().unwrap();
        let root = SitesRoot::open(&temp.path().join("sites")).unwrap().with_staging_buffer(room);
        for attempt in ["a1", "a2", "a3"] {
            let site = verified(&root, "7", attempt, &files);
            assert_eq!(
                root.path().join("7/staging").join(attempt).exists(),
                room < bytes,
                "{room}: {attempt}"
            );
            let release = publish(site, info(None), 2).unwrap();
            assert_eq!(read_current(&root, &dir("7")).unwrap().unwrap(), release, "{room}");
            for file in &release.manifest.files {
                assert_eq!(
                    std::fs::read(release.path.join(file.path.as_str())).unwrap(),
                    files[&file.path]
                );
            }
        }
        assert_eq!(ids(&root, "7").len(), 2, "{room}: the newest two stay");
        let names = |folder: &str| std::fs::read_dir(root.path().join(folder)).unwrap().count();
        assert_eq!(names("public/7/releases"), 2, "{room}: nothing else is beside them");
        assert_eq!(root.sweep().unwrap(), 0, "{room}");

        // Abandoned, rejected, dropped before its release: the buffer is free again, and nothing is
        // on the disk.
        let run = staging(&root, "8", "a1");
        run.write("index.html", &vec![b'x'; usize::try_from(bytes).unwrap()]).unwrap();
        run.abandon();
        drop(staged(&root, "8", "a2", &files));
        drop(verified(&root, "8", "a3", &files));
        assert_eq!(root.path().join("8").exists(), room < bytes, "{room}");
        drop(publish(verified(&root, "8", "a4", &files), info(None), 2).unwrap());
        assert_eq!(ids(&root, "8").len(), 1, "{room}");
    }
}

/// If the disk fails during the release, the current release stays and nothing unfinished is left.
#[test]
fn d1_a_buffered_site_that_cannot_be_stored_leaves_nothing() {
    let (_temp, root) = root();
    let root = root.with_staging_buffer(1 << 20);
    publish_marked(&root, "7", 1, 5);
    let before = snapshot(root.path());
    let id = ReleaseId("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap());
    let in_the_way = root.public_path().join("7/releases").join(format!(".new-{id}"));
    std::fs::create_dir(&in_the_way).unwrap();
    let error = publish(verified(&root, "7", "a2", &good_site()), info(Some(id)), 5).unwrap_err();
    assert!(error.to_string().contains(&format!(".new-{id}")), "{error}");
    assert_eq!(snapshot(root.path()), before);

    // The next sweep removes what a dead process left, unless a publication is in progress.
    std::fs::create_dir_all(&in_the_way).unwrap();
    std::fs::write(in_the_way.join("index.html"), b"half").unwrap();
    let order = std::fs::File::open(root.path().join("7")).unwrap();
    order.lock().unwrap();
    assert_eq!(root.sweep().unwrap(), 0);
    drop(order);
    assert_eq!(root.sweep().unwrap(), 1);
    assert_eq!(snapshot(root.path()), before);
}

#[test]
fn d1_a_placed_release_is_seen_only_after_it_is_activated_and_as_often_as_it_is() {
    let (_temp, root) = root();
    let files = good_site();
    let good = publish(verified(&root, "7", "a1", &files), info(None), 5).unwrap().manifest.id;
    let placed = place(verified(&root, "7", "a2", &files), info(None)).unwrap();
    assert!(placed.path.join("index.html").is_file());
    assert_eq!(ids(&root, "7"), [(placed.manifest.id, false), (good, true)]);

    let before = snapshot(root.path());
    let nobody = ReleaseId("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap());
    let refused = activate(&root, &dir("7"), nobody, 5).unwrap_err().to_string();
    assert!(refused.contains(&nobody.to_string()), "{refused}");
    assert_eq!(snapshot(root.path()), before, "an unknown release changes nothing");

    for _ in 0..2 {
        activate(&root, &dir("7"), placed.manifest.id, 1).unwrap();
        assert_eq!(
            ids(&root, "7"),
            [(placed.manifest.id, true)],
            "the current one and no other is kept"
        );
    }
}

#[test]
fn d1_a_release_that_does_not_count_goes_and_the_current_one_never() {
    let (_temp, root) = root();
    let files = good_site();
    let good = publish(verified(&root, "7", "a1", &files), info(None), 5).unwrap().manifest.id;
    let late = place(verified(&root, "7", "a2", &files), info(None)).unwrap().manifest.id;
    for id in [late, late, good] {
        discard(&root, &dir("7"), id).unwrap();
        assert_eq!(ids(&root, "7"), [(good, true)]);
    }
}

/// A group commit takes the same steps: a failure of one site does not affect another one, and
/// several sites of one order all become releases.
#[tokio::test(flavor = "multi_thread")]
async fn d1_many_sites_that_are_finished_at_once_are_each_whole() {
    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(&temp.path().join("sites")).unwrap().with_staging_buffer(64 << 20);
    let batcher = SyncBatcher::start(&root);
    let store = SiteStore::folder(&root).with_batcher(batcher.clone());
    let order_of = |n: usize| format!("o{}", n.min(59));
    let placed = (0..64).map(|n| {
        let (of, batcher, order) = (root.clone(), batcher.clone(), order_of(n));
        async move {
            let prepare = move || match n {
                7 => Err("it was not prepared"),
                8 => panic!("its preparation is broken"),
                _ => Ok((verified(&of, &order, &format!("a{n}"), &good_site()), info(None))),
            };
            batcher.place_prepared(prepare).await
        }
    });
    let mut releases = Vec::new();
    for (n, placed) in futures::future::join_all(placed).await.into_iter().enumerate() {
        match (n, placed) {
            (7, PublishOutcome::Unprepared(why)) => assert_eq!(why, "it was not prepared"),
            (8, PublishOutcome::Lost) => {}
            (_, PublishOutcome::Released(release)) => releases.push((order_of(n), release)),
            (_, other) => panic!("site {n}: {other:?}"),
        }
    }
    assert_eq!(ids(&root, "o59").len(), 5, "five sites of one order");
    assert!(releases.iter().all(|(order, _)| read_current(&root, &dir(order)).unwrap().is_none()));

    let missing: ReleaseId = ulid_of(1).to_string().parse().unwrap();
    let shown = releases.iter().map(|(order, release)| (dir(order), release.manifest.id));
    let shown: Vec<_> = shown.chain([(dir("o1"), missing)]).collect();
    let shown =
        shown.iter().map(|(order, id)| async { (*id, store.activate(order, *id, 5).await) });
    for (id, shown) in futures::future::join_all(shown).await {
        assert_eq!(shown.is_ok(), id != missing, "{shown:?}");
    }
    for (order, release) in &releases {
        let current = read_current(&root, &dir(order)).unwrap().unwrap();
        assert!(order == "o59" || current == *release, "{order}");
        for (path, bytes) in &good_site() {
            assert_eq!(&std::fs::read(release.path.join(path)).unwrap(), bytes, "{order} {path}");
        }
        for (folder, content) in [
            (root.path().join(order), ["current", "manifests"]),
            (root.public_path().join(order), ["current", "releases"]),
        ] {
            let entries = std::fs::read_dir(&folder).unwrap();
            let names: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, BTreeSet::from(content.map(Into::into)), "{}", folder.display());
        }
    }
    for order in ["o7", "o8"] {
        assert!(!root.public_path().join(order).join("current").exists());
    }
}
