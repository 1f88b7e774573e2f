//! Removes what is not the reply from a model's text: its thinking and the marks of its chat
//! format, which servers without a parser for the model leave in.

use std::borrow::Cow;

use memchr::memchr3;
use serde::de::IgnoredAny;

/// A mark in the text, in lower case, and what follows it.
struct Mark {
    text: &'static str,
    effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Thinking up to this mark.
    Think(&'static str),
    /// The mark alone is removed.
    Drop,
    /// The reply ends, if it has begun.
    End,
    /// The reply stands between this mark and [`Unwrap`](Effect::Unwrap), unless it has begun: then
    /// the mark is a part of it.
    Wrap,
    Unwrap,
}

const fn think(text: &'static str, close: &'static str) -> Mark {
    Mark { text, effect: Effect::Think(close) }
}

const fn drop(text: &'static str) -> Mark {
    Mark { text, effect: Effect::Drop }
}

const fn end(text: &'static str) -> Mark {
    Mark { text, effect: Effect::End }
}

const fn open_wrap(text: &'static str) -> Mark {
    Mark { text, effect: Effect::Wrap }
}

const fn close_wrap(text: &'static str) -> Mark {
    Mark { text, effect: Effect::Unwrap }
}

/// With these every mark begins.
const FIRST: [char; 3] = ['<', '[', '◁'];

/// The last channel of gpt-oss. `<|message|>` follows, perhaps after the kind of the text.
const FINAL: &str = "<|channel|>final";

/// Thinking and the reply as plain text, in lower case: a server has removed the marks of gpt-oss,
/// and how Granite thinks.
const IN_WORDS: [(&str, &str); 2] =
    [("analysis", "assistantfinal"), ("here is my thought process:", "here is my response:")];

/// Marks of DeepSeek, Qwen, Kimi, Magistral, Seed, Cohere, gpt-oss, Gemma, Llama, GLM, Hunyuan,
/// Ernie, LongCat, MiniMax, Apertus, Mistral, Granite, Phi, EXAONE, Jamba and SmolVLM.
const MARKS: &[Mark] = &[
    think("<think>", "</think>"),
    think("<think ", "</think>"),
    think("<|think|>", "<|/think|>"),
    think("<thinking>", "</thinking>"),
    think("<thought>", "</thought>"),
    think("<reasoning>", "</reasoning>"),
    think("<scratchpad>", "</scratchpad>"),
    think("<seed:think>", "</seed:think>"),
    think("[think]", "[/think]"),
    think("◁think▷", "◁/think▷"),
    think("<|begin_of_thought|>", "<|end_of_thought|>"),
    think("<|start_thinking|>", "<|end_thinking|>"),
    think("<|channel|>analysis", FINAL),
    think("<|channel|>commentary", FINAL),
    // No tool is ever offered: a call of one is no part of a reply.
    think("<tool_call>", "</tool_call>"),
    think("<minimax:tool_call>", "</minimax:tool_call>"),
    think("<function_calls>", "</function_calls>"),
    think("<function=", "</function>"),
    think("[tool_calls]", "[/tool_calls]"),
    think("<|tool_call|>", "<|/tool_call|>"),
    think("<|python_tag|>", "<|eom_id|>"),
    think("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
    think("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    think("<｜dsml｜function_calls>", "</｜dsml｜function_calls>"),
    think("<thought_process>", "</thought_process>"),
    think("<reflection>", "</reflection>"),
    think("<longcat_think>", "</longcat_think>"),
    think("<|inner_prefix|>", "<|inner_suffix|>"),
    think("<unused94>", "<unused95>"),
    think("<|channel>thought", "<channel|>"),
    think("<analysis>", "</analysis>"),
    think("<seed:tool_call>", "</seed:tool_call>"),
    think("<|tool_call>", "<tool_call|>"),
    open_wrap("<answer>"),
    close_wrap("</answer>"),
    open_wrap("<response>"),
    close_wrap("</response>"),
    drop(FINAL),
    drop("<|constrain|>"),
    drop("<|constrain|>json"),
    drop("<|message|>"),
    drop("<|begin_of_box|>"),
    drop("<|end_of_box|>"),
    drop("<｜begin▁of▁sentence｜>"),
    drop("<｜assistant｜>"),
    drop("[/inst]"),
    drop("<|start|>assistant"),
    drop("<|im_start|>assistant"),
    drop("<|start_header_id|>assistant<|end_header_id|>"),
    drop("<start_of_turn>model"),
    drop("<|assistant|>"),
    drop("<|begin_of_text|>"),
    drop("<|begin_of_solution|>"),
    drop("<|end_of_solution|>"),
    drop("<|start_response|>"),
    drop("<|end_response|>"),
    drop("<|im_start|>assistant<|im_sep|>"),
    drop("<|im_sep|>"),
    drop("<|im_assistant|>assistant<|im_middle|>"),
    drop("<|im_middle|>"),
    drop("<|turn>model"),
    drop("<|start_of_role|>assistant<|end_of_role|>"),
    drop("<|start_of_turn_token|><|chatbot_token|>"),
    drop("<|begin▁of▁sentence|>"),
    drop("[|assistant|]"),
    drop("[gmask]<sop>"),
    drop("<seed:bos>"),
    drop("<bos>"),
    drop("<|bom|>"),
    end("<|im_end|>"),
    end("<|endoftext|>"),
    end("<|eot_id|>"),
    end("<|end_of_text|>"),
    end("<|return|>"),
    end("<|end|>"),
    end("<|end_of_turn_token|>"),
    end("<end_of_turn>"),
    end("<eos>"),
    end("<|eot|>"),
    end("<|eom_id|>"),
    end("<|user|>"),
    end("<|observation|>"),
    end("<|im_start|>user"),
    end("<start_of_turn>user"),
    end("<｜end▁of▁sentence｜>"),
    end("<|end▁of▁sentence|>"),
    end("<｜user｜>"),
    end("<|im_assistant|>"),
    end("<|im_user|>"),
    end("<|im_system|>"),
    end("<|system|>"),
    end("<turn|>"),
    end("<|turn>user"),
    end("<end_of_utterance>"),
    end("<|start_of_role|>"),
    end("<|eom|>"),
    end("<|call|>"),
    end("<seed:eos>"),
    end("[|endofturn|]"),
    end("[|user|]"),
];

/// Removes thinking and marks from a text that arrives in parts.
#[derive(Debug, Default)]
pub(super) struct ThinkingFilter {
    /// Text that may be the beginning of a mark, or the end of thinking.
    pending: String,
    /// The mark that ends the thinking.
    until: Option<&'static str>,
    /// Whether a part of the reply was returned. Before that, whitespace is dropped after a mark.
    begun: bool,
    /// Whether the next text follows a mark.
    after_mark: bool,
    /// Whether the reply stands between marks.
    wrapped: bool,
    ended: bool,
}

impl ThinkingFilter {
    /// Whether [`push`](Self::push) would return this part as it is. Then it has been pushed;
    /// otherwise nothing was done. Nearly all parts are so, and need no copy.
    pub(super) fn passes(&mut self, text: &str) -> bool {
        let is_trimmed = self.after_mark && !self.begun;
        let passes = !self.ended && !is_trimmed && self.is_outside_marks() && !may_have_mark(text);
        if passes {
            self.begun = self.begun || !text.trim().is_empty();
        }
        passes
    }

    /// The next part of the reply. A possible beginning of a mark is kept back.
    pub(super) fn push(&mut self, text: &str) -> String {
        let mut out = String::new();
        if self.ended {
            return out;
        }
        if self.is_outside_marks() && !may_have_mark(text) {
            self.reply(text, &mut out);
            return out;
        }
        self.pending.push_str(text);
        let pending = std::mem::take(&mut self.pending);
        // ASCII only, so that offsets are those of the text.
        let lower = pending.to_ascii_lowercase();
        let mut at = 0;
        while !self.ended {
            match self.until {
                Some(close) => match lower[at..].find(close) {
                    Some(found) => {
                        at += found + close.len();
                        self.until = None;
                        self.after_mark = true;
                    }
                    None => {
                        at = lower.len() - beginning(&lower[at..], std::iter::once(close));
                        break;
                    }
                },
                None => match next_mark(&lower[at..]) {
                    Some((found, mark)) => {
                        self.reply(&pending[at..at + found], &mut out);
                        let begin = at + found;
                        at = begin + mark.text.len();
                        match mark.effect {
                            Effect::Think(close) => self.until = Some(close),
                            Effect::End if self.begun => self.ended = true,
                            Effect::Wrap if !self.begun => self.wrapped = true,
                            Effect::Unwrap if self.wrapped => self.ended = self.begun,
                            Effect::Drop | Effect::End => {}
                            Effect::Wrap | Effect::Unwrap => {
                                self.reply(&pending[begin..at], &mut out);
                                continue;
                            }
                        }
                        self.after_mark = true;
                    }
                    None => {
                        let kept = beginning(&lower[at..], MARKS.iter().map(|mark| mark.text));
                        let until = lower.len() - kept;
                        self.reply(&pending[at..until], &mut out);
                        at = until;
                        break;
                    }
                },
            }
        }
        if !self.ended {
            self.pending = pending[at..].to_owned();
        }
        out
    }

    /// The end of the reply: what was kept back and is no mark.
    fn finish(mut self) -> String {
        let mut out = String::new();
        if !self.ended && self.until.is_none() {
            let pending = std::mem::take(&mut self.pending);
            let lower = pending.to_ascii_lowercase();
            if !MARKS.iter().any(|mark| mark.text == lower) {
                self.reply(&pending, &mut out);
            }
        }
        out
    }

    /// Whether the text so far ends neither within thinking nor with a beginning of a mark.
    fn is_outside_marks(&self) -> bool {
        self.pending.is_empty() && self.until.is_none()
    }

    fn reply(&mut self, text: &str, out: &mut String) {
        let text = if self.after_mark && !self.begun { text.trim_start() } else { text };
        if !text.is_empty() {
            self.begun |= !text.trim().is_empty();
            out.push_str(text);
        }
    }
}

/// Whether a text has a character with which a mark begins. Nearly all texts have none.
fn may_have_mark(text: &str) -> bool {
    /// The first byte of `◁`, and of other characters.
    const TRIANGLE: u8 = 0xE2;
    memchr3(b'<', b'[', TRIANGLE, text.as_bytes()).is_some() && text.contains(FIRST)
}

/// The first mark, and the longest of those at its place.
fn next_mark(lower: &str) -> Option<(usize, &'static Mark)> {
    let mut from = 0;
    while let Some(at) = lower[from..].find(FIRST).map(|at| from + at) {
        let longest = MARKS
            .iter()
            .filter(|mark| lower[at..].starts_with(mark.text))
            .max_by_key(|mark| mark.text.len());
        if let Some(mark) = longest {
            // A longer mark may follow with the next part.
            let longer = MARKS.iter().any(|other| {
                other.text.len() > lower.len() - at && other.text.starts_with(&lower[at..])
            });
            return if longer { None } else { Some((at, mark)) };
        }
        from = at + lower[at..].chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// The length of the longest end of the text with which one of the marks begins.
fn beginning<'a>(lower: &str, marks: impl Iterator<Item = &'a str> + Clone) -> usize {
    const LONGEST: usize = 64;
    let start = lower.ceil_char_boundary(lower.len().saturating_sub(LONGEST));
    lower[start..]
        .match_indices(FIRST)
        .map(|(at, _)| start + at)
        .find(|at| marks.clone().any(|mark| mark.starts_with(&lower[*at..])))
        .map_or(0, |at| lower.len() - at)
}

/// A model's text without its thinking.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stripped<'a> {
    /// The reply.
    pub(super) reply: Cow<'a, str>,
    /// Whether the thinking was recognized only by its end: the beginning was part of the request.
    /// Then [`ThinkingFilter`] has let it pass.
    pub(super) late: bool,
    /// Whether the reply is followed by thinking that does not end: it may be cut, and the mark may
    /// be a word of the reply.
    pub(super) unended: bool,
}

/// The reply in a model's whole text. A text that is JSON as a whole is returned as it is, whatever
/// its strings contain.
pub(super) fn strip(text: &str) -> Stripped<'_> {
    let lower = text.to_ascii_lowercase();
    // Nearly all texts have no character with which a mark begins, also one that ends thinking.
    let marked = lower.match_indices(FIRST).any(|(at, _)| is_mark(&lower[at..]));
    if let Some(rest) = after_words(text, &lower) {
        return Stripped { reply: Cow::Borrowed(rest), late: true, unended: false };
    }
    if !marked || is_json(text) {
        // The end mark of Llama 2 and Mistral, which is also a tag of HTML.
        let ended = text.trim_end().strip_suffix("</s>").filter(|_| !lower.contains("<s"));
        return Stripped {
            reply: Cow::Borrowed(ended.unwrap_or(text)),
            late: ended.is_some(),
            unended: false,
        };
    }
    if let Some(rest) = after_thinking(text, &lower).filter(|rest| is_json(rest)) {
        return Stripped { reply: Cow::Borrowed(rest), late: false, unended: false };
    }
    let mut filter = ThinkingFilter::default();
    let mut reply = filter.push(text);
    let unended = filter.begun && filter.until.is_some();
    reply.push_str(&filter.finish());
    // Thinking without its beginning, which the chat format has put into the request.
    let lower = reply.to_ascii_lowercase();
    let last = MARKS
        .iter()
        .filter_map(|mark| match mark.effect {
            Effect::Think(close) => lower.rfind(close).map(|at| at + close.len()),
            _ => None,
        })
        .max();
    match last {
        None => Stripped { reply: Cow::Owned(reply), late: false, unended },
        Some(after) => {
            let reply = reply[after..].trim_start().to_owned();
            Stripped { reply: Cow::Owned(reply), late: true, unended }
        }
    }
}

/// Whether a text begins with a mark, or with one that ends thinking.
fn is_mark(lower: &str) -> bool {
    let begins = |text: &str| lower.starts_with(text);
    MARKS.iter().any(|mark| {
        begins(mark.text) || matches!(mark.effect, Effect::Think(close) if begins(close))
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text.trim()).is_ok()
}

/// The text after thinking that only words tell apart.
fn after_words<'a>(text: &'a str, lower: &str) -> Option<&'a str> {
    let begin = lower.len() - lower.trim_start().len();
    IN_WORDS.iter().find_map(|(thinking, reply)| {
        let after = text[begin..].get(thinking.len()..)?;
        // `analysisThe user`, not a word of a reply.
        let joined = thinking.ends_with(':') || after.starts_with(char::is_uppercase);
        let begins = lower[begin..].starts_with(thinking) && joined;
        let end = lower.rfind(reply).filter(|_| begins)? + reply.len();
        Some(text[end..].trim_start())
    })
}

/// The text after the thinking with which it begins.
fn after_thinking<'a>(text: &'a str, lower: &str) -> Option<&'a str> {
    let begin = lower.len() - lower.trim_start().len();
    let close = MARKS.iter().find_map(|mark| match mark.effect {
        Effect::Think(close) if lower[begin..].starts_with(mark.text) => Some(close),
        _ => None,
    })?;
    let end = lower.find(close)? + close.len();
    Some(text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streamed(parts: &[&str]) -> String {
        let mut filter = ThinkingFilter::default();
        let mut out: String = parts.iter().map(|part| filter.push(part)).collect();
        out.push_str(&filter.finish());
        out
    }

    /// Texts of models, and the reply in each. The last column: whether it is recognized late.
    const ROWS: &[(&str, &str, bool)] = &[
        ("Fresh bread.", "Fresh bread.", false),
        ("<think>\na draft\n</think>\n\nFresh bread.", "Fresh bread.", false),
        (" \n<THINK>a</Think> Fresh bread.", " \nFresh bread.", false),
        ("<thinking>a</thinking>Fresh <b>bread</b>.", "Fresh <b>bread</b>.", false),
        ("<think>a</think><think>b</think>\nFresh bread.", "Fresh bread.", false),
        ("a draft\n</think>\nFresh bread.", "Fresh bread.", true),
        ("[THINK]a[/THINK]Fresh bread.", "Fresh bread.", false),
        ("◁think▷a◁/think▷Fresh bread.", "Fresh bread.", false),
        ("<think>it never ends", "", false),
        ("<think lang='en'>\nLet me consider", "", false),
        ("<think id=1>a</think>Fresh bread.", "Fresh bread.", false),
        ("<|think|>Let me consider", "", false),
        ("<tool_call>{\"name\":\"search\"}</tool_call>", "", false),
        ("<think>it ends with nothing</think>\n", "", false),
        ("Fresh bread.<|im_end|>", "Fresh bread.", false),
        ("Fresh bread.<|im_end|>\n<|im_start|>user\nMore", "Fresh bread.", false),
        ("<|im_start|>assistant\nFresh bread.<|im_end|>", "Fresh bread.", false),
        (
            "<|channel|>analysis<|message|>One sentence.<|end|><|start|>assistant<|channel|>final\
             <|message|>Fresh bread.<|return|>",
            "Fresh bread.",
            false,
        ),
        ("<|channel|>final<|message|>Fresh bread.", "Fresh bread.", false),
        (
            "<|start_header_id|>assistant<|end_header_id|>\n\nFresh bread.<|eot_id|>",
            "Fresh bread.",
            false,
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final \
             <|constrain|>json<|message|>Fresh bread.<|return|>",
            "Fresh bread.",
            false,
        ),
        ("analysisThe user wants one.assistantfinalFresh bread.", "Fresh bread.", true),
        (
            "analysis of bread, by an assistantfinal",
            "analysis of bread, by an assistantfinal",
            false,
        ),
        ("<think>a</think>\n<answer>Fresh bread.</answer>", "Fresh bread.", false),
        ("Use <answer> and </answer>.", "Use <answer> and </answer>.", false),
        ("<|begin_of_box|>Fresh bread.<|end_of_box|>", "Fresh bread.", false),
        ("Fresh bread.<|user|>\nMore", "Fresh bread.", false),
        ("Fresh bread.<|im_assistant|>", "Fresh bread.", false),
        ("<|im_assistant|>assistant<|im_middle|>Fresh bread.<|im_end|>", "Fresh bread.", false),
        ("<|turn>model\nFresh bread.<turn|>", "Fresh bread.", false),
        (
            "<|start_of_role|>assistant<|end_of_role|>Fresh bread.<|end_of_text|>",
            "Fresh bread.",
            false,
        ),
        ("<|im_start|>assistant<|im_sep|>Fresh bread.<|im_end|>", "Fresh bread.", false),
        ("[|assistant|]Fresh bread.[|endofturn|]", "Fresh bread.", false),
        ("[gMASK]<sop>Fresh bread.", "Fresh bread.", false),
        ("<analysis>It is short.</analysis>\nFresh bread.", "Fresh bread.", false),
        ("Fresh bread.<end_of_utterance>", "Fresh bread.", false),
        ("Fresh bread.</s>", "Fresh bread.", true),
        ("Was <s>9</s>", "Was <s>9</s>", false),
        ("[TOOL_CALLS][{\"name\": \"write\"}]", "", false),
        ("Fresh < bread [1] <thin", "Fresh < bread [1] <thin", false),
        ("I think> so, <b>really</b>", "I think> so, <b>really</b>", false),
    ];

    #[test]
    fn the_reply_is_what_comes_after_the_thinking() {
        for (text, reply, late) in ROWS {
            let stripped = strip(text);
            assert_eq!((stripped.reply.as_ref(), stripped.late), (*reply, *late), "{text}");
        }
    }

    #[test]
    fn thinking_that_does_not_end_after_a_reply_is_told() {
        for (text, unended) in [
            ("Our motto: [THINK] different, every day.", true),
            ("Fresh bread.<think>Was that", true),
            ("<think>it never ends", false),
            ("Fresh bread.<think>a</think> And cake.", false),
        ] {
            assert_eq!(strip(text).unended, unended, "{text}");
        }
    }

    #[test]
    fn json_is_never_changed() {
        let json = r#"{"a":"<think>x</think>","b":"</think>"}"#;
        assert_eq!(
            strip(json),
            Stripped { reply: Cow::Borrowed(json), late: false, unended: false }
        );
        let drafted = format!("<think>{{\"a\":1}}</think>{json}");
        assert_eq!(strip(&drafted).reply, json);
    }

    proptest::proptest! {
        /// However a stream is cut, the same text is forwarded.
        #[test]
        fn any_split_gives_the_same_text(
            row in 0..ROWS.len(),
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let text = ROWS[row].0;
            let mut cuts: Vec<usize> =
                cuts.into_iter().map(|at| text.floor_char_boundary(at.min(text.len()))).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let parts: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            assert_eq!(streamed(&parts), streamed(&[text]));
        }

        /// A part that passes is returned as it is, and the filter is then as if it was pushed.
        #[test]
        fn a_part_that_passes_is_one_that_would_be_returned(
            parts in proptest::collection::vec(
                "[a <\\[◁▷…]{0,3}|<think>|</think>|<\\|im_end\\|>|<answer>|</answer>",
                0..8,
            ),
        ) {
            let (mut pushed, mut passed) = (ThinkingFilter::default(), ThinkingFilter::default());
            for part in &parts {
                let expected = pushed.push(part);
                let actual = if passed.passes(part) { part.clone() } else { passed.push(part) };
                assert_eq!(actual, expected, "{part} of {parts:?}");
            }
            assert_eq!(passed.finish(), pushed.finish(), "{parts:?}");
        }
    }

    /// The work is linear: a text of nothing but beginnings of marks.
    #[test]
    fn beginnings_of_marks_are_looked_at_once() {
        for part in ["<", "<think", "<|", "[", "<|channel|>", "<think>", "</think>", "◁"] {
            let text = part.repeat(20_000);
            strip(&text);
            let mut filter = ThinkingFilter::default();
            for chunk in text.as_bytes().chunks(3) {
                filter.push(&String::from_utf8_lossy(chunk));
                assert!(filter.pending.len() < 100, "{part}");
            }
        }
    }
}
