//! OpenAI's batch API: a file of requests, a batch of it, and files of answers.
//!
//! <https://platform.openai.com/docs/api-reference/batch>

use serde_json::{Value, json};
use url::Url;

use super::api::{LineOfResults, RequestToSend, SaidProgress};
use super::said::Said;

/// The key in a batch's metadata by which it is found again.
const OUR_ID: &str = "sitewright_batch";

/// Text between the parts of an upload. No line of JSON begins with it.
const BOUNDARY: &str = "sitewright-batch-6f1c2a9e";

/// The URL of a part of the API beside the endpoint of calls.
pub(super) fn url(endpoint: &Url, path: &str) -> Url {
    let mut url = endpoint.clone();
    let of_calls = ["/chat/completions", "/responses"];
    let whole = endpoint.path().trim_end_matches('/');
    let base = of_calls.iter().find_map(|end| whole.strip_suffix(end)).unwrap_or(whole);
    url.set_path(&format!("{base}/{path}"));
    url
}

/// The body of the upload of a file of requests, and its content type.
pub(super) fn upload(endpoint: &Url, requests: &[RequestToSend]) -> (Vec<u8>, String) {
    let mut body = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; \
         filename=\"requests.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n"
    )
    .into_bytes();
    for request in requests {
        let line = json!({
            "custom_id": request.id,
            "method": "POST",
            "url": endpoint.path(),
            "body": request.body,
        });
        body.extend_from_slice(line.to_string().as_bytes());
        body.push(b'\n');
    }
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    (body, format!("multipart/form-data; boundary={BOUNDARY}"))
}

/// The body that makes a batch of an uploaded file.
pub(super) fn create(endpoint: &Url, id: &str, file: &str) -> Value {
    json!({
        "input_file_id": file,
        "endpoint": endpoint.path(),
        "completion_window": "24h",
        "metadata": { OUR_ID: id },
    })
}

/// Whether a batch is in a page of the provider's list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// The provider's id of it.
    Found(Said),
    /// Not in this page; the next one begins after this id.
    After(Said),
    NotThere,
}

/// Looks for the batch that we have sent under this id in a page of the list.
pub(super) fn find(page: &Value, id: &str) -> Listed {
    let empty = Vec::new();
    let batches = page["data"].as_array().unwrap_or(&empty);
    let ours = batches.iter().find(|batch| batch["metadata"][OUR_ID] == id);
    let remote = |batch: &Value| batch["id"].as_str().map(Said::new);
    let next = batches.last().filter(|_| page["has_more"] == true).and_then(remote);
    match (ours.and_then(remote), next) {
        (Some(found), _) => Listed::Found(found),
        (None, Some(last)) => Listed::After(last),
        (None, None) => Listed::NotThere,
    }
}

