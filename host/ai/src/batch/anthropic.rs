//! Anthropic's batch API: one request with all calls, and one stream of answers.
//!
//! <https://docs.claude.com/en/api/creating-message-batches>

use serde_json::{Value, json};
use url::Url;

use super::api::{LineOfResults, RequestToSend, SaidProgress};
use super::said::Said;

/// The URL of the batches, or of a part of one.
pub(super) fn url(endpoint: &Url, path: &str) -> Url {
    let mut url = endpoint.clone();
    let whole = endpoint.path().trim_end_matches('/');
    url.set_path(&format!("{whole}/batches{path}"));
    url
}

/// The body that makes a batch. Its answers come whole, so nothing may ask for a stream.
pub(super) fn create(requests: &[RequestToSend]) -> Value {
    let requests = requests.iter().map(|request| {
        let mut params = request.body.clone();
        if let Some(fields) = params.as_object_mut() {
            fields.shift_remove("stream");
        }
        json!({ "custom_id": request.id, "params": params })
    });
    json!({ "requests": requests.collect::<Vec<_>>() })
}

/// What the batch with this id says of itself. Its answers are read at its own address: the one that
/// it names could be anybody's.
pub(super) fn progress(batch: &Value, remote: &str) -> SaidProgress {
    match batch["processing_status"].as_str() {
        Some("ended") => {}
        Some("canceling") => return SaidProgress::Cancelling,
        _ => return SaidProgress::Running,
    }
    let why = Said::new("its batch ended without an answer to it");
    SaidProgress::Ended { results: vec![Said::new(remote)], why }
}

/// One line of the answers.
pub(super) fn result(line: &Value) -> Option<LineOfResults> {
    let id = line["custom_id"].as_str()?.to_owned();
    let result = &line["result"];
    let answer = match result["type"].as_str()? {
        "succeeded" => Ok(Said::new(result["message"].to_string())),
        "errored" => {
            let error = &result["error"]["error"];
            let kind = error["type"].as_str().unwrap_or("error");
            let said = error["message"].as_str().unwrap_or("no reason");
            Err(Said::new(format!("the provider did not answer it: {said} ({kind})")))
        }
        other => Err(Said::new(format!("the provider did not answer it: {other}"))),
    };
    Some(LineOfResults { id, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_answer_or_says_why_there_is_none() {
        let of = |result: Value| json!({"custom_id": "a", "result": result});
        for (line, expected) in [
            (of(json!({"type": "succeeded", "message": {"id": 1}})), Some(Ok("{\"id\":1}"))),
            (
                of(json!({"type": "errored", "error": {"type": "error",
                    "error": {"type": "invalid_request_error", "message": "bad"}}})),
                Some(Err("bad (invalid_request_error)")),
            ),
            (of(json!({"type": "expired"})), Some(Err("expired"))),
            (of(json!({"type": "canceled"})), Some(Err("canceled"))),
            (of(json!({})), None),
            (json!({"result": {"type": "expired"}}), None),
        ] {
            match (result(&line), expected) {
                (None, None) => {}
                (Some(LineOfResults { answer: Ok(answer), .. }), Some(Ok(body))) => {
                    assert_eq!(answer.as_str(), body);
                }
                (Some(LineOfResults { answer: Err(why), .. }), Some(Err(says))) => {
                    assert!(why.as_str().contains(says), "{line}: {why:?}");
                }
                (read, _) => panic!("{line}: {read:?}"),
            }
        }
    }

    #[test]
    fn a_batch_runs_until_it_says_that_it_has_ended() {
        for (status, expected) in [
            (json!("in_progress"), SaidProgress::Running),
            (json!(null), SaidProgress::Running),
            (json!("canceling"), SaidProgress::Cancelling),
        ] {
            assert_eq!(progress(&json!({ "processing_status": status }), "b1"), expected);
        }
        let ended = progress(&json!({ "processing_status": "ended" }), "b1");
        assert!(matches!(ended, SaidProgress::Ended { .. }), "{ended:?}");
    }

    #[test]
    fn calls_are_sent_without_a_stream() {
        let body = json!({"model": "m", "stream": true, "max_tokens": 5});
        let request = RequestToSend { id: "a".to_owned(), body };
        let expected = json!({"requests": [
            {"custom_id": "a", "params": {"model": "m", "max_tokens": 5}}
        ]});
        assert_eq!(create(&[request]), expected);
        let url = url(&Url::parse("https://h/v1/messages").unwrap(), "/b1/results");
        assert_eq!(url.as_str(), "https://h/v1/messages/batches/b1/results");
    }
}
