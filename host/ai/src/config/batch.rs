//! Batches of AI calls: `[ai.batch]`, and `batch` of a provider.

use serde::{Deserialize, Serialize};

use super::{AiConfig, Problems};
use sitewright_model::message;

/// The batch API of a provider: `batch`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(schemars::JsonSchema)]
pub enum BatchApi {
    /// That of OpenAI at `api.openai.com` and of Anthropic at `api.anthropic.com`; none elsewhere.
    #[default]
    Auto,
    /// OpenAI's: `files` and `batches` beside the endpoint. Of the kind `openai`.
    Openai,
    /// Anthropic's: `messages/batches`. Of the kind `anthropic`.
    Anthropic,
    /// None: calls are made one by one.
    None,
}

impl BatchApi {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn is_auto(&self) -> bool {
        *self == BatchApi::Auto
    }
}

/// How the AI calls of orders nobody waits for are collected into batches: `[ai.batch]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(schemars::JsonSchema)]
pub struct BatchConfig {
    /// How long an attempt waits for further calls of its template after one that waits for a
    /// batch, in milliseconds. Default: 500. 1 to 60,000.
    pub gather_ms: u64,
    /// How long calls of all orders are collected before a batch is sent, in milliseconds. Default:
    /// 60,000 (1 min). At most 3,600,000 (1 h).
    pub collect_ms: u64,
    /// Time before the first look whether a batch has ended, in milliseconds; it doubles with each
    /// further one, up to 10 times this. Default: 60,000 (1 min). 10 to 3,600,000 (1 h).
    pub poll_ms: u64,
    /// Maximum number of calls of a batch. Default: 10,000. 1 to 50,000.
    pub max_items: u32,
    /// Hours after it was sent after which a batch without an end, or whose answers cannot be read,
    /// is given up: its calls are made without a batch. Also of one that cannot be sent, from when
    /// it was made. Default: 26. 1 to 200.
    pub give_up_h: u32,
    /// What a call in a batch costs, as a part of its price. Default: 0.5. 0 to 1.
    pub price: f64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        BatchConfig {
            gather_ms: 500,
            collect_ms: 60_000,
            poll_ms: 60_000,
            max_items: 10_000,
            give_up_h: 26,
            price: 0.5,
        }
    }
}

impl BatchConfig {
    /// Maximum size of the bodies of one batch, in bytes. OpenAI takes 200 MB, Anthropic 256 MB; a
    /// batch is held in memory while it is sent.
    pub const MAX_BYTES: usize = 32 << 20;
}

impl AiConfig {
    pub(super) fn check_batch(&self, problems: &mut Problems) {
        let BatchConfig { gather_ms, collect_ms, poll_ms, max_items, give_up_h, price } =
            self.batch;
        for (field, value, least, most) in [
            ("gather_ms", gather_ms, 1, 60_000),
            ("collect_ms", collect_ms, 0, 3_600_000),
            ("poll_ms", poll_ms, 10, 3_600_000),
            ("max_items", u64::from(max_items), 1, 50_000),
            ("give_up_h", u64::from(give_up_h), 1, 200),
        ] {
            if !(least..=most).contains(&value) {
                let key = format!("ai.batch.{field}");
                problems.add(key, message!("it is {value}; give {least} to {most}"));
            }
        }
        if !(0.0..=1.0).contains(&price) {
            let key = "ai.batch.price".to_owned();
            problems.add(key, message!("it is {price}; give the part of the price, 0 to 1"));
        }
    }
}
