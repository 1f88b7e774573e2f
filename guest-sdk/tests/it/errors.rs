//! Errors: code, message, causes, location and the AI calls that caused them.

use std::{error::Error as StdError, fmt};

use sitewright_sdk::{
    prelude::*,
    testing::{Harness, Run, sample_order},
};

#[derive(Debug)]
struct Layer(&'static str, Option<Box<dyn StdError>>);

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl StdError for Layer {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.1.as_deref()
    }
}

fn layers() -> Layer {
    Layer("no menu", Some(Box::new(Layer("no bread", Some(Box::new(Layer("no flour", None)))))))
}

#[test]
fn a2_every_cause_of_a_foreign_error_is_kept_below_the_context() {
    let error = Err::<(), _>(layers()).context("no services page").context("no site").unwrap_err();
    assert_eq!(error.message(), "no site");
    assert_eq!(error.causes(), ["no services page", "no menu", "no bread", "no flour"]);
    assert_eq!(format!("{error:#}"), "no site: no services page: no menu: no bread: no flour");
}

#[test]
fn a2_a_cause_that_its_parent_already_prints_is_not_repeated() {
    let inner = Layer("no bread", None);
    let error = Error::of(&Layer("no menu: no bread", Some(Box::new(inner))));
    assert_eq!((error.message(), error.causes().len()), ("no menu: no bread", 0));
}

#[test]
fn a1_a_message_is_never_empty() {
    assert_eq!(
        Error::new("odd", " \n").message(),
        "the template failed with the code `odd` and gave no message"
    );
    assert!(!Error::new("", "").message().is_empty());
    assert!(!Error::of(&Layer("", None)).message().is_empty());
    assert_eq!(Error::new("odd", "said").context("  ").message(), "said");
}

#[test]
fn an_error_has_the_location_where_it_was_created() {
    let line = line!() + 1;
    let made = Error::new("x", "y");
    let converted = (|| -> Result<()> { Ok(Err(layers())?) })().unwrap_err();
    let with_context = Err::<(), _>(layers()).context("z").unwrap_err();
    for (number, error) in (0_u32..).zip([made, converted, with_context]) {
        assert_eq!((error.location().file(), error.location().line()), (file!(), line + number));
    }
}

#[test]
fn context_turns_none_into_an_error() {
    let error = None::<()>.context("the order names no service").unwrap_err();
    assert_eq!((error.code(), error.message()), ("missing", "the order names no service"));
}

#[test]
fn the_code_of_a_converted_error_names_its_origin() {
    let json = serde_json::from_str::<u32>("x").unwrap_err();
    let codes = [
        (Error::from(fmt::Error), "formatting"),
        (Error::from(json), "json"),
        (Error::from(askama::Error::ValueMissing), "rendering"),
        (
            Error::from(WriteError { kind: WriteErrorKind::Conflict, message: "a".into() }),
            "write-conflict",
        ),
        (Error::from(layers()), "error"),
        (Error::from(layers()).with_code("mine"), "mine"),
    ];
    for (error, code) in codes {
        assert_eq!(error.code(), code, "{error:?}");
    }
}

/// Makes the AI call that the order's description names.
struct Asking;

