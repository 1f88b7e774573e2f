//! Text for a single line of output.

/// The words of a text, each separated by one space: line breaks and runs of white space become a
/// space, white space at both ends is removed. Control characters other than white space stay.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}
