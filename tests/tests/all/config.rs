//! The configuration: file, environment variables, errors in both, and relative paths.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sitewright_tests::chat_server::{Answer, ChatServer, ClosedPort};
use sitewright_tests::{
    ANY_ANSWER, Done, IMPRINT, Workbench, binary, faulty, forget_settings, guest,
};

/// A folder with only this configuration, without the defaults of a workbench.
struct Bench(Workbench);

impl Bench {
    fn new(configuration: &str) -> Self {
        let bench = Workbench::configured("");
        bench.write("sitewright.toml", configuration);
        bench.write("ai.toml", ANY_ANSWER);
        bench.write("order.json", faulty("error", json!({})).to_string());
        Bench(bench)
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Done {
        let mut command = self.0.command(arguments);
        command
            .env("SITEWRIGHT_CACHE", sitewright_tests::compile_cache())
            .envs(variables.iter().copied());
        command.output().unwrap().into()
    }

    /// Runs an order that fails, and returns the record.
    fn record(&self, variables: &[(&str, &str)]) -> Value {
        let template = guest("guest-faulty");
        let template = template.to_string_lossy();
        let generate = ["--json", "generate", "--template", &template, "--order", "order.json"];
        self.run(&generate, variables).failure()
    }

    /// The error message before anything starts.
    fn refused(&self, variables: &[(&str, &str)]) -> String {
        self.refused_with(2, variables)
    }

    /// The same, with an exit code.
    fn refused_with(&self, code: i32, variables: &[(&str, &str)]) -> String {
        let template = guest("guest-faulty");
        let template = template.to_string_lossy();
        let generate = ["generate", "--template", &template, "--order", "order.json"];
        let done = self.run(&generate, variables);
        assert_eq!(done.code, code, "{variables:?}: {}{}", done.stdout, done.stderr);
        assert_eq!(done.stdout, "", "{variables:?}");
        done.stderr
    }
}

const AI: &str = "[ai.providers.scripted]\nkind = \"scripted\"\nrules = \
                  \"ai.toml\"\n[ai.routes.default]\ntry = [{ provider = \"scripted\", model = \
                  \"test\" }]\n";

#[test]
fn a_variable_beats_the_file_and_the_file_beats_the_default() {
    // (key, default)
    let limits: [(&str, u64); 13] = [
        ("memory_bytes", 256 << 20),
        ("cpu_ms", 10_000),
        ("deadline_ms", 600_000),
        ("ai_calls", 64),
        ("files", 2_000),
        ("file_bytes", 8 << 20),
        ("total_bytes", 64 << 20),
        ("path_bytes", 255),
        ("log_bytes", 256 << 10),
        ("stderr_bytes", 256 << 10),
        ("diagnostics", 256),
        ("order_bytes", 1 << 20),
        ("check_ms", 10_000),
    ];
    let max = |record: &Value, key: &str| record["limits"][key]["max"].as_u64();

    let record = Bench::new(AI).record(&[]);
    for (key, default) in limits {
        assert_eq!(max(&record, key), Some(default), "the default of {key}");
    }

    let lines: String =
        limits.iter().map(|(key, default)| format!("{key} = {}\n", default - 1)).collect();
    let bench = Bench::new(&format!("[limits]\n{lines}{AI}"));
    let record = bench.record(&[]);
    for (key, default) in limits {
        assert_eq!(max(&record, key), Some(default - 1), "{key} of the file");
    }

    let variables: Vec<(String, String)> = limits
        .iter()
        .map(|(key, default)| {
            (format!("SITEWRIGHT_LIMITS__{}", key.to_uppercase()), (default - 2).to_string())
        })
        .collect();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let record = bench.record(&variables);
    for (key, default) in limits {
        assert_eq!(max(&record, key), Some(default - 2), "{key} of the environment");
    }
}

#[test]
fn every_other_key_is_a_variable_too() {
    // A configuration of variables alone, which cover every key of the file.
    let bench = Bench::new("");
    std::fs::create_dir(bench.0.path().join("mine")).unwrap();
    std::fs::copy(guest("guest-faulty"), bench.0.path().join("mine/faulty.wasm")).unwrap();
    let variables = [
        ("SITEWRIGHT_TEMPLATES", "mine"),
        ("SITEWRIGHT_SITES", "there"),
        ("SITEWRIGHT_DEFAULT_LOCALE", "pt-BR"),
        ("SITEWRIGHT_KEEP_RELEASES", "2"),
        ("SITEWRIGHT_CONCURRENCY", "3"),
        ("SITEWRIGHT_AI__PROVIDERS__S__KIND", "scripted"),
        ("SITEWRIGHT_AI__PROVIDERS__S__RULES", "ai.toml"),
        ("SITEWRIGHT_AI__PROVIDERS__S__CALL_MS", "5000"),
        ("SITEWRIGHT_AI__PROVIDERS__X__KIND", "openai"),
        ("SITEWRIGHT_AI__PROVIDERS__X__BASE_URL", "http://127.0.0.1:1/v1"),
        ("SITEWRIGHT_AI__PROVIDERS__X__API_KEY_ENV", "LOCAL_AI_KEY"),
        ("SITEWRIGHT_AI__PROVIDERS__X__CONNECT_MS", "4000"),
        ("SITEWRIGHT_AI__ROUTES__DEFAULT__TRY", "[{provider=\"s\"}]"),
        ("SITEWRIGHT_AI__ROUTES__STRATEGY__TRY", "[{provider=\"x\", model=\"m\"}]"),
        ("LOCAL_AI_KEY", "planted"),
    ];
    let generate = ["--json", "generate", "--template", "faulty", "--order", "order.json"];
    let page = format!(
        "<!doctype html><html lang=\"pt-BR\"><head><meta charset=\"utf-8\"><title>Uma \
                casa</title><meta name=\"description\" content=\"Uma casa pequena, limpa e aberta \
                a todos.\"><meta name=\"viewport\" content=\"width=device-width, \
                initial-scale=1\"></head><body><h1>Uma casa</h1><p>Uma casa pequena, limpa e \
                aberta a todos os que passam.</p>{IMPRINT}</body></html>"
    );
    // Nothing in the order tells its language.
    let mut order = faulty("files", json!({ "files": { "index.html": page } }));
    let onboarding = order["onboarding"].as_object_mut().unwrap();
    onboarding.remove("locale");
    onboarding.remove("business_phone");
    for round in 0..3 {
        bench.0.write("order.json", order.to_string());
        let done = bench.run(&generate, &variables);
        assert_eq!(done.code, 0, "{round}: {}{}", done.stdout, done.stderr);
        let release = &done.json()["release"];
        assert_eq!(release["locale"], "pt-BR", "{release}");
        let path = Path::new(release["path"].as_str().unwrap());
        assert!(
            path.starts_with(bench.0.path().canonicalize().unwrap().join("there")),
            "{release}"
        );
        let kept = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(kept, usize::min(round + 1, 2), "keep_releases");
    }

    // The provider and model of a call.
    let asks = |purpose: &str| {
        bench.0.write("order.json", faulty("ai-echo", json!({ "purpose": purpose })).to_string());
        bench.run(&generate, &variables).json()
    };
    assert_eq!(asks("copywriting")["ai"]["by_call"][0]["provider"], "s");
    let failed = asks("strategy");
    let attempt = &failed["failure"]["ai"]["attempts"][0];
    assert_eq!((&attempt["provider"], &attempt["model"]), (&json!("x"), &json!("m")), "{failed}");
    assert!(attempt["message"].as_str().unwrap().contains("http://127.0.0.1:1/v1"), "{attempt}");
}

#[test]
fn what_is_wrong_with_the_file_is_told_with_file_and_key() {
    let provider = |line: &str| {
        format!(
            "[ai.providers.x]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\n{line}\n"
        )
    };
    let cases: Vec<(String, &[&str])> = vec![
        ("nonsense = 1".into(), &["`nonsense`", "unknown field"]),
        ("[limits]\nspeed = 1".into(), &["`limits.speed`", "unknown field"]),
        ("[limits]\ncpu_ms = \"fast\"".into(), &["`limits.cpu_ms`", "\"fast\"", "u64"]),
        ("[limits]\ncpu_ms = -1".into(), &["`limits.cpu_ms`", "-1"]),
        ("[limits]\ncpu_ms = 1".into(), &["`limits.cpu_ms` is 1, but must be at least 10"]),
        ("keep_releases = 0".into(), &["`keep_releases` is 0, but must be at least 1"]),
        ("concurrency = \"many\"".into(), &["`concurrency`", "\"many\""]),
        ("default_locale = \"not a locale\"".into(), &["`default_locale`", "not a locale"]),
        ("sites = 7".into(), &["`sites`", "7"]),
        ("sites = { pth = \"x\" }".into(), &["`sites`", "`pth`", "unknown field"]),
        (
            "[database]\nurl = \"mysql://u:hunter2@h/x\"".into(),
            &["`database.url`", "not the URL of a database"],
        ),
        ("[database]\nurl_env = \"NOT_THERE\"".into(), &["`database.url_env`", "NOT_THERE"]),
        ("[database]\nurl_file = \"none\"".into(), &["`database.url_file`", "none"]),
        (
            "[database]\nurl = \"sqlite://a\"\nurl_env = \"B\"".into(),
            &["`database.url`", "one of the three"],
        ),
        ("[worker]\nmax_orders = 0".into(), &["`worker.max_orders` is 0, but must be at least 1"]),
        (
            "[worker]\nsilent_ms = 100".into(),
            &["`worker.silent_ms` is 100, but must be at least 15000"],
        ),
        (
            "[retention]\nhook_deliveries = \"23h\"".into(),
            &["`retention.hook_deliveries` is 23h, but must be at least 1d"],
        ),
        (
            "[forms]\nendpoint = \"mailto:a@example.com\"".into(),
            &["`forms.endpoint` cannot be used: `mailto:a@example.com`", "https://example.com"],
        ),
        ("[ai.nonsense]".into(), &["`ai.nonsense`"]),
        (provider("api_key = \"k\""), &["`ai.providers.x.api_key`", "api_key_env"]),
        (provider("call_ms = \"fast\""), &["`ai.providers.x.call_ms`", "\"fast\""]),
        (provider("rules = \"ai.toml\""), &["`ai.providers.x`", "has no key `rules`"]),
        (
            "[ai.providers.x]\nkind = \"openai\"".into(),
            &["`ai.providers.x`", "`base_url` is missing"],
        ),
        (
            "[ai.providers.x]\nkind = \"magic\"".into(),
            &["`ai.providers.x.kind`", "magic", "openai"],
        ),
        ("[ai.providers.x]\nrules = \"a\"".into(), &["`ai.providers.x", "kind"]),
        ("[ai.routes.default]\ntry = 1".into(), &["`ai.routes.default.try`"]),
        (
            "[ai.routes.default]\ntry = [{ modell = \"m\" }]".into(),
            &["`ai.routes.default.try[0].modell`"],
        ),
        (
            "[ai.routes.default]\ntry = [{ model = \"m\" }]".into(),
            &["`ai.routes.default.try[0]", "provider"],
        ),
        ("sites = ".into(), &["line 1"]),
    ];
    // A secret may be there later.
    let may_pass = ["url_env = \"NOT_THERE\"", "url_file = \"none\""];
    for (configuration, says) in cases {
        let code = if may_pass.iter().any(|line| configuration.ends_with(line)) { 1 } else { 2 };
        let refused = Bench::new(&configuration).refused_with(code, &[]);
        for says in says.iter().chain(&["sitewright.toml"]) {
            assert!(refused.contains(says), "{configuration}: {says}: {refused}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_variable_is_told_with_its_name() {
    let bench = Bench::new(&format!("[limits]\nfiles = 10\n{AI}"));
    let cases: [(&str, &str, &[&str]); 8] = [
        (
            "SITEWRIGHT_LIMITS__DEADLINE_MS",
            "1",
            &["`limits.deadline_ms` is 1, but must be at least 10"],
        ),
        ("SITEWRIGHT_NONSENSE", "1", &["`nonsense`", "unknown field"]),
        ("SITEWRIGHT_LIMITS__SPEED", "1", &["`limits.speed`", "unknown field"]),
        ("SITEWRIGHT_LIMITS__CPU_MS", "fast", &["`limits.cpu_ms`", "\"fast\""]),
        ("SITEWRIGHT_LIMITS_CPU_MS", "1", &["`limits_cpu_ms`", "unknown field"]),
        (
            "SITEWRIGHT_AI__PROVIDERS__SCRIPTED__CALL_MS",
            "fast",
            &["`ai.providers.scripted.call_ms`"],
        ),
        (
            "SITEWRIGHT_AI__ROUTES__DEFAULT__TRY",
            "[{modell=\"m\"}]",
            &["`ai.routes.default.try[0].modell`"],
        ),
        ("SITEWRIGHT_DEFAULT_LOCALE", "not a locale", &["`default_locale`", "not a locale"]),
    ];
    for (name, value, says) in cases {
        let refused = bench.refused(&[(name, value)]);
        for says in says.iter().chain(&[name]) {
            assert!(refused.contains(says), "{name}: {says}: {refused}");
        }
        assert!(!refused.contains("sitewright.toml"), "the file is blamed: {refused}");
    }
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let bench = Bench::new("");
    for (path, says) in [("missing.toml", "cannot be read"), (".", "cannot be read")] {
        let run = || {
            let mut command = Command::new(binary());
            forget_settings(&mut command);
            command.current_dir(bench.0.path()).args(["template", "list"]).stdin(Stdio::null());
            command
        };
        let by_flag: Done = run().args(["--config", path]).output().unwrap().into();
        let by_variable: Done = run().env("SITEWRIGHT_CONFIG", path).output().unwrap().into();
        for done in [by_flag, by_variable] {
            assert_eq!(done.code, 2, "{path}: {}", done.stderr);
            assert!(
                done.stderr.contains(path) && done.stderr.contains(says),
                "{path}: {}",
                done.stderr
            );
        }
    }
}

#[test]
fn a9_a_key_that_cannot_be_read_stops_the_start_and_is_named() {
    let long = "x".repeat(9_000);
    // (setting of the key, content at that place, part of the error)
    type Case<'a> = (&'a str, Option<&'a [u8]>, &'a [&'a str]);
    let cases: [Case<'_>; 7] = [
        ("api_key_env = \"LOCAL_AI_KEY\"", None, &["LOCAL_AI_KEY is not set", "api_key_env"]),
        ("api_key_env = \"EMPTY_AI_KEY\"", None, &["EMPTY_AI_KEY is empty", "api_key_env"]),
        ("api_key_file = \"key\"", None, &["key file key cannot be read", "api_key_file"]),
        ("api_key_file = \"key\"", Some(b" \n"), &["key file key is empty", "api_key_file"]),
        ("api_key_file = \".\"", None, &["is a directory", "api_key_file"]),
        (
            "api_key_file = \"key\"",
            Some(b"two\nlines"),
            &["characters that are not valid in a key", "api_key_file"],
        ),
        ("api_key_file = \"key\"", Some(long.as_bytes()), &["over 8192 bytes", "api_key_file"]),
    ];
    for (line, key, says) in cases {
        let bench = Bench::new(&format!(
            "[ai.providers.x]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:1/v1\"\n{line}\n\
             [ai.routes.default]\ntry = [{{ provider = \"x\", model = \"m\" }}]\n"
        ));
        if let Some(key) = key {
            bench.0.write("key", key);
        }
        // It may be there after a restart, as a file that is mounted late.
        let refused = bench.refused_with(1, &[("EMPTY_AI_KEY", " ")]);
        for says in says.iter().chain(&["ai.providers.x."]) {
            assert!(refused.contains(says), "{line}: {says}: {refused}");
        }
    }
}

#[test]
fn f3_relative_paths_start_from_the_file_and_not_from_the_working_directory() {
    for (configuration, folder) in
        [(format!("sites = \"out\"\n{AI}"), "out"), (AI.to_owned(), "sites")]
    {
        let bench = Bench::new(&configuration);
        let elsewhere = bench.0.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let order = bench.0.path().join("order.json");
        let folder = bench.0.path().canonicalize().unwrap().join(folder);
        for cwd in [bench.0.path(), elsewhere.as_path(), Path::new("/")] {
            let mut command = Command::new(binary());
            forget_settings(&mut command);
            let done: Done = command
                .current_dir(cwd)
                .args(["--json", "--config"])
                .arg(bench.0.path().join("sitewright.toml"))
                .args(["generate", "--template"])
                .arg(guest("guest-faulty"))
                .arg("--order")
                .arg(&order)
                .env("SITEWRIGHT_CACHE", sitewright_tests::compile_cache())
                .stdin(Stdio::null())
                .output()
                .unwrap()
                .into();
            let report = done.json();
            let file = report["failure_file"].as_str().unwrap_or_else(|| panic!("{report}"));
            assert!(Path::new(file).starts_with(&folder), "from {}: {file}", cwd.display());
        }
    }
}

#[test]
fn e13_the_configuration_s_version_changes_with_a_value_and_only_then() {
    let version = |configuration: &str, variables: &[(&str, &str)]| {
        let record = Bench::new(configuration).record(variables);
        record["config_version"].as_str().unwrap().to_owned()
    };
    let base = version(AI, &[]);
    assert_eq!(base.len(), 12);
    let same: [(String, &[(&str, &str)]); 5] = [
        (AI.to_owned(), &[]),
        (format!("# a comment\n\n{AI}"), &[]),
        (format!("keep_releases = 5\n[limits]\ncpu_ms = 10000\n{AI}"), &[]),
        (AI.to_owned(), &[("SITEWRIGHT_LIMITS__CPU_MS", "10000"), ("SITEWRIGHT_LOG", "error")]),
        (AI.to_owned(), &[("UNRELATED", "1")]),
    ];
    for (configuration, variables) in same {
        assert_eq!(version(&configuration, variables), base, "{configuration} {variables:?}");
    }
    let mut seen = vec![base];
    let different: [(String, &[(&str, &str)]); 7] = [
        (format!("[forms]\nendpoint = \"https://forms.example.com\"\n{AI}"), &[]),
        (format!("keep_releases = 6\n{AI}"), &[]),
        (format!("[limits]\ncpu_ms = 9999\n{AI}"), &[]),
        (AI.to_owned(), &[("SITEWRIGHT_LIMITS__CPU_MS", "9998")]),
        (format!("sites = \"other\"\n{AI}"), &[]),
        (AI.replace("\"test\"", "\"another\""), &[]),
        (AI.replace("rules = \"ai.toml\"", "rules = \"ai.toml\"\ncall_ms = 1000"), &[]),
    ];
    for (configuration, variables) in different {
        let version = version(&configuration, variables);
        assert!(!seen.contains(&version), "{configuration} {variables:?}");
        seen.push(version);
    }
}

#[test]
fn e13_a_change_of_the_file_in_the_middle_of_a_run_is_for_the_next_one() {
    let configuration = |base_url: &str, attempts: u32| {
        format!(
            "[ai.retry]\nattempts = {attempts}\nbase_ms = 1\n[ai.providers.local]\nkind = \
             \"openai\"\nbase_url = \"{base_url}\"\n[ai.routes.default]\ntry = [{{ provider = \
             \"local\", model = \"m\" }}]\n"
        )
    };
    let bench = std::sync::Arc::new(Bench::new(""));
    let elsewhere = ClosedPort::take().base_url();
    let changed = configuration(&elsewhere, 1);
    let writer = bench.clone();
    let server = ChatServer::start(ANY_ANSWER, move |_| {
        writer.0.write("sitewright.toml", &changed);
        Answer::Http { status: 500, headers: &[], body: String::new() }
    });
    bench.0.write("sitewright.toml", configuration(&server.base_url(), 2));
    bench.0.write("order.json", faulty("ai-error", json!({})).to_string());
    let version = || {
        let checks = bench.run(&["--json", "doctor", "--offline"], &[]).json()["checks"].clone();
        checks[0]["says"].as_str().unwrap().rsplit_once(' ').unwrap().1.to_owned()
    };
    let at_start = version();
    let record = bench.record(&[]);
    assert_eq!(record["config_version"], at_start);
    assert_eq!(server.calls().len(), 2, "the second attempt went where the first did: {record}");

    let next = bench.record(&[]);
    assert_eq!(next["config_version"], version());
    assert_ne!(next["config_version"], at_start);
    assert!(next["message"].as_str().unwrap().contains(&elsewhere), "{next}");
    assert_eq!(server.calls().len(), 2);
}
