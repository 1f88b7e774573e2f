//! Records a case from one run with real models: the order and the replies, so that the run can be
//! repeated offline.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::{Table, Value};

use super::answers::{ScriptRule, text};
use super::recording_journal::{RecordedCall, RecordingJournal, ReplyDelay, ReplyFormat};
use sitewright_ai::RunJournal;
use sitewright_intake as order;
use sitewright_model::failure::FailureKind;
use sitewright_model::message;
use sitewright_model::message::Message;
use sitewright_runtime::host_functions::RunProgress;
use sitewright_runtime::run::{
    AttemptId, AttemptRequest, JournalUse, Outcome, Publication, Services, attempt,
};

/// The result of a recorded run.
pub struct Recorded {
    pub outcome: Outcome,
    /// The number of answered AI calls.
    pub answered: usize,
    /// The files of the case; empty if the order never ran.
    pub files: Vec<PathBuf>,
    /// What the case could not keep, for its users.
    pub notes: Vec<String>,
}

/// Runs one order with the host's configured routes and writes it as a case to `folder`.
///
/// # Errors
/// If the case cannot be written. A failed order is not an error.
pub async fn record(
    host: &Services,
    template: String,
    document: Vec<u8>,
    folder: &Path,
) -> Result<Recorded, Message> {
    let watch = Arc::new(RecordingJournal::new(ReplyDelay::None));
    let request = AttemptRequest {
        document: document.clone(),
        template,
        id: AttemptId::new(),
        job: None,
        revision: None,
        journal: JournalUse::Of(Arc::new(RunJournal::new(watch.clone()))),
        publication: Publication::Publish,
        cancel: tokio_util::sync::CancellationToken::new(),
        progress: tokio::sync::watch::Sender::new(RunProgress::default()),
    };
    let outcome = attempt(host, request).await;
    let asked = watch.asked();
    let answered = asked.iter().filter(|asked| asked.answer.is_some()).count();
    let mut notes = Vec::new();
    if answered < asked.len() {
        notes.push(format!(
            "{} of {} AI calls got no answer; the case answers them with an error of the kind \
             `overloaded`",
            asked.len() - answered,
            asked.len()
        ));
    }
    let case = case_file(&outcome);
    // As the template got it: with the default locale if the order has none.
    let document = order::load(&document, host.limits.order_max_bytes(), &host.default_locale)
        .ok()
        .and_then(|snapshot| serde_json::from_str::<serde_json::Value>(snapshot.document()).ok())
        .and_then(|order| serde_json::to_vec_pretty(&order).ok())
        .unwrap_or(document);
    let script = text(&rules(&asked))?;
    if let Outcome::Failed { record, .. } = &outcome
        && matches!(
            record.kind,
            FailureKind::InvalidOrder | FailureKind::TemplateLoad | FailureKind::Host
        )
    {
        // The template did not run, so there is nothing to record.
        return Ok(Recorded { outcome, answered, files: Vec::new(), notes });
    }
    let folder = folder.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        write(&folder, &case, &document, (!asked.is_empty()).then_some(script.as_str()))?;
        let mut files: Vec<PathBuf> = vec![folder.join("case.toml"), folder.join("order.json")];
        if !asked.is_empty() {
            files.push(folder.join("ai.toml"));
        }
        Ok::<_, Message>(files)
    });
    let files = written.await.map_err(|error| message!("writing the case failed: {error}"))??;
    Ok(Recorded { outcome, answered, files, notes })
}

/// One rule per call, longest messages first, each used once. So calls with the same messages, or
/// with messages that contain those of another call, get their own replies.
fn rules(asked: &[RecordedCall]) -> Vec<ScriptRule> {
    let mut order: Vec<&RecordedCall> = asked.iter().collect();
    let length = |asked: &RecordedCall| asked.messages.iter().map(String::len).sum::<usize>();
    // The sort is stable: equal calls keep their order.
    order.sort_by_key(|asked| std::cmp::Reverse(length(asked)));
    order
        .into_iter()
        .map(|asked| {
            let answer = match &asked.answer {
                None => {
                    let fault = Table::from_iter([("status".to_owned(), Value::Integer(503))]);
                    Table::from_iter([("fault".to_owned(), Value::Table(fault))])
                }
                Some(answer) => {
                    let key = if asked.format == ReplyFormat::Text { "text" } else { "json_text" };
                    Table::from_iter([(key.to_owned(), Value::String(answer.clone()))])
                }
            };
            ScriptRule {
                purpose: Some(asked.purpose.clone()),
                contains: asked.messages.clone(),
                times: Some(1),
                answer,
            }
        })
        .collect()
}

fn case_file(outcome: &Outcome) -> String {
    let expect = match outcome {
        Outcome::Released(_) => "outcome = \"site\"".to_owned(),
        Outcome::Failed { record, .. } => {
            format!("outcome = \"failure\"\nkind = \"{}\"", record.kind)
        }
    };
    format!(
        "why = \"Recorded from a run with real models.\"\norder = \
         \"order.json\"\n\n[expect]\n{expect}\n"
    )
}

fn write(folder: &Path, case: &str, order: &[u8], script: Option<&str>) -> Result<(), Message> {
    let failed =
        |error: std::io::Error| message!("cannot write the case {}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(folder.join("case.toml"), case).map_err(failed)?;
    std::fs::write(folder.join("order.json"), order).map_err(failed)?;
    if let Some(script) = script {
        std::fs::write(folder.join("ai.toml"), script).map_err(failed)?;
    }
    Ok(())
}
