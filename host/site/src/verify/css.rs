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
    walk(&mut Parser::new(text), &mut sheet, 0);
    sheet
}

fn walk(parser: &mut Parser<'_>, sheet: &mut Sheet, depth: usize) {
    let mut importing = false;
    loop {
        let line = parser.current_source_location().line;
        let Ok(token) = parser.next() else { return };
        let was_importing = std::mem::take(&mut importing);
        let in_url = match token {
            Token::UnquotedUrl(url) => {
                sheet.url(url, line);
                continue;
            }
            Token::QuotedString(url) if was_importing => {
                sheet.url(url, line);
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
            Token::CloseParenthesis | Token::CloseSquareBracket | Token::CloseCurlyBracket => {
                sheet.error("a closing bracket that nothing opened", line);
                continue;
            }
            Token::Function(name) => {
                name.eq_ignore_ascii_case("url") || name.eq_ignore_ascii_case("src")
            }
            Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => false,
            _ => continue,
        };
        if depth == MAX_DEPTH {
            sheet.error("blocks nested deeper than 32", line);
            continue;
        }
        let inside: Result<(), cssparser::ParseError<()>> = parser.parse_nested_block(|inside| {
            if in_url && let Ok(url) = inside.try_parse(|inside| inside.expect_string().cloned()) {
                sheet.url(&url, line);
            }
            walk(inside, sheet, depth + 1);
            Ok(())
        });
        if inside.is_err() {
            sheet.error("a block that cannot be read to its end", line);
        }
    }
}
