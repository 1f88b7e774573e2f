//! The commands for template authors that call cargo: building, testing and `dev` of templates in
//! Rust. All share one folder of projects and one target folder (see [`Desk::rust`]), and run one at
//! a time.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use sitewright_tests::author::{Desk, DevServer, FAST, FAST_UNVENDORED, SHIPPED};
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::{Done, root};

use crate::author::{NAME, STARTERS, builds_and_generates, new, starter_is_whole};

/// Runs the conformance suite over a component.
fn conforms(desk: &Desk, component: &str) {
    let done = desk.run(NAME, &["conformance", component, "--cases", "conformance"]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
}

/// Runs cargo in the project; panics with its output if it fails.
fn cargo(desk: &Desk, arguments: &[&str]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    desk.for_cargo(&mut cargo);
    let done =
        Done::from(cargo.args(arguments).current_dir(desk.path().join(NAME)).output().unwrap());
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
}

#[test]
fn a_new_rust_template_builds_runs_and_conforms_as_it_is() {
    let desk = Desk::rust(SHIPPED);
    let made = new(&desk, &["--lang", "rust"]);
    assert_eq!((made["language"].as_str(), made["name"].as_str()), (Some("rust"), Some(NAME)));
    for file in made["files"].as_array().unwrap() {
        let path = file.as_str().unwrap();
        assert_eq!(desk.path().join(NAME).join(path).is_dir(), path.ends_with('/'), "{file}");
        assert!(desk.path().join(NAME).join(path).exists(), "{file}");
    }

    for early in [
        &["generate", "--template", NAME, "--order", "order.json"][..],
        &["conformance", "dist"],
        &["conformance", "dist/green-gate.wasm"],
    ] {
        let done = desk.run(NAME, early);
        assert_eq!(done.code, 2, "{}{}", done.stdout, done.stderr);
        assert!(done.stderr.contains("run `sitewright template build .` first"), "{}", done.stderr);
    }

    let built = desk.run(NAME, &["--json", "template", "build"]);
    assert_eq!(built.code, 0, "{}\n{}", built.stdout, built.stderr);
    let built = built.json();
    assert_eq!(built["contract"]["version"], "0.2.0");
    assert_eq!(built["contract"]["world"], "template");
    assert!(
        built["imports"].as_array().unwrap().contains(&"sitewright:template/ai@0.2.0".into()),
        "{built}"
    );
    let component = desk.path().join(NAME).join("dist/green-gate.wasm");
    let debug = desk.path().join(NAME).join("dist/green-gate.debug.wasm");
    assert_eq!(built["bytes"].as_u64().unwrap(), fs::metadata(&component).unwrap().len());
    assert!(fs::metadata(&component).unwrap().len() < 1 << 20, "{built}");
    let wasm = fs::read(&debug).unwrap();
    let has = |text: &str| memchr::memmem::find(&wasm, text.as_bytes()).is_some();
    // Debug information names relative source files, and no folder of this machine.
    assert!(has("src/lib.rs") && has(".debug_line"));
    assert!(!has(desk.path().to_str().unwrap()), "the component tells the project's folder");
    assert!(!has(root().to_str().unwrap()), "the component tells the SDK's folder");

    let report =
        desk.run(NAME, &["--json", "generate", "--template", NAME, "--order", "order.json"]);
    assert_eq!(report.code, 0, "{}\n{}", report.stdout, report.stderr);
    let page = desk.path().join(NAME).join(".sitewright/sites/1/current/index.html");
    assert!(fs::read_to_string(page).unwrap().contains("Green Gate Gardens"));

    // The same with file names that contain the version.
    let named = desk.run(NAME, &["--json", "template", "build", "--release-name"]).json();
    assert!(named["file"].as_str().unwrap().ends_with("dist/green-gate-0.1.0.wasm"), "{named}");
    assert_eq!(named["digest"], built["digest"], "the same source, the same bytes");
    assert!(desk.path().join(NAME).join("dist/green-gate-0.1.0.debug.wasm").is_file());

    conforms(&desk, named["file"].as_str().unwrap());
}

#[test]
fn the_tests_of_a_new_rust_template_pass_as_they_are_and_fail_for_a_broken_one() {
    let desk = Desk::rust(FAST);
    new(&desk, &[]);
    cargo(&desk, &["test", "--quiet"]);
    desk.edit("green-gate/templates/index.html", |text| {
        text.replace("{{ service }}", "{{ order.id }}")
    });
    let mut broken = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    desk.for_cargo(&mut broken);
    let done =
        broken.args(["test", "--quiet"]).current_dir(desk.path().join(NAME)).output().unwrap();
    let stdout = String::from_utf8_lossy(&done.stdout);
    assert!(!done.status.success() && stdout.contains("Garden design</li> is missing"), "{stdout}");
}

/// The local SDK stands in for the version in a registry.
#[test]
fn a_project_for_a_published_sdk_builds_with_it() {
    let desk = Desk::rust(FAST_UNVENDORED);
    let made = desk.run("", &["template", "new", NAME, "--sdk", "0.1"]);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let sdk = root().join("guest-sdk").display().to_string();
    fs::create_dir(desk.path().join(NAME).join(".cargo")).unwrap();
    fs::write(
        desk.path().join(NAME).join(".cargo/config.toml"),
        format!("[patch.crates-io]\nsitewright-sdk = {{ path = {sdk:?} }}\n"),
    )
    .unwrap();
    builds_and_generates(&desk, "template", None);
}

#[test]
fn dev_asks_a_real_model_each_question_once() {
    let desk = Desk::rust(FAST);
    new(&desk, &[]);
    let script = fs::read_to_string(desk.path().join("green-gate/ai.toml")).unwrap();
    let model =
        ChatServer::start(&script.replace("purpose = \"copywriting\"\n", ""), |_| Answer::Good);
    let configuration = format!(
        "[ai.providers.model]\nkind = \"openai\"\nbase_url = {:?}\n[ai.routes.default]\ntry = [{{ \
         provider = \"model\", model = \"small\" }}]\n",
        model.base_url()
    );
    fs::write(desk.path().join("green-gate/sitewright.toml"), configuration).unwrap();
    let start = || {
        let server = DevServer::start(desk.command(
            NAME,
            &["--json", "template", "dev", "--order", "order.json", "--ai", "recorded"],
        ));
        server.until("shown");
        server
    };
    let server = start();
    assert!(server.get("/").body.contains("A garden you look forward to"));
    assert_eq!(model.calls().len(), 1);

    // Another page with the same answers.
    desk.edit("green-gate/templates/index.html", |text| {
        text.replace("</footer>", "<p>Again.</p></footer>")
    });
    server.until("shown");
    assert!(server.get("/").body.contains("Again."));
    assert_eq!(model.calls().len(), 1, "the answer was kept");

    // A new question, and the first one, whose answer is cached.
    desk.edit("green-gate/order.json", |text| text.replace("Lawn care", "Lawns"));
    server.until("shown");
    assert_eq!(model.calls().len(), 2);
    assert!(model.calls()[1].contains("Lawns"));
    desk.edit("green-gate/order.json", |text| text.replace("Lawns", "Lawn care"));
    server.until("shown");
    assert_eq!(model.calls().len(), 2);
    assert_eq!(server.interrupt(), 0);

    // Also in a later process.
    let server = start();
    assert!(server.get("/").body.contains("A garden you look forward to"));
    assert_eq!(model.calls().len(), 2);
    assert_eq!(server.interrupt(), 0);
}

/// Does `work` while another thread saves the file all the time, each time with other content.
fn saving(file: &Path, work: impl FnOnce()) {
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let pause = Duration::from_millis(40);
            let mut saves = 0_u32;
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                saves += 1;
                fs::write(file, format!("busy for the {saves}th time")).unwrap();
            }
        });
        work();
        drop(stop);
    });
}

