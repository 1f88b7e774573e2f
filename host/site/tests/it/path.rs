//! Valid and invalid paths and folder names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use sitewright_site::{OrderDir, PathError, SitePath};

#[test]
fn f1_ordinary_paths_are_accepted() {
    let long_part = format!("{}.html", "a".repeat(245));
    let deep = format!("{}x.html", "a/".repeat(31));
    let accepted = [
        "index.html",
        "about/index.html",
        ".well-known/security.txt",
        "img/foto do pão.jpg",
        "日本語/ページ.html",
        "a..b.html",
        "con-tact.html",
        "console/com10.html",
        "nulls",
        "manifest.json",
        "sub/manifest.json",
        "site.webmanifest",
        "100%.html",
        &long_part,
        &deep,
    ];
    for text in accepted {
        let path = SitePath::parse(text, 255).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(path.as_str(), text);
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<SitePath>(&json).unwrap(), path);
    }
}

#[test]
fn f1_paths_that_lead_elsewhere_or_differ_by_file_system_are_refused() {
    let too_long = "a".repeat(256);
    let too_deep = format!("{}x.html", "a/".repeat(32));
    // The path, the variant, and a part of its message.
    let refused = [
        ("", "Empty", "empty"),
        ("/etc/passwd", "Absolute", "/etc/passwd"),
        ("../project_24/index.html", "Dots", "`..`"),
        ("a/../../b", "Dots", "`..`"),
        ("./index.html", "Dots", "`.`"),
        ("a//b", "EmptyPart", "a//b"),
        ("a/", "EmptyPart", "a/"),
        ("..\\windows", "Character", "'\\\\'"),
        ("a/b\0c", "Character", "'\\0'"),
        ("a\nb", "Character", "'\\n'"),
        ("a\u{7f}", "Character", "'\\u{7f}'"),
        ("a\u{85}", "Character", "'\\u{85}'"),
        ("C:/x", "Character", "`C:`"),
        ("file.html:stream", "Character", "':'"),
        ("a*", "Character", "'*'"),
        ("a?b=1", "Character", "'?'"),
        ("\"a\"", "Character", "'\"'"),
        ("<a>", "Character", "'<'"),
        ("a|b", "Character", "'|'"),
        ("a./b", "Edge", "ends with a dot"),
        (".../b", "Edge", "ends with a dot"),
        ("a /b", "Edge", "ends with a space"),
        ("a/ b", "Edge", "begins with a space"),
        ("con", "Device", "`CON`"),
        ("a/NUL.html", "Device", "`NUL`"),
        ("aux.tar.gz/x", "Device", "`AUX`"),
        ("Prn", "Device", "`PRN`"),
        ("com1", "Device", "`COM1`"),
        ("LPT9.txt", "Device", "`LPT9`"),
        ("com¹.txt", "Device", "`COM¹`"),
        ("conin$", "Device", "`CONIN$`"),
        ("CONOUT$.x", "Device", "`CONOUT$`"),
        ("nul .txt", "Device", "`NUL`"),
        (&too_long, "TooLong", "256"),
        (&too_deep, "TooDeep", "33"),
    ];
    for (text, variant, named) in refused {
        let error = SitePath::parse(text, 255).expect_err(text);
        assert!(format!("{error:?}").starts_with(variant), "{text:?}: {error:?}");
        assert!(error.to_string().contains(named), "{text:?}: {error} does not name {named}");
    }
    let part = "a".repeat(256);
    assert!(matches!(SitePath::parse(&part, 4096), Err(PathError::PartTooLong { bytes: 256, .. })));
    assert!(serde_json::from_str::<SitePath>("\"../x\"").is_err());
}

#[test]
fn f1_an_order_folder_is_one_plain_name() {
    for name in ["2", "project_2", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a.b-c", &"x".repeat(64)] {
        assert_eq!(OrderDir::new(name).unwrap().as_str(), name);
    }
    for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "é", "a\0", &"x".repeat(65)] {
        assert!(OrderDir::new(name).is_err(), "{name:?}");
    }
}

/// Texts of path attacks and plain letters.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("/".to_owned()),
        Just("\\".to_owned()),
        Just("\0".to_owned()),
        Just("C:".to_owned()),
        Just("nul".to_owned()),
        Just("%2e%2e".to_owned()),
        "[a-z]{1,3}",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn f1_no_accepted_path_leads_out(text in hostile()) {
        if let Ok(path) = SitePath::parse(&text, 255) {
            let path: &std::path::Path = path.as_ref();
            prop_assert!(path.is_relative());
            for part in path.components() {
                prop_assert!(matches!(part, std::path::Component::Normal(_)), "{part:?}");
            }
            prop_assert_eq!(path.components().count(), text.split('/').count());
            prop_assert!(!text.contains(['\\', ':', '\0']));
        }
    }
}
