//! `sitewright doctor`: each problem is named, with what to do about it.

use serde_json::Value;
use sitewright_tests::chat_server::{Answer, ChatServer, ClosedPort};
use sitewright_tests::{ANY_ANSWER, Done, Workbench, guest};

const KEY: &str = "planted-1b77e2-key";

fn provider(base_url: &str) -> String {
    format!(
        "[ai.providers.local]\nkind = \"openai\"\nbase_url = \"{base_url}\"\napi_key_env = \
         \"LOCAL_AI_KEY\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \
         \"some-model\" }}]\n"
    )
}

/// A workbench with one good template.
fn bench(configuration: &str) -> Workbench {
    let bench = Workbench::configured(&format!("templates = \"templates\"\n{configuration}"));
    std::fs::create_dir(bench.path().join("templates")).unwrap();
    std::fs::copy(guest("guest-faulty"), bench.path().join("templates/faulty.wasm")).unwrap();
    bench
}

fn doctor(bench: &Workbench, arguments: &[&str]) -> Done {
    let arguments = [&["doctor"], arguments].concat();
    let done: Done = bench
        .command(&arguments)
        .env("LOCAL_AI_KEY", KEY)
        .env_remove("UNSET_KEY")
        .output()
        .unwrap()
        .into();
    assert!(
        !done.stdout.contains(KEY) && !done.stderr.contains(KEY),
        "{}{}",
        done.stdout,
        done.stderr
    );
    done
}

/// The checks of `doctor --json`: name, whether it passed, message. Asserts that the exit code
/// and `ok` agree with them.
fn checks(done: &Done) -> Vec<(String, bool, String)> {
    let report = done.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks: Vec<(String, bool, String)> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (text(&check["what"]), check["ok"].as_bool().unwrap(), text(&check["says"])))
        .collect();
    let well = checks.iter().all(|(_, ok, _)| *ok);
    assert_eq!(report["ok"], well);
    assert_eq!(done.code, if well { 0 } else { 2 }, "{}", done.stdout);
    assert!(checks.iter().all(|(_, _, says)| !says.trim().is_empty()), "{checks:?}");
    checks
}

/// Asserts that `doctor` reports exactly one problem, as text and as JSON, with these texts.
fn one_wrong(bench: &Workbench, arguments: &[&str], what: &str, says: &[&str]) {
    let found = checks(&doctor(bench, &[&["--json"], arguments].concat()));
    let wrong: Vec<_> = found.iter().filter(|(_, ok, _)| !ok).collect();
    let [(name, _, said)] = wrong.as_slice() else { panic!("{what}: {wrong:?}") };
    assert!(name.contains(what), "{what}: {name}");
    for says in says {
        assert!(said.contains(says), "{what}: {says:?}: {said}");
    }

    let page = doctor(bench, arguments);
    assert_eq!(page.code, 2, "{}", page.stdout);
    assert!(page.stdout.contains(&format!("✗ {name}\n")), "{}", page.stdout);
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat(&page.stdout).contains(&flat(said)), "{}", page.stdout);
    assert!(page.stdout.contains("1 of "), "{}", page.stdout);
}

#[test]
fn when_all_is_well_it_says_so_and_what_it_looked_at() {
    let server = ChatServer::start(ANY_ANSWER, |_| Answer::Good);
    let bench = bench(&provider(&server.base_url()));
    let done = doctor(&bench, &["--json"]);
    let names: Vec<String> = checks(&done).into_iter().map(|(what, _, _)| what).collect();
    assert_eq!(
        names,
        [
            "configuration",
            "sites folder",
            "database",
            "template faulty",
            "route default → local some-model"
        ]
    );
    let calls = server.calls();
    assert_eq!(calls.len(), 1, "one probe for one candidate");
    assert_eq!(calls[0].authorization.as_deref(), Some(format!("Bearer {KEY}").as_str()));
    let page = doctor(&bench, &[]);
    assert_eq!(page.code, 0);
    assert!(page.stdout.ends_with("All is well.\n"), "{}", page.stdout);
}

#[test]
fn a_database_that_no_worker_can_make_is_named() {
    let configuration = provider("http://127.0.0.1:9/v1")
        + "[database]\nurl = \"sqlite://no-such-folder/orders.db\"\n";
    let bench = bench(&configuration);
    let says = ["no-such-folder/orders.db", "cannot be written to", "`database.url`"];
    one_wrong(&bench, &["--offline"], "database", &says);

    std::fs::create_dir(bench.path().join("no-such-folder")).unwrap();
    assert_eq!(doctor(&bench, &["--offline"]).code, 0);
    assert_eq!(std::fs::read_dir(bench.path().join("no-such-folder")).unwrap().count(), 0);
}

#[test]
fn e2_a_provider_that_cannot_serve_its_route_is_named() {
    let unauthorized = |_: &sitewright_tests::chat_server::Call| Answer::Http {
        status: 401,
        headers: &[],
        body: format!(
            "{{\"error\":{{\"message\":\"bad key {KEY}\",\"code\":\"invalid_api_key\"}}}}"
        ),
    };
    let route = "route default → local some-model";
    let server = ChatServer::start(ANY_ANSWER, unauthorized);
    let says = [
        "the provider `local` refused its key (401)",
        "check api_key_env LOCAL_AI_KEY",
        "route `default`",
    ];
    one_wrong(&bench(&provider(&server.base_url())), &[], route, &says);

    let closed = ClosedPort::take();
    let nobody = closed.base_url();
    let says = ["the connection was refused", "check base_url of ai.providers.local", &nobody];
    one_wrong(&bench(&provider(&nobody)), &[], route, &says);
}

