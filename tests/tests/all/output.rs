//! Releases: only complete sites are activated, and a failed attempt keeps the last good one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sitewright_tests::{
    ANY_ANSWER, Done, IMPRINT, Workbench, faulty, guest, order, root, template,
};

use crate::failures::{names_in, only_record};

/// A page that passes all checks if `body` does.
fn page(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>T</title><meta \
         name=\"description\" content=\"A page that is right but for one thing.\"><meta \
         name=\"viewport\" content=\"width=device-width\"></head><body><main><h1>A page with text \
         enough</h1>{body}{IMPRINT}</main></body></html>"
    )
}

/// Pairs of path and content.
type Files<'a> = &'a [(&'a str, &'a str)];

fn site(files: Files<'_>) -> Value {
    faulty(
        "files",
        json!({ "files": files.iter().copied().collect::<std::collections::BTreeMap<_, _>>() }),
    )
}

#[test]
fn f5_a_site_that_would_not_work_is_rejected_by_file_and_rule() {
    let whole = page("<p>fine</p>");
    let svg = "<svg xmlns='http://www.w3.org/2000/svg'><a xlink:title='x'/></svg>";
    let bare = "<svg width='1' height='1'><rect width='1' height='1'/></svg>";
    let local = "<link rel='canonical' href='http://localhost:4000/'></head>";
    let rows: [(&str, Files<'_>, &str); 23] = [
        ("feed", &[("index.html", &whole), ("feed.xml", "<a>x\u{b}y</a>")], "xml-syntax"),
        ("prefix", &[("index.html", &whole), ("a.svg", svg)], "xml-syntax"),
        ("namespace", &[("index.html", &whole), ("a.svg", bare)], "svg-namespace"),
        ("canonical", &[("index.html", &whole.replace("</head>", local))], "local-address"),
        (
            "loopback",
            &[("index.html", &page("<img src='http://127.0.0.1:8080/a.png' alt=''>"))],
            "local-address",
        ),
        ("charset", &[("index.html", &whole.replace("utf-8", "windows-1252"))], "charset"),
        (
            "robots",
            &[("index.html", &whole), ("robots.txt", "User-agent: *\nDisallow: /\n")],
            "robots-disallow",
        ),
        (
            "brackets",
            &[("index.html", &page("<p>Welcome to [Business Name], call [Phone Number].</p>"))],
            "copy-placeholder",
        ),
        (
            "undefined",
            &[("index.html", &page("<p>Welcome to undefined, Dear null. Price: NaN.</p>"))],
            "copy-left-over",
        ),
        (
            "refusal",
            &[("index.html", &page("<p>As an AI language model, I cannot write this.</p>"))],
            "copy-refusal",
        ),
        ("no-entry", &[("about.html", &whole)], "entry-page"),
        ("link", &[("index.html", &page("<a href=\"about.html\">x</a>"))], "broken-reference"),
        ("image", &[("index.html", &page("<img src=\"/no.png\" alt=\"\">"))], "broken-reference"),
        ("anchor", &[("index.html", &page("<a href=\"#nowhere\">x</a>"))], "broken-fragment"),
        ("leftover", &[("index.html", &page("<p>Hello {{ name }}</p>"))], "placeholder"),
        ("leftover-2", &[("index.html", &page("<p>Hello ${name}</p>"))], "placeholder"),
        ("no-lang", &[("index.html", &whole.replace(" lang=\"en\"", ""))], "language"),
        ("other-lang", &[("index.html", &whole.replace("\"en\"", "\"de\""))], "language"),
        ("no-title", &[("index.html", &whole.replace("<title>T</title>", ""))], "title"),
        (
            "script-link",
            &[("index.html", &page("<a href=\"javascript:alert(1)\">x</a>"))],
            "link-scheme",
        ),
        ("json", &[("index.html", &whole), ("data.json", "{\"a\": ")], "json-syntax"),
        ("xml", &[("index.html", &whole), ("sitemap.xml", "<urlset>")], "xml-syntax"),
        ("empty", &[("index.html", &whole), ("empty.html", "")], "empty-page"),
    ];
    for (name, files, rule) in rows {
        let bench = Workbench::scripted(ANY_ANSWER, "");
        let done = bench.generate(&guest("guest-faulty"), &site(files));
        assert_eq!(done.code, 6, "{name}: {}", done.stdout);
        let record = only_record(&bench, &done);
        assert_eq!(
            (&record["kind"], &record["stage"]),
            (&json!("output_rejected"), &json!("checks")),
            "{name}"
        );
        let problems = record["problems"].as_array().unwrap();
        let named = problems.iter().find(|problem| problem["rule"] == rule);
        let named = named.unwrap_or_else(|| panic!("{name}: {rule} is not among {problems:#?}"));
        let file = match name {
            "no-entry" => "index.html",
            _ => files.last().unwrap().0,
        };
        assert!(named["at"].as_str().unwrap().starts_with(file), "{name}: {named}");
        assert!(!named["message"].as_str().unwrap().is_empty(), "{name}");
        assert!(
            record["message"].as_str().unwrap().contains(rule) || problems.len() > 1,
            "{name}: {}",
            record["message"]
        );
    }
}

#[test]
fn a7_all_that_is_wrong_is_listed_and_not_only_the_first() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let bad = page(
        "<a href=\"one.html\">1</a><a href=\"two.html\">2</a><img src=\"three.png\" \
         alt=\"\">{{left}}",
    );
    let done =
        bench.generate(&guest("guest-faulty"), &site(&[("index.html", &bad), ("b.html", &bad)]));
    let problems = only_record(&bench, &done)["problems"].as_array().unwrap().clone();
    for file in ["index.html", "b.html"] {
        for missing in ["one.html", "two.html", "three.png", "{{left}}"] {
            let listed = |problem: &&Value| {
                problem["at"].as_str().unwrap().starts_with(file)
                    && problem["message"].as_str().unwrap().contains(missing)
            };
            assert!(
                problems.iter().any(|problem| listed(&problem)),
                "{file} {missing}: {problems:#?}"
            );
        }
    }
}

