//! Files and diagnostics, up to and beyond the limits.

use std::{cell::RefCell, collections::BTreeMap};

use sitewright_sdk::prelude::*;

thread_local! {
    /// What each page shows of the order: the name of the business and a way to reach it.
    static IMPRINT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers whose site it is.
pub(crate) fn introduce(order: &Order) {
    let phone = order.business_phone.as_ref().map(|phone| phone.as_str());
    let ways = [order.business_email.as_deref(), phone, order.business_address.as_deref()];
    let way = ways.into_iter().flatten().next().unwrap_or_default();
    IMPRINT.set(format!("{}, {way}", order.business_name));
}

/// A page that passes the host's checks.
pub(crate) fn page(title: &str, text: &str) -> String {
    let imprint = IMPRINT.with_borrow(String::clone);
    let [title, text, imprint] = [title, text, imprint.as_str()].map(|text| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('{', "&#123;")
            .replace('}', "&#125;")
    });
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta \
         charset=\"utf-8\">\n<title>{title}</title>\n<meta name=\"description\" content=\"A page \
         of the template that fails on purpose.\">\n<meta name=\"viewport\" \
         content=\"width=device-width, \
         initial-scale=1\">\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n\
         <address>{imprint}</address>\n</main>\n</body>\n</html>\n"
    )
}

/// Writes `count` small files.
pub(crate) fn many_files(site: &Site, count: u32) -> Result<()> {
    for number in 0..count {
        site.write(format!("files/{number}.txt"), "small")
            .with_context(|| format!("while writing file {number}"))?;
    }
    Ok(())
}

/// Writes one file of `bytes` bytes.
pub(crate) fn big_file(site: &Site, bytes: u32) -> Result<()> {
    site.write("big.bin", vec![b'x'; bytes as usize]).context("while writing the big file")
}

/// Writes the order as it was received to `order.json`.
pub(crate) fn document(site: &Site, order: &Order) -> Result<()> {
    site.write("order.json", sitewright_sdk::serde_json::to_vec(order)?)?;
    Ok(())
}

/// Writes to each path; each outcome becomes a diagnostic.
pub(crate) fn paths(site: &Site, paths: &[String]) {
    for path in paths {
        match site.write(path, "text") {
            Ok(()) => report(Diagnostic::info("written", path)),
            Err(error) => report(
                Diagnostic::warning(error.kind.name(), &error.message).attribute("path", path),
            ),
        }
    }
}

/// Writes exactly these files.
pub(crate) fn files(site: &Site, files: &BTreeMap<String, String>) -> Result<()> {
    for (path, text) in files {
        site.write(path, text)?;
    }
    Ok(())
}

/// Writes `chunks.txt` in `count` chunks of 1 KiB, begins `left.txt`, and reports which of them
/// exist. A second file of that name is refused. Of two that are begun for one name, that which is
/// finished first has it.
pub(crate) fn chunks(site: &Site, count: u32) -> Result<()> {
    let mut file = site.create("chunks.txt")?;
    let exists = |site: &Site| ["chunks.txt", "left.txt"].map(|path| site.exists(path));
    let before = exists(site);
    for number in 0..count {
        file.append(format!("{number:01023}\n")).context("while adding a chunk")?;
    }
    file.finish()?;
    let mut left = site.create("left.txt")?;
    left.append("x")?;
    drop(left);
    report(Diagnostic::info("exists", format!("{before:?} {:?}", exists(site))));
    if let Err(error) = site.create("chunks.txt") {
        report(Diagnostic::info(error.kind.name(), &error.message));
    }
    let (mut first, mut second) = (site.create("twice.txt")?, site.create("Twice.txt")?);
    first.append("first")?;
    second.append("second")?;
    first.finish()?;
    for refused in [second.append("more"), second.finish()] {
        if let Err(error) = refused {
            report(Diagnostic::info(error.kind.name(), &error.message));
        }
    }
    Ok(())
}

/// Logs `count` lines of 1 KiB, each with its number.
pub(crate) fn log_flood(count: u32) {
    for number in 0..count {
        log::debug(line(number));
    }
}

/// Prints `count` lines of 1 KiB to stderr, each with its number.
pub(crate) fn stderr_flood(count: u32) {
    for number in 0..count {
        eprintln!("{}", line(number));
    }
}

/// Reports `count` steps of a stage.
pub(crate) fn progress_flood(count: u32) {
    for number in 0..count {
        progress("flood", number, count);
    }
}

/// Logs a line, reports a stage and reports a diagnostic, `count` times.
pub(crate) fn chatter_flood(count: u32) {
    for number in 0..count {
        log::debug(format!("line {number}"));
        progress(format!("stage {number}"), number, count);
        report(Diagnostic::info("flood", format!("report {number}")));
    }
}

/// Reports `count` diagnostics, each with its number.
pub(crate) fn report_flood(count: u32) {
    for number in 0..count {
        report(Diagnostic::warning("flood", format!("diagnostic {number}")));
    }
}

/// Reports `count` diagnostics of 1 MiB, each with its number.
pub(crate) fn report_large(count: u32) {
    let text = "x".repeat(1 << 20);
    for number in 0..count {
        report(Diagnostic::warning("large", &text).attribute("number", number));
    }
}

fn line(number: u32) -> String {
    format!("line {number} {:-<1000}", "")
}
