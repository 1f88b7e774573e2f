//! Short texts for messages.

/// The text on one line, runs of white space as one space, cut to `max_chars` characters and `…`.
pub fn excerpt(text: &str, max_chars: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        if count > 0 {
            out.push(' ');
            count += 1;
        }
        for character in word.chars() {
            if count >= max_chars {
                out.push('…');
                return out;
            }
            out.push(character);
            count += 1;
        }
    }
    out
}