fn target(bench: &Workbench) -> PathBuf {
    std::fs::read_link(bench.sites().join("public/102/current")).unwrap()
}

#[test]
fn d1_f4_a_failed_attempt_leaves_the_last_good_release_untouched() {
    let bench = Workbench::scripted(
        "[[rule]]\nanswer = { fault = { status = 500 } }",
        "[limits]\ncpu_ms = 1000",
    );
    let faulty_template = guest("guest-faulty");
    let good = bench.generate(&faulty_template, &faulty("ok", Value::Null));
    assert_eq!(good.code, 0, "{}", good.stdout);
    let (before, files) = (target(&bench), names_in(&bench.sites().join("102/current")));

    let failures: [(&str, Value); 7] = [
        ("error", Value::Null),
        ("panic-str", Value::Null),
        ("spin", Value::Null),
        ("ai-error", Value::Null),
        ("big-file", Value::Null),
        ("files", json!({ "files": { "index.html": "<p>no page" } })),
        ("no-such-fault", Value::Null),
    ];
    for (at, (fault, parameters)) in failures.into_iter().enumerate() {
        let done = bench.generate(&faulty_template, &faulty(fault, parameters));
        assert_ne!(done.code, 0, "{fault}");
        assert_eq!(
            (target(&bench), names_in(&bench.sites().join("102/current"))),
            (before.clone(), files.clone())
        );
        assert_eq!(names_in(&bench.sites().join("public/102/releases")).len(), 1, "{fault}");
        assert_eq!(names_in(&bench.sites().join("102/staging")), [""; 0], "{fault}");
        assert_eq!(
            names_in(&bench.sites().join("102/failures")).len(),
            at + 1,
            "{fault}: each attempt is kept"
        );
    }

    // A missing template, and then a successful attempt, which becomes the active release.
    assert_eq!(bench.generate(Path::new("gone.wasm"), &faulty("ok", Value::Null)).code, 2);
    assert_eq!(target(&bench), before);
    assert_eq!(bench.generate(&faulty_template, &faulty("ok", Value::Null)).code, 0);
    assert_ne!(target(&bench), before);
}

