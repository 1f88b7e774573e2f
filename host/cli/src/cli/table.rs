//! Tables on a terminal: one line for each row, columns as wide as their widest cell.

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Padding, Style};

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// The rows of `N` columns, which stand two columns of the terminal apart, each row ended and
/// without blanks at its end. Cells may have colours, and are one line of clean text otherwise.
pub(super) fn table<const N: usize>(align: [Align; N], rows: &[[String; N]]) -> String {
    let mut builder = Builder::with_capacity(rows.len(), N);
    for row in rows {
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::empty()).with(Padding::new(0, 2, 0, 0));
    for (column, align) in align.into_iter().enumerate() {
        if align == Align::Right {
            table.modify(Columns::one(column), Alignment::right());
        }
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_a_terminal_shows_their_cells() {
        let bold = anstyle::Style::new().bold();
        let rows = [
            ["ORDER", "RUNS", "NEXT"].map(str::to_owned),
            ["\u{6f22}\u{5b57}".to_owned(), "13".to_owned(), format!("{bold}at once{bold:#}")],
            ["cafe\u{301}-1", "7", ""].map(str::to_owned),
        ];
        let text = table([Align::Left, Align::Right, Align::Left], &rows);
        let shown = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            shown,
            "ORDER   RUNS  NEXT\n\u{6f22}\u{5b57}      13  at once\ncafe\u{301}-1     7\n"
        );
        assert!(text.contains(&format!("{bold}at once{bold:#}")), "{text:?}");
    }
}
