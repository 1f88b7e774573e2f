//! Flame graphs: in which functions a template was, and what it used there.

use std::collections::BTreeMap;

use sitewright_model::failure::Frame;

/// Width of a graph in pixels.
const WIDTH: f64 = 1_200.0;
/// Height of a row.
const ROW: usize = 18;
/// Minimum width of a rectangle that is drawn.
const MIN_WIDTH: f64 = 0.3;
/// Width of a letter.
const LETTER: f64 = 7.3;
/// Maximum rows. Deeper frames count for those above them.
const MAX_ROWS: usize = 150;
/// Colours of the template's own functions, and of others.
const COLORS: (&str, &str) = ("#f4a460", "#d3dae0");

/// What was used while a template had one stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Outermost first.
    pub frames: Vec<Frame>,
    pub weight: u64,
}

/// Lines of the form that tools for flame graphs read: `outer;inner weight`.
pub fn folded(stacks: &[Stack]) -> String {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for stack in stacks.iter().filter(|stack| stack.weight > 0) {
        let names: Vec<String> =
            stack.frames.iter().map(|frame| name(frame).replace(';', ",")).collect();
        *lines.entry(names.join(";")).or_default() += stack.weight;
    }
    lines.iter().map(|(names, weight)| format!("{names} {weight}\n")).collect()
}

/// The template's own functions with what was used in them and in what they called, the most first.
pub fn own(stacks: &[Stack]) -> Vec<(String, u64)> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for stack in stacks {
        let mut names: Vec<String> =
            stack.frames.iter().filter(|frame| frame.own).map(name).collect();
        // One that calls itself counts once.
        names.sort();
        names.dedup();
        for name in names {
            *all.entry(name).or_default() += stack.weight;
        }
    }
    let mut all: Vec<(String, u64)> = all.into_iter().collect();
    all.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    all
}

/// A flame graph as SVG, the outermost functions on top. `shown` writes a weight.
pub fn svg(title: &str, stacks: &[Stack], shown: &dyn Fn(u64) -> String) -> String {
    let mut root = Node::default();
    for stack in stacks {
        root.add(stack);
    }
    let height = (root.rows() + 1) * ROW;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let scale = if root.weight == 0 { 0.0 } else { WIDTH / root.weight as f64 };
    let drawing = Drawing { total: root.weight, scale, shown };
    drawing.node(&mut out, title, &root, 0.0, 0);
    out.push_str("</svg>\n");
    out
}

/// A function where it was called from.
#[derive(Debug, Default)]
struct Node {
    own: bool,
    weight: u64,
    calls: BTreeMap<String, Node>,
}

impl Node {
    fn add(&mut self, stack: &Stack) {
        self.weight += stack.weight;
        let mut node = self;
        for frame in stack.frames.iter().take(MAX_ROWS) {
            node = node.calls.entry(name(frame)).or_default();
            node.own = frame.own;
            node.weight += stack.weight;
        }
    }

    fn rows(&self) -> usize {
        1 + self.calls.values().map(Node::rows).max().unwrap_or(0)
    }
}

struct Drawing<'a> {
    total: u64,
    /// Pixels of one unit.
    scale: f64,
    shown: &'a dyn Fn(u64) -> String,
}

impl Drawing<'_> {
    fn node(&self, out: &mut String, name: &str, node: &Node, x: f64, row: usize) {
        let width = node.weight as f64 * self.scale;
        if width < MIN_WIDTH {
            return;
        }
        let y = row * ROW;
        let percent = node.weight.saturating_mul(100) / self.total.max(1);
        let used = (self.shown)(node.weight);
        let color = if node.own { COLORS.0 } else { COLORS.1 };
        let letters = (width / LETTER) as usize;
        let label: String =
            if letters < 3 { String::new() } else { name.chars().take(letters).collect() };
        out.push_str(&format!(
            "<g><title>{}: {used} ({percent} %)</title><rect x=\"{x:.1}\" y=\"{y}\" \
             width=\"{width:.1}\" height=\"{ROW}\" fill=\"{color}\" stroke=\"#fff\"/><text \
             x=\"{:.1}\" y=\"{}\">{}</text></g>\n",
            escaped(name),
            x + 3.0,
            y + ROW - 5,
            escaped(&label)
        ));
        let mut x = x;
        for (name, called) in &node.calls {
            self.node(out, name, called, x, row + 1);
            x += called.weight as f64 * self.scale;
        }
    }
}

/// Function and file of a frame.
fn name(frame: &Frame) -> String {
    match &frame.file {
        Some(file) => format!("{} ({file})", frame.function),
        None => frame.function.clone(),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: Option<&str>, own: bool) -> Frame {
        Frame {
            function: function.to_owned(),
            file: file.map(str::to_owned),
            line: None,
            column: None,
            own,
            inlined: false,
            offset: None,
        }
    }

    fn stacks() -> Vec<Stack> {
        let main = || frame("generate", Some("src/lib.rs"), true);
        let page = || frame("page<'_>", Some("src/page.rs"), true);
        let library = || frame("alloc;grow", None, false);
        vec![
            Stack { frames: vec![main(), page(), page()], weight: 60 },
            Stack { frames: vec![main(), library()], weight: 30 },
            Stack { frames: vec![main(), page(), page()], weight: 10 },
            Stack { frames: Vec::new(), weight: 0 },
        ]
    }

    #[test]
    fn equal_stacks_are_one_line() {
        assert_eq!(
            folded(&stacks()),
            "generate (src/lib.rs);alloc,grow 30\ngenerate (src/lib.rs);page<'_> \
             (src/page.rs);page<'_> (src/page.rs) 70\n"
        );
    }

    #[test]
    fn own_functions_count_what_they_call() {
        let expected = [("generate (src/lib.rs)", 100), ("page<'_> (src/page.rs)", 70)];
        let expected = expected.map(|(name, weight)| (name.to_owned(), weight));
        assert_eq!(own(&stacks()), expected);
    }

    #[test]
    fn a_graph_has_a_rectangle_for_each_call_and_no_markup_of_names() {
        let graph = svg("a <title>", &stacks(), &|weight| format!("{weight} ms"));
        for part in [
            "<title>a &lt;title&gt;: 100 ms (100 %)</title>",
            "<title>generate (src/lib.rs): 100 ms (100 %)</title>",
            "<title>page&lt;'_&gt; (src/page.rs): 70 ms (70 %)</title>",
            "<title>alloc;grow: 30 ms (30 %)</title>",
            "width=\"840.0\"",
        ] {
            assert!(graph.contains(part), "{part} is missing in {graph}");
        }
        assert_eq!(graph.matches("<g>").count(), 5, "{graph}");
        // Nothing was used.
        assert!(svg("empty", &[], &|weight| weight.to_string()).ends_with("</svg>\n"));
    }
}
