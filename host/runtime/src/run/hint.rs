//! What the reader of a failure record can do about it: by its kind, by the situation and by whose
//! fault it is.

use super::classify::Classified;
use sitewright_ai::Gateway;
use sitewright_model::ai::{AiError, AiErrorKind};
use sitewright_model::failure::FailureKind;
use sitewright_model::message;
use sitewright_model::message::Message;

/// The hint of a record.
pub(super) fn hint(classified: &Classified, gateway: &Gateway) -> Message {
    let special = match (&classified.ai, classified.kind) {
        (Some(ai), FailureKind::Ai) => of_call(ai, gateway),
        (_, FailureKind::Panic | FailureKind::Trap | FailureKind::TemplateError) => {
            of_template(classified)
        }
        (_, FailureKind::OutputRejected) => of_site(classified, gateway),
        _ => None,
    };
    special
        .unwrap_or_else(|| Message::or(classified.kind.hint(), message!("see `sitewright doctor`")))
}

/// AI calls that the operator's routes and providers have nothing to do with.
fn of_call(ai: &AiError, gateway: &Gateway) -> Option<Message> {
    let purpose = &ai.purpose;
    if ai.kind == AiErrorKind::BudgetExceeded {
        return Some(message!(
            "Raise the limit of `[ai.budget]` that is used up (`calls`, `tokens` or `cost_usd`: the \
             message names it), or find out why the order needs that much; then run it again with \
             `sitewright order retry`. What it has used so far still counts."
        ));
    }
    let Some(last) = ai.attempts.last() else {
        // The host refused the request itself. A missing route is the operator's.
        return (ai.kind == AiErrorKind::InvalidRequest).then(|| {
            message!(
                "This is a bug in the template, and no model was asked: its author corrects the \
                 call for `{purpose}` as the message says."
            )
        });
    };
    let misfit = matches!(
        ai.kind,
        AiErrorKind::NotFound
            | AiErrorKind::Malformed
            | AiErrorKind::SchemaMismatch
            | AiErrorKind::Empty
    );
    let candidates = gateway.routes().into_iter().flat_map(|route| route.candidates);
    let script = candidates
        .filter(|candidate| candidate.provider == last.provider && candidate.kind == "scripted")
        .map(|candidate| candidate.location)
        .next();
    script.filter(|_| misfit).map(|script| {
        message!(
            "The scripted replies do not fit the template, and no model was asked: change the \
             rule for `{purpose}` in {script}, or let it reply with `answer = {{ from_schema = \
             true }}`."
        )
    })
}

/// Sites that are not published because of a reply, or whose texts a script has: the reader of the
/// latter is the template's author.
fn of_site(classified: &Classified, gateway: &Gateway) -> Option<Message> {
    let candidates: Vec<_> =
        gateway.routes().into_iter().flat_map(|route| route.candidates).collect();
    let is_scripted = candidates.iter().all(|candidate| candidate.kind == "scripted");
    let script = candidates.first().filter(|_| is_scripted).map(|candidate| &candidate.location);
    match (&classified.ai, script) {
        (Some(ai), Some(script)) => Some(message!(
            "The scripted reply for `{}` cannot be published: change it in {script}, as the list \
             below says.",
            ai.purpose
        )),
        (Some(ai), None) => Some(message!(
            "The model's reply for `{}` cannot be published, as the list below says: run the order \
             again, or name another model in its route. The last good release is untouched.",
            ai.purpose
        )),
        (None, Some(script)) => Some(message!(
            "The site would not work: correct what is listed below in the template, or in \
             {script} if it is a text of a scripted reply. The last good release is untouched."
        )),
        (None, None) => None,
    }
}

/// How a text of a failure begins that comes from something a template does not have.
const NO_FILE: [&str; 7] = [
    "FileNotFoundError",
    "PermissionError",
    "NotADirectoryError",
    "IsADirectoryError",
    "OSError",
    "BlockingIOError",
    "io.UnsupportedOperation",
];

/// What a system call without a file system returns, as the C library of WASI and Rust's standard
/// library say it.
const NO_FILE_PARTS: [&str; 3] = ["pre-opened file descriptor", "(os error 44)", "(os error 76)"];

/// Mistakes of a template whose message alone does not say what to do.
fn of_template(classified: &Classified) -> Option<Message> {
    let texts = || {
        classified
            .panic
            .iter()
            .map(String::as_str)
            .chain([classified.message.as_str()])
            .chain(classified.causes.iter().map(Message::as_str))
    };
    if texts().any(|text| text.starts_with("ModuleNotFoundError")) {
        return Some(message!(
            "This is a bug in the template: a module can be imported only while the template is \
             built, because it has no files when it runs. Import it at the top of a module, not \
             in a function; install a package of others into the project's `.venv` first."
        ));
    }
    let no_file = |text: &str| {
        NO_FILE.iter().any(|begin| text.starts_with(begin))
            || NO_FILE_PARTS.iter().any(|part| text.contains(part))
    };
    if texts().any(no_file) {
        let file = classified.location.as_ref().map_or("", |location| location.file.as_str());
        let instead = match file.rsplit('.').next() {
            Some("py") => "read its files at the top of a module, which runs while it is built",
            Some("js" | "ts") => "import its files, which then are part of it",
            Some("rs") => "include its files with `include_str!` or `include_bytes!`",
            _ => "make its files part of it when it is built",
        };
        return Some(message!(
            "This is a bug in the template: it has no file system when it runs; {instead}."
        ));
    }
    match classified.code.as_deref() {
        Some("write-invalid-path" | "write-conflict") => {
            return Some(message!(
                "This is a bug in the template: its author corrects the path of the file, as the \
                 message says. A path names folders from the top of the site, and each file is \
                 written once."
            ));
        }
        Some("never-ends") => {
            return Some(message!(
                "This is a bug in the template: it waits for a channel, a timer or a task that \
                 nothing completes. Its author awaits AI calls, and what is made of them, alone."
            ));
        }
        _ => {}
    }
    let own = classified.trap.as_ref().is_some_and(|trap| !trap.language_frames.is_empty());
    (classified.kind == FailureKind::Panic && !own && is_javascript(classified)).then(|| {
        message!(
            "This is a bug in the template: send this record to its author; the line where it says \
             that it happened, and the stack on stderr, are where to look."
        )
    })
}

fn is_javascript(classified: &Classified) -> bool {
    let file = classified.location.as_ref().map_or("", |location| location.file.as_str());
    [".js", ".mjs", ".ts"].iter().any(|end| file.ends_with(end))
}
