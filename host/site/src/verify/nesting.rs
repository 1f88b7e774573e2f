//! How deep a script nests, counted without parsing it.
//!
//! The parser has no guard for its stack, so the count must never be below what it recurses. Where
//! one token does not say what the next one is (after a `}`, a `/` divides or begins a regular
//! expression; `<!--` is a comment in scripts only), the text is read both ways. Readings that
//! arrive at the same place become one that is as deep as each of them.

/// Maximum number of readings at once. Real scripts have 2.
const MAX_READINGS: usize = 32;
/// Bytes for each byte of the text that readings may read in vain or in front of others.
const MAX_SKIPPED: usize = 64;

/// What the next token can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// An operator, an opening bracket or the beginning: a `/` begins a regular expression.
    Operator,
    /// A value: a `/` on its line divides, and a word begins a statement.
    Value,
    /// One of these.
    Either,
    /// The dot in front of a name.
    Dot,
}

impl Before {
    fn or(self, other: Before) -> Before {
        if self == other { self } else { Before::Either }
    }
}

/// What ended in front of the next token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Nothing,
    /// A block, or a value in braces.
    Braces,
    /// A statement, with a `;`.
    Statement,
}

/// Kinds of brackets, one bit for each. The outermost one has none, because nothing closes it.
const OUTERMOST: u8 = 0;
const ROUND: u8 = 1;
const SQUARE: u8 = 2;
const CURLY: u8 = 4;
/// `${` in a template literal.
const TEMPLATE: u8 = 8;

/// An open bracket.
#[derive(Debug, Clone, Copy)]
struct Bracket {
    kinds: u8,
    /// What the token after it follows.
    after: Before,
    /// Open statements in it: conditions, loops, labels.
    statements: usize,
    /// What is open of its last expression: prefixes, conditions, assignments, arrows.
    prefixes: usize,
    /// `?` whose `:` did not follow yet.
    conditions: usize,
    /// `do` whose `while` did not follow yet.
    dos: usize,
    ended: Ended,
}

impl Bracket {
    fn new(kinds: u8, after: Before) -> Self {
        Bracket {
            kinds,
            after,
            statements: 0,
            prefixes: 0,
            conditions: 0,
            dos: 0,
            ended: Ended::Nothing,
        }
    }

    fn levels(&self) -> usize {
        self.statements + self.prefixes
    }

    fn merge(&mut self, other: &Bracket) {
        self.kinds |= other.kinds;
        self.after = self.after.or(other.after);
        self.statements = self.statements.max(other.statements);
        self.prefixes = self.prefixes.max(other.prefixes);
        self.conditions = self.conditions.min(other.conditions);
        self.dos = self.dos.max(other.dos);
        self.ended = self.ended.min(other.ended);
    }
}

/// Statements that contain the one after them.
const STATEMENTS: [&str; 7] = ["do", "else", "for", "if", "try", "while", "with"];
/// Words that contain the value after them. Some are of TypeScript, which the parser reads as well
/// before it reports them.
const PREFIXES: [&str; 21] = [
    "abstract",
    "as",
    "asserts",
    "async",
    "await",
    "class",
    "delete",
    "export",
    "extends",
    "function",
    "import",
    "infer",
    "keyof",
    "new",
    "readonly",
    "satisfies",
    "throw",
    "typeof",
    "unique",
    "void",
    "yield",
];
/// Words that are never values: a `/` after them begins a regular expression.
const OPERATORS: [&str; 18] = [
    "case",
    "default",
    "delete",
    "do",
    "else",
    "extends",
    "for",
    "if",
    "in",
    "instanceof",
    "new",
    "return",
    "throw",
    "try",
    "typeof",
    "void",
    "while",
    "with",
];
/// Words that are values or not, or whose next word begins no statement.
const EITHER: [&str; 37] = [
    "abstract",
    "accessor",
    "as",
    "asserts",
    "async",
    "await",
    "break",
    "class",
    "const",
    "continue",
    "debugger",
    "declare",
    "enum",
    "export",
    "from",
    "function",
    "get",
    "import",
    "infer",
    "interface",
    "keyof",
    "let",
    "module",
    "namespace",
    "of",
    "private",
    "protected",
    "public",
    "readonly",
    "satisfies",
    "set",
    "static",
    "type",
    "unique",
    "using",
    "var",
    "yield",
];
/// Words that go on with what a value, a block or a `;` seemed to end.
const GOES_ON: [&str; 9] =
    ["as", "catch", "else", "extends", "finally", "in", "instanceof", "of", "satisfies"];

