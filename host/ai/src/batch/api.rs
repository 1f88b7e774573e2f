//! Sends batches, finds them again, looks at them and reads their answers.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::openai::Listed;
use super::said::Said;
use super::{BatchWire, anthropic, openai};
use crate::candidate::Candidate;
use crate::failure::AttemptFailure;
use crate::gateway::Gateway;
use crate::provider::{HttpProvider, Provider};
use crate::transport::{self, MAX_BODY_BYTES, OpenAnswer};
use crate::wire::{HttpReply, HttpRequest};
use sitewright_model::ai::AiErrorKind;
use sitewright_model::message;
use sitewright_model::message::Message;

/// Maximum time until the head of a response. The upload of a batch counts.
const HEAD_WITHIN: Duration = Duration::from_secs(300);

/// Maximum size of what the API says of a batch, or of a page of its list.
const MAX_STATUS_BYTES: usize = 8 << 20;

/// Maximum size of one line of the answers: an answer and what is around it.
const MAX_LINE_BYTES: usize = 2 * MAX_BODY_BYTES;

/// Maximum size of all answers of a batch.
const MAX_RESULTS_BYTES: u64 = 1 << 30;

/// Maximum number of pages of the list of batches in which one is looked for, with 100 each.
const MAX_PAGES: usize = 10;

/// A batch: whose it is, and our id of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Ours, by which it is found again.
    pub id: String,
    /// The provider's name in the configuration.
    pub provider: String,
    pub model: String,
}

/// One call of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRequest {
    /// Letters, digits, `-` and `_`, at most 64.
    pub id: String,
    /// The route whose settings are added to the body.
    pub route: String,
    /// As in [`NewBatchCall`](super::NewBatchCall).
    pub body: String,
}

/// The same with everything that is sent.
#[derive(Debug, Clone)]
pub(super) struct RequestToSend {
    pub(super) id: String,
    pub(super) body: Value,
}

/// How far a batch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchProgress {
    Running,
    /// It was cancelled, and ends soon.
    Cancelling,
    Ended(EndedBatch),
}

/// The same as its provider says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SaidProgress {
    Running,
    Cancelling,
    Ended {
        /// Where its answers are.
        results: Vec<Said>,
        /// Why a call has no answer that is not among them.
        why: Said,
    },
}

/// A batch that has ended, with or without answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedBatch {
    /// Where its answers are.
    pub(super) results: Vec<String>,
    /// Why a call has no answer that is not among them, redacted.
    pub why: String,
}

/// What a batch says of one of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchResult {
    pub id: String,
    /// The body of the answer; or why there is none, redacted.
    pub answer: Result<String, String>,
}

/// The same as its provider says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineOfResults {
    /// Ours.
    pub(super) id: String,
    pub(super) answer: Result<Said, Said>,
}

/// Why a batch could not be sent or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BatchError {
    /// Redacted.
    pub message: Message,
    pub kind: BatchErrorKind,
}

/// What an error says about the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchErrorKind {
    /// It may succeed later.
    Transient,
    /// The key or the account was refused (401, 402, 403), or no key could be read. It may succeed
    /// once somebody has mended that.
    Denied,
    /// The request was refused: its address or its content. A batch that the provider has may be
    /// read later all the same.
    Refused,
    /// The provider does not have what was asked for.
    NotFound,
    /// No later request can succeed.
    Final,
}

/// The batch API of a provider, for one model.
struct Api<'a> {
    gateway: &'a Gateway,
    candidate: &'a Candidate,
    http: &'a HttpProvider,
    wire: BatchWire,
}

impl Gateway {
    /// Sends a batch. The provider's id of it.
    ///
    /// # Errors
    /// The provider refused it or did not answer: then it may have the batch all the same, see
    /// [`find_batch`](Gateway::find_batch).
    pub async fn send_batch(
        &self,
        batch: &Batch,
        requests: Vec<BatchRequest>,
    ) -> Result<String, BatchError> {
        let api = self.batch_api(batch)?;
        let mut whole = Vec::with_capacity(requests.len());
        for BatchRequest { id, route, body } in requests {
            let of_route = self.route_table().get(&route);
            let mut of_route = of_route.into_iter().flat_map(|route| &route.candidates);
            let asked = |one: &&Candidate| is_of(one, batch);
            let candidate = of_route.find(asked).unwrap_or(api.candidate);
            let body = candidate.settings.set_fields(body.into_bytes());
            let body = serde_json::from_slice(&body).map_err(|error| BatchError {
                message: message!("a call of the batch is not JSON: {error}"),
                kind: BatchErrorKind::Final,
            })?;
            whole.push(RequestToSend { id, body });
        }
        let endpoint = api.endpoint();
        let created = match api.wire {
            BatchWire::Openai => {
                let (body, kind) = openai::upload(&endpoint, &whole);
                drop(whole);
                let file = api.post(openai::url(&endpoint, "files"), body, &kind).await?;
                let file = api.id(&file, "the uploaded file")?;
                let body = openai::create(&endpoint, &batch.id, &file).to_string();
                let url = openai::url(&endpoint, "batches");
                api.post(url, body.into_bytes(), "application/json").await?
            }
            BatchWire::Anthropic => {
                let body = anthropic::create(&whole).to_string();
                drop(whole);
                let url = anthropic::url(&endpoint, "");
                api.post(url, body.into_bytes(), "application/json").await?
            }
        };
        api.id(&created, "the batch")
    }

