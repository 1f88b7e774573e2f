//! Published versions of the contract: templates of each version keep running, and the text of
//! a version only gets additions.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use sitewright_runtime::plugin::contract::{PACKAGE, Target, VERSIONS};
use sitewright_tests::{Workbench, order, root};

/// Each published version, its kept template, and the SHA-256 of that template. The newest version
/// gets one when it is published.
const KEPT: [(&str, &str, &str); 1] =
    [("0.1.0", "green-gate", "dcefdd408c1acc6d54e1d84156f79027c20b59097a284b412c380d565fedd777")];

/// The AI replies for the kept templates.
const SCRIPT: &str = r#"
[[rule]]
purpose = "copywriting"
[rule.answer.json]
headline = "Teeth that last"
about = "We look after teeth in Boise, gently and on time, for children and for everybody else."
services_heading = "What we do"
"#;

#[test]
fn a_template_of_each_published_version_makes_its_site_for_ever() {
    let older = VERSIONS.split_last().unwrap().1.iter().map(|contract| contract.version);
    let kept = KEPT.map(|(version, ..)| version);
    for version in older {
        assert!(kept.contains(&version), "{version} has a template that is kept");
    }
    for (version, name, digest) in KEPT {
        let file = root().join(format!("tests/contract/{version}/{name}.wasm"));
        let wasm = fs::read(&file).unwrap();
        let found: String =
            Sha256::digest(&wasm).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, digest, "{} is kept as it was, and never built anew", file.display());
        assert_eq!(Target::of(&wasm).unwrap().contract.version, version);

        let bench = Workbench::scripted(SCRIPT, "");
        let done = bench.generate(&file, &order("02-dentist-us-minimal"));
        assert_eq!(done.code, 0, "{version}: {}\n{}", done.stdout, done.stderr);
        let page = fs::read_to_string(bench.sites().join("102/current/index.html")).unwrap();
        for part in
            ["<html lang=\"en\">", "Bright Oak Dental", "Teeth that last", "<li>Cleanings</li>"]
        {
            assert!(page.contains(part), "{version}: {part:?} is missing in {page}");
        }
        assert!(bench.sites().join("102/current/assets/site.css").is_file());

        // Its failures arrive as well.
        let bench = Workbench::scripted(
            "[[rule]]\nanswer = { fault = { status = 400, body = \"no\" } }\n",
            "",
        );
        let failure = bench.generate(&file, &order("02-dentist-us-minimal")).failure();
        assert_eq!(failure["kind"], "ai", "{failure}");
        assert!(
            failure["message"].as_str().unwrap().contains("while writing the copy"),
            "{failure}"
        );
        assert_eq!(failure["ai"]["call_id"], json!("call-1"), "{failure}");

        let inspected =
            bench.run(&["--json", "template", "inspect", &file.to_string_lossy()]).json();
        assert_eq!(inspected["contract"], json!(format!("{PACKAGE}@{version}")));
        assert_eq!(inspected["world"], "template");
    }
}

/// Every item of a contract's text with its interface or world, without comments and line
/// breaks.
fn items(wit: &str) -> BTreeSet<String> {
    let code: Vec<&str> =
        wit.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect();
    let code = code.join(" ");
    let (mut items, mut room, mut item, mut depth) =
        (BTreeSet::new(), String::new(), String::new(), 0);
    for letter in code.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 1 && room.is_empty() && letter == '{' {
            room = item.trim().to_owned();
            item.clear();
            continue;
        }
        if depth == 0 && letter == '}' {
            room.clear();
            item.clear();
            continue;
        }
        item.push(letter);
        let ends = match letter {
            ';' => depth <= 1,
            // `use types.{a, b};` continues after its brace.
            '}' => depth == 1 && !item.trim_start().starts_with("use "),
            _ => false,
        };
        if ends {
            let words: Vec<&str> = item.split_whitespace().collect();
            items.insert(format!("{room}: {}", words.join(" ")));
            item.clear();
        }
    }
    items
}

/// Published items that are missing or changed.
fn lost(published: &str, now: &str) -> Vec<String> {
    items(published).difference(&items(now)).cloned().collect()
}

#[test]
fn what_was_published_of_a_version_is_still_there_as_it_was() {
    let read = |file: String| fs::read_to_string(root().join(file)).unwrap();
    for (version, ..) in KEPT {
        let now = read(format!("wit/{version}/template.wit"));
        let kept = read(format!("tests/contract/{version}/template.wit"));
        assert!(items(&kept).len() > 30, "{:#?}", items(&kept));
        assert_eq!(
            lost(&kept, &now),
            Vec::<String>::new(),
            "{version}: templates that are out there were built against these"
        );
    }

    let kept = read("tests/contract/0.1.0/template.wit".to_owned());
    // The comparison itself: additions are allowed; changed and removed items are named.
    let added = kept.replace(
        "export generator;",
        "export generator;\n}\n/// Another.\nworld more {\n    import site;",
    );
    assert_eq!(lost(&kept, &added), Vec::<String>::new());
    assert_eq!(lost(&kept, &kept.replace("///", "/// And:")), Vec::<String>::new());
    for (before, after, named) in [
        (
            "max-output-tokens: option<u32>",
            "max-output-tokens: option<u64>",
            "interface ai-types: record request",
        ),
        ("complete: async func", "complete: func", "interface ai: complete: async func"),
        ("        quota-exhausted,\n", "", "interface ai-types: enum error-kind"),
        ("    import site;\n", "", "world template: import site;"),
        (
            "use types.{source-location, attribute};",
            "use types.{attribute};",
            "use types.{source-location, attribute};",
        ),
        (
            "package sitewright:template@0.1.0",
            "package sitewright:template@0.2.0",
            "package sitewright:template@0.1.0;",
        ),
    ] {
        let changed = kept.replace(before, after);
        assert_ne!(changed, kept, "{before}");
        let lost = lost(&kept, &changed).join("\n");
        assert!(lost.contains(named), "{named:?} is missing in {lost}");
    }
}