/// How a reading went on.
enum Step {
    One,
    /// There is a second way to read the token.
    Two(Reading),
    /// The text ended, or does not parse if it is read so.
    End,
}

/// One way to read a text, up to a place in it.
#[derive(Debug, Clone)]
struct Reading {
    at: usize,
    before: Before,
    /// What follows the next `)` if its `(` is the next token.
    after_round: Before,
    /// Whether a line began since the last token.
    is_new_line: bool,
    /// Whether the last token can be the name of a label.
    is_label: bool,
    is_after_comma: bool,
    open: Vec<Bracket>,
    /// The levels in all open brackets, without the brackets.
    levels: usize,
    /// The deepest that was open.
    deepest: usize,
    /// Bytes of a regular expression that did not end.
    read_in_vain: usize,
}

/// How deep a script nests: at least as deep as a parser calls itself. Ends at the first place that
/// is deeper than `max`.
pub(super) fn nesting(text: &str, max: usize) -> usize {
    let mut readings = vec![Reading::new()];
    let (mut deepest, mut skipped) = (0_usize, 0_usize);
    loop {
        let places = readings.iter().enumerate();
        let Some((first, _)) = places.min_by_key(|(_, reading)| reading.at) else {
            return deepest;
        };
        let mut reading = readings.swap_remove(first);
        let step = reading.step(text);
        deepest = deepest.max(reading.deepest);
        skipped += std::mem::take(&mut reading.read_in_vain);
        match step {
            Step::End => {}
            Step::One => add(&mut readings, reading),
            Step::Two(other) => {
                deepest = deepest.max(other.deepest);
                skipped += other.at.abs_diff(reading.at);
                add(&mut readings, reading);
                add(&mut readings, other);
            }
        }
        if deepest > max {
            return deepest;
        }
        if readings.len() > MAX_READINGS || skipped > MAX_SKIPPED * text.len() {
            return usize::MAX;
        }
    }
}

/// Adds a reading, to the one of its place if there is one.
fn add(readings: &mut Vec<Reading>, reading: Reading) {
    if !readings.iter_mut().any(|known| known.at == reading.at && known.merge(&reading)) {
        readings.push(reading);
    }
}

impl Reading {
    fn new() -> Self {
        Reading {
            at: 0,
            before: Before::Operator,
            after_round: Before::Value,
            is_new_line: true,
            is_label: false,
            is_after_comma: false,
            open: vec![Bracket::new(OUTERMOST, Before::Operator)],
            levels: 0,
            deepest: 1,
            read_in_vain: 0,
        }
    }

    /// Takes over what another reading of the same place has open. Brackets are counted from the
    /// innermost one, which is closed first. `false` if a `}` would end a template in one only.
    fn merge(&mut self, other: &Reading) -> bool {
        let mut pairs = self.open.iter().rev().zip(other.open.iter().rev());
        if pairs.any(|(one, two)| (one.kinds == TEMPLATE) != (two.kinds == TEMPLATE)) {
            return false;
        }
        let missing = other.open.len().saturating_sub(self.open.len());
        if missing > 0 {
            let mut open: Vec<Bracket> = other.open.iter().take(missing).copied().collect();
            open.append(&mut self.open);
            self.open = open;
        }
        for (one, two) in self.open.iter_mut().rev().zip(other.open.iter().rev()) {
            one.merge(two);
        }
        self.levels = self.open.iter().map(Bracket::levels).sum();
        self.before = self.before.or(other.before);
        self.after_round = self.after_round.or(other.after_round);
        self.is_new_line |= other.is_new_line;
        self.is_label |= other.is_label;
        self.is_after_comma &= other.is_after_comma;
        self.count(0);
        true
    }

