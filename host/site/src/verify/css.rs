//! The URLs and syntax errors of a style sheet.

use cssparser::{Parser, Token};

/// Maximum nesting of blocks and parentheses that is searched. Real style sheets stay below 10.
const MAX_DEPTH: usize = 32;
/// Maximum number of URLs that are listed of one style sheet. Further ones are counted.
const MAX_URLS: usize = 20_000;
/// Maximum number of errors that are listed of one style sheet. Further ones are counted.
const MAX_ERRORS: usize = 64;

/// URLs and errors of a style sheet, each with its line counted from 0.
#[derive(Debug, Default)]
pub struct Sheet {
    /// At most 20,000.
    pub urls: Vec<(String, u32)>,
    /// At most 64.
    pub errors: Vec<(&'static str, u32)>,
    /// Number of URLs that are not listed.
    pub more_urls: u64,
    /// Number of errors that are not listed.
    pub more_errors: u64,
}

impl Sheet {
    fn url(&mut self, url: &str, line: u32) {
        // It contains what it refers to.
        if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            return;
        }
        match self.urls.len() < MAX_URLS {
            true => self.urls.push((url.to_owned(), line)),
            false => self.more_urls += 1,
        }
    }

    fn error(&mut self, error: &'static str, line: u32) {
        match self.errors.len() < MAX_ERRORS {
            true => self.errors.push((error, line)),
            false => self.more_errors += 1,
        }
    }
}

/// Parses a style sheet or the declarations of a `style` attribute. Each byte is read a bounded
/// number of times.
pub fn read(text: &str) -> Sheet {
    let mut sheet = Sheet::default();
    walk(&mut Parser::new(text), &mut sheet, 0, false);
    sheet
}

/// What is said of a block, a string or a comment that ends with the style sheet. Browsers close it,
/// but a sheet that ends in the middle was cut, and what was behind is missing.
const UNCLOSED: &str = "a block, string or comment that is not closed at its end";

/// In the function `image-set()`, `images` says that strings are addresses.
fn walk(parser: &mut Parser<'_>, sheet: &mut Sheet, depth: usize, images: bool) {
    let mut importing = false;
    let mut after_slash = false;
    loop {
        let line = parser.current_source_location().line;
        let start = parser.position();
        let Ok(token) = parser.next_including_whitespace_and_comments() else { return };
        let was_importing = std::mem::take(&mut importing);
        let was_slash = std::mem::take(&mut after_slash);
        let mut in_images = false;
        let in_url = match token {
            Token::WhiteSpace(_) => {
                importing = was_importing;
                continue;
            }
            Token::Comment(_) => {
                importing = was_importing;
                let comment = parser.slice_from(start);
                if comment.len() < 4 || !comment.ends_with("*/") {
                    sheet.error(UNCLOSED, line);
                }
                continue;
            }
            Token::UnquotedUrl(url) => {
                sheet.url(url, line);
                continue;
            }
            Token::QuotedString(url) => {
                if was_importing || images {
                    sheet.url(url, line);
                }
                let string = parser.slice_from(start);
                if string.len() < 2 || !string.ends_with(['"', '\'']) {
                    sheet.error(UNCLOSED, line);
                }
                continue;
            }
            Token::AtKeyword(name) => {
                importing = name.eq_ignore_ascii_case("import");
                continue;
            }
            Token::BadUrl(_) => {
                sheet.error("a `url(` that is not closed or has quotes or blanks in it", line);
                continue;
            }
            Token::BadString(_) => {
                sheet.error("a string that is not closed on its line", line);
                continue;
            }
            // What is in front of the next rule or declaration takes it away.
            Token::Delim('/') => {
                if was_slash {
                    sheet.error("a `//`, which begins no comment and disables what follows", line);
                }
                after_slash = !was_slash;
                continue;
            }
            Token::Delim('`') => {
                sheet.error("a backtick, as around code in Markdown", line);
                continue;
            }
            Token::Delim('<') if depth == 0 => {
                sheet.error("a `<`, as of HTML around it", line);
                continue;
            }
            Token::CloseParenthesis | Token::CloseSquareBracket | Token::CloseCurlyBracket => {
                sheet.error("a closing bracket that nothing opened", line);
                continue;
            }
            Token::Function(name) => {
                in_images = name.eq_ignore_ascii_case("image-set")
                    || name.eq_ignore_ascii_case("-webkit-image-set");
                name.eq_ignore_ascii_case("url") || name.eq_ignore_ascii_case("src")
            }
            Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => false,
            _ => continue,
        };
        if depth == MAX_DEPTH {
            sheet.error("blocks nested deeper than 32", line);
            continue;
        }
        let mut end = start;
        let inside: Result<(), cssparser::ParseError<()>> = parser.parse_nested_block(|inside| {
            if in_url && let Ok(url) = inside.try_parse(|inside| inside.expect_string().cloned()) {
                sheet.url(&url, line);
            }
            walk(inside, sheet, depth + 1, in_images);
            end = inside.position();
            Ok(())
        });
        if inside.is_err() {
            sheet.error("a block that cannot be read to its end", line);
        }
        // The closing bracket is behind what is inside. One error for all that the end cuts.
        if parser.position() == end && sheet.errors.iter().all(|(error, _)| *error != UNCLOSED) {
            sheet.error(UNCLOSED, line);
        }
    }
}