#[test]
fn dev_shows_each_version_and_each_failure_in_the_open_page() {
    let desk = Desk::rust(FAST);
    new(&desk, &[]);
    let source = "green-gate/src/lib.rs";
    let server = DevServer::start(
        desk.command(NAME, &["--json", "template", "dev", "--order", "order.json"]),
    );
    let first = server.until("shown");
    assert!(first["build_ms"].is_u64(), "{first}");
    // The component has its manifest, as that of `template build`.
    let component = ".sitewright/dev/green-gate.wasm";
    let inspected = desk.run(NAME, &["--json", "template", "inspect", component]);
    assert_eq!(inspected.json()["loaded"], false, "{}", inspected.stdout);
    // What is not seen on the page: in the event, and in a drawer of the page.
    assert!(first["notes"]["warnings"].to_string().contains("preview-image"), "{first}");
    let notes = server.get("/__sitewright/notes");
    assert!(notes.body.contains("preview-image"), "{}", notes.body);
    let page = server.get("/");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body.contains("<li>Lawn care</li>"), "{}", page.body);
    assert!(page.head.contains("cache-control: no-store"), "{}", page.head);
    let style = server.get("/assets/site.css");
    assert!(style.status == 200 && style.head.contains("content-type: text/css"), "{}", style.head);
    assert!(server.get("/__sitewright/reload.js").body.contains("EventSource"));
    // The release on disk has no reload script.
    let released = desk.path().join("green-gate/.sitewright/sites/1/current/index.html");
    assert!(!fs::read_to_string(released).unwrap().contains("__sitewright"));

    // Requests for other host names, and for files outside the site, are rejected.
    let port = server.address.rsplit(':').next().unwrap();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        ("evil.example".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        ("127.0.0.1:1".to_owned(), 421),
        (String::new(), 421),
    ] {
        assert_eq!(server.get_as(&host, "/").status, status, "{host}");
    }
    for path in [
        "/manifest.json",
        "/../manifest.json",
        "/%2e%2e/manifest.json",
        "/..%2f..%2fCargo.toml",
        "/order.json",
        "/%ff",
    ] {
        assert!([400, 404].contains(&server.get(path).status), "{path}");
    }

    // After a change, the open page is notified and loads the new version.
    let mut versions = server.versions();
    desk.edit("green-gate/templates/index.html", |text| {
        text.replace("</footer>", "<p>Written twice.</p></footer>")
    });
    server.until("shown");
    let next = versions.other_than(&page.version());
    let page = server.get("/");
    assert_eq!(page.version(), next);
    assert!(page.body.contains("Written twice."), "{}", page.body);

    // A change of the order alone builds nothing.
    desk.edit("green-gate/order.json", |text| text.replace("Lawn care", "Lawns & hedges"));
    let shown = server.until("shown");
    assert!(shown["build_ms"].is_null(), "{shown}");
    assert!(server.get("/").body.contains("Lawns &#38; hedges"));

    // A compile error is shown with the compiler's message.
    desk.edit(source, |text| {
        text.replace("progress(\"page\", 0, 1);", "progress(\"page\", <String>::nothing, 1);")
    });
    server.until("failed");
    let page = server.get("/");
    assert_eq!(page.status, 503);
    assert!(
        page.body.contains("The template was not built") && page.body.contains("src/lib.rs"),
        "{}",
        page.body
    );
    assert!(page.body.contains("&lt;") && !page.body.contains("<String>"), "{}", page.body);

    // A runtime error is shown as its record, with the line in the author's source.
    desk.edit(source, |text| {
        text.replace(
            "progress(\"page\", <String>::nothing, 1);",
            "panic!(\"the <gate> is shut\");\n#[allow(unreachable_code)]\n",
        )
    });
    server.until("failed");
    let page = server.get("/");
    assert!(
        page.body.contains("No site was made") && page.body.contains("the &lt;gate&gt; is shut"),
        "{}",
        page.body
    );
    assert!(page.body.contains("src/lib.rs:"), "{}", page.body);

    // Files of the project open in the editor.
    let file = desk.path().canonicalize().unwrap().join(source);
    let link = format!("<a href=\"vscode://file{}:", file.display());
    assert!(page.body.contains(&link), "{link} is missing in {}", page.body);

    // And fixed.
    desk.edit(source, |text| {
        text.replace("panic!(\"the <gate> is shut\");\n#[allow(unreachable_code)]\n", "")
    });
    server.until("shown");
    assert!(server.get("/").body.contains("Written twice."));

    // One that no build reads starts no round.
    saving(&desk.path().join("green-gate/notes.db"), || {
        for (file, from, to) in [
            ("templates/index.html", "Written twice.", "Written thrice."),
            ("order.json", "Lawns & hedges", "Lawns, hedges"),
            ("templates/index.html", "Written thrice.", "Written twice."),
            ("order.json", "Lawns, hedges", "Lawns & hedges"),
        ] {
            desk.edit(&format!("green-gate/{file}"), |text| text.replace(from, to));
            let (begun, shown) = (server.next(), server.next());
            assert_eq!((&begun["event"], &begun["saved"]), (&json!("begun"), &json!([file])));
            assert_eq!(shown["event"], "shown", "{shown}");
            assert_eq!(shown["build_ms"].is_null(), file == "order.json", "{shown}");
        }
    });
    let widths = server.get("/__sitewright/widths");
    assert!(widths.status == 200 && widths.body.contains("<main>"), "{widths:?}");

    // The order is changed in the browser, and saved as a case with the replies.
    assert!(server.get("/__sitewright/edit").body.contains("<form id=\"order\">"));
    let inputs: Value = serde_json::from_str(&server.get("/__sitewright/inputs").body).unwrap();
    assert_eq!((&inputs["name"], &inputs["cases"]), (&json!("order.json"), &json!(true)));
    assert!(inputs["schema"]["properties"]["services"].is_object(), "{inputs:#}");
    let script = inputs["script"].as_str().unwrap();
    assert_eq!(server.put_text("/__sitewright/edit/script", "[[rule").status, 422);
    assert_eq!(server.put_text("/__sitewright/edit/order", "{").status, 422);
    let order = inputs["order"].as_str().unwrap().replace("Lawns & hedges", "Ponds");
    assert_eq!(server.put_text("/__sitewright/edit/order", &order).status, 204);
    server.until("shown");
    assert!(server.get("/").body.contains("Ponds"));
    for (name, status) in [("Ponds", 422), ("ponds", 204), ("ponds", 409)] {
        let answer = server.put(&format!("/__sitewright/edit/cases/{name}"));
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
    let case = |name: &str| {
        fs::read_to_string(desk.path().join("green-gate/conformance/ponds").join(name)).unwrap()
    };
    assert_eq!((case("order.json").as_str(), case("ai.toml").as_str()), (order.as_str(), script));
    assert!(case("case.toml").contains("script = \"ai.toml\""));

    // A file that is saved all the time keeps no round from ending.
    saving(&desk.path().join("green-gate/conformance/ponds/notes.txt"), || {
        for _ in 0..3 {
            server.until("shown");
        }
    });
    assert_eq!(server.interrupt(), 0);

    // A folder of orders: the browser chooses one.
    let orders = desk.path().join("green-gate/orders");
    fs::create_dir(&orders).unwrap();
    let order = fs::read_to_string(desk.path().join("green-gate/order.json")).unwrap();
    for name in ["a", "b"] {
        let text = order.replace("Green Gate Gardens", &format!("Gardens of {name}"));
        fs::write(orders.join(format!("{name}.json")), text).unwrap();
    }
    fs::write(orders.join("notes.txt"), "no order").unwrap();
    let server =
        DevServer::start(desk.command(NAME, &["--json", "template", "dev", "--order", "orders"]));
    server.until("shown");
    let known =
        || -> Value { serde_json::from_str(&server.get("/__sitewright/orders").body).unwrap() };
    assert_eq!(known(), json!({ "orders": ["a.json", "b.json"], "chosen": 0 }));
    assert!(server.get("/").body.contains("Gardens of a"));
    assert_eq!(server.put("/__sitewright/orders/2").status, 404);
    assert_eq!(server.put("/__sitewright/orders/1").status, 204);
    let shown = server.until("shown");
    assert!(shown["build_ms"].is_null(), "{shown}");
    assert!(server.get("/").body.contains("Gardens of b"));
    assert_eq!(known()["chosen"], 1);
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn every_starter_in_rust_builds_runs_and_conforms_as_it_is() {
    let desk = Desk::rust(FAST);
    for starter in STARTERS {
        desk.empty();
        starter_is_whole(&desk, "rust", starter, &[]);
    }
}
