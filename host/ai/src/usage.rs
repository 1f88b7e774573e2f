//! Token counts, under the names of all providers: a relay passes on those of the provider behind it.

use serde_json::Value;

use super::reading::{Fields, newest};
use sitewright_model::ai::Usage;

const INPUT: [&str; 6] = [
    "prompt_tokens",
    "input_tokens",
    "promptTokenCount",
    "prompt_eval_count",
    "promptTokens",
    "inputTokens",
];
const OUTPUT: [&str; 6] = [
    "completion_tokens",
    "output_tokens",
    "candidatesTokenCount",
    "eval_count",
    "completionTokens",
    "outputTokens",
];

/// Adds the counts of this object to those that are known, and returns whether it has any.
pub(super) fn add(tokens: Fields<'_>, usage: &mut Usage) -> bool {
    let first = |names: &[&str]| names.iter().find_map(|name| tokens.count(name));
    let inside = |object: &str, name: &str| tokens.object(object)?.count(name);
    let (input, output) = (first(&INPUT), first(&OUTPUT));
    let read = inside("prompt_tokens_details", "cached_tokens")
        .or_else(|| inside("input_tokens_details", "cached_tokens"))
        .or_else(|| {
            first(&[
                "prompt_cache_hit_tokens",
                "cache_read_input_tokens",
                "cached_tokens",
                "cachedContentTokenCount",
            ])
        });
    let written = inside("prompt_tokens_details", "cache_write_tokens")
        .or_else(|| first(&["cache_creation_input_tokens"]));
    let reasoning = ["completion_tokens_details", "output_tokens_details"]
        .into_iter()
        .find_map(|details| inside(details, "reasoning_tokens"))
        .or_else(|| first(&["reasoning_tokens", "thoughtsTokenCount"]));
    // Some count what the model thinks beside the reply, not in it: the total shows that.
    let output = output.map(|output| match (input, reasoning, tokens.count("total_tokens")) {
        (Some(input), Some(reasoning), Some(total))
            if reasoning > 0 && total == input.saturating_add(output).saturating_add(reasoning) =>
        {
            output.saturating_add(reasoning)
        }
        _ => output,
    });
    usage.input_tokens = newest(input, usage.input_tokens);
    usage.output_tokens = newest(output, usage.output_tokens);
    usage.cache_read_tokens = newest(positive(read), usage.cache_read_tokens);
    usage.cache_write_tokens = newest(positive(written), usage.cache_write_tokens);
    usage.reasoning_tokens = newest(positive(reasoning), usage.reasoning_tokens);
    input.is_some() || output.is_some()
}

/// Maximum number of tokens of one call, of its prompt or its reply, that is believed: a hundred
/// times what the models with the longest contexts take.
const MAX_TOKENS: u64 = 100_000_000;

/// Drops counts that no call can have: they are unknown, and estimated where a number is needed. One
/// invented number would use up the budget of everybody for a day. The second value is whether there
/// was one.
pub(super) fn believed(usage: Usage) -> (Usage, bool) {
    let believed = |count: Option<u64>| count.filter(|count| *count <= MAX_TOKENS);
    let Usage {
        input_tokens,
        output_tokens,
        cache_read_tokens,
        cache_write_tokens,
        reasoning_tokens,
    } = usage;
    let possible = Usage {
        input_tokens: believed(input_tokens),
        output_tokens: believed(output_tokens),
        cache_read_tokens: believed(cache_read_tokens),
        cache_write_tokens: believed(cache_write_tokens),
        reasoning_tokens: believed(reasoning_tokens),
    };
    (possible, possible != usage)
}

/// Zero says nothing.
pub(super) fn positive(count: Option<u64>) -> Option<u64> {
    count.filter(|count| *count > 0)
}

/// An object with token counts at another place than the protocol's: at most three levels deep, not
/// in the texts of the reply.
pub(super) fn elsewhere<'a>(part: Fields<'a>) -> Option<Fields<'a>> {
    fn search(value: &Value, depth: usize) -> Option<Fields<'_>> {
        let fields = value.as_object()?;
        let here = Fields(value);
        let counts = |names: &[&str]| names.iter().any(|name| here.count(name).is_some());
        if counts(&INPUT) && counts(&OUTPUT) {
            return Some(here);
        }
        if depth == 0 {
            return None;
        }
        let inner = fields.iter().filter(|(name, value)| {
            value.is_object() && !matches!(name.as_str(), "delta" | "message" | "content")
        });
        inner.take(16).find_map(|(_, value)| search(value, depth - 1))
    }
    search(part.0, 3)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_that_no_call_can_have_are_unknown() {
        let cached = Usage { cache_read_tokens: Some(u64::MAX), ..Usage::of(11, 7) };
        for (usage, expected) in [
            (Usage::of(MAX_TOKENS, 7), Usage::of(MAX_TOKENS, 7)),
            (Usage::of(MAX_TOKENS + 1, 7), Usage { output_tokens: Some(7), ..Usage::default() }),
            (Usage::of(u64::MAX, u64::MAX), Usage::default()),
            (cached, Usage::of(11, 7)),
            (Usage::default(), Usage::default()),
        ] {
            assert_eq!(believed(usage), (expected, usage != expected), "{usage:?}");
        }
    }

    #[test]
    fn counts_are_found_under_every_name() {
        let rows = [
            (json!({"prompt_tokens": 11, "completion_tokens": 7}), Usage::of(11, 7)),
            (
                json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
                       "prompt_tokens_details": {"cached_tokens": 5},
                       "completion_tokens_details": {"reasoning_tokens": 3}}),
                Usage { cache_read_tokens: Some(5), reasoning_tokens: Some(3), ..Usage::of(11, 7) },
            ),
            // xAI counts them beside the reply.
            (
                json!({"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 21,
                       "completion_tokens_details": {"reasoning_tokens": 3}}),
                Usage { reasoning_tokens: Some(3), ..Usage::of(11, 10) },
            ),
            (
                json!({"prompt_tokens": 11, "completion_tokens": 7, "prompt_cache_hit_tokens": 8}),
                Usage { cache_read_tokens: Some(8), ..Usage::of(11, 7) },
            ),
        ];
        for (tokens, expected) in rows {
            let mut usage = Usage::default();
            assert!(add(Fields(&tokens), &mut usage), "{tokens}");
            assert_eq!(usage, expected, "{tokens}");
        }
        let far =
            json!({"choices": [], "meta": {"billing": {"input_tokens": 11, "output_tokens": 7}}});
        let mut usage = Usage::default();
        assert!(add(elsewhere(Fields(&far)).unwrap(), &mut usage));
        assert_eq!(usage, Usage::of(11, 7));
        let reply = json!({"delta": {"input_tokens": 1, "output_tokens": 2}});
        assert!(elsewhere(Fields(&reply)).is_none());
    }
}
