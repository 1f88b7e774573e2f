//! Error messages for unusable templates and for templates that are not in the catalogue.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sitewright_runtime::plugin::{Cache, Catalogue, Change, Engine, Limits, Loader};
use sitewright_tests::{compile_cache, guest};
use tempfile::TempDir;

fn loader() -> Loader {
    let limits = Limits::default();
    Loader::new(Engine::new(&limits, 1).unwrap(), Cache::open(&compile_cache()), limits).unwrap()
}

/// An error and its causes, as an operator reads them.
fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = sitewright_model::message::causes_of(error);
    let causes: Vec<&str> = causes.iter().map(|cause| cause.as_str()).collect();
    format!("{error}: {}", causes.join(": "))
}

#[tokio::test]
async fn each_file_that_is_no_template_is_named_for_what_it_is() {
    let folder = TempDir::new().unwrap();
    let whole = fs::read(guest("guest-minimal")).unwrap();
    let mut garbled = whole.clone();
    garbled[8..64].fill(0xff);
    let component = |text: &str| wat::parse_str(text).unwrap();
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("empty.wasm", Vec::new(), &["an empty file", "wasm32-wasip2"]),
        ("short.wasm", b"\0asm".to_vec(), &["some other file"]),
        ("module.wasm", component("(module)"), &["a core WebAssembly module", "wasm32-wasip2"]),
        ("zip.wasm", b"PK\x03\x04 and so on".to_vec(), &["a zip archive"]),
        ("elf.wasm", b"\x7fELF\x02\x01\x01 and so on".to_vec(), &["a native program"]),
        ("text.wasm", b"(component)".to_vec(), &["WebAssembly text"]),
        (
            "page.wasm",
            b"<!doctype html>".to_vec(),
            &["some other file", "not a WebAssembly component"],
        ),
        ("cut.wasm", whole[..whole.len() / 2].to_vec(), &["does not compile", "out of bounds"]),
        ("garbled.wasm", garbled, &["does not compile"]),
        (
            "nothing.wasm",
            component("(component)"),
            &["does not fit the contract", "sitewright:template/generator"],
        ),
    ];
    let loader = loader();
    for (name, bytes, parts) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        expect(&loader, &path, parts).await;
    }
    // A sparse file: large, without blocks on the disk.
    let large = folder.path().join("large.wasm");
    fs::File::create(&large).unwrap().set_len((256 << 20) + 1).unwrap();
    expect(&loader, &large, &["the file cannot be read", "it has more than 268435456 bytes"]).await;
    expect(&loader, &folder.path().join("missing.wasm"), &["cannot be read", "No such file"]).await;
    expect(&loader, folder.path(), &["cannot be read", "it is a folder"]).await;
}

async fn expect(loader: &Loader, path: &Path, parts: &[&str]) {
    let error = match loader.load(path).await {
        Err(error) => error,
        Ok(_) => panic!("{} was loaded", path.display()),
    };
    let text = error_chain(&error);
    for part in parts.iter().copied().chain([&*path.to_string_lossy()]) {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
}

#[tokio::test]
async fn a_template_that_is_not_there_is_told_with_those_that_are() {
    let folder = TempDir::new().unwrap();
    let error_text = |folder: &Path, name: &'static str| {
        let catalogue = Catalogue::new(folder.to_owned(), loader());
        async move {
            let Err(error) = catalogue.load(name).await else { panic!("{name} was loaded") };
            error_chain(&error)
        }
    };
    let missing = error_text(&folder.path().join("nowhere"), "bakery").await;
    assert!(
        missing.contains("nowhere cannot be read") && missing.contains("set `templates`"),
        "{missing}"
    );
    let empty = error_text(folder.path(), "bakery").await;
    assert!(
        empty.contains("no template `bakery`") && empty.contains("are no templates"),
        "{empty}"
    );
    for name in ["minimal.wasm", "a-broken-one.wasm", "notes.txt"] {
        fs::copy(guest("guest-minimal"), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("a-broken-one.wasm"), "nothing").unwrap();
    let unknown = error_text(folder.path(), "bakery").await;
    assert!(unknown.contains("there are: a-broken-one, minimal"), "{unknown}");
    assert!(error_text(folder.path(), "minimal/../minimal").await.contains("no template"));

    let catalogue = Catalogue::new(folder.path().to_owned(), loader());
    assert_eq!(catalogue.load("minimal").await.unwrap().manifest.name, "minimal");
    let all = catalogue.load_all().await.unwrap();
    let named: Vec<_> = all
        .iter()
        .map(|one| match one {
            Ok(template) => template.manifest.name.clone(),
            Err(error) => error.path.file_name().unwrap().to_string_lossy().into_owned(),
        })
        .collect();
    assert_eq!(
        named,
        ["a-broken-one.wasm", "minimal"],
        "one bad template does not hide the others"
    );
}

#[tokio::test]
async fn a_template_is_loaded_once_until_its_file_changes() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("changing.wasm");
    fs::write(&file, "not yet").unwrap();
    let catalogue = Catalogue::new(folder.path().to_owned(), loader());
    assert!(catalogue.load("changing").await.is_err());

    // As in a deployment: written to a temporary file, then renamed.
    let deploy = |name: &str| {
        let new = folder.path().join("new");
        fs::copy(guest(name), &new).unwrap();
        fs::rename(&new, &file).unwrap();
    };
    deploy("guest-minimal");
    let (first, second) = tokio::join!(catalogue.load("changing"), catalogue.load("changing"));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(Arc::ptr_eq(&first, &second), "one template for all runs");
    let lane = first.manifest.order_schema.lane();
    assert_eq!(lane, "changing", "no template waits in the lane of another by calling itself so");
    assert!(
        Arc::ptr_eq(&first, &catalogue.load(&file.to_string_lossy()).await.unwrap()),
        "by name or by file"
    );
    assert!(Arc::ptr_eq(&first, catalogue.load_all().await.unwrap()[0].as_ref().unwrap()));

    deploy("guest-faulty");
    assert_eq!(catalogue.load("changing").await.unwrap().manifest.name, "faulty");
    assert_eq!(first.manifest.name, "minimal", "a run that has begun keeps its template");
    fs::remove_file(&file).unwrap();
    assert!(catalogue.load("changing").await.is_err(), "a template that was taken away is gone");
}

