//! Additions to the contract: a component of this version loads in a later host, and a
//! component that imports more than this host offers is rejected with the missing item.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sitewright_runtime::host_functions::{GuestState, RunTrace, linker};
use sitewright_runtime::plugin::bindings::v0_2::TemplatePre;
use sitewright_runtime::plugin::contract::{Contract, VERSIONS};
use sitewright_runtime::plugin::{
    Cache, Capture, Determinism, Engine, Limits, Loader, MemoryLimiter, sandbox,
};
use sitewright_tests::{guest, root, template};
use tempfile::TempDir;
use tokio::sync::watch;
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

fn interface(name: &str) -> String {
    format!("sitewright:template/{name}@{}", Contract::newest().version)
}

/// The host functions of a later version: one more in each interface.
fn grown(linker: &mut Linker<GuestState>) {
    let mut ai = linker.instance(&interface("ai")).unwrap();
    ai.func_wrap_concurrent("count-tokens", |_, (text,): (String,)| {
        Box::pin(async move { Ok((text.len() as u64,)) })
    })
    .unwrap();
    let mut diagnostics = linker.instance(&interface("diagnostics")).unwrap();
    diagnostics.func_wrap("measure", |_, (_name, _value): (String, f64)| Ok(())).unwrap();
    let mut site = linker.instance(&interface("site")).unwrap();
    site.func_wrap_async("written", |_, (_path,): (String,)| Box::new(async { Ok((false,)) }))
        .unwrap();
}

fn store(engine: &Engine) -> Store<GuestState> {
    let limits = Limits::default();
    let (stdout, stderr) = (Capture::new(1_024), Capture::new(1_024));
    let state = GuestState::new(
        sandbox(Determinism { seed: 0, start_unix_ms: 0 }, &stdout, &stderr),
        MemoryLimiter::new(limits.memory_bytes, Arc::new(AtomicU64::new(0))),
        Arc::new(RunTrace::new(&limits, watch::Sender::default())),
        None,
        None,
    );
    let mut store = Store::new(engine.wasmtime(), state);
    store.set_epoch_deadline(1 << 40);
    store
}

#[tokio::test]
async fn a_component_of_this_version_still_loads_when_a_function_is_added_to_an_interface() {
    let engine = Engine::new(&Limits::default(), 2).unwrap();
    let mut linker = linker(engine.wasmtime()).unwrap();
    grown(&mut linker);
    for (path, name) in
        [(template("local-business"), "local-business"), (guest("guest-faulty"), "faulty")]
    {
        let component = Component::from_file(engine.wasmtime(), &path).unwrap();
        let pre = TemplatePre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        let mut store = store(&engine);
        let instance = pre.instantiate_async(&mut store).await.unwrap();
        let manifest =
            instance.sitewright_template_generator().call_describe(&mut store).await.unwrap();
        assert_eq!(manifest.name, name);
    }
}

#[tokio::test]
async fn a_component_that_wants_a_function_this_host_lacks_is_refused_by_its_name() {
    let cases = [
        ("ai", "count-tokens", "async (param \"text\" string) (result u64)"),
        ("diagnostics", "measure", "(param \"name\" string) (param \"value\" f64)"),
        ("site", "written", "(param \"path\" string) (result bool)"),
        // An interface that this host does not have.
        ("mail", "send", "(param \"text\" string)"),
    ];
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("newer.wasm");
    let limits = Limits::default();
    let engine = Engine::new(&limits, 1).unwrap();
    let loader = Loader::new(engine.clone(), Cache::off(), limits).unwrap();
    for (room, function, signature) in cases {
        let newer = wat::parse_str(format!(
            "(component (import {:?} (instance (export {function:?} (func {signature})))))",
            interface(room)
        ))
        .unwrap();
        fs::write(&path, &newer).unwrap();
        let Err(error) = loader.load(&path).await else { panic!("{function} was found") };
        let causes: Vec<String> = error.causes().iter().map(ToString::to_string).collect();
        let causes = causes.join(": ");
        for part in ["does not fit the contract", &interface(room), "SDK of this version"] {
            assert!(causes.contains(part), "{part:?} is missing: {causes}");
        }
        assert!(room == "mail" || causes.contains(function), "{function} is missing: {causes}");

        if room != "mail" {
            // The later host has it, so the error is only about the missing export.
            let mut later = linker(engine.wasmtime()).unwrap();
            grown(&mut later);
            later.instantiate_pre(&Component::new(engine.wasmtime(), &newer).unwrap()).unwrap();
        }
    }
}

/// Kinds of top-level items in the contract, by their first word.
const ITEMS: [&str; 8] =
    ["package ", "interface ", "record ", "variant ", "world ", "enum ", "resource ", "type "];

#[test]
fn each_item_of_the_contract_is_documented() {
    let mut undocumented = Vec::new();
    for contract in VERSIONS {
        let file = format!("wit/{}/template.wit", contract.version);
        let wit = fs::read_to_string(root().join(&file)).unwrap();
        undocumented.extend(undocumented_items(&wit).into_iter().map(|at| format!("{file}, {at}")));
    }
    assert!(undocumented.is_empty(), "without documentation:\n{}", undocumented.join("\n"));
}

fn undocumented_items(wit: &str) -> Vec<String> {
    // What an item is since stands between it and its comment.
    let lines: Vec<&str> =
        wit.lines().map(str::trim).filter(|line| !line.starts_with("@since(")).collect();
    let mut undocumented = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let documented = at > 0 && lines[at - 1].starts_with("///");
        let inside = open.last().copied().unwrap_or_default();
        let item = ITEMS.iter().any(|item| line.starts_with(item))
            || line.contains(": func(")
            || line.contains(": async func(")
            || line.contains(": static func(");
        // Cases of an enum need no comment; fields of a record and cases of a variant do.
        let part = line.ends_with(',')
            && !line.starts_with("///")
            && ["record ", "variant "].iter().any(|item| inside.starts_with(item));
        if (item || part) && !documented {
            undocumented.push(format!("in `{inside}`: {line}"));
        }
        if line.ends_with('{') {
            open.push(line);
        }
        if *line == "}" {
            open.pop();
        }
    }
    undocumented
}
