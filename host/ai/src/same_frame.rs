//! Frames of a stream that differ from the one before in one text only.
//!
//! A server sends the same identifiers with each piece of a reply. A frame that repeats them byte for
//! byte needs no parser: what stands around its text has been read already.

/// What stands around the text of a frame that was read.
#[derive(Debug, Default)]
pub(super) struct SameFrame {
    /// Up to the quotation mark that opens the text; empty if no frame is known.
    before: Vec<u8>,
    /// From the quotation mark that closes it.
    after: Vec<u8>,
}

impl SameFrame {
    /// Keeps what stands around a text of this frame, which is valid JSON. The text is a part of the
    /// frame between quotation marks; another one, as from a text with escapes, changes nothing.
    pub(super) fn remember(&mut self, frame: &[u8], text: &str) {
        let offset = text.as_ptr().addr().checked_sub(frame.as_ptr().addr());
        let around = offset.and_then(|start| {
            let before = frame.get(..start)?;
            let after = frame.get(start.checked_add(text.len())?..)?;
            (before.ends_with(b"\"") && after.starts_with(b"\"")).then_some((before, after))
        });
        if let Some((before, after)) = around {
            self.before.clear();
            self.before.extend_from_slice(before);
            self.after.clear();
            self.after.extend_from_slice(after);
        }
    }

    /// Lets the next frame be read, because what is known of the frame counts no more.
    pub(super) fn forget(&mut self) {
        self.before.clear();
        self.after.clear();
    }

    /// The text of a frame that is otherwise equal to the known one. `None` too if the text is empty
    /// or has to be decoded.
    pub(super) fn text<'f>(&self, frame: &'f [u8]) -> Option<&'f str> {
        if self.before.is_empty() {
            return None;
        }
        let text = frame.strip_prefix(&*self.before)?.strip_suffix(&*self.after)?;
        // These are what a text of JSON cannot contain as it is.
        let is_literal = text.iter().all(|byte| *byte >= b' ' && !matches!(byte, b'"' | b'\\'));
        std::str::from_utf8(text).ok().filter(|text| is_literal && !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn known(frame: &str, text: &str) -> SameFrame {
        let mut same = SameFrame::default();
        let start = frame.find(text).unwrap();
        same.remember(frame.as_bytes(), &frame[start..start + text.len()]);
        same
    }

    #[test]
    fn only_frames_that_are_equal_around_a_literal_text_have_one() {
        let same = known(r#"{"id":"a","text":"one","n":[1]}"#, "one");
        for (frame, text) in [
            (r#"{"id":"a","text":"two words","n":[1]}"#, Some("two words")),
            (r#"{"id":"a","text":"größer","n":[1]}"#, Some("größer")),
            (r#"{"id":"a","text":"","n":[1]}"#, None),
            (r#"{"id":"a","text":"a\nb","n":[1]}"#, None),
            (r#"{"id":"a","text":"a","n":[1],"text":"b","n":[1]}"#, None),
            (r#"{"id":"b","text":"two","n":[1]}"#, None),
            (r#"{"id":"a","text":"two","n":[2]}"#, None),
            (r#"{"id":"a","text":"two","n":[1]} "#, None),
            // What is before and after must not share bytes.
            (r#"{"id":"a","text":","n":[1]}"#, None),
            ("{\"id\":\"a\",\"text\":\"a\tb\",\"n\":[1]}", None),
        ] {
            assert_eq!(same.text(frame.as_bytes()), text, "{frame}");
        }
        assert_eq!(same.text(b"{\"id\":\"a\",\"text\":\"\xff\",\"n\":[1]}"), None);
    }

    #[test]
    fn nothing_is_known_of_a_text_from_elsewhere_or_after_it_was_forgotten() {
        let frame = r#"{"text":"one"}"#;
        let mut same = SameFrame::default();
        assert_eq!(same.text(frame.as_bytes()), None);
        let decoded: String = ["o", "ne"].concat();
        same.remember(frame.as_bytes(), &decoded);
        assert_eq!(same.text(frame.as_bytes()), None);
        let mut same = known(frame, "one");
        assert_eq!(same.text(frame.as_bytes()), Some("one"));
        same.forget();
        assert_eq!(same.text(frame.as_bytes()), None);
    }

    proptest! {
        /// What is said of a frame is what the parser says of it.
        #[test]
        fn a_text_is_the_one_that_the_parser_reads(bytes in "[ -~\\\\\"\n\u{e9}\u{1f600}]{0,12}") {
            let same = known(r#"{"id":1,"text":"one","last":"x"}"#, "one");
            let frame = format!(r#"{{"id":1,"text":"{bytes}","last":"x"}}"#);
            if let Some(text) = same.text(frame.as_bytes()) {
                let parsed: Value = serde_json::from_str(&frame).unwrap();
                prop_assert_eq!(parsed["text"].as_str(), Some(text));
                prop_assert_eq!(parsed.as_object().unwrap().len(), 3);
            }
        }
    }
}