/// The changes that a refresh reports, sorted by name.
async fn refreshed(catalogue: &Catalogue) -> Vec<(&'static str, String)> {
    let mut changes: Vec<_> = catalogue
        .refresh()
        .await
        .unwrap()
        .into_iter()
        .map(|change| match change {
            Change::Added(new) => ("added", new.manifest.name.clone()),
            Change::Replaced { old, new } => {
                assert_ne!(old.digest(), new.digest());
                ("replaced", new.manifest.name.clone())
            }
            Change::Refused { name, kept, .. } => match kept {
                Some(kept) => ("refused, kept", kept.manifest.name.clone()),
                None => ("refused", name),
            },
            Change::Removed(old) => ("removed", old.manifest.name.clone()),
        })
        .collect();
    changes.sort();
    changes
}

#[tokio::test]
async fn a_refresh_serves_what_is_good_and_keeps_what_was_good() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    // Renamed, as an operator should do it, so that the file appears complete.
    let put = |from: &Path, name: &str| {
        fs::copy(from, file("new")).unwrap();
        fs::rename(file("new"), file(name)).unwrap();
    };
    let catalogue = Catalogue::new(folder.path().to_owned(), loader());
    put(&guest("guest-minimal"), "one.wasm");
    put(&guest("guest-faulty"), "two.wasm");
    let (minimal, faulty) = ("minimal".to_owned(), "faulty".to_owned());
    assert_eq!(
        refreshed(&catalogue).await,
        [("added", faulty.clone()), ("added", minimal.clone())]
    );
    assert!(refreshed(&catalogue).await.is_empty());
    let first = catalogue.load("one").await.unwrap();

    put(&guest("guest-minimal"), "one.wasm");
    assert!(refreshed(&catalogue).await.is_empty(), "the same bytes are no change");

    fs::write(file("new"), b"half a template").unwrap();
    fs::rename(file("new"), file("one.wasm")).unwrap();
    fs::write(file("three.wasm"), b"no template").unwrap();
    assert_eq!(
        refreshed(&catalogue).await,
        [("refused", "three".to_owned()), ("refused, kept", minimal.clone())]
    );
    assert!(refreshed(&catalogue).await.is_empty(), "a refused file is not loaded again soon");
    catalogue.forget_refused();
    assert_eq!(refreshed(&catalogue).await.len(), 2, "unless somebody asks for it");
    assert_eq!(catalogue.load("one").await.unwrap().digest(), first.digest());

    fs::remove_file(file("three.wasm")).unwrap();
    put(&guest("guest-faulty"), "one.wasm");
    assert_eq!(refreshed(&catalogue).await, [("replaced", faulty.clone())]);
    assert_eq!(first.manifest.name, minimal, "who has the old one keeps it");
    assert_eq!(catalogue.load("one").await.unwrap().manifest.name, faulty);

    fs::remove_file(file("one.wasm")).unwrap();
    assert_eq!(refreshed(&catalogue).await, [("removed", faulty)]);
    assert!(catalogue.load("one").await.is_err());
}
