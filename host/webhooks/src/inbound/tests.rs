//! Proofs and mappings: which bodies are those of a sender, and what order they mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_OfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PLAIN: &str = "a-secret-of-a-shop";
const NOW: i64 = 1_764_403_200;

fn config(change: impl FnOnce(&mut HookConfig)) -> HookConfig {
    let mut config = HookConfig {
        kind: HookKind::StandardWebhooks,
        secret_env: Some(SECRET.to_owned()),
        secret_file: None,
        template: "flora".to_owned(),
        priority: 2,
        batch: false,
        tenant: None,
        id: None,
        due: None,
        document: None,
        map: BTreeMap::new(),
    };
    change(&mut config);
    config
}

/// The name of the variable is its value.
fn read(config: HookConfig) -> Result<Hook, WebhooksError> {
    let hooks = BTreeMap::from([("shop".to_owned(), config)]);
    let read = Hook::read_all(&hooks, Path::new("/nowhere"), &|name| Some(name.into()));
    read.map(|mut hooks| hooks.remove("shop").unwrap())
}

fn of_kind(kind: HookKind, secret: &str) -> Hook {
    read(config(|config| {
        config.kind = kind;
        config.secret_env = Some(secret.to_owned());
    }))
    .unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(secret: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text.as_bytes()).as_ref().to_vec()
}

fn standard(secret: &str, id: &str, at: i64, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    format!("v1,{}", STANDARD.encode(mac(&key, &format!("{id}.{at}.{body}"))))
}

fn prove(hook: &Hook, headers: &[(&str, &str)], body: &str) -> Result<String, Unproven> {
    let header = |name: &str| {
        let mut values = headers.iter().filter(|(known, _)| *known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(*value),
            _ => None,
        }
    };
    hook.begin(&header, NOW)?.finish(body.as_bytes())
}

#[test]
fn standard_webhooks_are_proven_by_any_secret_and_signature_within_five_minutes() {
    let hook = of_kind(HookKind::StandardWebhooks, &format!("{SECRET}\n{OTHER}"));
    for (secret, at) in [(SECRET, NOW), (OTHER, NOW), (SECRET, NOW - 300), (SECRET, NOW + 300)] {
        let signature =
            format!("v2,x v1,AAAA v1, v1 v1,! {} v1a,y", standard(secret, "msg_1", at, "{}"));
        let at = at.to_string();
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", at.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        assert_eq!(prove(&hook, &headers, "{}"), Ok("msg_1".to_owned()), "{at}");
        assert_eq!(prove(&hook, &headers, "{} "), Err(Unproven::WrongSignature));
        let twice = [headers.as_slice(), &[("webhook-id", "msg_2")]].concat();
        assert_eq!(prove(&hook, &twice, "{}"), Err(Unproven::NoHeader("webhook-id")));
        for missing in 0..3 {
            let mut some = headers.to_vec();
            some.remove(missing);
            assert!(matches!(prove(&hook, &some, "{}"), Err(Unproven::NoHeader(_))));
        }
    }
    for (id, at, wrong) in [
        ("msg_1", NOW - 301, Unproven::TooOld),
        ("msg_1", NOW + 301, Unproven::TooOld),
        ("a.1", NOW, Unproven::IdWithDot),
        ("", NOW, Unproven::IdLength),
        ("a".repeat(201).as_str(), NOW, Unproven::IdLength),
    ] {
        let (text, signature) = (at.to_string(), standard(SECRET, id, at, "{}"));
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", text.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        assert_eq!(prove(&hook, &headers, "{}"), Err(wrong), "{id} {at}");
    }
}

#[test]
fn stripe_signs_the_time_and_its_events_have_an_id() {
    let hook = of_kind(HookKind::Stripe, PLAIN);
    let body = r#"{"id":"evt_1","data":{}}"#;
    let signed = |at: i64, body: &str| {
        let signature = hex(&mac(PLAIN.as_bytes(), &format!("{at}.{body}")));
        let zeros = "0".repeat(64);
        format!("t={at},v1={zeros},v1={signature},v0=x")
    };
    let header = signed(NOW, body);
    assert_eq!(prove(&hook, &[("stripe-signature", &header)], body), Ok("evt_1".to_owned()));
    let wrong = prove(&hook, &[("stripe-signature", &header)], &body.replace('1', "2"));
    assert_eq!(wrong, Err(Unproven::WrongSignature));
    // Without an id of its own, the same bytes are the same event.
    let header = signed(NOW, "[]");
    let id = prove(&hook, &[("stripe-signature", &header)], "[]").unwrap();
    assert!(id.starts_with("sha256:4f53cda1"), "{id}");
    let old = signed(NOW - 301, body);
    assert_eq!(prove(&hook, &[("stripe-signature", &old)], body), Err(Unproven::TooOld));
    for header in ["", "t=1", "v1=00", &format!("t={NOW},v1=zz"), &format!("t={NOW},v1")] {
        let refused = prove(&hook, &[("stripe-signature", header)], body);
        assert!(refused.is_err(), "{header:?}");
    }
    // What cannot be read proves nothing, wherever it is, and does not hide what does.
    let good = format!("v1={}", hex(&mac(PLAIN.as_bytes(), &format!("{NOW}.{body}"))));
    for malformed in ["v1=00", "v1=", "v1=zz", "v1", "", "=", "v1==,x", "ü"] {
        for header in [
            format!("t={NOW},{malformed},{good}"),
            format!("{good},{malformed},t={NOW}"),
            format!("{malformed},t={NOW},{good},{malformed}"),
        ] {
            let proven = prove(&hook, &[("stripe-signature", &header)], body);
            assert_eq!(proven, Ok("evt_1".to_owned()), "{header:?}");
        }
    }
    // Signed, but without a signature.
    let none = format!("t={NOW}");
    let refused = prove(&hook, &[("stripe-signature", &none)], body);
    assert_eq!(refused, Err(Unproven::WrongSignature));
}