#[test]
fn f4_five_releases_stay_and_the_newest_is_current() {
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let mut made = Vec::new();
    for _ in 0..7 {
        let done = bench.generate(&guest("guest-faulty"), &faulty("ok", Value::Null));
        assert_eq!(done.code, 0, "{}", done.stdout);
        made.push(done.json()["release"]["id"].as_str().unwrap().to_owned());
        assert!(target(&bench).ends_with(made.last().unwrap()));
    }
    assert_eq!(names_in(&bench.sites().join("public/102/releases")), made[2..]);
    assert_eq!(names_in(&bench.sites().join("102/staging")), [""; 0]);
}

#[test]
fn f6_hostile_text_is_shown_and_injects_nothing() {
    let rules =
        std::fs::read_to_string(root().join("plugins/local-business/demo/ai.toml")).unwrap();
    let bench = Workbench::scripted(&rules, "");
    let order = order("04-other-hostile-text");
    let done: Done = bench.generate(&template("local-business"), &order);
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    let current = PathBuf::from(report["release"]["current"].as_str().unwrap());
    let mut shown = String::new();
    for file in report["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        if !path.ends_with(".html") {
            continue;
        }
        let page = std::fs::read_to_string(current.join(path)).unwrap();
        for (at, _) in page.match_indices("<script") {
            let data = "<script type=\"application/ld+json\">";
            assert!(page[at..].starts_with(data), "{path}: {}", &page[at..at + 60]);
            let inside = page[at + data.len()..].split("</script>").next().unwrap();
            let parsed: Value = serde_json::from_str(inside)
                .unwrap_or_else(|error| panic!("{path}: {error}: {inside}"));
            assert!(parsed.is_object() || parsed.is_array(), "{path}");
        }
        shown.push_str(&text_of(&page));
    }
    let onboarding = &order["onboarding"];
    let name = onboarding["business_name"].as_str().unwrap();
    let services = onboarding["services"]
        .as_array()
        .unwrap()
        .iter()
        .take(3)
        .map(|service| service.as_str().unwrap());
    for text in services.chain([name]) {
        assert!(shown.contains(text), "{text:?} does not stand on any page as it was written");
    }
}

/// The text of a page, without tags and with resolved entities.
fn text_of(page: &str) -> String {
    let body = page.split_once("<body").unwrap().1;
    let text: String = body.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect();
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, after) =
            after.split_once(';').unwrap_or_else(|| panic!("an open entity: {after:.40}"));
        shown.push_str(before);
        shown.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "nbsp" => ' ',
            number => {
                let digits = number.strip_prefix('#').unwrap_or_else(|| panic!("entity {number}"));
                char::from_u32(digits.parse().unwrap()).unwrap()
            }
        });
        rest = after;
    }
    shown + rest
}

/// Files and folders under `folder` that `generate` and a worker have made with the umask 0.
fn made(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            made(&path, found);
        }
        if !kind.is_symlink() {
            found.push(path);
        }
    }
}

#[test]
fn f1_others_can_read_sites_and_nothing_else_whatever_the_umask_is() {
    let bench = Workbench::scripted(ANY_ANSWER, "templates = \"templates\"");
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    std::fs::copy(guest("guest-faulty"), bench.path().join("templates/faulty.wasm")).unwrap();
    let calls = faulty("calls-in-turn", json!({ "n": 2 }));
    bench.write("good.json", calls.to_string());
    bench.write("bad.json", faulty("panic-str", Value::Null).to_string());
    let mut queued = calls;
    queued["order"]["id"] = json!("queued");
    bench.write("queued.json", queued.to_string());
    let mut before = Vec::new();
    made(bench.path(), &mut before);

    for (arguments, succeeds) in [
        (&["generate", "--template", "faulty", "--order", "good.json"][..], true),
        (&["generate", "--template", "faulty", "--order", "bad.json"], false),
        (&["order", "add", "queued.json", "--template", "faulty"], true),
        (&["worker", "--drain"], true),
    ] {
        let command = bench.command(arguments);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "umask 0; exec \"$0\" \"$@\""])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(bench.path())
            .stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let done = Done::from(shell.output().unwrap());
        assert_eq!(done.code == 0, succeeds, "{arguments:?}: {}{}", done.stdout, done.stderr);
    }

    let mut after = Vec::new();
    made(bench.path(), &mut after);
    after.retain(|path| !before.contains(path));
    let mut kinds = std::collections::BTreeSet::new();
    for path in after {
        let shown = path.strip_prefix(bench.path()).unwrap();
        let mode = path.symlink_metadata().unwrap().permissions().mode() & 0o777;
        let name = shown.to_string_lossy().into_owned();
        if shown.starts_with("sites/public") {
            assert_eq!(mode, if path.is_dir() { 0o755 } else { 0o644 }, "{name}");
            continue;
        }
        // What leads to `public` can be passed, and not read.
        let others = if path.is_dir() && shown.components().count() <= 2 { 0o011 } else { 0 };
        assert_eq!(mode & 0o077 & !others, 0, "{name}: {mode:o}");
        kinds.insert(
            shown
                .components()
                .nth(2)
                .map_or(name, |kind| kind.as_os_str().to_string_lossy().into_owned()),
        );
    }
    for kind in ["attempts", "documents", "failures", "journal", "manifests", "sitewright.db"] {
        assert!(kinds.contains(kind), "{kind}: {kinds:?}");
    }
}

