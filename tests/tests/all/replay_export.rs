//! `replay --export`: a bundle that can be replayed on any machine, contains no keys, and, if
//! scrubbed, no text of the customer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::{ANY_ANSWER, Done, Workbench, binary, compile_cache, faulty, guest};

const KEY: &str = "planted/9d41c7+5e/key=";

/// Texts of a customer. None of their words occurs in the template or in a text of the host.
const PLANTED: [(&str, &str); 6] = [
    ("business_name", "Zanzibarra Quokkaheim Brötchen"),
    ("business_email", "wilhelmina.quokkaheim@zanzibarra-brotchen.example"),
    ("business_phone", "+55 19 98765-43219"),
    ("primary_city", "Düsterbrook"),
    (
        "site_description",
        "Grandmother Wilhelmina's confidential sourdough, we have financial problems since \
         Krummhörn",
    ),
    ("reference_sites", "https://www.zanzibarra.example/quokkaheim?owner=wilhelmina"),
];

/// Other spellings of parts of it, which the template may produce.
const SPELLINGS: [&str; 24] = [
    "zanzibarra",
    "quokkaheim",
    "brötchen",
    "brotchen",
    "wilhelmina",
    "98765",
    "43219",
    "5519987654",
    "987654321",
    "düsterbrook",
    "dusterbrook",
    "confidential",
    "sourdough",
    "financial problems",
    "we have financial",
    "krummhörn",
    "krummhorn",
    "grandmother",
    "zanzibarraquokkaheim",
    "xylophonia",
    "pseudonymous prose",
    "9d41c7",
    "k-proj-ab12cd34ef56",
    "quetzalcoatlus",
];

fn provider(base_url: &str) -> String {
    format!(
        "[ai.retry]\nattempts = 1\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \
         \"{base_url}?key=urlkey77\"\napi_key_env = \"LOCAL_AI_KEY\"\n[ai.routes.default]\ntry = \
         [{{ provider = \"local\", model = \"m\" }}]\n"
    )
}

fn planted(fault: &str) -> Value {
    let mut order = faulty(
        fault,
        json!({ "primary_color": "#B3261E", "locale": "en", "years_in_business": 12,
        "business_hours": { "tuesday": "11:30-15:00, 18:30-23:00" },
        "selected_pages": ["Home"], "niche": "other",
        "custom_niche": "Quetzalcoatlus grooming",
        "social_instagram": "https://instagram.com/zanzibarra" }),
    );
    for (field, text) in PLANTED {
        let value = if field == "reference_sites" { json!([text]) } else { json!(text) };
        order["onboarding"][field] = value;
    }
    order["order"]["customer_name"] = json!("Wilhelmina Quokkaheim");
    order
}

/// Names and contents of the entries of a tar file.
pub(crate) fn entries(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut entries = BTreeMap::new();
    let mut rest = tar;
    while rest.len() >= 512 && rest[0] != 0 {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(&rest[range]).trim_matches(['\0', ' ']).to_owned()
        };
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        entries.insert(text(0..100), rest[512..512 + size].to_vec());
        rest = &rest[512 + size.next_multiple_of(512)..];
    }
    entries
}

/// A failure on machine A, whose provider echoes the key.
fn machine_a(fault: &str, answer: Answer) -> (Workbench, String, Done) {
    let server = ChatServer::start(ANY_ANSWER, move |_| answer.clone());
    let bench = Workbench::configured(&provider(&server.base_url()));
    bench.write("order.json", planted(fault).to_string());
    let template = guest("guest-faulty").display().to_string();
    let mut command =
        bench.command(&["--json", "generate", "--template", &template, "--order", "order.json"]);
    let done: Done = command.env("LOCAL_AI_KEY", KEY).output().unwrap().into();
    let id = done.failure()["id"].as_str().unwrap().to_owned();
    (bench, id, done)
}

fn export(bench: &Workbench, arguments: &[&str]) -> Done {
    let mut command = bench.command(&[&["--json", "failures", "export"], arguments].concat());
    command.env("LOCAL_AI_KEY", KEY).output().unwrap().into()
}

/// Replays the bundle on machine B: an empty folder without configuration, variables or keys.
fn machine_b(bundle: &Path, more: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(bundle, folder.path().join("b.tar")).unwrap();
    let mut command = Command::new(binary());
    command.env_clear().env("SITEWRIGHT_CACHE", compile_cache()).current_dir(folder.path());
    let done = command.args(["--json", "replay", "b.tar"]).args(more).output().unwrap().into();
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["b.tar"], "a replay leaves nothing behind");
    done
}

fn said() -> String {
    format!(
        "Xylophonia wrote pseudonymous prose for Zanzibarra, with {KEY} and sk-proj-ab12cd34ef56"
    )
}

