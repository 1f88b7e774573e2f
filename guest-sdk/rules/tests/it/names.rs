//! Paths that collide.

use sitewright_rules::names::{Conflict, TakenNames};
use sitewright_rules::path::SitePath;

fn path(text: &str) -> SitePath {
    SitePath::parse(text, 255).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn f1_a_path_is_taken_once_whatever_its_spelling() {
    let mut taken = TakenNames::new();
    for free in ["About/index.html", "About/team.html", "caf\u{e9}.html", "img/a/b.png"] {
        taken.check(&path(free)).unwrap_or_else(|conflict| panic!("{free}: {conflict}"));
        taken.insert(&path(free));
    }
    let conflicts = [
        ("About/index.html", "Written"),
        ("About", "IsFolder"),
        ("img/a", "IsFolder"),
        ("About/index.html/x", "PartIsFile"),
        ("about/other.html", "Case"),
        ("About/INDEX.html", "Case"),
        ("about", "Case"),
        ("CAF\u{c9}.html", "Case"),
        ("cafe\u{301}.html", "Case"),
        ("img/A/c.png", "Case"),
    ];
    for (text, variant) in conflicts {
        let conflict: Conflict = taken.check(&path(text)).expect_err(text);
        assert!(format!("{conflict:?}").starts_with(variant), "{text:?}: {conflict:?}");
        assert!(conflict.to_string().contains(text), "{text:?}: {conflict}");
    }
    for free in ["About/index.htm", "cafe.html", "img/b", "stra\u{df}e.html", "strasse.html"] {
        taken.check(&path(free)).unwrap_or_else(|conflict| panic!("{free}: {conflict}"));
    }
}