#[derive(Debug)]
struct Wrapped(AiError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the author's own error type")
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// Rejects values that are valid against its schema.
#[derive(Debug, Deserialize, JsonSchema)]
struct Picky {
    #[serde(deserialize_with = "never")]
    #[schemars(with = "String")]
    #[allow(dead_code, reason = "never constructed")]
    word: String,
}

fn never<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<String, D::Error> {
    String::deserialize(deserializer)?;
    Err(serde::de::Error::custom("no word is good enough"))
}

impl Template for Asking {
    fn manifest() -> Manifest {
        Manifest::new("asking", "0.1.0", "Asks.").purpose("copywriting", "everything").locale("en")
    }

    async fn generate(order: Order, _site: Site) -> Result<()> {
        let ask = ai::ask("copywriting").user("Say something.");
        match order.site_description.as_deref() {
            Some("wrapped") => drop(ask.text().await.map_err(Wrapped)?),
            Some("picky") => drop(ask.json::<Picky>().await.context("while picking")?),
            Some("reply") => {
                let reply = ask.reply::<ai_reply::Word>().await?;
                Err(Error::new("bad-word", "not this word").blame(reply.completion.call_id))?;
            }
            Some("undeclared") => drop(ai::ask("code").user("x").text().await?),
            _ => drop(ask.text().await.context("while asking")?),
        }
        Ok(())
    }
}

mod ai_reply {
    use sitewright_sdk::prelude::*;

    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only read")]
    pub(super) struct Word {
        word: String,
    }
}

fn asking(way: &str, answer: &str) -> Run {
    let mut order = sample_order();
    order["site_description"] = way.into();
    Harness::scripted(&format!("[[rule]]\nanswer = {answer}")).run::<Asking>(order)
}

#[test]
fn a2_an_ai_error_blames_its_call_and_keeps_what_the_provider_said() {
    let run = asking("plain", r#"{ fault = { status = 429, body = "slow down" } }"#);
    let error = run.result.unwrap_err();
    assert_eq!((error.code(), error.message()), ("ai-rate-limited", "while asking"));
    assert_eq!(
        error.causes(),
        ["AI call failed (rate-limited): the scripted provider answered HTTP 429 (HTTP 429)"]
    );
    assert_eq!(error.ai_calls(), ["call-1"]);
    let http = run.ai_calls[0].reply.as_ref().unwrap_err().http.clone().unwrap();
    assert_eq!((http.status, http.body_excerpt.as_deref()), (429, Some("slow down")));
}

#[test]
fn an_ai_error_inside_the_authors_own_error_still_blames_its_call() {
    let error = asking("wrapped", r#"{ fault = { empty = true } }"#).result.unwrap_err();
    assert_eq!((error.code(), error.message()), ("ai-empty", "the author's own error type"));
    assert_eq!(error.ai_calls(), ["call-1"]);
}

#[test]
fn a_reply_that_fits_the_schema_and_not_the_type_is_blamed() {
    let error = asking("picky", r#"{ json = { word = "bread" } }"#).result.unwrap_err();
    assert_eq!(error.code(), "ai-schema-mismatch");
    assert_eq!(error.ai_calls(), ["call-1"]);
    assert!(error.causes().last().unwrap().starts_with("no word is good enough"), "{error:?}");
}

#[test]
fn a_reply_that_the_template_finds_unusable_can_be_blamed() {
    let error = asking("reply", r#"{ json = { word = "bread" } }"#).result.unwrap_err();
    assert_eq!((error.code(), error.ai_calls()), ("bad-word", ["call-1".to_owned()].as_slice()));
}

#[test]
fn e5_a_reply_that_does_not_fit_its_schema_never_reaches_the_template() {
    for (answer, code) in [
        (r#"{ json = { word = 7 } }"#, "ai-schema-mismatch"),
        (r#"{ text = "```json {} ```" }"#, "ai-malformed"),
        (r#"{ fault = { empty = true } }"#, "ai-empty"),
    ] {
        let error = asking("reply", answer).result.unwrap_err();
        assert_eq!((error.code(), error.ai_calls().len()), (code, 1), "{answer}: {error:?}");
    }
}

#[test]
fn a_purpose_that_the_manifest_does_not_name_is_refused() {
    let error = asking("undeclared", r#"{ text = "x" }"#).result.unwrap_err();
    assert_eq!(error.code(), "ai-invalid-request");
    assert!(
        error.message().contains("`code`") && error.message().contains("copywriting"),
        "{error:?}"
    );
}

#[test]
fn e12_a_scripted_failure_is_as_retryable_as_the_host_finds_it() {
    let rows = [
        (r#"{ status = 405 }"#, "ai-not-found", false),
        (r#"{ status = 524 }"#, "ai-timeout", true),
        (r#"{ status = 304 }"#, "ai-other", false),
        (r#"{ status = 503, headers = { X-Should-Retry = "false" } }"#, "ai-overloaded", false),
        (r#"{ status = 400, headers = { x-should-retry = "true" } }"#, "ai-invalid-request", true),
        (r#"{ status = 429, body = "Request too large" }"#, "ai-rate-limited", false),
        (r#"{ cut = "Bread si" }"#, "ai-truncated", false),
        (r#"{ refused = true }"#, "ai-content-filtered", false),
        (r#"{ hang = true }"#, "ai-timeout", true),
    ];
    for (fault, code, retryable) in rows {
        let run = asking("plain", &format!("{{ fault = {fault} }}"));
        assert_eq!(run.result.unwrap_err().code(), code, "{fault}");
        let error = run.ai_calls[0].reply.as_ref().unwrap_err();
        assert_eq!((error.retryable, error.attempts), (retryable, 1), "{fault}");
    }
}

#[test]
fn a_scripted_wait_is_read_in_seconds_and_in_milliseconds() {
    for (headers, milliseconds) in [
        (r#"Retry-After = "2""#, Some(2000)),
        (r#"retry-after = "2", retry-after-ms = "150""#, Some(150)),
        (r#"retry-after = "soon""#, None),
    ] {
        let answer = format!("{{ fault = {{ status = 429, headers = {{ {headers} }} }} }}");
        let run = asking("plain", &answer);
        let error = run.ai_calls[0].reply.as_ref().unwrap_err();
        assert_eq!(error.http.as_ref().unwrap().retry_after_ms, milliseconds, "{headers}");
    }
}

#[test]
fn a_call_that_no_rule_answers_is_not_found() {
    let mut order = sample_order();
    order["site_description"] = "plain".into();
    let rules = "[[rule]]\ncontains = [\"no such prompt\"]\nanswer = { text = \"x\" }";
    let error = Harness::scripted(rules).run::<Asking>(order).result.unwrap_err();
    assert_eq!(error.code(), "ai-not-found");
}
