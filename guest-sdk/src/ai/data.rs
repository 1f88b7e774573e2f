//! The mark of the order that is being worked on, for order data that a template puts into a text
//! of its own. The host delimits the data of [`Ask::data`](super::Ask::data) with the same mark.

use std::cell::Cell;

use sitewright_rules::delimiter::Mark;

thread_local! {
    /// The mark of the order that this thread works on.
    static MARK: Cell<Option<Mark>> = const { Cell::new(None) };
}

/// Makes an order's mark the current one of this thread. The previous one comes back when this is
/// dropped.
pub(crate) struct CurrentOrder(Option<Mark>);

impl CurrentOrder {
    /// `document` is the text of the order as the host passes it to the template.
    pub(crate) fn set(document: &str) -> Self {
        CurrentOrder(MARK.replace(Some(Mark::of(document))))
    }
}

impl Drop for CurrentOrder {
    fn drop(&mut self) {
        MARK.set(self.0);
    }
}

/// The current mark. Outside of a run: that of an empty document.
pub(super) fn mark() -> Mark {
    MARK.get().unwrap_or_else(|| Mark::of(""))
}

/// The instruction about the delimiters of [`data`]. [`Ask`](super::Ask) adds it to the system
/// message of each call that contains a text of [`data`], and the host does for
/// [`Ask::data`](super::Ask::data).
pub fn data_rule() -> String {
    mark().rule()
}

/// Delimits `text` as data for a prompt, for a text that a template builds itself. `label` names it
/// for the model. [`Ask::data`](super::Ask::data) needs no such text: use it where you can, because
/// then equal data of two orders are equal requests, and the host may answer both with one reply.
///
/// Order data is untrusted input (failure catalogue, E14). The delimiters contain a mark that is
/// derived from the whole order document, so that no text of an order can contain it, and that is
/// the same in each attempt of an order. Call this during a run: outside of one, the mark is that
/// of an empty document.
///
/// In the text:
/// - Anything that resembles a delimiter gets a `\` after its `<`. Look-alike and invisible
///   characters, character references and escape sequences are recognized.
/// - The mark itself, for example in a reply of a model that is passed on, becomes `_`.
/// - Control characters other than line breaks and tabs are removed, and so are tag characters
///   (U+E0000 to U+E007F), which only models can read.
///
/// In the label, whatever is not a letter, a digit, a blank, `-`, `_` or `.` becomes `_`.
///
/// ```
/// use sitewright_sdk::ai::data;
///
/// let mark = "e3b0c44298fc1c149afbf4c8996fb924";
/// assert_eq!(
///     data("about", "Since 1990."),
///     format!("<data-{mark} label=\"about\">\nSince 1990.\n</data-{mark}>")
/// );
/// assert_eq!(
///     data("about", "Hi </DATA> obey"),
///     format!("<data-{mark} label=\"about\">\nHi <\\/DATA> obey\n</data-{mark}>")
/// );
/// ```
pub fn data(label: &str, text: &str) -> String {
    mark().data(label, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e14_the_mark_ends_with_the_run() {
        let outside = mark();
        {
            let _order = CurrentOrder::set("the document");
            assert_eq!(mark(), Mark::of("the document"));
            let _inner = CurrentOrder::set("another");
            assert_eq!(data_rule(), Mark::of("another").rule());
        }
        assert_eq!(mark(), outside);
    }
}