    /// The provider's id of a batch that was sent without its id being stored. `None` if the
    /// provider does not have it, or has no way to find it: Anthropic's API keeps no id of ours.
    ///
    /// # Errors
    /// As [`send_batch`](Gateway::send_batch).
    pub async fn find_batch(&self, batch: &Batch) -> Result<Option<String>, BatchError> {
        let api = self.batch_api(batch)?;
        if api.wire == BatchWire::Anthropic {
            return Ok(None);
        }
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut url = openai::url(&api.endpoint(), "batches");
            url.query_pairs_mut().append_pair("limit", "100");
            if let Some(after) = &after {
                url.query_pairs_mut().append_pair("after", after);
            }
            match openai::find(&api.get(url).await?, &batch.id) {
                Listed::Found(remote) => return api.usable(&remote, "the batch").map(Some),
                Listed::After(last) => after = Some(api.usable(&last, "a batch")?),
                Listed::NotThere => return Ok(None),
            }
        }
        Ok(None)
    }

    /// How far a batch is.
    ///
    /// # Errors
    /// As [`send_batch`](Gateway::send_batch).
    pub async fn batch_progress(
        &self,
        batch: &Batch,
        remote: &str,
    ) -> Result<BatchProgress, BatchError> {
        let api = self.batch_api(batch)?;
        let endpoint = api.endpoint();
        let said = match api.wire {
            BatchWire::Openai => {
                let url = openai::url(&endpoint, &format!("batches/{}", segment(remote)));
                openai::progress(&api.get(url).await?)
            }
            BatchWire::Anthropic => {
                let url = anthropic::url(&endpoint, &format!("/{}", segment(remote)));
                anthropic::progress(&api.get(url).await?, remote)
            }
        };
        let (results, why) = match said {
            SaidProgress::Running => return Ok(BatchProgress::Running),
            SaidProgress::Cancelling => return Ok(BatchProgress::Cancelling),
            SaidProgress::Ended { results, why } => (results, why),
        };
        let results = results.iter().map(|id| api.usable(id, "the answers of the batch"));
        let results = results.collect::<Result<Vec<_>, _>>()?;
        let why = why.message(&api.candidate.provider.redactor());
        Ok(BatchProgress::Ended(EndedBatch { results, why }))
    }

    /// Cancels a batch that runs. Its provider ends it soon; answers that are there by then can be
    /// read, and are paid for.
    ///
    /// # Errors
    /// As [`send_batch`](Gateway::send_batch); also if the batch has ended meanwhile.
    pub async fn cancel_batch(&self, batch: &Batch, remote: &str) -> Result<(), BatchError> {
        let api = self.batch_api(batch)?;
        let (endpoint, remote) = (api.endpoint(), segment(remote));
        let url = match api.wire {
            BatchWire::Openai => openai::url(&endpoint, &format!("batches/{remote}/cancel")),
            BatchWire::Anthropic => anthropic::url(&endpoint, &format!("/{remote}/cancel")),
        };
        let open = api.open(Method::POST, url, Vec::new(), None).await?;
        // It is the batch. What it says of itself is read at the next look.
        api.value(open).await.map(drop)
    }

    /// The answers of a batch that has ended, to be read one by one.
    ///
    /// # Errors
    /// The provider or the model is not in the configuration any more: that is transient, because
    /// another worker, or the next configuration, may have it.
    pub fn batch_results(
        &self,
        batch: &Batch,
        ended: &EndedBatch,
    ) -> Result<BatchResults<'_>, BatchError> {
        let api = self.batch_api(batch)?;
        let files = ended.results.iter().cloned().collect();
        Ok(BatchResults {
            api,
            files,
            open: None,
            buffer: Vec::new(),
            looked_at: 0,
            read: 0,
            lines: 0,
            results: 0,
        })
    }

    fn batch_api(&self, batch: &Batch) -> Result<Api<'_>, BatchError> {
        let mut all = self.route_table().values().flat_map(|route| &route.candidates);
        let candidate = all.find(|one| is_of(one, batch));
        let of_candidate = candidate.and_then(|candidate| {
            let Provider::Http(http) = candidate.provider.as_ref() else { return None };
            Some(Api { gateway: self, candidate, http, wire: candidate.batch_api()? })
        });
        of_candidate.ok_or_else(|| BatchError {
            message: message!(
                "no route of the configuration tries the model {:?} of a provider `{}` with a \
                 batch API",
                batch.model,
                batch.provider
            ),
            kind: BatchErrorKind::Transient,
        })
    }
}