/// The example of GitHub's documentation.
#[test]
fn github_signs_the_body() {
    let hook = of_kind(HookKind::Github, "It's a Secret to Everybody".replace(' ', "-").as_str());
    let header =
        format!("sha256={}", hex(&mac("It's-a-Secret-to-Everybody".as_bytes(), "Hello, World!")));
    let id = prove(&hook, &[("x-hub-signature-256", &header)], "Hello, World!").unwrap();
    assert_eq!(id, "sha256:dffd6021bb2bd5b0af676290809ec3a53191dd81c7f70a4b28688a362182986f");
    let refused = prove(&hook, &[("x-hub-signature-256", &header)], "Hello, World");
    assert_eq!(refused, Err(Unproven::WrongSignature));
    for header in ["sha256=", "sha256=zz", "sha1=00", &header["sha256=".len()..]] {
        let refused = prove(&hook, &[("x-hub-signature-256", header)], "Hello, World!");
        assert_eq!(refused, Err(Unproven::Unreadable("x-hub-signature-256")), "{header:?}");
    }
}

#[test]
fn a_bearer_has_one_of_the_secrets() {
    let hook = of_kind(HookKind::Bearer, &format!("{PLAIN} another-secret-of-it"));
    for token in [PLAIN, "another-secret-of-it"] {
        let header = format!("Bearer {token}");
        let id = prove(&hook, &[("authorization", &header)], "{}").unwrap();
        assert!(id.starts_with("sha256:"), "{id}");
    }
    for header in ["", "Bearer", "Bearer ", "Bearer a-secret-of-a-sho", "Basic a-secret-of-a-shop"]
    {
        assert!(prove(&hook, &[("authorization", header)], "{}").is_err(), "{header:?}");
    }
    assert!(!format!("{hook:?}").contains("secret"), "{hook:?}");
}

