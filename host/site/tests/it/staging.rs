//! The staging area: limits, colliding paths, and cleanup.
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

use crate::support::{dir, path, staging};
use sitewright_site::{
    Conflict, LimitHit, PathError, SealError, SiteLimit, SiteLimits, SitesRoot, Staging, Used,
    WriteError,
};

const LIMITS: SiteLimits = SiteLimits { files: 3, file_bytes: 10, total_bytes: 20, path_bytes: 12 };

fn root() -> (tempfile::TempDir, SitesRoot) {
    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(&temp.path().join("sites")).unwrap();
    (temp, root)
}

fn limited(root: &SitesRoot) -> Staging {
    Staging::new(root, dir("7"), dir("a1"), LIMITS)
}

fn entries(path: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .map(|entries| {
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
        })
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn f2_each_limit_allows_its_value_and_refuses_one_more() {
    let (_temp, root) = root();
    // Earlier writes, the last write within the limit, the write that exceeds it, and the limit.
    type Write = (&'static str, usize);
    type Case = (&'static [Write], Write, Write, SiteLimit, u64, u64);
    let cases: [Case; 3] = [
        (&[("a", 1), ("b", 1)], ("c", 1), ("d", 0), SiteLimit::Files, 3, 4),
        (&[], ("a", 10), ("b", 11), SiteLimit::FileBytes, 10, 11),
        (&[("a", 10)], ("b", 10), ("c", 1), SiteLimit::TotalBytes, 20, 21),
    ];
    for (before, fits, refused, limit, max, would_be) in cases {
        let staging = limited(&root);
        for (name, size) in before.iter().chain([&fits]) {
            staging.write(name, &vec![0; *size]).unwrap();
        }
        let usage = staging.usage();
        assert_eq!(staging.last_limit_hit(), None);
        let expected = LimitHit { limit, max, would_be, path: refused.0.to_owned() };
        let error = staging.write(refused.0, &vec![0; refused.1]).unwrap_err();
        assert!(matches!(&error, WriteError::Limit(hit) if *hit == expected), "{error:?}");
        for part in [refused.0, limit.name(), &max.to_string(), &would_be.to_string()] {
            assert!(error.to_string().contains(part), "{error} does not name {part}");
        }
        assert_eq!(staging.last_limit_hit(), Some(expected));
        assert_eq!(staging.usage(), usage, "a refused write uses nothing");
        staging.seal().unwrap();
    }
}

#[test]
fn f2_the_path_limit_allows_its_value_and_refuses_one_more() {
    let (_temp, root) = root();
    let staging = limited(&root);
    staging.write("123456789.12", b"").unwrap();
    let error = staging.write("123456789.123", b"").unwrap_err();
    assert!(
        matches!(error, WriteError::InvalidPath(PathError::TooLong { bytes: 13, max: 12, .. })),
        "{error:?}"
    );
    let hit = staging.last_limit_hit().unwrap();
    assert_eq!((hit.limit, hit.max, hit.would_be), (SiteLimit::PathBytes, 12, 13));
}

#[test]
fn f2_the_defaults_are_those_of_the_contract() {
    let limits = SiteLimits::default();
    assert_eq!((limits.files, limits.file_bytes), (2000, 8 << 20));
    assert_eq!((limits.total_bytes, limits.path_bytes), (64 << 20, 255));
}

#[test]
fn f2_usage_counts_what_was_accepted() {
    let (_temp, root) = root();
    let staging = limited(&root);
    staging.write("a/b.html", b"12345").unwrap();
    staging.write("c", b"123").unwrap();
    staging.write("a/b.html", b"x").unwrap_err();
    staging.write("../x", b"x").unwrap_err();
    let usage = staging.usage();
    assert_eq!(usage.files, Used { max: 3, used: 2 });
    assert_eq!(usage.file_bytes, Used { max: 10, used: 5 });
    assert_eq!(usage.total_bytes, Used { max: 20, used: 8 });
    assert_eq!(usage.path_bytes, Used { max: 12, used: 8 });
}

#[test]
fn f1_what_is_in_the_way_of_a_file_is_named() {
    let case = |wanted: &str, existing: &str| Conflict::Case {
        path: path(wanted),
        existing: existing.to_owned(),
    };
    let cases = [
        ("about/index.html", "about/index.html", Conflict::Written(path("about/index.html"))),
        ("about/index.html", "about/Index.html", case("about/Index.html", "about/index.html")),
        ("about/index.html", "About/team.html", case("About/team.html", "about")),
        ("about/index.html", "ABOUT", case("ABOUT", "about")),
        ("about/index.html", "about", Conflict::IsFolder(path("about"))),
        ("about", "about/x", Conflict::PartIsFile { path: path("about/x"), file: "about".into() }),
        ("about", "About/x", case("About/x", "about")),
        ("caf\u{e9}.html", "CAF\u{c9}.html", case("CAF\u{c9}.html", "caf\u{e9}.html")),
        ("caf\u{e9}.html", "cafe\u{301}.html", case("cafe\u{301}.html", "caf\u{e9}.html")),
        ("σ.html", "ς.html", case("ς.html", "σ.html")),
        ("straße", "STRASSE", case("STRASSE", "straße")),
    ];
    let (_temp, root) = root();
    for (first, second, expected) in cases {
        let staging = staging(&root, "7", "a1");
        staging.write(first, b"1").unwrap();
        let error = staging.write(second, b"2").unwrap_err();
        assert!(
            matches!(&error, WriteError::Conflict(conflict) if *conflict == expected),
            "{second}: {error:?}"
        );
        assert!(error.to_string().contains(second), "{error}");
        let sealed = staging.seal().unwrap();
        drop(sealed);
    }
}

#[test]
fn f1_order_2_cannot_write_into_project_24() {
    let (temp, root) = root();
    let victim = temp.path().join("sites/project_24");
    std::fs::create_dir(&victim).unwrap();
    let staging = staging(&root, "project_2", "a1");
    for attack in [
        "../../../project_24/index.html",
        "../project_24/x",
        "4/../../../../project_24/x",
        "/project_24/x",
    ] {
        assert!(matches!(staging.write(attack, b"x"), Err(WriteError::InvalidPath(_))), "{attack}");
    }
    staging.write("4/index.html", b"x").unwrap();
    assert_eq!(entries(&victim), [""; 0]);
    assert_eq!(entries(&temp.path().join("sites/project_2/staging/a1")), ["4"]);
}

#[test]
fn f1_a_planted_link_is_not_followed() {
    let (temp, root) = root();
    let outside = temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let order = temp.path().join("sites/7");
    std::fs::create_dir(&order).unwrap();
    std::os::unix::fs::symlink(&outside, order.join("staging")).unwrap();
    std::os::unix::fs::symlink(&outside, temp.path().join("sites/8")).unwrap();
    std::os::unix::fs::symlink("9", temp.path().join("sites/10")).unwrap();
    std::fs::create_dir(temp.path().join("sites/9")).unwrap();
    for order in ["7", "8", "10"] {
        let error = staging(&root, order, "a1").write("index.html", b"x").unwrap_err();
        assert!(matches!(error, WriteError::Storage(_)), "{order}: {error:?}");
    }
    // A link created inside a running attempt's area.
    let run = staging(&root, "11", "a1");
    run.write("index.html", b"x").unwrap();
    std::os::unix::fs::symlink(&outside, temp.path().join("sites/11/staging/a1/img")).unwrap();
    assert!(matches!(run.write("img/x.png", b"x"), Err(WriteError::Storage(_))));
    assert_eq!(entries(&outside), [""; 0]);
    assert_eq!(entries(&temp.path().join("sites/9")), [""; 0]);
}

#[test]
fn f1_what_is_kept_beside_a_site_goes_through_no_link_and_replaces_nothing() {
    let (temp, root) = root();
    let outside = temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    root.archive(&dir("7"), "attempts", "a.json", b"first").unwrap();
    root.archive(&dir("7"), "attempts", "a.json", b"second").unwrap();
    let kept = temp.path().join("sites/7/attempts");
    assert_eq!(std::fs::read(kept.join("a.json")).unwrap(), b"first");
    assert_eq!(entries(&kept), ["a.json"], "nothing half written stays");

    // A folder of the order, the order's folder and a file, each replaced by a link to another
    // location.
    std::os::unix::fs::symlink(&outside, temp.path().join("sites/7/documents")).unwrap();
    std::os::unix::fs::symlink(&outside, temp.path().join("sites/8")).unwrap();
    std::os::unix::fs::symlink(outside.join("c.json"), kept.join("c.json")).unwrap();
    for (order, folder, name) in [("7", "documents", "a.json"), ("8", "attempts", "a.json")] {
        let error = root.archive(&dir(order), folder, name, b"x").unwrap_err();
        assert!(error.to_string().contains(order), "{error}");
    }
    root.archive(&dir("7"), "attempts", "c.json", b"x").unwrap();
    assert_eq!(entries(&outside), [""; 0]);
}

#[test]
fn a7_a_file_that_was_not_stored_makes_the_site_partial() {
    let (temp, root) = root();
    let run = staging(&root, "7", "a1");
    run.write("index.html", b"whole").unwrap();
    run.write("gone.html", b"gone").unwrap();
    run.write("cut.html", b"12345").unwrap();
    drop(run.reserve("never.html", 5).unwrap());
    let area = temp.path().join("sites/7/staging/a1");
    std::fs::remove_file(area.join("gone.html")).unwrap();
    std::fs::write(area.join("cut.html"), b"123").unwrap();
    let error = run.seal().unwrap_err();
    let SealError::Missing(missing) = &error else { panic!("{error:?}") };
    assert_eq!(*missing, [path("cut.html"), path("gone.html"), path("never.html")]);
    assert!(
        error
            .to_string()
            .contains("3 of its files are missing: `cut.html`, `gone.html`, `never.html`"),
        "{error}"
    );
    assert_eq!(
        entries(&temp.path().join("sites/7/staging")),
        [""; 0],
        "what is not whole is removed"
    );
}

#[test]
fn nothing_is_made_before_the_first_write_and_nothing_stays_after_the_last() {
    let (temp, root) = root();
    let run = staging(&root, "7", "a1");
    assert_eq!(entries(root.path()), ["public"]);
    run.write("a/b/c.html", b"x").unwrap();
    let clone = run.clone();
    run.abandon();
    assert!(matches!(clone.write("late.html", b"x"), Err(WriteError::Closed(_))));
    assert_eq!(
        entries(&temp.path().join("sites/7/staging")),
        ["a1"],
        "a clone is a write in flight"
    );
    drop(clone);
    assert_eq!(entries(&temp.path().join("sites/7/staging")), [""; 0]);
}

#[test]
fn an_attempt_has_its_area_to_itself() {
    let (_temp, root) = root();
    let first = staging(&root, "7", "a1");
    first.write("index.html", b"x").unwrap();
    let second = staging(&root, "7", "a1").write("index.html", b"y").unwrap_err();
    assert!(second.to_string().contains("7/staging/a1"), "{second}");
    assert_eq!(first.seal().unwrap().files_stored(), 1);
}

#[test]
fn d1_a_sweep_takes_what_crashed_runs_left_and_no_live_one() {
    let (temp, root) = root();
    let live = staging(&root, "7", "live");
    live.write("index.html", b"x").unwrap();
    for left in [
        "7/staging/crashed/img",
        "8/staging/crashed",
        "public/8/releases/keep",
        ".git/staging/other",
    ] {
        std::fs::create_dir_all(temp.path().join("sites").join(left)).unwrap();
    }
    std::fs::write(temp.path().join("sites/7/staging/crashed/img/x"), b"x").unwrap();
    // A root as another process opens it: the lock, not memory, protects the live run.
    let other = SitesRoot::open(&temp.path().join("sites")).unwrap();
    assert_eq!(other.sweep().unwrap(), 2);
    assert_eq!(other.sweep().unwrap(), 0);
    assert_eq!(entries(&temp.path().join("sites/7/staging")), ["live"]);
    assert_eq!(entries(&temp.path().join("sites/8/staging")), [""; 0]);
    assert_eq!(entries(&temp.path().join("sites/public/8/releases")), ["keep"]);
    assert_eq!(entries(&temp.path().join("sites/.git/staging")), ["other"]);
    live.write("more.html", b"x").unwrap();
    live.seal().unwrap();
}

#[tokio::test]
async fn c4_many_writes_at_once_share_one_account() {
    let (temp, root) = root();
    let limits = SiteLimits { files: 50, ..SiteLimits::default() };
    let run = Staging::new(&root, dir("7"), dir("a1"), limits);
    let writes = (0..80).map(|number| {
        let run = run.clone();
        async move { run.write_async(&format!("p/{number}.html"), vec![b'x'; 100]).await.is_ok() }
    });
    let stored =
        futures::future::join_all(writes).await.into_iter().filter(|stored| *stored).count();
    assert_eq!(stored, 50);
    assert_eq!(run.usage().total_bytes.used, 5000);
    let site = run.seal().unwrap();
    assert_eq!(site.files_stored(), 50);
    assert_eq!(entries(&temp.path().join("sites/7/staging/a1/p")).len(), 50);
}

#[test]
fn f3_the_root_is_resolved_once_and_proven_writable() {
    let temp = tempfile::tempdir().unwrap();
    let root = SitesRoot::open(&temp.path().join("deep/er/sites")).unwrap();
    assert!(root.path().is_absolute());
    assert_eq!(entries(root.path()), ["public"], "the probe is gone");
    let file = temp.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let error = SitesRoot::open(&file).unwrap_err().to_string();
    assert!(
        error.contains(&file.display().to_string()) && error.contains("name another"),
        "{error}"
    );
    // A folder that not even root can write to.
    let error = SitesRoot::open(std::path::Path::new("/proc/self/fdinfo")).unwrap_err().to_string();
    assert!(
        error.contains("/fdinfo` is not writable") && error.contains("write access"),
        "{error}"
    );
}