/// Whether the next batch would be refused as well, until somebody mends the key or the account.
fn is_denied(kind: AiErrorKind) -> bool {
    matches!(kind, AiErrorKind::Auth | AiErrorKind::Permission | AiErrorKind::QuotaExhausted)
}

fn is_of(candidate: &Candidate, batch: &Batch) -> bool {
    candidate.provider_name == batch.provider && candidate.model == batch.model
}

/// An id of a provider as a part of a path: it must not lead anywhere else.
fn segment(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(200).collect()
}

impl Api<'_> {
    fn endpoint(&self) -> Url {
        self.http.adapter.url(&self.candidate.model)
    }

    async fn get(&self, url: Url) -> Result<Value, BatchError> {
        let open = self.open(Method::GET, url, Vec::new(), None).await?;
        self.value(open).await
    }

    async fn post(&self, url: Url, body: Vec<u8>, kind: &str) -> Result<Value, BatchError> {
        let open = self.open(Method::POST, url, body, Some(kind)).await?;
        self.value(open).await
    }

    async fn open(
        &self,
        method: Method,
        url: Url,
        body: Vec<u8>,
        kind: Option<&str>,
    ) -> Result<OpenAnswer, BatchError> {
        let deadline = Instant::now() + HEAD_WITHIN;
        let key = self.candidate.provider.key(deadline).await;
        let key = key.map_err(|failure| self.error(&failure))?;
        let headers: HeaderMap =
            self.http.adapter.headers(&self.candidate.settings, key.as_deref());
        let request = HttpRequest { url, headers, body };
        let transport = self.gateway.transport();
        let open = transport.open(self.http, method, request, kind, HEAD_WITHIN).await;
        let mut open = open.map_err(|failure| self.error(&failure))?;
        if (200..300).contains(&open.head.status) {
            return Ok(open);
        }
        // What an error says is at its beginning; a body that breaks off tells enough.
        let body = open.whole(MAX_STATUS_BYTES).await.unwrap_or_default();
        let http = HttpReply { head: open.head, body };
        let failure = transport::refused(&http, |http| self.http.adapter.map_error(http));
        Err(self.error(&failure.of_answer(&http.head, &http.body)))
    }

    async fn value(&self, mut open: OpenAnswer) -> Result<Value, BatchError> {
        let body = open.whole(MAX_STATUS_BYTES).await.map_err(|failure| self.error(&failure))?;
        serde_json::from_slice(&body).map_err(|error| BatchError {
            message: message!(
                "the batch API of the provider `{}` answered with something that is not JSON: \
                 {error}",
                self.candidate.provider_name
            ),
            kind: BatchErrorKind::Transient,
        })
    }

    fn error(&self, failure: &AttemptFailure) -> BatchError {
        let redactor = self.candidate.provider.redactor();
        let causes = failure.causes.iter().map(Message::as_str);
        let said = std::iter::once(failure.detail.as_str()).chain(causes);
        let said: Vec<&str> = said.map(str::trim).filter(|text| !text.is_empty()).collect();
        let said = match said.as_slice() {
            [] => String::new(),
            said => format!(": {}", Said::new(said.join(": ")).message(&redactor)),
        };
        let status = failure.http.as_ref().map(|http| http.status);
        let answered =
            status.map_or_else(String::new, |status| format!(" answered with the status {status}"));
        let kind = match status {
            Some(404 | 410) => BatchErrorKind::NotFound,
            _ if is_denied(failure.kind) => BatchErrorKind::Denied,
            _ if failure.retryable => BatchErrorKind::Transient,
            _ => BatchErrorKind::Refused,
        };
        BatchError {
            message: message!(
                "the batch API of the provider `{}`{answered} ({}){said}",
                self.candidate.provider_name,
                failure.kind
            ),
            kind,
        }
    }

    /// The id in an answer.
    fn id(&self, answer: &Value, what: &str) -> Result<String, BatchError> {
        match answer["id"].as_str() {
            Some(id) => self.usable(&Said::new(id), what),
            None => Err(self.without_id(what, "no id")),
        }
    }

    fn usable(&self, id: &Said, what: &str) -> Result<String, BatchError> {
        id.id(&self.candidate.provider.redactor()).ok_or_else(|| {
            let why = "an id that cannot be used: it has a key in it, more than 200 characters, or \
                       others than letters, digits, `-` and `_`";
            self.without_id(what, why)
        })
    }

    fn without_id(&self, what: &str, why: &str) -> BatchError {
        BatchError {
            message: message!(
                "the batch API of the provider `{}` gave {what} {why}",
                self.candidate.provider_name
            ),
            kind: BatchErrorKind::Refused,
        }
    }
}