#[test]
fn what_is_wrong_names_its_key() {
    type Change = fn(&mut HookConfig);
    let cases: [(Change, &str); 15] = [
        (|config| config.template = " ".to_owned(), "`hooks.shop.template` is empty"),
        (|config| config.priority = 0, "`hooks.shop.priority` is 0"),
        (|config| config.priority = 5, "`hooks.shop.priority` is 5"),
        (|config| config.tenant = Some(" ".to_owned()), "`hooks.shop.tenant` must be a text"),
        (|config| config.tenant = Some("a".repeat(101)), "`hooks.shop.tenant` must be a text"),
        (|config| config.tenant = Some("a\nb".to_owned()), "`hooks.shop.tenant` must be a text"),
        (
            |config| {
                config.kind = HookKind::Bearer;
                config.secret_env = Some("a-secret-of-\u{200b}a-shop".to_owned());
            },
            "which has a secret with a character that is not visible ASCII",
        ),
        (|config| config.id = Some("number".to_owned()), "`hooks.shop.id` is not a JSON pointer"),
        (|config| config.document = Some("/a~2".to_owned()), "`hooks.shop.document` is not"),
        (
            |config| config.map = BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            "`hooks.shop.map` has \"a\"",
        ),
        (
            |config| config.map = BTreeMap::from([("a".to_owned(), "/b".to_owned())]),
            "`hooks.shop.id` is missing",
        ),
        (|config| config.secret_env = None, "`hooks.shop.secret_env` is missing"),
        (
            |config| config.secret_env = Some("hunter2".to_owned()),
            "`hooks.shop.secret_env` names the variable hunter2, which does not begin with whsec_",
        ),
        (
            |config| {
                config.kind = HookKind::Github;
                config.secret_env = Some("too-short".to_owned());
            },
            "which has a secret with less than 16 characters",
        ),
        (
            |config| {
                config.kind = HookKind::Bearer;
                config.secret_env = Some(["a-secret-of-a-shop"; 5].join(" "));
            },
            "which has 5 secrets",
        ),
    ];
    for (change, says) in cases {
        let error = read(config(change)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

/// Some editors on Windows write a byte order mark, and others end a file with a line break.
#[test]
fn a_secret_is_that_of_a_file_without_what_editors_write() {
    let folder = tempfile::tempdir().unwrap();
    let body = "{}";
    for text in [PLAIN.to_owned(), format!("\u{feff}{PLAIN}\r\n"), format!(" \t{PLAIN}\n\n")] {
        std::fs::write(folder.path().join("secret"), &text).unwrap();
        let config = config(|config| {
            config.kind = HookKind::Bearer;
            config.secret_env = None;
            config.secret_file = Some("secret".into());
        });
        let hooks = BTreeMap::from([("shop".to_owned(), config)]);
        let mut hooks = Hook::read_all(&hooks, folder.path(), &|_| None).unwrap();
        let hook = hooks.remove("shop").unwrap();
        let token = format!("Bearer {PLAIN}");
        assert!(prove(&hook, &[("authorization", &token)], body).is_ok(), "{text:?}");
    }
}

#[test]
fn a_body_means_the_document_that_its_pointers_lead_to() {
    let body = json!({
        "order": { "number": 7, "a/b": "x" },
        "company": { "id": "c", "name": "Flora" },
        "none": null,
        "text": "{\"id\":\"t\"}",
        "quoted": "\"Flora\"",
    });
    let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(field, at)| ((*field).to_owned(), (*at).to_owned())).collect()
    };
    let whole = body.clone();
    let merged = json!({ "id": 7, "name": "x" });
    let cases = [
        (None, None, map(&[]), Ok(whole)),
        (None, Some("/company"), map(&[]), Ok(json!({ "id": "c", "name": "Flora" }))),
        (Some("/order/number"), Some("/company"), map(&[("name", "/order/a~1b")]), Ok(merged)),
        (
            None,
            None,
            map(&[("id", "/order/number"), ("name", "/company/name"), ("x", "/nowhere")]),
            Ok(json!({ "id": 7, "name": "Flora" })),
        ),
        (None, Some("/order/number"), map(&[]), Err("is not a JSON object")),
        (None, Some("/text"), map(&[]), Ok(json!({ "id": "t" }))),
        (None, Some("/company/id"), map(&[]), Err("is not a JSON object: expected")),
        (None, Some("/quoted"), map(&[]), Err("is not a JSON object")),
        (None, Some("/lost"), map(&[]), Err("there is nothing at \"/lost\"")),
        (Some("/lost"), None, map(&[]), Err("no id of an order at \"/lost\"")),
        (Some("/none"), None, map(&[]), Err("no id of an order at \"/none\"")),
    ];
    for (id, document, map, wanted) in cases {
        let hook = read(config(|config| {
            config.id = id.map(str::to_owned);
            config.document = document.map(str::to_owned);
            config.map = map;
        }))
        .unwrap();
        let read = hook.document(&body);
        match (read, wanted) {
            (Ok(read), Ok(wanted)) => {
                assert_eq!(serde_json::from_slice::<Value>(&read).unwrap(), wanted);
            }
            (Err(why), Err(says)) => {
                assert!(why.as_str().contains(says), "{why}");
                assert!(!why.as_str().contains("Flora"), "it quotes a customer: {why}");
            }
            (read, wanted) => panic!("{read:?} instead of {wanted:?}"),
        }
    }
}

#[test]
fn a_hook_knows_which_places_of_a_body_it_reads() {
    let with = |id: Option<&str>, document: Option<&str>, map: &[(&str, &str)]| {
        read(config(|config| {
            config.id = id.map(str::to_owned);
            config.document = document.map(str::to_owned);
            let own = |(field, at): &(&str, &str)| ((*field).to_owned(), (*at).to_owned());
            config.map = map.iter().map(own).collect();
        }))
        .unwrap()
    };
    let whole = with(None, None, &[]);
    let part = with(Some("/order/number"), Some("/order/site"), &[("name", "/company/name")]);
    assert!(whole.is_whole() && !part.is_whole());
    let dated = read(config(|config| {
        config.map = BTreeMap::from([("id".to_owned(), "/number".to_owned())]);
        config.due = Some("/sent".to_owned());
    }))
    .unwrap();
    assert!(dated.reads("/sent") && !dated.reads("/company"));
    let error = read(config(|config| config.due = Some("sent".to_owned()))).unwrap_err();
    assert!(error.to_string().contains("hooks.shop.due"), "{error}");
    assert!(!with(None, Some(""), &[("name", "/company")]).is_whole());
    for (place, reads) in [
        ("", true),
        ("/order", true),
        ("/order/number", true),
        ("/order/site/menu/0", true),
        ("/order/sites", false),
        ("/order/numbers", false),
        ("/company/name/first", true),
        ("/company/mail", false),
        ("/sent", false),
    ] {
        assert_eq!(part.reads(place), reads, "{place}");
        assert!(whole.reads(place), "{place}");
    }
}
