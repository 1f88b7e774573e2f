//! Why a model stopped, in the words of all providers.
//!
//! One table for all kinds of providers: a relay passes on the words of the provider behind it
//! (failure catalogue E4).

use super::answer::Finish;
use super::reading::Fields;

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Complete,
    Cut,
    Filtered,
    Failed,
    /// A word that says nothing.
    Nothing,
}

/// Words in lower case, with `_` between them. Sources: the API references of OpenAI, Anthropic,
/// Gemini, Mistral, Cohere, Bedrock, DeepSeek, Zhipu and Ollama; vLLM, SGLang, llama.cpp and TGI.
const WORDS: &[(Meaning, &[&str])] = &[
    (
        Meaning::Complete,
        &[
            "stop",
            "stopped",
            "eos",
            "eos_token",
            "stop_sequence",
            "stop_token",
            "end_turn",
            "end",
            "complete",
            "completed",
            "finish",
            "finished",
            "done",
            "normal",
            "success",
            "succeeded",
            "word",
            "stop_words",
            "stop_criteria_met",
            "end_id",
            "endoftext",
            "end_of_text",
        ],
    ),
    (
        Meaning::Cut,
        &[
            "length",
            "max_tokens",
            "max_token",
            "max_length",
            "max_output_tokens",
            "max_new_tokens",
            "max_completion_tokens",
            "model_length",
            "token_limit",
            "token_limit_reached",
            "context_length",
            "context_length_exceeded",
            "model_context_window_exceeded",
            "context_window_exceeded",
            "num_predict",
            "incomplete",
            "truncated",
            "limit",
            "continuation",
            "continue",
            "pause_turn",
            "too_long",
            "max_len",
            "max_context",
            "time_limit",
            "not_finished",
            // Cohere: the context of the model is full.
            "error_limit",
        ],
    ),
    (
        Meaning::Filtered,
        &[
            "content_filter",
            "content_filtered",
            "content_filtering",
            "filter",
            "filtered",
            "safety",
            "recitation",
            "language",
            "blocklist",
            "blocked",
            "prohibited_content",
            "spii",
            "image_safety",
            "image_prohibited_content",
            "image_recitation",
            "refusal",
            "refused",
            "sensitive",
            "moderation",
            "moderated",
            "content_moderation",
            "safety_filter",
            "model_armor",
            "guardrail",
            "guardrails",
            "guardrail_intervened",
            "policy",
            "content_policy",
            "content_policy_violation",
            "error_toxic",
            "toxic",
            "unsafe",
            "risk",
        ],
    ),
    (
        Meaning::Failed,
        &[
            "error",
            "failed",
            "failure",
            "abort",
            "aborted",
            "cancel",
            "cancelled",
            "canceled",
            "timeout",
            "network_error",
            "engine_error",
            "internal_error",
            "server_error",
            "insufficient_system_resource",
            "overloaded",
            "interrupted",
        ],
    ),
    (
        Meaning::Nothing,
        &[
            "finish_reason_unspecified",
            "stop_reason_unspecified",
            "reason_unspecified",
            "unspecified",
            "null",
            "none",
            "unknown",
            "load",
            "unload",
        ],
    ),
];

/// Parts of words that are in no table: `max_output_tokens_reached`, `prompt_filtered`. None shows
/// that a reply is whole.
const PARTS: &[(Meaning, &[&str])] = &[
    (Meaning::Filtered, &["filter", "safety", "moderated", "policy", "prohibited", "blocked"]),
    (Meaning::Cut, &["max_", "length", "limit", "truncated", "too_long"]),
    (Meaning::Failed, &["error", "fail", "timeout", "timed_out", "cancel", "abort", "overload"]),
];

/// What the provider's word means; `None` if it says nothing. `filtered` describes what a filter
/// did, from the word.
pub(super) fn of(word: &str, filtered: impl FnOnce(&str) -> String) -> Option<Finish> {
    let known = normalized(word);
    let meaning = WORDS
        .iter()
        .find_map(|(meaning, words)| words.contains(&known.as_str()).then_some(*meaning))
        .or_else(|| {
            let has = |parts: &[&str]| parts.iter().any(|part| known.contains(part));
            PARTS.iter().find_map(|(meaning, parts)| has(parts).then_some(*meaning))
        });
    Some(match meaning {
        Some(Meaning::Complete) => Finish::Stop,
        Some(Meaning::Cut) => Finish::Length,
        Some(Meaning::Filtered) => Finish::Filtered(filtered(word)),
        Some(Meaning::Failed) => Finish::Failed,
        Some(Meaning::Nothing) => return None,
        None => Finish::Other(word.chars().take(100).collect()),
    })
}

/// Why the model stopped, from a choice of a chat completion; `None` if it does not say.
///
/// OpenRouter, and LiteLLM in front of it, add the word of the provider behind them: it counts if
/// the translated one says nothing, or says stop after a cut, a filter or an error.
pub(super) fn of_choice(choice: Fields<'_>) -> Option<Finish> {
    let meaning = |word: Option<&str>| word.and_then(|word| of(word, filtered));
    let said = meaning(choice.word("finish_reason").or_else(|| choice.word("finishReason")));
    let native = choice
        .word("native_finish_reason")
        .or_else(|| choice.object("provider_specific_fields")?.word("native_finish_reason"));
    match (said, meaning(native)) {
        (Some(said), Some(native @ (Finish::Length | Finish::Filtered(_) | Finish::Failed))) => {
            Some(worse(Some(said), native))
        }
        (said, native) => said.or(native),
    }
}

