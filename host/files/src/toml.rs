//! TOML whose values are counted before they are collected.

use serde::de::DeserializeOwned;
use toml_parser::Source;
use toml_parser::lexer::TokenKind;

/// A document that is not parsed.
#[derive(Debug, thiserror::Error)]
pub enum TomlError {
    #[error("it has more than {0} values and tables")]
    TooMany(usize),
    #[error(transparent)]
    Invalid(#[from] toml::de::Error),
}

/// Parses TOML with at most `max` values and tables. Nesting is limited to 80 by `toml`.
///
/// # Errors
/// If there are more, or it is not TOML of this type.
pub fn parse<T: DeserializeOwned>(text: &str, max: usize) -> Result<T, TomlError> {
    if count(text) > max {
        return Err(TomlError::TooMany(max));
    }
    Ok(toml::from_str(text)?)
}

/// The number of values, tables and parts of dotted keys in a TOML text, or more. Reads each byte
/// a fixed number of times and collects nothing.
pub fn count(text: &str) -> usize {
    let collected = |kind| {
        matches!(
            kind,
            TokenKind::Equals
                | TokenKind::Comma
                | TokenKind::Dot
                | TokenKind::LeftSquareBracket
                | TokenKind::LeftCurlyBracket
        )
    };
    1 + Source::new(text).lex().filter(|token| collected(token.kind())).count()
}

#[cfg(test)]
mod tests {
    use toml::{Table, Value};

    use super::*;

    /// Values and tables, counted in the tree.
    fn collected(value: &Value) -> usize {
        match value {
            Value::Array(values) => 1 + values.iter().map(collected).sum::<usize>(),
            Value::Table(fields) => 1 + fields.values().map(collected).sum::<usize>(),
            _ => 1,
        }
    }

    #[test]
    fn the_count_bounds_what_is_collected() {
        for text in [
            "",
            "a = 1",
            "a = [1, 2, 3]\n[b]\nc = { d = [], e = 'f' }",
            "[[rule]]\n[[rule]]\nanswer = { text = \"a = b, [c] {d}\" }",
            "a.b.c.d = 1\n[x.y.z]\n",
            "text = '''\n= = = [[[[ {{{{ ,,,,\n'''\n",
            "\"a.b = c\" = 1.5",
        ] {
            let table: Table = text.parse().unwrap();
            assert!(count(text) >= collected(&Value::Table(table)), "{text}");
        }
        let marks = format!("text = '''{}'''", "=[{,".repeat(1_000));
        assert_eq!(count(&marks), 2, "marks inside texts are not values");
    }

    #[test]
    fn what_has_too_many_values_is_not_parsed() {
        let many = "[[a]]\n".repeat(1_000);
        assert!(parse::<Table>(&many, 2_001).is_ok());
        let error = parse::<Table>(&many, 2_000).unwrap_err().to_string();
        assert_eq!(error, "it has more than 2000 values and tables");
    }
}
