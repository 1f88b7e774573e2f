//! What is for visitors and what is not, with which modes, and folders of earlier versions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::support::{dir, good_site, info, path, publish_marked, staging, verified};
use sitewright_site::{
    OrderDir, Release, ReleaseId, RootError, SitesRoot, activate, list_releases, publish,
    read_current,
};

fn root() -> (tempfile::TempDir, SitesRoot) {
    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(&temp.path().join("sites")).unwrap();
    (temp, root)
}

/// Every file, link and folder below `top`, by its path: a link's target, a file's bytes.
fn tree(top: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let name = path.strip_prefix(top).unwrap().to_owned();
            if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.insert(name, target.to_string_lossy().into_owned().into_bytes());
            } else if kind.is_dir() {
                found.insert(name, b"a folder".to_vec());
                folders.push(path);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn f1_visitors_get_the_files_of_releases_and_nothing_else() {
    let (_temp, root) = root();
    let mut files = good_site();
    // The web app manifest may have this name, too.
    files.insert(path("manifest.json"), br#"{"name": "Padaria"}"#.to_vec());
    root.archive(&dir("7"), "documents", "a.json", b"{}").unwrap();
    let release = publish(verified(&root, "7", "a1", &files), info(None), 5).unwrap();
    let id = release.manifest.id;
    let mut wanted: BTreeSet<PathBuf> =
        files.keys().map(|file| Path::new("7/releases").join(id.to_string()).join(file)).collect();
    wanted.insert("7/current".into());
    let served = tree(&root.public_path());
    let served: BTreeSet<PathBuf> = served
        .into_iter()
        .filter_map(|(path, content)| (content != b"a folder").then_some(path))
        .collect();
    assert_eq!(served, wanted);
    // The two links that lead there: for the web server, and for people.
    for current in ["public/7/current", "7/current"] {
        let page = root.path().join(current).join("manifest.json");
        assert_eq!(fs::read(page).unwrap(), br#"{"name": "Padaria"}"#, "{current}");
    }
    assert!(read_current(&root, &dir("7")).unwrap().unwrap().manifest.host_build == "test");
}

#[test]
fn f1_what_is_not_for_visitors_has_private_modes_whatever_the_umask_is() {
    // For the whole process; other tests do not look at modes.
    let before = rustix::process::umask(rustix::fs::Mode::empty());
    let (_temp, root) = root();
    root.archive(&dir("7"), "documents", "a.json", b"{}").unwrap();
    let running = staging(&root, "7", "a2");
    running.write("sub/index.html", b"x").unwrap();
    publish_marked(&root, "7", 1, 5);
    publish_marked(&root.clone().with_staging_buffer(1 << 20), "7", 2, 5);
    root.ensure_order(&dir("Abc")).unwrap();
    rustix::process::umask(before);

    assert_eq!(mode(root.path()), 0o711, "others get through to `public` and see no ids");
    for (path, content) in tree(root.path()) {
        let full = root.path().join(&path);
        let kind = full.symlink_metadata().unwrap().file_type();
        if kind.is_symlink() {
            continue;
        }
        let wanted = match (path.starts_with("public"), kind.is_dir()) {
            // Only the host writes there.
            (true, true) => 0o755,
            (true, false) => 0o644,
            // The folder above it is private, and it becomes a release.
            (false, _) if path.starts_with("7/staging/a2") => continue,
            (false, true) if path == Path::new("7") || path == Path::new("Abc") => 0o711,
            (false, true) => 0o700,
            (false, false) => 0o600,
        };
        assert_eq!(mode(&full), wanted, "{}: {}", path.display(), content.len());
    }
    assert_eq!(mode(&root.path().join("7/staging")), 0o700);
    drop(running);
}

/// The web servers' configurations in the book, with an order's id in the place of their variables.
#[test]
fn f1_the_samples_for_web_servers_name_what_is_for_visitors() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/operate/serve.md");
    let book = fs::read_to_string(book).unwrap();
    let (_temp, root) = root();
    publish_marked(&root, "102", 1, 5);
    let folders = book.lines().filter_map(|line| line.trim().strip_prefix("root "));
    let folders: Vec<&str> =
        folders.map(|root| root.trim_start_matches("* ").trim_end_matches(';')).collect();
    assert_eq!(folders.len(), 4, "{folders:?}");
    for folder in folders {
        let mut here = folder.replace("/var/lib/sitewright/sites", root.path().to_str().unwrap());
        for variable in ["$order", "$site", "{labels.2}"] {
            here = here.replace(variable, "102");
        }
        let page = Path::new(&here).join("index.html").canonicalize().unwrap();
        assert!(page.starts_with(root.public_path().join("102/releases")), "{folder}");
    }
}

#[test]
fn f1_ids_that_differ_only_in_case_have_no_folder_of_their_own() {
    // The orders, in this sequence, and whether each gets a folder.
    let cases: [&[(&str, bool)]; 4] = [
        &[("abc", true), ("Abc", false), ("abc", true), ("ABC", false)],
        &[("Abc", true), ("abc", false), ("ABC", false), ("Abc", true)],
        &[("a-1", true), ("b-1", true), ("B-2", true), ("b-2", false), ("b-1", true)],
        &[("7", true), ("8", true), ("7", true)],
    ];
    for orders in cases {
        let (_temp, root) = root();
        for (order, accepted) in orders {
            match root.ensure_order(&dir(order)) {
                Ok(_) => assert!(accepted, "{orders:?}: {order}"),
                Err(error) => {
                    assert!(!accepted, "{orders:?}: {error}");
                    let text = error.to_string();
                    assert!(text.contains("only in upper and lower case"), "{text}");
                    assert!(text.contains(&format!("`{order}`")), "{text}");
                }
            }
        }
        assert_eq!(root.sweep().unwrap(), 0);
    }
    // Folders that an earlier version has made, two of them alike.
    let (_temp, root) = root();
    for order in ["Old", "twin", "Twin"] {
        fs::create_dir(root.path().join(order)).unwrap();
    }
    root.sweep().unwrap();
    for (order, accepted) in [("OLD", false), ("old", false), ("Old", true), ("twin", true)] {
        assert_eq!(root.ensure_order(&dir(order)).is_ok(), accepted, "{order}");
    }
    for reserved in ["public", "Public", "PUBLIC"] {
        let error = OrderDir::new(reserved).unwrap_err().to_string();
        assert!(error.contains("reserved"), "{error}");
    }
}

#[test]
fn f1_a_public_folder_that_cannot_be_one_is_refused_at_the_start() {
    let temp = tempfile::tempdir().unwrap();
    let (sites, elsewhere) = (temp.path().join("sites"), temp.path().join("elsewhere"));
    fs::create_dir(&sites).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    let public = sites.join("public");
    symlink(&elsewhere, &public).unwrap();
    let error = SitesRoot::open(&sites).unwrap_err();
    assert!(matches!(error, RootError::Public { .. }), "{error:?}");
    assert!(error.to_string().contains("sites/public`, from which visitors"), "{error}");
    fs::remove_file(&public).unwrap();
    fs::write(&public, b"x").unwrap();
    assert!(matches!(SitesRoot::open(&sites), Err(RootError::Public { .. })));
    // An order of an earlier version that has its name.
    fs::remove_file(&public).unwrap();
    fs::create_dir_all(public.join("releases/01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    symlink("releases/01ARZ3NDEKTSV4RRFFQ69G5FAV", public.join("current")).unwrap();
    let error = SitesRoot::open(&sites).unwrap_err();
    assert!(matches!(error, RootError::OrderNamedPublic { .. }), "{error:?}");
    assert!(error.to_string().contains("rename it"), "{error}");
}

/// Two releases in the present layout, the first of them current, changed back to how an earlier
/// version would have made them.
fn old_layout(root: &SitesRoot) -> [Release; 2] {
    let releases = [1, 2].map(|mark| publish_marked(root, "7", mark, 5));
    activate(root, &dir("7"), releases[0].manifest.id, 5).unwrap();
    let (private, public) = (root.path().join("7"), root.public_path().join("7"));
    fs::create_dir(private.join("failures")).unwrap();
    fs::write(private.join("failures/a.json"), b"{}").unwrap();
    fs::rename(public.join("releases"), private.join("releases")).unwrap();
    for release in &releases {
        let id = release.manifest.id;
        let manifest = private.join("releases").join(id.to_string()).join("manifest.json");
        fs::rename(root.manifest_path(&dir("7"), id), &manifest).unwrap();
        fs::set_permissions(&manifest, fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::create_dir(private.join("releases/.new-01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    fs::write(private.join("releases/.new-01ARZ3NDEKTSV4RRFFQ69G5FAV/x"), b"half").unwrap();
    fs::remove_file(private.join("current")).unwrap();
    symlink(format!("releases/{}", releases[0].manifest.id), private.join("current")).unwrap();
    fs::remove_dir(private.join("manifests")).unwrap();
    fs::remove_dir_all(&public).unwrap();
    for (folder, mode) in [("", 0o755), ("failures", 0o755), ("staging", 0o755)] {
        fs::set_permissions(private.join(folder), fs::Permissions::from_mode(mode)).unwrap();
    }
    let record = private.join("failures/a.json");
    fs::set_permissions(record, fs::Permissions::from_mode(0o644)).unwrap();
    releases
}

/// While workers are replaced one after the other, one of the earlier version may activate another
/// release in its own layout after the order was moved: of the two, the newer one stays current.
#[test]
fn d1_an_order_that_an_earlier_version_releases_after_the_move_is_moved_again() {
    for newer in [false, true] {
        let (_temp, root) = root();
        let first = publish_marked(&root, "7", 1, 5).manifest.id;
        let second = publish_marked(&root, "7", 2, 5).manifest.id;
        let (private, public) = (root.path().join("7"), root.public_path().join("7"));
        let (visible, late) = if newer { (first, second) } else { (second, first) };
        activate(&root, &dir("7"), visible, 5).unwrap();
        fs::create_dir(private.join("releases")).unwrap();
        let place = private.join("releases").join(late.to_string());
        fs::rename(public.join("releases").join(late.to_string()), &place).unwrap();
        fs::rename(root.manifest_path(&dir("7"), late), place.join("manifest.json")).unwrap();
        fs::remove_file(private.join("current")).unwrap();
        symlink(format!("releases/{late}"), private.join("current")).unwrap();
        root.sweep().unwrap();
        assert_eq!(read_current(&root, &dir("7")).unwrap().unwrap().manifest.id, second, "{newer}");
        let listed = list_releases(&root, &dir("7")).unwrap();
        assert!(listed.len() == 2 && listed.iter().all(|release| release.manifest.is_ok()));
        assert!(private.join("current/index.html").is_file());
    }
}

/// One step of the move, as it is on the disk after a crash.
type Step = fn(&Path, &Path, ReleaseId);

#[test]
fn d1_folders_of_an_earlier_version_are_moved_from_wherever_a_crash_left_them() {
    let steps: [Step; 7] = [
        |_, _, _| {},
        |_, public, _| fs::create_dir_all(public.join("releases")).unwrap(),
        |private, _, id| {
            let manifests = private.join("manifests");
            fs::create_dir(&manifests).unwrap();
            let old = private.join("releases").join(id.to_string()).join("manifest.json");
            fs::rename(old, manifests.join(format!("{id}.json"))).unwrap();
        },
        |_, public, id| symlink(format!("releases/{id}"), public.join("current")).unwrap(),
        |private, public, id| {
            let release = Path::new("releases").join(id.to_string());
            fs::rename(private.join(&release), public.join(&release)).unwrap();
        },
        |private, _, _| {
            fs::remove_file(private.join("current")).unwrap();
            symlink("../public/7/current", private.join("current")).unwrap();
        },
        |_, _, _| {},
    ];
    // A reader, a publication or the sweep at the start comes first.
    type First = fn(&SitesRoot);
    let firsts: [First; 4] = [
        |root| assert!(root.sweep().is_ok()),
        |root| drop(read_current(root, &dir("7")).unwrap().unwrap()),
        |root| assert_eq!(list_releases(root, &dir("7")).unwrap().len(), 2),
        |root| {
            let current = read_current(root, &dir("7")).unwrap().unwrap().manifest.id;
            activate(root, &dir("7"), current, 5).unwrap();
        },
    ];
    let mut all = BTreeSet::new();
    for taken in 0..steps.len() {
        for first in firsts {
            let (_temp, root) = root();
            let [current, other] = old_layout(&root);
            let (private, public) = (root.path().join("7"), root.public_path().join("7"));
            for step in &steps[..=taken] {
                step(&private, &public, current.manifest.id);
            }
            let root = SitesRoot::open(root.path()).unwrap();
            first(&root);
            root.sweep().unwrap();
            assert_eq!(read_current(&root, &dir("7")).unwrap().unwrap(), current, "{taken}");
            let listed = list_releases(&root, &dir("7")).unwrap();
            let listed: Vec<_> = listed
                .into_iter()
                .map(|release| (release.id, release.current, release.manifest.unwrap()))
                .collect();
            let wanted = [(other.clone(), false), (current.clone(), true)];
            assert_eq!(
                listed,
                wanted.map(|(one, current)| (one.manifest.id, current, one.manifest)),
                "{taken}"
            );
            let page = fs::read_to_string(private.join("current/index.html")).unwrap();
            assert!(page.contains("versão 1"), "{taken}");
            let tree = tree(root.path());
            assert!(!tree.contains_key(Path::new("7/releases")), "{taken}: {tree:?}");
            assert!(tree.keys().all(|path| !path.to_string_lossy().contains(".new-")));
            assert!(tree.keys().all(|path| !path.ends_with("manifest.json")), "{taken}");
            for (path, wanted) in [
                ("", 0o711),
                ("staging", 0o700),
                ("failures", 0o700),
                ("failures/a.json", 0o600),
                ("manifests", 0o700),
                (&format!("manifests/{}.json", current.manifest.id), 0o600),
                (&format!("manifests/{}.json", other.manifest.id), 0o600),
            ] {
                assert_eq!(mode(&private.join(path)), wanted, "{taken}: {path}");
            }
            all.insert(tree.keys().filter(|path| path.components().count() < 4).count());
            // Once more changes nothing.
            root.sweep().unwrap();
            assert_eq!(self::tree(root.path()), tree);
            // And the next release is like any other.
            let next = publish_marked(&root, "7", 3, 2);
            assert_eq!(read_current(&root, &dir("7")).unwrap().unwrap(), next, "{taken}");
            assert_eq!(list_releases(&root, &dir("7")).unwrap().len(), 2);
        }
    }
    assert_eq!(all.len(), 1, "the same in the end");
}

#[test]
fn f1_links_in_the_place_of_old_folders_lead_nowhere() {
    let (temp, root) = root();
    let outside = temp.path().join("outside");
    fs::create_dir_all(outside.join("01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    fs::write(outside.join("01ARZ3NDEKTSV4RRFFQ69G5FAV/manifest.json"), b"mine").unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o755)).unwrap();
    let release = publish_marked(&root, "7", 1, 5);
    let private = root.path().join("7");
    symlink(&outside, private.join("releases")).unwrap();
    symlink(&outside, private.join("failures")).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o755)).unwrap();
    let before = tree(&outside);
    root.sweep().unwrap();
    assert_eq!(read_current(&root, &dir("7")).unwrap().unwrap(), release);
    assert_eq!((tree(&outside), mode(&outside)), (before, 0o755));
    assert_eq!(mode(&private), 0o711);
    // Something in the old folder that no version has made is kept, and nobody can get it.
    let (_temp, root) = self::root();
    old_layout(&root);
    fs::create_dir(root.path().join("7/releases/notes")).unwrap();
    root.sweep().unwrap();
    assert!(root.path().join("7/.releases-left/notes").is_dir());
    assert_eq!(list_releases(&root, &dir("7")).unwrap().len(), 2);
}