    /// Counts what is open, and `more` levels in it.
    fn count(&mut self, more: usize) {
        self.deepest = self.deepest.max(self.levels + self.open.len() + more);
    }

    fn prefix(&mut self) {
        if let Some(top) = self.open.last_mut() {
            top.prefixes += 1;
            self.levels += 1;
        }
    }

    fn statement(&mut self) {
        if let Some(top) = self.open.last_mut() {
            top.statements += 1;
            self.levels += 1;
        }
    }

    fn end_expression(&mut self) {
        if let Some(top) = self.open.last_mut() {
            self.levels -= std::mem::take(&mut top.prefixes);
            top.conditions = 0;
        }
    }

    fn end_statement(&mut self) {
        self.end_expression();
        if let Some(top) = self.open.last_mut() {
            self.levels -= std::mem::take(&mut top.statements);
            top.dos = 0;
        }
    }

    fn open(&mut self, kinds: u8, after: Before) {
        self.open.push(Bracket::new(kinds, after));
        self.before = Before::Operator;
    }

    /// Reads up to the end of the next token.
    fn step(&mut self, text: &str) -> Step {
        let bytes = text.as_bytes();
        let Some(byte) = bytes.get(self.at).copied() else { return Step::End };
        if let Some(white) = white_space(text, self.at) {
            self.is_new_line |= is_line_end(white);
            self.at += white.len_utf8();
            return Step::One;
        }
        let rest = &bytes[self.at..];
        if rest.starts_with(b"//") {
            self.at = line_end(bytes, self.at);
            return Step::One;
        }
        if rest.starts_with(b"/*") {
            let end = rest.windows(2).skip(2).position(|two| two == b"*/");
            let end = end.map_or(bytes.len(), |inside| self.at + inside + 4);
            let inside = text.get(self.at..end).unwrap_or_default();
            self.is_new_line |= inside.contains(is_line_end);
            self.at = end;
            return Step::One;
        }
        let is_comment = rest.starts_with(b"<!--")
            || rest.starts_with(b"#!")
            || (self.is_new_line && rest.starts_with(b"-->"));
        let comment = is_comment.then(|| Reading { at: line_end(bytes, self.at), ..self.clone() });
        let step = self.token(text, byte);
        self.count(0);
        match (comment, step) {
            (Some(comment), _) => Step::Two(comment),
            (None, step) => step,
        }
    }