/// What a batch says of itself.
pub(super) fn progress(batch: &Value) -> SaidProgress {
    let status = batch["status"].as_str().unwrap_or_default();
    match status {
        "completed" | "failed" | "expired" | "cancelled" => {}
        "cancelling" => return SaidProgress::Cancelling,
        _ => return SaidProgress::Running,
    }
    let files = ["output_file_id", "error_file_id"].iter();
    let results = files.filter_map(|file| batch[file].as_str().map(Said::new)).collect();
    let errors = batch["errors"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let first = errors.iter().find_map(|error| error["message"].as_str());
    let why = match (status, first) {
        ("completed", None) => "its batch ended without an answer to it".to_owned(),
        (status, None) => format!("its batch is {status}"),
        (status, Some(error)) => format!("its batch is {status}: {error}"),
    };
    SaidProgress::Ended { results, why: Said::new(why) }
}

/// One line of a file of answers.
pub(super) fn result(line: &Value) -> Option<LineOfResults> {
    let id = line["custom_id"].as_str()?.to_owned();
    let response = &line["response"];
    let body = &response["body"];
    let message = |error: &Value| error["message"].as_str().map(str::to_owned);
    let answer = match response["status_code"].as_u64() {
        Some(200..=299) => Ok(Said::new(body.to_string())),
        Some(status) => {
            let said = message(&body["error"]).unwrap_or_default();
            Err(Said::new(format!("the provider answered with the status {status}: {said}")))
        }
        None => {
            let said = message(&line["error"]).unwrap_or_else(|| "no reason".to_owned());
            let code = line["error"]["code"].as_str().unwrap_or("error");
            Err(Said::new(format!("the provider did not answer it: {said} ({code})")))
        }
    };
    Some(LineOfResults { id, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_beside_the_endpoint_of_calls() {
        for (endpoint, expected) in [
            ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1/files"),
            ("https://api.openai.com/v1/responses", "https://api.openai.com/v1/files"),
            ("http://h:1/chat/completions?v=1", "http://h:1/files?v=1"),
        ] {
            assert_eq!(url(&Url::parse(endpoint).unwrap(), "files").as_str(), expected);
        }
    }

    #[test]
    fn our_batch_is_found_by_its_metadata() {
        let list = json!([
            {"id": "b1", "metadata": null},
            {"id": "b2", "metadata": {OUR_ID: "x"}},
            {"id": "b3"},
        ]);
        for (id, more, expected) in [
            ("x", true, Listed::Found(Said::new("b2"))),
            ("y", true, Listed::After(Said::new("b3"))),
            ("y", false, Listed::NotThere),
        ] {
            let page = json!({"data": list, "has_more": more});
            assert_eq!(find(&page, id), expected, "{id} {more}");
        }
        assert_eq!(find(&json!({"data": [], "has_more": true}), "x"), Listed::NotThere);
    }

    #[test]
    fn a_batch_ends_in_four_ways() {
        let cancelling = progress(&json!({"status": "cancelling"}));
        assert_eq!(cancelling, SaidProgress::Cancelling);
        for (batch, expected) in [
            (json!({"status": "validating"}), None),
            (json!({"status": "in_progress", "output_file_id": null}), None),
            (json!({"status": "finalizing"}), None),
            (json!({}), None),
            (
                json!({"status": "completed", "output_file_id": "f1", "error_file_id": "f2"}),
                Some((vec!["f1", "f2"], "without an answer")),
            ),
            (json!({"status": "expired", "output_file_id": "f1"}), Some((vec!["f1"], "expired"))),
            (json!({"status": "cancelled"}), Some((vec![], "cancelled"))),
            (
                json!({"status": "failed", "errors": {"data": [{"message": "line 1 is odd"}]}}),
                Some((vec![], "failed: line 1 is odd")),
            ),
        ] {
            match (progress(&batch), expected) {
                (SaidProgress::Running, None) => {}
                (SaidProgress::Ended { results: files, why: said }, Some((results, why))) => {
                    let files: Vec<&str> = files.iter().map(Said::as_str).collect();
                    assert_eq!(files, results, "{batch}");
                    assert!(said.as_str().contains(why), "{batch}: {said:?}");
                }
                (progress, _) => panic!("{batch}: {progress:?}"),
            }
        }
    }

    #[test]
    fn a_line_is_an_answer_or_says_why_there_is_none() {
        for (line, expected) in [
            (
                json!({"custom_id": "a", "response": {"status_code": 200, "body": {"x": 1}},
                       "error": null}),
                Some(Ok("{\"x\":1}")),
            ),
            (
                json!({"custom_id": "a", "response": {"status_code": 400,
                       "body": {"error": {"message": "no temperature"}}}}),
                Some(Err("status 400: no temperature")),
            ),
            (
                json!({"custom_id": "a", "response": null,
                       "error": {"code": "batch_expired", "message": "too late"}}),
                Some(Err("too late (batch_expired)")),
            ),
            (json!({"custom_id": "a"}), Some(Err("no reason"))),
            (json!({"response": {"status_code": 200}}), None),
            (json!(7), None),
        ] {
            let read = result(&line);
            match (read, expected) {
                (None, None) => {}
                (Some(LineOfResults { id, answer: Ok(answer) }), Some(Ok(body))) => {
                    assert_eq!((&*id, answer.as_str()), ("a", body));
                }
                (Some(LineOfResults { answer: Err(why), .. }), Some(Err(says))) => {
                    assert!(why.as_str().contains(says), "{line}: {why:?}");
                }
                (read, _) => panic!("{line}: {read:?}"),
            }
        }
    }
}
