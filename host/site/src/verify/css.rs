//! The URLs and syntax errors of a style sheet.

use cssparser::{Parser, Token};

/// Maximum nesting of blocks and parentheses that is searched. Real style sheets stay below 10.
const MAX_DEPTH: usize = 32;

/// URLs and errors of a style sheet, each with its line counted from 0.
#[derive(Debug, Default)]
pub struct Sheet {
    pub urls: Vec<(String, u32)>,
    pub errors: Vec<(&'static str, u32)>,
}

/// Parses a style sheet or the declarations of a `style` attribute.
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
                sheet.urls.push((url.to_string(), line));
                continue;
            }
            Token::QuotedString(url) if was_importing => {
                sheet.urls.push((url.to_string(), line));
                continue;
            }
            Token::AtKeyword(name) => {
                importing = name.eq_ignore_ascii_case("import");
                continue;
            }
            Token::BadUrl(_) => {
                sheet
                    .errors
                    .push(("a `url(` that is not closed or has quotes or blanks in it", line));
                continue;
            }
            Token::BadString(_) => {
                sheet.errors.push(("a string that is not closed on its line", line));
                continue;
            }
            Token::CloseParenthesis | Token::CloseSquareBracket | Token::CloseCurlyBracket => {
                sheet.errors.push(("a closing bracket that nothing opened", line));
                continue;
            }
            Token::Function(name) => {
                name.eq_ignore_ascii_case("url") || name.eq_ignore_ascii_case("src")
            }
            Token::ParenthesisBlock | Token::SquareBracketBlock | Token::CurlyBracketBlock => false,
            _ => continue,
        };
        if depth == MAX_DEPTH {
            sheet.errors.push(("blocks nested deeper than 32", line));
            continue;
        }
        let inside: Result<(), cssparser::ParseError<()>> = parser.parse_nested_block(|inside| {
            if in_url && let Ok(url) = inside.try_parse(|inside| inside.expect_string().cloned()) {
                sheet.urls.push((url.to_string(), line));
            }
            walk(inside, sheet, depth + 1);
            Ok(())
        });
        if inside.is_err() {
            sheet.errors.push(("a block that cannot be read to its end", line));
        }
    }
}