/// The answers of a batch. At most one line of them is held at a time.
pub struct BatchResults<'a> {
    api: Api<'a>,
    files: VecDeque<String>,
    open: Option<OpenAnswer>,
    /// What was read of the next lines.
    buffer: Vec<u8>,
    /// Bytes at its beginning that have no end of a line: nothing is looked through twice.
    looked_at: usize,
    /// Bytes of all files so far.
    read: u64,
    /// Lines of the present file that are not empty, and those of them that say something of a call.
    lines: u64,
    results: u64,
}

impl BatchResults<'_> {
    /// The next answer; `None` after the last one. Lines that say nothing of a call are left out.
    ///
    /// # Errors
    /// As [`Gateway::send_batch`]; also if no line of a file says anything of a call: then it is the
    /// page of a proxy. Answers that were read stay valid.
    pub async fn next(&mut self) -> Result<Option<BatchResult>, BatchError> {
        loop {
            let rest = self.buffer.get(self.looked_at..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                let line: Vec<u8> = self.buffer.drain(..=self.looked_at + end).collect();
                self.looked_at = 0;
                self.lines += u64::from(!line.trim_ascii().is_empty());
                match self.result(&line) {
                    Some(result) => {
                        self.results += 1;
                        return Ok(Some(result));
                    }
                    None => continue,
                }
            }
            self.looked_at = self.buffer.len();
            let Some(open) = &mut self.open else {
                let (lines, results) = (self.lines, self.results);
                (self.lines, self.results) = (0, 0);
                if lines > 0 && results == 0 {
                    return Err(self.not_results());
                }
                match self.files.pop_front() {
                    None => return Ok(None),
                    Some(file) => self.open = Some(self.open_file(&file).await?),
                }
                continue;
            };
            match open.chunk().await.map_err(|failure| self.api.error(&failure))? {
                Some(chunk) => {
                    self.read += chunk.len() as u64;
                    self.buffer.extend_from_slice(&chunk);
                    let line = self.buffer.len() > MAX_LINE_BYTES && !chunk.contains(&b'\n');
                    if line || self.read > MAX_RESULTS_BYTES {
                        return Err(self.too_large());
                    }
                }
                None => {
                    self.open = None;
                    // The last line may have no end.
                    if !self.buffer.is_empty() {
                        self.buffer.push(b'\n');
                    }
                }
            }
        }
    }

    async fn open_file(&self, file: &str) -> Result<OpenAnswer, BatchError> {
        let (endpoint, file) = (self.api.endpoint(), segment(file));
        let url = match self.api.wire {
            BatchWire::Openai => openai::url(&endpoint, &format!("files/{file}/content")),
            BatchWire::Anthropic => anthropic::url(&endpoint, &format!("/{file}/results")),
        };
        self.api.open(Method::GET, url, Vec::new(), None).await
    }

    fn result(&self, line: &[u8]) -> Option<BatchResult> {
        let line: Value = serde_json::from_slice(line).ok()?;
        let result = match self.api.wire {
            BatchWire::Openai => openai::result(&line),
            BatchWire::Anthropic => anthropic::result(&line),
        };
        let LineOfResults { id, answer } = result?;
        let redactor = self.api.candidate.provider.redactor();
        let answer = match answer {
            Ok(body) if body.len() > MAX_BODY_BYTES => {
                Err(format!("its answer is larger than {} MiB", MAX_BODY_BYTES >> 20))
            }
            // It is stored before it is read.
            Ok(body) => Ok(body.answer(&redactor)),
            Err(why) => Err(why.message(&redactor)),
        };
        Some(BatchResult { id, answer })
    }

    fn not_results(&self) -> BatchError {
        BatchError {
            message: message!(
                "the batch API of the provider `{}` answered with something that is not the \
                 answers of a batch",
                self.api.candidate.provider_name
            ),
            kind: BatchErrorKind::Transient,
        }
    }

    fn too_large(&self) -> BatchError {
        BatchError {
            message: message!(
                "the answers of a batch of the provider `{}` are larger than {} MiB, or one of \
                 them is larger than {} MiB",
                self.api.candidate.provider_name,
                MAX_RESULTS_BYTES >> 20,
                MAX_LINE_BYTES >> 20
            ),
            kind: BatchErrorKind::Final,
        }
    }
}