#[test]
fn a_bundle_replays_on_another_machine_and_holds_no_key() {
    let reply = Answer::Reply { content: said(), finish: "stop" };
    let error = Answer::Http {
        status: 401,
        headers: &[],
        body: json!({ "error": { "message": said() } }).to_string(),
    };
    for (fault, answer) in [("panic-str", reply.clone()), ("quote", reply), ("ai-error", error)] {
        let (bench, id, done) = machine_a(fault, answer);
        let file = bench.path().join("a.tar");
        let exported = export(&bench, &[&id, "-o", "a.tar"]);
        assert_eq!(exported.code, 0, "{fault}: {}{}", exported.stdout, exported.stderr);
        let bytes = std::fs::read(&file).unwrap();
        let files = entries(&bytes);
        for name in [
            "README.txt",
            "attempt.json",
            "configuration.json",
            "manifest.json",
            "order.json",
            "record.json",
            "record.txt",
            "journal.jsonl",
            "template.wasm",
        ] {
            assert!(files.contains_key(name), "{fault}: {name} is missing: {:?}", files.keys());
        }
        let text: String = files
            .iter()
            .filter(|(name, _)| *name != "template.wasm")
            .map(|(_, content)| String::from_utf8_lossy(content).into_owned())
            .collect();
        for secret in ["9d41c7", "sk-proj-ab12cd34ef56", "urlkey77"] {
            assert!(!text.contains(secret), "{fault}: {secret} is in it");
        }
        assert!(text.contains("Zanzibarra Quokkaheim"), "{fault}: nothing else is taken out");
        let again = machine_b(&file, &[]);
        assert_eq!(again.code, 0, "{fault}: {}{}", again.stdout, again.stderr);
        let report = again.json();
        assert_eq!(report["now"]["kind"], done.failure()["kind"], "{fault}: {report:#}");
        assert_eq!(report["failure"]["trap"], done.failure()["trap"], "{fault}: the same frames");

        export(&bench, &[&id, "-o", "b.tar"]);
        assert!(
            std::fs::read(bench.path().join("b.tar")).unwrap() == bytes,
            "{fault}: the same bytes"
        );
        let without = export(&bench, &[&id, "-o", "c.tar", "--no-template"]);
        assert_eq!(without.code, 0, "{}", without.stderr);
        let missing = machine_b(&bench.path().join("c.tar"), &[]);
        assert!(
            missing.code == 9 && missing.stdout.contains("no template file has the digest"),
            "{}",
            missing.stdout
        );
        let named = machine_b(
            &bench.path().join("c.tar"),
            &["--template", &guest("guest-faulty").display().to_string()],
        );
        assert_eq!(named.code, 0, "{fault}: {}", named.stdout);
    }
}

#[test]
fn a_scrubbed_bundle_holds_nothing_that_a_customer_or_a_model_wrote() {
    let reply = Answer::Reply { content: said(), finish: "stop" };
    let json_reply = Answer::Reply {
        content: json!({
            "headline": "Xylophonia of Zanzibarra",
            "items": ["pseudonymous prose", 5, true],
            "colour": "#aabbcc",
        })
        .to_string(),
        finish: "stop",
    };
    let error = Answer::Http {
        status: 400,
        headers: &[],
        body: json!({ "error": { "message": said() } }).to_string(),
    };
    for (fault, answer) in [
        ("quote", reply),
        ("quote", error.clone()),
        ("ai-error", error),
        ("ai-unreadable", json_reply),
    ] {
        let (bench, id, done) = machine_a(fault, answer);
        let exported = export(&bench, &[&id, "--scrub", "-o", "s.tar"]);
        assert_eq!(exported.code, 0, "{fault}: {}{}", exported.stdout, exported.stderr);
        let file = bench.path().join("s.tar");
        let bytes = std::fs::read(&file).unwrap();
        let files = entries(&bytes);
        for (name, content) in files.iter().filter(|(name, _)| *name != "template.wasm") {
            let text = String::from_utf8_lossy(content);
            // The text itself, and the text as escaped in JSON.
            let mut spelled = vec![text.to_lowercase()];
            for line in text.lines() {
                if let Ok(value) = serde_json::from_str::<Value>(line) {
                    spelled.push(strings(&value).to_lowercase());
                }
            }
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                spelled.push(strings(&value).to_lowercase());
            }
            for secret in SPELLINGS {
                let found =
                    spelled.iter().find_map(|text| text.lines().find(|line| line.contains(secret)));
                assert_eq!(found, None, "{fault}: {secret} is in {name}");
            }
        }
        let order: Value = serde_json::from_slice(&files["order.json"]).unwrap();
        let of = |field: &str| order["onboarding"][field].clone();
        for (field, text) in PLANTED {
            let placeholder =
                if field == "reference_sites" { of(field)[0].clone() } else { of(field) };
            let placeholder = placeholder.as_str().unwrap().to_owned();
            assert_eq!(placeholder.len(), text.len(), "{field}: {placeholder}");
            let shape = |text: &str| -> String {
                text.chars()
                    .map(|c| {
                        if c.is_ascii_digit() {
                            '9'
                        } else if c.is_uppercase() {
                            'A'
                        } else if c.is_alphabetic() {
                            'a'
                        } else {
                            c
                        }
                    })
                    .collect()
            };
            if field != "reference_sites" {
                assert_eq!(shape(&placeholder), shape(text), "{field}");
            }
        }
        assert!(
            of("reference_sites")[0].as_str().unwrap().starts_with("https://www."),
            "{order:#}"
        );
        for (field, kept) in [
            ("primary_color", json!("#B3261E")),
            ("locale", json!("en")),
            ("niche", json!("other")),
            ("fault", json!(fault)),
            ("years_in_business", json!(12)),
            ("business_hours", json!({ "tuesday": "11:30-15:00, 18:30-23:00" })),
        ] {
            assert_eq!(of(field), kept, "{field} is no text of a customer's");
        }
        // Placeholders are consistent: the replay of the scrubbed order equals the scrubbed record.
        let record: Value = serde_json::from_slice(&files["record.json"]).unwrap();
        if fault == "quote" {
            let name = of("business_name").as_str().unwrap().to_owned();
            assert!(record["log"]["text"].as_str().unwrap().contains(&name), "{:#}", record["log"]);
            assert_eq!(record["attributes"]["who"], json!(name));
        }
        let again = machine_b(&file, &[]);
        let report = again.json();
        assert_eq!(
            (again.code, &report["verdict"]),
            (0, &json!("reproduced")),
            "{fault}: {report:#}"
        );
        assert_eq!(report["now"]["kind"], done.failure()["kind"], "{fault}");
        assert!(
            bytes == {
                export(&bench, &[&id, "--scrub", "-o", "t.tar"]);
                std::fs::read(bench.path().join("t.tar")).unwrap()
            }
        );
    }
}

