//! The command line: exit codes, `--json`, and output on a terminal and on a pipe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sitewright_tests::chat_server::{Answer, ChatServer, TOKENS};
use sitewright_tests::{
    ANY_ANSWER, Done, Workbench, faulty, forget_settings, guest, order, standins,
};

/// A workbench whose folder of templates contains `faulty` and, if `broken`, a file that is not
/// a template.
fn bench(broken: bool) -> Workbench {
    let bench = Workbench::scripted(ANY_ANSWER, "templates = \"templates\"");
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    std::fs::copy(guest("guest-faulty"), bench.path().join("templates/faulty.wasm")).unwrap();
    if broken {
        bench.write("templates/broken.wasm", "this is a text");
    }
    bench
}

/// Runs the binary with `input` on its stdin.
fn with_stdin(bench: &Workbench, arguments: &[&str], input: &[u8]) -> Done {
    let mut child = piped(&mut bench.command(arguments));
    // The binary may stop reading before the end.
    let written = child.stdin.take().unwrap().write_all(input);
    let done: Done = child.wait_with_output().unwrap().into();
    assert!(written.is_ok() || done.code != 0, "{written:?}");
    done
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The only JSON object on stdout; asserts the keys that every report has.
fn report(done: &Done) -> Value {
    let report = done.json();
    let keys = report.as_object().expect("an object");
    for key in ["outcome", "release", "files", "ai", "usage", "failure"] {
        assert!(keys.contains_key(key), "{key} is missing: {}", done.stdout);
    }
    report
}

#[test]
fn exit_codes_and_outcomes_agree_and_json_is_one_object() {
    let bench = bench(false);
    let templates = bench.path().join("templates");
    let generate = |what: &str, parameters: Value| {
        let order = bench.write("order.json", faulty(what, parameters).to_string());
        let (template, order) = (templates.join("faulty.wasm"), order.display().to_string());
        bench.run(&[
            "--json",
            "generate",
            "--template",
            &template.to_string_lossy(),
            "--order",
            &order,
        ])
    };

    let done = generate("ok", json!({}));
    assert_eq!(
        (done.code, report(&done)["outcome"].as_str()),
        (0, Some("released")),
        "{}",
        done.stdout
    );
    assert!(report(&done)["release"].is_object());
    assert!(!report(&done)["files"].as_array().unwrap().is_empty());
    assert!(report(&done)["failure"].is_null());

    let rejected = json!({ "files": { "index.html": "<p>no page</p>" } });
    let cases = [
        ("error", json!({}), 4, "template_error"),
        ("panic-str", json!({}), 4, "panic"),
        ("unreachable", json!({}), 4, "trap"),
        ("many-files", json!({}), 4, "output_limit"),
        ("files", rejected, 6, "output_rejected"),
    ];
    for (fault, parameters, code, kind) in cases {
        let done = generate(fault, parameters);
        assert_eq!(done.code, code, "{fault}: {}", done.stdout);
        let report = report(&done);
        assert_eq!(report["outcome"], "failed", "{fault}");
        assert_eq!(report["failure"]["kind"], kind, "{fault}");
        assert!(report["release"].is_null(), "{fault}");
        assert!(report["failure_file"].is_string(), "{fault}");
    }

    // 3: the order is invalid.
    for (order, says) in [("{\"order\": 1", "JSON"), ("[]", "object"), ("", "empty")] {
        let done = with_stdin(
            &bench,
            &["--json", "generate", "--template", "faulty", "--order", "-"],
            order.as_bytes(),
        );
        assert_eq!(done.code, 3, "{order:?}: {}", done.stdout);
        assert_eq!(report(&done)["failure"]["kind"], "invalid_order", "{order:?}");
        assert!(done.stdout.contains(says), "{order:?}: {}", done.stdout);
    }
}

/// A wrong flag or configuration is not a failure of the order.
#[test]
fn a_template_that_cannot_be_found_or_has_no_route_leaves_no_record() {
    let unrouted = Workbench::configured("");
    let faulty_file = guest("guest-faulty").to_string_lossy().into_owned();
    let rows: [(&Workbench, &[&str], &[&str]); 4] = [
        (&bench(false), &["--template", "nobody"], &["no template `nobody`", "faulty"]),
        (&bench(false), &["--template", "nobody.wasm"], &["nobody.wasm", "No such file"]),
        (
            &bench(false),
            &["--templates", "nowhere", "--template", "faulty"],
            &["nowhere cannot be read", "set `templates`"],
        ),
        (
            &unrouted,
            &["--template", &faulty_file],
            &["the template `faulty`", "[ai.routes.strategy]", "[ai.routes.default]"],
        ),
    ];
    for (bench, arguments, says) in rows {
        let file = bench.write("order.json", order("02-dentist-us-minimal").to_string());
        let order = ["--order", &file.to_string_lossy()].map(str::to_owned);
        let order = order.each_ref().map(String::as_str);
        let done = bench.run(&[&["--json", "generate"], arguments, &order].concat());
        assert_eq!(done.code, 2, "{arguments:?}: {}{}", done.stdout, done.stderr);
        let answer = done.json();
        assert_eq!(answer["failure"], Value::Null, "{answer}");
        for part in says {
            assert!(answer["error"].to_string().contains(part), "{part}: {answer}");
        }
        let left = std::fs::read_dir(bench.sites()).map_or(0, |entries| {
            entries.filter(|entry| entry.as_ref().unwrap().file_name() == "102").count()
        });
        assert_eq!(left, 0, "{arguments:?}: the order has a folder");
    }
}

#[test]
fn usage_and_configuration_errors_exit_with_2_and_say_what_is_wrong() {
    let bench = bench(false);
    bench.write("wrong.toml", "nonsense = 1\n");
    let cases: [(&[&str], &str); 8] = [
        (&["generate", "--template", "faulty"], "--order"),
        (&["generate", "--template", "faulty", "--order", "-", "--fast"], "--fast"),
        (&["create"], "create"),
        (&["generate", "--template", "faulty", "--order", "no-such.json"], "no-such.json"),
        (&["--config", "wrong.toml", "template", "list"], "nonsense"),
        (&["--log", "sitewright=loud", "template", "list"], "--log"),
        (&["--templates", "nowhere", "template", "list"], "nowhere"),
        (&["failures", "show", "01ZZZZ"], "01ZZZZ"),
    ];
    for (arguments, says) in cases {
        // The workbench passes --config already, and an argument may be given only once.
        let run = |more: &[&str]| -> Done {
            let mut command = Command::new(sitewright_tests::binary());
            command.current_dir(bench.path()).stdin(Stdio::null());
            forget_settings(&mut command);
            command.args(more).args(arguments).output().unwrap().into()
        };
        let done = run(&[]);
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(says), "{arguments:?}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{arguments:?}");

        let done = run(&["--json"]);
        assert_eq!(done.code, 2, "{arguments:?}: {}", done.stderr);
        let report = report(&done);
        assert_eq!(report["outcome"], "error", "{arguments:?}");
        let error = &report["error"];
        assert!(error.to_string().contains(says), "{arguments:?}: {error}");
        assert!(!error["message"].as_str().unwrap().trim().is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_host_s_own_failure_exits_with_1() {
    let bench = bench(false);
    // A file is at the path of the order's folder.
    std::fs::create_dir_all(bench.sites()).unwrap();
    let document = order("02-dentist-us-minimal");
    let id = document["order"]["id"]
        .as_u64()
        .map_or_else(|| document["order"]["id"].as_str().unwrap().to_owned(), |id| id.to_string());
    bench.write(&format!("sites/{id}"), "in the way");
    let done = with_stdin(
        &bench,
        &["--json", "generate", "--template", "faulty", "--order", "-"],
        document.to_string().as_bytes(),
    );
    assert_eq!(done.code, 1, "{}", done.stdout);
    assert_eq!(report(&done)["failure"]["kind"], "host");
    assert!(done.stdout.contains(&format!("sites/{id}")), "{}", done.stdout);
}

#[test]
fn an_interrupted_run_leaves_its_record_and_exits_with_7() {
    let server = ChatServer::start(ANY_ANSWER, |_| Answer::Hang);
    let bench = Workbench::configured(&format!(
        "[ai.providers.local]\nkind = \"openai\"\nbase_url = \"{}\"\n[ai.routes.default]\ntry = \
         [{{ provider = \"local\", model = \"any\" }}]\n",
        server.base_url()
    ));
    let order = bench.write("order.json", faulty("ai-error", json!({})).to_string());
    let mut command = bench.command(&["--json", "generate", "--template"]);
    command.arg(guest("guest-faulty")).arg("--order").arg(order);
    let child = piped(&mut command);
    assert!(server.wait_for(1), "the call is in flight");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let done: Done = child.wait_with_output().unwrap().into();
    assert_eq!(done.code, 7, "{}\n{}", done.stdout, done.stderr);
    let failure = report(&done)["failure"].clone();
    assert_eq!(failure["kind"], "cancelled");
    assert_eq!(
        failure["trail"].as_array().unwrap().last().unwrap()["outcome"],
        "in_flight",
        "{failure}"
    );
}

#[test]
fn an_order_comes_from_stdin_or_a_file_and_within_its_limit() {
    let bench = bench(false);
    let arguments = ["--json", "generate", "--template", "faulty", "--order", "-"];
    let document = faulty("ok", json!({})).to_string();
    let length = document.len();
    let limited = |limit: usize| -> Done {
        let mut command = bench.command(&arguments);
        command.env("SITEWRIGHT_LIMITS__ORDER_BYTES", limit.to_string());
        let mut child = piped(&mut command);
        child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    };
    let done = limited(length);
    assert_eq!(done.code, 0, "just large enough: {}", done.stdout);
    let done = limited(length - 1);
    assert_eq!(done.code, 3, "one byte over: {}", done.stdout);
    let failure = done.failure();
    assert_eq!(failure["kind"], "invalid_order");
    assert_eq!(failure["limits"]["order_bytes"]["max"], length - 1, "{failure}");
    assert!(failure.to_string().contains("order_bytes"), "{failure}");
}

#[test]
fn templates_are_listed_and_inspected_and_a_broken_one_says_why() {
    let bench = bench(true);
    let done = bench.run(&["template", "list"]);
    assert_eq!(done.code, 4, "{}", done.stderr);
    for says in [
        "faulty",
        "Fails in every way a template can.",
        "broken.wasm",
        "not a WebAssembly component",
    ] {
        assert!(done.stdout.contains(says), "{says:?}: {}", done.stdout);
    }
    let done = bench.run(&["--json", "template", "list"]);
    assert_eq!(done.code, 4);
    let list = done.json()["templates"].as_array().unwrap().clone();
    assert_eq!(list.len(), 2);
    assert!(list[0]["file"].as_str().unwrap().ends_with("broken.wasm"), "{list:?}");
    assert!(list[0]["causes"].to_string().contains("WebAssembly"), "{list:?}");
    assert_eq!(list[1]["name"], "faulty");

    let done = bench.run(&["--json", "template", "inspect", "faulty"]);
    assert_eq!(done.code, 0);
    let found = done.json();
    assert_eq!(found["name"], "faulty");
    assert_eq!(found["locales"], json!(["en", "pt-BR"]));
    assert!(found["digest"].as_str().unwrap().starts_with("sha256:"));
    let purposes: Vec<_> =
        found["ai_purposes"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(purposes, ["copywriting", "strategy"]);
    let digest = found["digest"].as_str().unwrap().to_owned();

    let done = bench.run(&["template", "inspect", "templates/faulty.wasm"]);
    assert_eq!(done.code, 0);
    for says in ["faulty", digest.as_str(), "en, pt-BR", "copywriting", "sitewright:template@0.2.0"]
    {
        assert!(done.stdout.contains(says), "{says:?}: {}", done.stdout);
    }
    assert!(!done.stdout.contains("no route"), "{}", done.stdout);
    let done = bench.run(&["template", "inspect", "faulty", "--schema"]);
    assert_eq!(done.json()["type"], "object");

    for (name, says) in
        [("broken", "not a WebAssembly component"), ("nobody", "there are: broken, faulty")]
    {
        let done = bench.run(&["template", "inspect", name]);
        assert_eq!(done.code, 2, "{name}: {}", done.stdout);
        assert!(done.stderr.contains(says), "{name}: {}", done.stderr);
    }

    // Orders name a template by its file, whatever its manifest calls it.
    std::fs::copy(guest("guest-faulty"), bench.path().join("templates/other.wasm")).unwrap();
    let done = bench.run(&["template", "list"]);
    assert!(done.stdout.contains("other (manifest: faulty)"), "{}", done.stdout);
    let list = bench.run(&["--json", "template", "list"]).json()["templates"].clone();
    assert_eq!((&list[2]["name"], &list[2]["manifest_name"]), (&json!("other"), &json!("faulty")));
}

#[test]
fn e3_a_purpose_without_a_route_is_told_by_inspect() {
    let bench = Workbench::configured("");
    let done = bench.run(&["template", "inspect", &guest("guest-faulty").to_string_lossy()]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout.contains("no route: add [ai.routes.copywriting] or [ai.routes.default]"),
        "{}",
        done.stdout
    );
}

#[test]
fn e3_a_purpose_without_a_route_ends_the_attempt_before_the_run() {
    let server = ChatServer::start(ANY_ANSWER, |_| Answer::Good);
    let bench = Workbench::configured(&format!(
        "[ai.providers.local]\nkind = \"openai\"\nbase_url = \"{}\"\n[ai.routes.copywriting]\ntry \
         = [{{ provider = \"local\", model = \"m\" }}]\n",
        server.base_url()
    ));
    let done = bench.generate(&guest("guest-faulty"), &faulty("ai-echo", json!({})));
    assert_eq!(done.code, 2, "{}", done.stdout);
    let error = done.json()["error"]["message"].to_string();
    for says in
        ["the template `faulty`", "`strategy`", "[ai.routes.strategy]", "[ai.routes.default]"]
    {
        assert!(error.contains(says), "{says}: {error}");
    }
    assert!(server.calls().is_empty());
}

#[test]
fn d4_a_resumed_attempt_pays_for_nothing_twice() {
    // The attempts pay for 3, 2 and 1 of the six calls: the server fails after the third and the
    // fifth.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = ChatServer::start(ANY_ANSWER, move |_| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            3 | 6 => Answer::Http { status: 500, headers: &[], body: String::new() },
            _ => Answer::Good,
        }
    });
    let bench = Workbench::configured(&format!(
        "[ai.retry]\nattempts = 1\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \
         \"{}\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n",
        server.base_url()
    ));
    let order = bench.write("order.json", faulty("calls-in-turn", json!({ "n": 6 })).to_string());
    let run = |json: bool, resume: Option<&str>| {
        let mut command = bench.command(if json { &["--json"] } else { &[] });
        command
            .arg("generate")
            .arg("--template")
            .arg(guest("guest-faulty"))
            .arg("--order")
            .arg(&order);
        let done: Done = command
            .args(resume.into_iter().flat_map(|id| ["--resume", id]))
            .output()
            .unwrap()
            .into();
        done
    };
    let paid = |done: &Done| {
        let ai = &done.json()["ai"];
        (
            ai["calls"].as_u64().unwrap(),
            ai["replayed"].as_u64().unwrap(),
            ai["output_tokens"].as_u64().unwrap(),
        )
    };
    let attempt = |done: &Done| done.failure()["attempt"].as_str().unwrap().to_owned();

    let first = run(true, None);
    assert_eq!((first.code, paid(&first)), (5, (3, 0, 3 * TOKENS.1)), "{}", first.stdout);
    let second = run(true, Some(&attempt(&first)));
    assert_eq!((second.code, paid(&second)), (5, (5, 3, 2 * TOKENS.1)), "{}", second.stdout);
    let third = run(false, Some(&attempt(&second)));
    assert_eq!(third.code, 0, "{}", third.stdout);
    assert!(
        third.stdout.contains("6 AI calls (5 from the journal), 100 tokens in, 7 out"),
        "{}",
        third.stdout
    );
    let prompts: Vec<String> =
        server.calls().iter().map(|call| call.body["messages"].to_string()).collect();
    assert_eq!(prompts.len(), 8, "six good calls and two that failed");
    let mut good: Vec<&String> = prompts
        .iter()
        .enumerate()
        .filter(|(index, _)| ![3, 6].contains(index))
        .map(|(_, prompt)| prompt)
        .collect();
    good.sort();
    good.dedup();
    assert_eq!(good.len(), 6, "no question was answered twice: {prompts:?}");

    // The reply in an unreadable line of a journal is paid for again, with a warning. Half a
    // line at the end comes from a process that died.
    let order_id = second.failure()["order"].as_str().unwrap().to_owned();
    let journal =
        bench.sites().join(order_id).join("journal").join(format!("{}.jsonl", attempt(&second)));
    let lines: Vec<String> =
        std::fs::read_to_string(&journal).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(
        lines.len(),
        5,
        "the replies of the first attempt stand in the second one's journal too"
    );
    std::fs::write(
        &journal,
        format!("{}\n{{broken\n{}\n{{\"half", lines[0], lines[2..].join("\n")),
    )
    .unwrap();
    let mended = run(true, Some(&attempt(&second)));
    assert_eq!((mended.code, paid(&mended)), (0, (6, 4, 2 * TOKENS.1)), "{}", mended.stdout);
    assert!(
        mended.stderr.contains("line=2 ") && !mended.stderr.contains("line=6"),
        "{}",
        mended.stderr
    );
    assert_eq!(server.calls().len(), 10);

    let wrong = run(true, Some("01M8357JZHP0R67R2SMZJYZHKG"));
    assert_eq!(wrong.code, 2, "{}", wrong.stdout);
    assert!(
        wrong.stderr.contains("left no replies") || wrong.stdout.contains("left no replies"),
        "{wrong:?}"
    );
    assert_eq!(server.calls().len(), 10);
}

#[test]
fn failures_are_listed_newest_first_and_shown_by_id_prefix_and_file() {
    let bench = bench(false);
    assert_eq!(bench.run(&["failures", "list"]).stdout, "No failures.\n");
    let template = bench.path().join("templates/faulty.wasm");
    let reports: Vec<Value> = ["error", "panic-str"]
        .iter()
        .map(|fault| bench.generate(&template, &faulty(fault, json!({}))).json())
        .collect();
    let ids: Vec<&str> =
        reports.iter().map(|report| report["failure"]["id"].as_str().unwrap()).collect();

    let listed = bench.run(&["--json", "failures", "list", "--flat"]).json()["failures"].clone();
    assert_eq!(listed[0]["id"], ids[1], "newest first");
    assert_eq!(listed[1]["id"], ids[0]);
    assert_eq!(listed[1]["kind"], "template_error");
    assert_eq!(
        bench.run(&["--json", "failures", "list", "--flat", "--limit", "1"]).json()["failures"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let none = bench.run(&["--json", "failures", "list", "--flat", "--order", "no-such"]).json();
    assert_eq!(none, json!({ "failures": [], "unreadable": [] }));
    let text = bench.run(&["failures", "list", "--flat"]).stdout;
    for says in [ids[0], ids[1], "template_error", "panic", "no site was made"] {
        assert!(text.contains(says), "{says:?}: {text}");
    }

    let file = reports[0]["failure_file"].as_str().unwrap();
    let stored: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let lower = ids[0].to_lowercase();
    // The first ten characters of an id are its time, so records of the same second need more.
    for id in [ids[0], &ids[0][..25], &lower, file] {
        let shown = bench.run(&["--json", "failures", "show", id]);
        assert_eq!(shown.code, 0, "{id}: {}", shown.stderr);
        assert_eq!(shown.json(), stored, "{id}");
        let shown = bench.run(&["failures", "show", id]);
        for says in [ids[0], "no site was made", "the root: no bread", "What to do", "Limits"] {
            assert!(shown.stdout.contains(says), "{id}: {says:?}: {}", shown.stdout);
        }
    }

    for (id, says) in [
        ("01ZZZZZZZZ", "there is no failure \"01ZZZZZZZZ\""),
        ("0", "fits several failures"),
        ("sites/none.json", "there is no file sites/none.json"),
        ("order.json", "is not a failure record"),
    ] {
        let shown = bench.run(&["failures", "show", id]);
        assert_eq!(shown.code, 2, "{id}: {}", shown.stdout);
        assert!(shown.stderr.contains(says), "{id}: {}", shown.stderr);
    }
}

#[test]
fn a1_an_ai_error_that_a_template_wraps_is_told_once_and_whole() {
    let rules = "[[rule]]\n[rule.answer.fault]\nstatus = 401\nbody = \"no\"\n";
    let bench = Workbench::scripted(rules, "");
    let failure = bench.generate(&guest("guest-faulty"), &faulty("ai-error", json!({}))).failure();
    let message = failure["message"].as_str().unwrap();
    assert!(
        message.starts_with("while writing the headline: the provider `scripted` refused its key"),
        "{message}"
    );

    let shown = bench.run(&["failures", "show", failure["id"].as_str().unwrap()]);
    let text = shown.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        text.matches("refused its key").count(),
        1 + in_the_trail(&text),
        "{}",
        shown.stdout
    );
    for says in
        ["while writing the headline", "1. scripted test: auth · HTTP 401", "sitewright doctor"]
    {
        assert!(text.contains(says), "{says:?}: {}", shown.stdout);
    }
    let listed = bench.run(&["failures", "list"]).stdout;
    assert!(listed.contains("the provider `scripted` refused its key"), "{listed}");
}

/// Number of occurrences in the trail, whose lines are truncated to the width of the page.
fn in_the_trail(text: &str) -> usize {
    let (_, trail) = text.split_once("What led to it").expect("a trail");
    trail.matches("refused its key").count()
}

#[test]
fn help_names_every_argument() {
    let bench = Workbench::configured("");
    let commands: [(&[&str], &[&str]); 9] = [
        (
            &[],
            &[
                "generate",
                "template",
                "failures",
                "ai",
                "doctor",
                "--config",
                "--json",
                "--log",
                "Exit codes",
            ],
        ),
        (&["generate"], &["--template", "--order", "--out", "--config", "--json"]),
        (&["template", "list"], &["--templates", "--json"]),
        (&["template", "inspect"], &["<NAME|FILE.wasm>", "--schema"]),
        (
            &["failures", "list"],
            &[
                "--by",
                "--flat",
                "--sort",
                "--template",
                "--kind",
                "--since",
                "--order",
                "--limit",
                "--json",
            ],
        ),
        (&["failures", "show"], &["[ID|FINGERPRINT|FILE.json]", "--order", "--markdown", "--json"]),
        (&["failures", "schema"], &["JSON Schema"]),
        (
            &["ai", "call"],
            &[
                "--purpose",
                "--prompt",
                "--system",
                "--schema",
                "--max-output-tokens",
                "--deadline",
                "--json",
            ],
        ),
        (&["doctor"], &["--offline", "--json"]),
    ];
    for (command, arguments) in commands {
        let done = bench.run(&[command, &["--help"]].concat());
        assert_eq!(done.code, 0, "{command:?}");
        for argument in arguments {
            assert!(
                done.stdout.contains(argument),
                "{command:?} does not mention {argument}: {}",
                done.stdout
            );
        }
    }
    insta::assert_snapshot!("help", bench.run(&["--help"]).stdout);
    insta::assert_snapshot!("help_generate", bench.run(&["generate", "--help"]).stdout);
}

#[test]
fn g1_the_version_names_the_commit() {
    let done = Workbench::configured("").run(&["--version"]);
    assert_eq!(done.code, 0);
    let version = done.stdout.trim().strip_prefix("sitewright ").unwrap();
    let (number, commit) = version.split_once('+').expect("version and commit");
    assert_eq!(number, env!("CARGO_PKG_VERSION"));
    assert!(
        commit == "unknown" || commit.chars().take(7).all(|c| c.is_ascii_hexdigit()),
        "{commit}"
    );
}

#[test]
fn a_reader_that_goes_away_early_is_no_panic() {
    let bench = bench(false);
    let order = bench.write("order.json", faulty("error", json!({})).to_string());
    let order = order.display().to_string();
    let generate = ["generate", "--template", "faulty", "--order", &order];
    for (arguments, code) in [(&["--help"][..], 0), (&["template", "list"], 0), (&generate, 4)] {
        let mut child = piped(&mut bench.command(arguments));
        drop(child.stdout.take());
        let done: Done = child.wait_with_output().unwrap().into();
        assert!(!done.stderr.contains("panicked"), "{arguments:?}: {}", done.stderr);
        assert_eq!(done.code, code, "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn what_no_terminal_shows_has_no_escape_sequences_and_no_progress_display() {
    let bench = bench(true);
    let order = bench.write("order.json", faulty("panic-str", json!({})).to_string());
    let order = order.display().to_string();
    let commands: [&[&str]; 8] = [
        &["--log", "debug", "generate", "--template", "faulty", "--order", &order],
        &["failures", "list"],
        &["failures", "list", "--flat"],
        &["failures", "list", "--by", "template"],
        &["failures", "show", "--order", "102"],
        &["template", "list"],
        &["template", "inspect", "faulty"],
        &["doctor"],
    ];
    for command in commands {
        let done = bench.run(command);
        for (name, text) in [("stdout", &done.stdout), ("stderr", &done.stderr)] {
            assert!(!text.contains('\u{1b}'), "{command:?}: {name}: {text:?}");
            assert!(!text.contains('\r'), "{command:?}: {name}: {text:?}");
        }
    }
    let id =
        bench.run(&["--json", "failures", "list", "--flat"]).json()["failures"][0]["id"].clone();
    let shown = bench.run(&["failures", "show", id.as_str().unwrap()]);
    assert!(!shown.stdout.contains('\u{1b}'), "{:?}", shown.stdout);
}

#[test]
fn a_terminal_shows_colours_unless_no_color_is_set() {
    let bench = bench(false);
    // `script` (util-linux) gives the command a terminal.
    if Command::new("script").arg("--version").output().is_err() {
        return standins::skipped(
            "a_terminal_shows_colours_unless_no_color_is_set",
            "the program `script` (util-linux) is not installed",
        );
    }
    let order = bench.write("order.json", faulty("error", json!({})).to_string());
    let command = format!(
        "{} --config sitewright.toml generate --template faulty --order {}",
        sitewright_tests::binary().display(),
        order.display()
    );
    for (no_color, coloured) in [(None, true), (Some("1"), false)] {
        let mut script = Command::new("script");
        forget_settings(&mut script);
        script.args(["-qec", &command, "/dev/null"]).current_dir(bench.path()).stdin(Stdio::null());
        script
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CI");
        script.envs(no_color.map(|value| ("NO_COLOR", value)));
        let mut child = script.stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<String> =
            BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
        assert_eq!(child.wait().unwrap().code(), Some(4), "{lines:?}");
        let headline =
            lines.iter().find(|line| line.contains("failed: template_error")).expect("a report");
        assert_eq!(headline.contains("\u{1b}[1m\u{1b}[31m"), coloured, "{headline:?}");
    }
}
