//! A case from one run against real models: the order, and what was answered, so that the same run
//! is made again offline.

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

/// What became of a run that is recorded.
pub struct Recorded {
    /// How it ended.
    pub outcome: Outcome,
    /// How many AI calls were answered.
    pub answered: usize,
    /// The files of the case; none when nothing could be kept.
    pub files: Vec<PathBuf>,
    /// What could not be kept, for whoever uses the case.
    pub notes: Vec<String>,
}

/// Makes one order with the host's real routes and keeps it as a case in `folder`.
///
/// # Errors
/// When the case cannot be written. What becomes of the order is no error.
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
    // As the template got it: with the language that this host gives to orders that name none.
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
        // Nothing ran: there is no case in that.
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
    let files =
        written.await.map_err(|error| message!("writing the case did not end: {error}"))??;
    Ok(Recorded { outcome, answered, files, notes })
}

/// A rule for each call. Calls that say the same, or of which one holds all that another says, are
/// told apart by how often and in which order: the more particular first, each for as many calls as
/// there were.
fn rules(asked: &[RecordedCall]) -> Vec<ScriptRule> {
    let mut order: Vec<&RecordedCall> = asked.iter().collect();
    let length = |asked: &RecordedCall| asked.messages.iter().map(String::len).sum::<usize>();
    // Stable: the n-th of the same stays the n-th.
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
        "why = \"Recorded from a run against real models.\"\norder = \
         \"order.json\"\n\n[expect]\n{expect}\n"
    )
}

fn write(folder: &Path, case: &str, order: &[u8], script: Option<&str>) -> Result<(), Message> {
    let failed = |error: std::io::Error| {
        message!("the case {} cannot be written: {error}", folder.display())
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(folder.join("case.toml"), case).map_err(failed)?;
    std::fs::write(folder.join("order.json"), order).map_err(failed)?;
    if let Some(script) = script {
        std::fs::write(folder.join("ai.toml"), script).map_err(failed)?;
    }
    Ok(())
}
