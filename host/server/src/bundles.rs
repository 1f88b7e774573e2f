//! A failed attempt as a file that can be replayed elsewhere:
//! `GET /v1/failures/records/{id}/bundle`, and the button of the console. As a replay, the bundle
//! is made by a process that whoever starts the server names. Always without the texts of customer
//! and models: a file that was downloaded is out of the reach of `order erase` and `[retention]`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::BytesMut;
use futures::stream;
use tokio::io::AsyncReadExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::app::{App, Bundle, ReplayError};
use super::extract::Id;
use super::failures::no_record;
use super::problem::{Problem, ProblemKind};

/// Bytes of a bundle that are read at a time.
const CHUNK: usize = 64 << 10;
/// Maximum length of an id in the name of a file.
const MAX_ID: usize = 64;

/// `GET /v1/failures/records/{id}/bundle`.
pub(crate) async fn bundle(State(app): State<App>, Id(id): Id) -> Result<Response, Problem> {
    exported(&app, &id).await
}

/// The bundle of a failure record, as a file that a browser saves.
pub(crate) async fn exported(app: &App, id: &str) -> Result<Response, Problem> {
    app.database.failure(id).await?.ok_or_else(|| no_record(id))?;
    // Until it was downloaded: a bundle may have hundreds of megabytes, and is on the disk.
    let Ok(only) = Arc::clone(&app.exporting).try_acquire_owned() else {
        let detail = "another attempt is being exported: one server exports one at a time";
        return Err(Problem::new(ProblemKind::TooManyExports, detail));
    };
    // The rest of the time is for the first bytes of the answer.
    let within = app.settings.answer_within().mul_f64(0.9);
    let Bundle { file, bytes } =
        (app.export)(id.to_owned(), within).await.map_err(|error| match error {
            ReplayError::Late => {
                let ms = within.as_millis();
                let detail = format!("the export did not end within {ms} ms, and was stopped");
                let hint = "export it with `sitewright failures export`, or raise \
                            `server.request_ms`";
                Problem::new(ProblemKind::Timeout, detail).hinting(hint)
            }
            ReplayError::Host(message) => {
                tracing::error!(record = id, "{message}");
                let detail = format!("the attempt was not exported: {message}");
                let hint = "run `sitewright failures export` with this id on the machine of the \
                            server";
                Problem::new(ProblemKind::Internal, detail).hinting(hint)
            }
        })?;
    let headers = [
        (CONTENT_TYPE, "application/x-tar".to_owned()),
        (CONTENT_LENGTH, bytes.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file_name(id))),
    ];
    Ok((headers, body(file, only)).into_response())
}

/// The bytes of a file. Another bundle is made when they were read, or nobody wants them any more.
fn body(file: tokio::fs::File, only: OwnedSemaphorePermit) -> Body {
    let chunks = stream::try_unfold((file, only), |(mut file, only)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (chunk.freeze(), (file, only))))
    });
    Body::from_stream(chunks)
}

/// The name that a browser saves a bundle under: only characters of the id that no system reads as
/// anything else.
fn file_name(id: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id: String = id.chars().filter(is_plain).take(MAX_ID).collect();
    format!("failure-{id}.tar")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_a_file_and_nothing_else() {
        for (id, name) in [
            ("01M8357K477S54PXCWJ5Y3G5CR", "failure-01M8357K477S54PXCWJ5Y3G5CR.tar"),
            ("../../etc/passwd", "failure-etcpasswd.tar"),
            ("a\"; filename=\"b.exe", "failure-afilenamebexe.tar"),
            ("a\r\nSet-Cookie: b", "failure-aSet-Cookieb.tar"),
            ("\u{202e}gpj", "failure-gpj.tar"),
            ("", "failure-.tar"),
        ] {
            assert_eq!(file_name(id), name, "{id:?}");
        }
        assert_eq!(file_name(&"x".repeat(1_000)).len(), "failure-.tar".len() + MAX_ID);
    }
}
