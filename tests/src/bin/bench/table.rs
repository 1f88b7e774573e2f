//! Tables with a column for each database.

/// A row of the table: a measure and its value on each database.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Vec<String>,
    target: Option<String>,
}

impl Row {
    /// A row with its value on one database.
    pub(crate) fn new(name: &str, value: String) -> Row {
        Row { name: name.to_owned(), values: vec![value], target: None }
    }

    /// Adds a target, and to the value whether it is met.
    pub(crate) fn target(mut self, target: String, met: bool) -> Row {
        let verdict = if met { "met" } else { "MISSED" };
        if let Some(value) = self.values.first_mut() {
            value.push_str(&format!(" ({verdict})"));
        }
        self.target = Some(target);
        self
    }
}

/// A number without digits behind the point, with a comma before every three digits.
pub(crate) fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Prints a Markdown table: a column for each database, with these names and rows.
pub(crate) fn print_table(names: &[String], columns: Vec<Vec<Row>>) {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut cells: Vec<Vec<String>> = Vec::new();
    for (column, lines) in columns.into_iter().enumerate() {
        for (row, line) in lines.into_iter().enumerate() {
            if column == 0 {
                let target = line.target.unwrap_or_default();
                rows.push([line.name, target]);
                cells.push(Vec::new());
            }
            if let Some(cells) = cells.get_mut(row) {
                cells.extend(line.values);
            }
        }
    }
    println!("| | {} | target |\n|---|{}---|", names.join(" | "), "--:|".repeat(names.len()));
    for ([name, target], cells) in rows.into_iter().zip(cells) {
        println!("| {name} | {} | {target} |", cells.join(" | "));
    }
}