/// All texts of a value, including field names.
fn strings(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(values) => values.iter().map(strings).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name}\n{}", strings(value))).collect()
        }
        _ => String::new(),
    }
}

#[test]
fn a_failure_that_depends_on_the_text_says_that_placeholders_are_in_the_way() {
    // A page without escaping is rejected only because of the customer's text.
    let bench = Workbench::scripted(ANY_ANSWER, "");
    let order = faulty(
        "paths",
        json!({
            "paths": ["Grandmother/Secret.html", "grandmother/secret.html"],
            "then_fail": true,
        }),
    );
    let done = bench.generate(&guest("guest-faulty"), &order);
    let id = done.failure()["id"].as_str().unwrap().to_owned();
    let order = bench.run(&["failures", "export", &id, "--scrub", "-o", "s.tar"]);
    assert_eq!(order.code, 0, "{}", order.stderr);
    let again = machine_b(&bench.path().join("s.tar"), &[]);
    let report = again.json();
    // The same calls and the same code with other paths.
    assert!(again.code == 0 || report["notes"].to_string().contains("placeholders"), "{report:#}");
}

/// An entry of a tar file.
fn entry(name: &str, kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[157..167].copy_from_slice(b"/etc/hosts");
    header[257..263].copy_from_slice(b"ustar\0");
    header[263..265].copy_from_slice(b"00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut entry = header.to_vec();
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

#[test]
fn a_bundle_of_a_stranger_is_refused_by_name() {
    let (bench, id, _) = machine_a("panic-str", Answer::Good);
    export(&bench, &[&id, "-o", "good.tar"]);
    let good = std::fs::read(bench.path().join("good.tar")).unwrap();
    let order = entry("order.json", b'0', 2, b"{}");
    let changed = {
        let at = good.windows(9).position(|window| window == b"panic-str").unwrap();
        let mut bytes = good.clone();
        bytes[at] = b'P';
        bytes
    };
    let rows: [(&str, Vec<u8>, &str); 13] = [
        ("nothing", Vec::new(), "it has no manifest.json"),
        ("no tar", b"this is no tar at all".repeat(100), "it is not a tar file"),
        ("a zip", [b"PK\x03\x04".as_slice(), &[0; 600]].concat(), "it"),
        ("a way out", entry("../../evil", b'0', 1, b"x"), "it contains \"../../evil\""),
        ("an absolute path", entry("/etc/passwd", b'0', 1, b"x"), "it contains \"/etc/passwd\""),
        ("a folder", entry("./order.json", b'0', 1, b"x"), "it contains \"./order.json\""),
        ("a link", entry("order.json", b'2', 0, b""), "its order.json is not a regular file"),
        (
            "a hard link",
            entry("record.json", b'1', 0, b""),
            "its record.json is not a regular file",
        ),
        ("a long name", entry("././@LongLink", b'L', (8 << 30) - 1, b"x"), "it contains"),
        ("a terabyte", entry("order.json", b'0', (8 << 30) - 1, b"x"), "at most"),
        ("cut off", entry("order.json", b'0', 5_000, b"x"), "early"),
        ("twice", [order.clone(), order].concat(), "its order.json is there twice"),
        ("changed", changed, "is not what its manifest says"),
    ];
    for (name, bytes, says) in rows {
        let file = bench.write("bad.tar", bytes);
        let done = bench.run(&["replay", &file.display().to_string()]);
        assert_eq!(done.code, 2, "{name}: {}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains(says), "{name}: {}", done.stderr);
    }
    assert_eq!(bench.run(&["replay", "good.tar"]).code, 0);
}