#[test]
fn a_reply_that_is_no_copy_is_asked_for_again_and_then_fails_the_order_with_its_text_and_place() {
    let refusal = "As an AI language model, I cannot write about this business.";
    let rules = |second: &str| {
        format!(
            "[[rule]]\ncontains = [\"cannot be published\"]\nanswer = {{ text = '{second}' \
             }}\n[[rule]]\nanswer = {{ text = '{refusal}' }}\n"
        )
    };
    let one = || faulty("ai-echo", json!({}));
    let bench = Workbench::scripted(&rules(refusal), "");
    let done = bench.generate(&guest("guest-faulty"), &one());
    assert_eq!(done.code, 6, "{}", done.stdout);
    let record = only_record(&bench, &done);
    assert_eq!(record["kind"], "output_rejected", "{record:#}");
    assert_eq!(record["ai"]["attempts"].as_array().unwrap().len(), 2, "asked again once");
    let ai = &done.json()["ai"];
    assert_eq!((&ai["calls"], &ai["unusable"]["replies"]), (&json!(2), &json!(2)), "paid: {ai}");
    assert_eq!(ai["by_call"], json!([]), "no call has a reply");
    let problem = &record["problems"][0];
    assert_eq!(problem["rule"], "copy-refusal", "{record:#}");
    assert_eq!(problem["at"], "call-1");
    assert!(problem["message"].as_str().unwrap().contains("As an AI language model"), "{problem}");

    let good = "Bread from our own oven, every morning.";
    let bench = Workbench::scripted(&rules(good), "");
    let done = bench.generate(&guest("guest-faulty"), &one());
    assert_eq!(done.code, 0, "{}", done.stdout);

    // What the operator chooses: a warning, no check of that purpose's replies, more words.
    let warned =
        "[checks.levels]\ncopy-refusal = \"warning\"\ncopy-prompt-fragment = \"warning\"\n";
    let bench = Workbench::scripted(&rules(refusal), warned);
    let done = bench.generate(&guest("guest-faulty"), &one());
    assert_eq!(done.code, 0, "{}", done.stdout);
    let report = done.json();
    let warnings = report["release"]["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|one| one["rule"] == "copy-refusal"), "{warnings:#?}");
    for (more, params, rule, is_reply) in [
        ("[checks]\nexempt_purposes = [\"copywriting\"]\n", json!({}), "copy-refusal", false),
        ("[checks]\nforbidden_words = [\"OVEN\"]\n", json!({}), "copy-forbidden-word", true),
        // What the template's manifest exempts.
        ("", json!({ "purpose": "strategy" }), "copy-refusal", false),
    ] {
        let bench = Workbench::scripted(&rules(good), more);
        let done = bench.generate(&guest("guest-faulty"), &faulty("ai-echo", params));
        assert_eq!(done.code, 6, "{more}: {}", done.stdout);
        let record = only_record(&bench, &done);
        let problems = record["problems"].as_array().unwrap();
        let of_rule = problems.iter().find(|problem| problem["rule"] == rule);
        let of_rule = of_rule.unwrap_or_else(|| panic!("{more}: {record:#}"));
        let at = of_rule["at"].as_str().unwrap();
        assert_eq!(at.starts_with("call-1"), is_reply, "{more}: {at}");
    }
}