/// What a filter did, for providers that do not explain it.
pub(super) fn filtered(word: &str) -> String {
    match normalized(word).as_str() {
        "content_filter" => "its content filter stopped the reply".to_owned(),
        _ => format!("its content filter stopped the reply ({word})"),
    }
}

/// The end of a reply for which two were reported: a cut, a filter or an error is not undone by a
/// later `stop`.
pub(super) fn worse(before: Option<Finish>, now: Finish) -> Finish {
    fn rank(finish: &Finish) -> u8 {
        match finish {
            Finish::Stop => 0,
            Finish::Other(_) => 1,
            Finish::Length => 2,
            Finish::Failed => 3,
            Finish::Filtered(_) => 4,
        }
    }
    match before {
        Some(before) if rank(&before) > rank(&now) => before,
        _ => now,
    }
}

/// Lower case, `_` between words, without a prefix: `FinishReason.MAX_TOKENS`, `maxTokens` and
/// `max-tokens` are one word.
fn normalized(word: &str) -> String {
    let word = word.trim();
    let word = word.rsplit(['.', ':']).next().unwrap_or(word);
    let mut out = String::with_capacity(word.len());
    let mut after_small = false;
    for letter in word.chars().take(100) {
        if after_small && letter.is_ascii_uppercase() {
            out.push('_');
        }
        after_small = letter.is_ascii_lowercase();
        out.push(if matches!(letter, '-' | ' ') { '_' } else { letter.to_ascii_lowercase() });
    }
    match ["finish_reason_", "stop_reason_", "reason_"]
        .iter()
        .find_map(|prefix| out.strip_prefix(prefix))
    {
        Some(rest) if rest != "unspecified" => rest.to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_of_all_providers_in_any_spelling() {
        let rows = [
            ("stop STOP Stop end_turn endTurn EOS FINISH_REASON_STOP FinishReason.STOP", "stop"),
            ("length MAX_TOKENS maxTokens max-tokens model_length pause_turn CONTINUATION", "cut"),
            ("STOP_REASON_MAX_TOKENS ERROR_LIMIT maxPredictedTokensReached length_capped", "cut"),
            ("REASON_STOP STOP_CRITERIA_MET endoftext stop_words", "stop"),
            ("REASON_MAX_LEN REASON_TIME_LIMIT contextLengthReached not_finished", "cut"),
            ("prompt_filtered stopped_by_safety response_blocked", "filtered"),
            ("timed_out worker_failed user_cancelled", "failed"),
            ("SAFETY content_filter contentFilter RECITATION sensitive refusal", "filtered"),
            ("abort insufficient_system_resource error network_error", "failed"),
            ("FINISH_REASON_UNSPECIFIED null", "nothing"),
            ("something_new tool_calls OTHER MALFORMED_FUNCTION_CALL", "other"),
        ];
        for (words, expected) in rows {
            for word in words.split(' ') {
                let found = match of(word, filtered) {
                    Some(Finish::Stop) => "stop",
                    Some(Finish::Length) => "cut",
                    Some(Finish::Filtered(_)) => "filtered",
                    Some(Finish::Failed) => "failed",
                    Some(Finish::Other(_)) => "other",
                    None => "nothing",
                };
                assert_eq!(found, expected, "{word}");
            }
        }
    }

    #[test]
    fn the_word_of_the_provider_behind_a_relay_counts_where_the_relay_hides_it() {
        let filter = |word: &str| Some(Finish::Filtered(filtered(word)));
        let other = |word: &str| Some(Finish::Other(word.to_owned()));
        let rows = [
            ("stop", "MAX_TOKENS", Some(Finish::Length)),
            ("stop", "SAFETY", filter("SAFETY")),
            ("stop", "refusal", filter("refusal")),
            ("stop", "abort", Some(Finish::Failed)),
            ("stop", "end_turn", Some(Finish::Stop)),
            ("stop", "something_new", Some(Finish::Stop)),
            ("stop", "", Some(Finish::Stop)),
            ("", "max_tokens", Some(Finish::Length)),
            ("", "content_filter", filter("content_filter")),
            ("", "STOP", Some(Finish::Stop)),
            ("", "something_new", other("something_new")),
            ("", "", None),
            ("unknown", "length", Some(Finish::Length)),
            ("something_new", "max_tokens", Some(Finish::Length)),
            ("length", "stop", Some(Finish::Length)),
            ("content_filter", "max_tokens", filter("content_filter")),
        ];
        for (said, native, expected) in rows {
            for choice in [
                json!({"finish_reason": said, "native_finish_reason": native}),
                json!({"finishReason": said, "native_finish_reason": {"type": native}}),
                json!({"finish_reason": said,
                       "provider_specific_fields": {"native_finish_reason": native}}),
            ] {
                assert_eq!(of_choice(Fields(&choice)), expected, "{choice}");
            }
        }
    }

    #[test]
    fn each_word_has_one_meaning() {
        let mut all: Vec<&str> = WORDS.iter().flat_map(|(_, words)| *words).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|word| normalized(word) == *word));
    }

    #[test]
    fn a_cut_is_not_undone() {
        assert_eq!(worse(Some(Finish::Length), Finish::Stop), Finish::Length);
        assert_eq!(worse(Some(Finish::Stop), Finish::Length), Finish::Length);
        assert_eq!(worse(None, Finish::Stop), Finish::Stop);
    }
}