    /// Reads a token that is no white space and no comment.
    fn token(&mut self, text: &str, byte: u8) -> Step {
        let bytes = text.as_bytes();
        let start = self.at;
        let next = bytes.get(start + 1).copied();
        let is_new_line = std::mem::take(&mut self.is_new_line);
        let is_label = std::mem::take(&mut self.is_label);
        let is_after_comma = std::mem::take(&mut self.is_after_comma);
        let after_round = std::mem::replace(&mut self.after_round, Before::Value);
        let ended = match self.open.last_mut() {
            Some(top) => std::mem::replace(&mut top.ended, Ended::Nothing),
            None => return Step::End,
        };
        if is_of_word(byte) {
            self.is_label = !is_after_comma && self.before != Before::Dot;
            self.word(text, ended, after_round);
            return Step::One;
        }
        let is_closing = matches!(byte, b')' | b']' | b'}');
        // After braces, only these cannot go on with a value that the braces were.
        let begins =
            matches!(byte, b'\'' | b'"' | b'~' | b'@') || (byte == b'!' && next != Some(b'='));
        if (ended == Ended::Statement && !is_closing) || (ended == Ended::Braces && begins) {
            self.end_statement();
        }
        self.at += 1;
        match byte {
            b'\'' | b'"' => {
                let Some(end) = quoted(bytes, self.at, byte) else { return Step::End };
                (self.at, self.before) = (end, Before::Value);
            }
            b'`' => self.template(bytes),
            b'/' if self.before == Before::Operator => {
                let Ok(read) = self.clone().regular_expression(text) else { return Step::End };
                *self = read;
            }
            b'/' => {
                let is_certain = self.before == Before::Value && !is_new_line;
                let expression = if is_certain { None } else { Some(self.clone()) };
                self.before = Before::Operator;
                match expression.map(|reading| reading.regular_expression(text)) {
                    Some(Ok(read)) => return Step::Two(read),
                    Some(Err(read)) => self.read_in_vain = read,
                    None => {}
                }
            }
            b'(' => self.open(ROUND, after_round),
            b'[' => self.open(SQUARE, Before::Value),
            b'{' => self.open(CURLY, Before::Either),
            b')' | b']' | b'}' => {
                let kinds = match byte {
                    b')' => ROUND,
                    b']' => SQUARE,
                    _ => CURLY | TEMPLATE,
                };
                let Some(closed) = self.open.pop_if(|top| top.kinds & kinds != 0) else {
                    return Step::End;
                };
                self.levels -= closed.levels();
                self.before = closed.after;
                if closed.kinds == TEMPLATE {
                    self.template(bytes);
                } else if let Some(top) = self.open.last_mut()
                    && byte == b'}'
                {
                    top.ended = Ended::Braces;
                }
            }
            b';' => {
                self.end_expression();
                if let Some(top) = self.open.last_mut() {
                    top.ended = Ended::Statement;
                }
                self.before = Before::Operator;
            }
            b',' => {
                self.end_expression();
                self.is_after_comma = true;
                self.before = Before::Operator;
            }
            b'.' if next.is_some_and(|next| next.is_ascii_digit()) => {
                (self.at, self.before) = (word_end(text, self.at), Before::Value);
            }
            b'.' if bytes[start..].starts_with(b"...") => {
                (self.at, self.before) = (start + 3, Before::Operator);
            }
            b'.' | b'#' => self.before = Before::Dot,
            _ => self.operator(&bytes[start..], is_label),
        }
        Step::One
    }

    fn word(&mut self, text: &str, ended: Ended, after_round: Before) {
        let start = self.at;
        let mut end = word_end(text, start);
        let before = std::mem::replace(&mut self.before, Before::Value);
        if before == Before::Dot {
            self.at = end;
            return;
        }
        let is_number = text.as_bytes().get(start).is_some_and(u8::is_ascii_digit);
        if is_number && text.as_bytes().get(end) == Some(&b'.') {
            end = word_end(text, end + 1);
        }
        self.at = end;
        let word = text.get(start..end).unwrap_or_default();
        let begins = before == Before::Value || ended != Ended::Nothing;
        let is_case = before == Before::Operator && matches!(word, "case" | "default");
        let Some(top) = self.open.last_mut() else { return };
        let ends_do = begins && word == "while" && top.dos > 0;
        if ends_do {
            top.dos -= 1;
        } else if (begins || is_case) && !GOES_ON.contains(&word) {
            self.end_statement();
        }
        // A keyword, or the end of something else if the text is read another way.
        let is_certain = begins || before == Before::Operator;
        let certain = |before| if is_certain { before } else { Before::Either };
        if STATEMENTS.contains(&word) {
            self.statement();
        }
        let is_escaped = word.contains('\\');
        if PREFIXES.contains(&word) || is_escaped {
            self.prefix();
        }
        if let Some(top) = self.open.last_mut()
            && word == "do"
        {
            top.dos += 1;
        }
        match word {
            "if" | "for" | "while" | "with" => self.after_round = certain(Before::Operator),
            // `for await (`
            "await" => self.after_round = after_round,
            _ if is_escaped => self.after_round = Before::Either,
            _ => {}
        }
        if is_escaped || EITHER.contains(&word) {
            self.before = Before::Either;
        } else if OPERATORS.contains(&word) {
            self.before = certain(Before::Operator);
        }
    }

