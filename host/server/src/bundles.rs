//! A failed attempt as a file that can be replayed elsewhere:
//! `GET /v1/failures/records/{id}/bundle`, and the button of the console. As a replay, the bundle
//! is made by a process that whoever starts the server names. Always without the texts of customer
//! and models: a file that was downloaded is out of the reach of `order erase` and `[retention]`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, Method};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::stream;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::access::Audited;
use super::app::{App, Bundle, ReplayError};
use super::extract::Id;
use super::failures::no_record;
use super::problem::{Problem, ProblemKind};

/// Bytes of a bundle that are read at a time.
const CHUNK: usize = 64 << 10;
/// Maximum time for a download. One that goes on, however slowly, would keep all others away.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(30 * 60);
/// Maximum length of an id in the name of a file.
const MAX_ID: usize = 64;

/// `GET /v1/failures/records/{id}/bundle`. `HEAD` exports nothing, and says no length: that of a
/// bundle is known when it is made.
pub(crate) async fn bundle(
    State(app): State<App>,
    method: Method,
    Id(id): Id,
) -> Result<Response, Problem> {
    if method != Method::HEAD {
        return exported(&app, &id).await;
    }
    app.database.failure(&id).await?.ok_or_else(|| no_record(&id))?;
    // With an empty body of a known length, the answer would say that the bundle is empty.
    let no_length = Body::from_stream(stream::empty::<io::Result<Bytes>>());
    let mut response = (described(&id), no_length).into_response();
    response.extensions_mut().insert(Audited::Nothing);
    Ok(response)
}

/// What the headers say of a bundle before it is made.
fn described(id: &str) -> [(HeaderName, String); 2] {
    [
        (CONTENT_TYPE, "application/x-tar".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file_name(id))),
    ]
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
    let length = [(CONTENT_LENGTH, bytes.to_string())];
    Ok((described(id), length, body(file, only, DOWNLOAD_WITHIN)).into_response())
}

/// The bytes of a file. Another bundle is made when they were read, nobody wants them any more, or
/// `within` is over: then the answer is shorter than it says, and the client knows that it failed.
fn body(file: File, only: OwnedSemaphorePermit, within: Duration) -> Body {
    let (chunks, read) = mpsc::channel(1);
    // A task of its own: a body that its client does not read is not polled.
    tokio::spawn(async move {
        let in_time = tokio::time::timeout(within, read_into(chunks, file)).await;
        if in_time.is_err() {
            let within_ms = within.as_millis();
            tracing::warn!(within_ms, "the download of a bundle took too long, and was ended");
        }
        drop(only);
    });
    let next = |mut read: mpsc::Receiver<io::Result<Bytes>>| async move {
        read.recv().await.map(|chunk| (chunk, read))
    };
    Body::from_stream(stream::unfold(read, next))
}

/// Reads a file to its end, as fast as somebody takes its bytes.
async fn read_into(chunks: mpsc::Sender<io::Result<Bytes>>, mut file: File) {
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let next = match file.read_buf(&mut chunk).await {
            Ok(0) => return,
            Ok(_) => Ok(chunk.freeze()),
            Err(error) => Err(error),
        };
        let is_last = next.is_err();
        if chunks.send(next).await.is_err() || is_last {
            return;
        }
    }
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
    use tokio::sync::Semaphore;

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

    #[expect(clippy::disallowed_methods, reason = "the one runtime of its process")]
    #[tokio::test]
    async fn a_download_that_takes_too_long_keeps_no_other_one_away() {
        use std::io::{Seek as _, Write as _};

        let places = Arc::new(Semaphore::new(1));
        let bytes = vec![0; 8 * CHUNK];
        for (within, is_whole) in [(Duration::ZERO, false), (DOWNLOAD_WITHIN, true)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            file.rewind().unwrap();
            let only = Arc::clone(&places).acquire_owned().await.unwrap();
            let body = body(File::from_std(file), only, within);
            if !is_whole {
                // Nobody reads.
                let free = tokio::time::timeout(Duration::from_secs(30), places.acquire()).await;
                drop(free.unwrap().unwrap());
            }
            let read = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            assert_eq!(read.len() == bytes.len(), is_whole, "{} bytes", read.len());
            let free = tokio::time::timeout(Duration::from_secs(30), places.acquire()).await;
            drop(free.unwrap().unwrap());
        }
    }
}