#[test]
fn e2_routes_are_a_table_and_each_row_says_what_to_do() {
    let good = ChatServer::start(ANY_ANSWER, |_| Answer::Good);
    let closed = ClosedPort::take();
    let configuration = provider(&good.base_url())
        + &provider(&closed.base_url())
            .replace("providers.local", "providers.spare")
            .replace("routes.default", "routes.strategy")
            .replace("provider = \"local\"", "provider = \"spare\"")
        + "[ai.providers.script]\nkind = \"scripted\"\nrules = \
           \"ai.toml\"\n[ai.routes.copywriting]\ntry = [{ provider = \"script\" }]\n";
    let bench = bench(&configuration);
    bench.write("ai.toml", ANY_ANSWER);
    let routes = doctor(&bench, &["--json"]).json()["routes"].clone();
    let reported: Vec<_> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|probe| {
            assert_eq!(probe["hint"].is_string(), probe["usable"] == false, "{probe}");
            (probe["route"].as_str().unwrap(), probe["attempt"]["outcome"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        reported,
        [("copywriting", "succeeded"), ("default", "succeeded"), ("strategy", "connection")]
    );
    assert!(routes[1]["attempt"]["first_byte_ms"].is_number(), "{routes}");

    let page = doctor(&bench, &[]).stdout;
    let row = |begin: &str| {
        let line = page
            .lines()
            .find(|line| line.starts_with(begin))
            .unwrap_or_else(|| panic!("{begin}: {page}"));
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    let head = row("  route");
    assert_eq!(
        head,
        ["route", "provider", "model", "connect", "first byte", "total", "outcome", "what to do"]
    );
    assert_eq!(row("✓ copywriting")[3..], ["-", "-", "-", "not asked", "-"]);
    let good = row("✓ default");
    assert_eq!((good.len(), good[6], good[7]), (8, "succeeded (200)", "-"));
    assert!(good[3..6].iter().all(|cell| cell.ends_with(" ms")), "{good:?}");
    let bad = row("✗ strategy");
    assert_eq!(
        bad[6..],
        ["connection", "check base_url of ai.providers.spare and that its server runs"]
    );
    assert!(page.contains("✗ route strategy → spare some-model\n"), "{page}");
}

#[test]
fn offline_asks_nobody() {
    let server = ChatServer::start(ANY_ANSWER, |_| Answer::Good);
    let bench = bench(&provider(&server.base_url()));
    let done = doctor(&bench, &["--json", "--offline"]);
    assert_eq!(done.code, 0, "{}", done.stdout);
    assert!(checks(&done).iter().all(|(what, _, _)| !what.starts_with("route")), "{}", done.stdout);
    assert!(server.calls().is_empty());
}

#[test]
fn e3_a_purpose_that_no_route_serves_is_named() {
    let server = ChatServer::start(ANY_ANSWER, |_| Answer::Good);
    let bench =
        bench(&provider(&server.base_url()).replace("routes.default", "routes.copywriting"));
    let says = ["no route serves it", "add [ai.routes.strategy] or [ai.routes.default]"];
    one_wrong(&bench, &[], "purpose strategy of faulty", &says);
    one_wrong(&bench, &["--offline"], "purpose strategy of faulty", &says);
}

#[test]
fn a9_a_key_that_is_not_there_is_named() {
    let bench = bench(&provider("http://127.0.0.1:1/v1").replace("LOCAL_AI_KEY", "UNSET_KEY"));
    let says =
        ["ai.providers.local.api_key_env", "UNSET_KEY is not set", "put the provider's key there"];
    one_wrong(&bench, &[], "AI providers", &says);
}

#[test]
fn f3_a_sites_folder_that_cannot_be_written_is_named() {
    let bench = bench(&format!("[ai]\n{}", provider("http://127.0.0.1:1/v1")));
    // A file at the path of the folder: nobody can write there, not even root.
    bench.write("sites", "in the way");
    let says = ["the sites folder `sites` cannot be opened", "name another in the configuration"];
    one_wrong(&bench, &["--offline"], "sites folder", &says);
}

#[test]
fn templates_that_cannot_be_used_or_are_not_there_are_named() {
    let bench = bench(&provider("http://127.0.0.1:1/v1"));
    bench.write("templates/broken.wasm", "this is a text");
    let says = ["not a WebAssembly component", "build it for the target `wasm32-wasip2`"];
    one_wrong(&bench, &["--offline"], "templates/broken.wasm", &says);

    std::fs::remove_file(bench.path().join("templates/broken.wasm")).unwrap();
    std::fs::remove_file(bench.path().join("templates/faulty.wasm")).unwrap();
    one_wrong(&bench, &["--offline"], "templates", &["there are none in ", "templates"]);
    std::fs::remove_dir(bench.path().join("templates")).unwrap();
    one_wrong(&bench, &["--offline"], "templates", &["cannot be read", "set `templates`"]);
}

#[test]
fn d11_a_database_that_cannot_be_opened_is_named() {
    let closed = ClosedPort::take();
    let address = closed.origin().replace("http://", "postgres://me:secret@");
    let bench = bench(&format!(
        "[database]\nurl = \"{address}/sites\"\n{}",
        provider("http://127.0.0.1:1/v1")
    ));
    let says = ["nothing listens there", "me:***@"];
    one_wrong(&bench, &["--offline"], "database", &says);
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let bench = bench("nonsense = 1");
    one_wrong(&bench, &[], "configuration", &["sitewright.toml", "`nonsense`"]);
}