    /// Reads an operator, the first bytes of `rest`.
    fn operator(&mut self, rest: &[u8], is_label: bool) {
        const COMPARED: [&[u8]; 6] = [b"===", b"!==", b"==", b"!=", b"<=", b">="];
        const ASSIGNED: [&[u8]; 7] = [b"=>", b"<<=", b">>>=", b">>=", b"??=", b"||=", b"&&="];
        const OTHERS: [&[u8]; 5] = [b">>>", b">>", b"??", b"||", b"&&"];
        let of =
            |list: &[&[u8]]| list.iter().find(|one| rest.starts_with(one)).map(|one| one.len());
        let start = self.at - 1;
        let before = std::mem::replace(&mut self.before, Before::Operator);
        if let Some(length) = of(&ASSIGNED) {
            self.prefix();
            self.at = start + length;
        } else if let Some(length) = of(&COMPARED).or_else(|| of(&OTHERS)) {
            self.at = start + length;
        } else if rest.starts_with(b"++") || rest.starts_with(b"--") {
            if before != Before::Value {
                self.prefix();
            }
            (self.at, self.before) = (start + 2, Before::Either);
        } else if rest.starts_with(b"**") {
            self.prefix();
            self.at = start + 2;
        } else {
            match rest {
                // `a?.b`, but not `a?.5:b`.
                [b'?', b'.', digit, ..] if !digit.is_ascii_digit() => {
                    (self.at, self.before) = (start + 2, Before::Dot);
                }
                [b'?', ..] => {
                    self.prefix();
                    if let Some(top) = self.open.last_mut() {
                        top.conditions += 1;
                    }
                }
                [b':', ..] => match self.open.last_mut() {
                    Some(top) if top.conditions > 0 => top.conditions -= 1,
                    _ if is_label => self.statement(),
                    _ => self.prefix(),
                },
                // Types of TypeScript nest in `<`.
                [b'=' | b'!' | b'~' | b'@' | b'<', ..] => self.prefix(),
                [b'+' | b'-', ..] if before != Before::Value => self.prefix(),
                _ => {}
            }
        }
    }

    /// Reads the text of a template literal, up to its end or to a value in it, which opens a
    /// bracket.
    fn template(&mut self, bytes: &[u8]) {
        self.before = Before::Value;
        while let Some(byte) = bytes.get(self.at).copied() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'`' => return,
                b'$' if bytes.get(self.at) == Some(&b'{') => {
                    self.at += 1;
                    return self.open(TEMPLATE, Before::Value);
                }
                _ => {}
            }
        }
    }

    /// Reads a regular expression behind its first slash, up to the end of its flags. If it does
    /// not end on its line, the parser skips the rest of the text.
    ///
    /// # Errors
    /// The bytes that were read, if it does not end.
    fn regular_expression(mut self, text: &str) -> Result<Self, usize> {
        let bytes = text.as_bytes();
        let start = self.at;
        // Classes nest with the flag `v` only; what ends the expression is the same with it.
        let (mut groups, mut classes, mut deepest) = (0_usize, 0_usize, 0_usize);
        let (mut is_class, mut is_escaped) = (false, false);
        while let Some(byte) = bytes.get(self.at).copied()
            && !begins_line_end(&bytes[self.at..])
        {
            self.at += 1;
            let was_escaped = std::mem::take(&mut is_escaped);
            match byte {
                _ if was_escaped => {}
                b'\\' => is_escaped = true,
                b'/' if !is_class => {
                    self.at = word_end(text, self.at);
                    self.before = Before::Value;
                    self.count(deepest);
                    return Ok(self);
                }
                b'[' => (is_class, classes) = (true, classes + 1),
                b']' => (is_class, classes) = (false, classes.saturating_sub(1)),
                b'(' if !is_class => groups += 1,
                b')' if !is_class && classes == 0 => groups = groups.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(groups + classes);
        }
        Err(self.at - start)
    }
}

/// White space at a place. The parser takes more for white space than JavaScript does.
fn white_space(text: &str, at: usize) -> Option<char> {
    let first = text.get(at..)?.chars().next()?;
    (first.is_whitespace() || matches!(first, '\u{200b}' | '\u{feff}')).then_some(first)
}

fn is_line_end(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn begins_line_end(rest: &[u8]) -> bool {
    matches!(rest, [b'\n' | b'\r', ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..])
}

/// Where the line ends that has this place.
fn line_end(bytes: &[u8], at: usize) -> usize {
    (at..bytes.len()).find(|at| begins_line_end(&bytes[*at..])).unwrap_or(bytes.len())
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\' | 0x80..)
}

/// Where a word ends, with escapes such as `\u{61}`.
fn word_end(text: &str, mut at: usize) -> usize {
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at).copied() {
        if !is_of_word(byte) || (!byte.is_ascii() && white_space(text, at).is_some()) {
            break;
        }
        at += 1;
        if byte == b'\\' && bytes[at..].starts_with(b"u{") {
            let length = bytes[at..].iter().position(|byte| *byte == b'}');
            at = length.map_or(bytes.len(), |length| at + length + 1);
        }
    }
    at
}

/// Where a string ends, behind its quote. `None` if it does not end on its line.
fn quoted(bytes: &[u8], mut at: usize, quote: u8) -> Option<usize> {
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        match byte {
            b'\\' if bytes[at..].starts_with(b"\r\n") => at += 2,
            b'\\' => at += 1,
            b'\n' | b'\r' => return None,
            byte if byte == quote => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(text: &str, times: usize) -> usize {
        nesting(&text.repeat(times), usize::MAX)
    }

    #[test]
    fn nesting_is_what_a_parser_has_open() {
        let deep = [
            "(",
            "[",
            "{",
            "!",
            "-",
            "~",
            "a=",
            "a<<=",
            "a=>",
            "a?b:",
            "a?{}:",
            "a?/x/g?b:c:",
            "if(a)",
            "if\u{a0}(a)",
            "if(a){}else ",
            "new ",
            "typeof ",
            "n\\u{65}w ",
            "`${",
            "a**",
            "for(;;)",
            "if(a);else ",
            "do a;while(b)if(c)",
            "function(){",
            "class A extends ",
            "x:",
            "a(",
            "await ",
        ];
        for text in deep {
            assert!(many(text, 2_000) >= 1_000, "{text}: {}", many(text, 2_000));
        }
        let flat = [
            "a;",
            "a\n",
            "a=1;",
            "a=1\n",
            "(a);",
            "f(a,b)\n",
            "if(a){b}\n",
            "if(a)b;",
            "while(a)b;",
            "'('+",
            "`(${a})`;",
            "/\\((/;",
            "/[[](a)/.test(b);",
            "a/b;",
            "a=(b/c)/d/(e+1);",
            "a[b]/c+",
            "if(a)/[\"']/.test(b)&&c;",
            "return/^['\"(]/.test(b)?1:2;",
            "// (\n",
            "// it's `\r\n",
            "/*(*/",
            "const a = () => {}\n",
            "function f(){ return { a: 1 } }\n",
            "!function(){}();",
            "case 1: ",
            "a.b.c.",
            "a+",
            "if(a){b}else{c}\n",
            "x = a ? b : c\n",
            "'\\'(';",
            "return !a;",
            "a=b,",
            "c===1||",
            "c!==1&&",
            "a>=b||",
            "a&&b||c,",
            "a?b:c,",
            "a?.b?.5:c,",
            "\"a\":1,b:2,[c]:3,",
            "while(n-->0)a;",
            "for(var i=0,n=a.length;i<n;i++){b(a[i])}",
            "import(\"a\"),",
            "export{a as b,c as d};",
            "var a=function(b,c){return b&&c?{d:b/2,e:[c]}:void 0};",
        ];
        for text in flat {
            assert!(many(text, 3_000) < 30, "{text}: {}", many(text, 3_000));
        }
        assert!(many("a===b?c:", 200) < 300);
    }

    #[test]
    fn nothing_hides_levels() {
        let hiding = [
            "//\r",
            "//\u{2028}",
            "<!-- `\n",
            "#!`\n",
            "-->`\n",
            "x={}/",
            "{}/'/;",
            "of/'/;",
            "a\n/`/;",
            "a\n++/`/;",
            "1.\nif(a)/`/;",
            "for await(a of b)/`/;",
            "break\n/'/;",
            "import 'a'\n/'/;",
            "'\\\r\n';",
        ];
        for text in hiding {
            let text = format!("{text}{}a/1", "!".repeat(2_000));
            assert!(nesting(&text, usize::MAX) >= 2_000, "{text:.20}");
        }
    }
}
