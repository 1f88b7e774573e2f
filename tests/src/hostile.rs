//! The hostile corpus: templates and orders that cost the host more than they should, made by
//! generators, because their files would be megabytes. Used by the end-to-end tests and by
//! `bench neighbours`.
//!
//! Each sample belongs to a kind, whose id is that of the issue on containment:
//!
//! | kind | what it does |
//! |---|---|
//! | C1 | calls the host in a straight line of code, without a loop |
//! | C2 | writes a site whose check would collect far more than it has |
//! | C3 | writes a site, or is an order, whose check would take quadratic time |
//! | C4 | calls a provider whose error bodies take long to read or to clean of keys |
//! | H1 | has a schema whose references multiply |
//! | M4 | is small and becomes large when it is compiled |

use serde_json::{Map, Value, json};

use crate::crafted::{Bomb, Crafted, memory_images, straight};
use crate::{IMPRINT, faulty, order};

/// A hostile template with an order for it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What it is, in a few words.
    pub name: String,
    /// The kind's id.
    pub kind: &'static str,
    /// The component; `None`: the order is for the template `faulty`.
    pub component: Option<Vec<u8>>,
    /// The order.
    pub order: Value,
    /// The kinds of failure that its attempt may end with.
    pub ends: &'static [&'static str],
    /// Whether its attempt may also end with a site, because it is valid and can be checked cheaply.
    pub may_succeed: bool,
}

/// The limits of a run. A call that passes more than it may is a trap, or an output that is missing
/// or refused.
const RUN: &[&str] = &[
    "cpu_limit",
    "deadline",
    "memory_limit",
    "call_limit",
    "output_limit",
    "trap",
    "panic",
    "output_rejected",
];
/// The checks of the site.
const CHECKS: &[&str] = &["output_rejected", "output_limit", "deadline"];
/// The schema is refused with its template or with the call, or evaluating it is stopped.
const SCHEMA: &[&str] = &["template_load", "invalid_order", "template_error", "ai", "deadline"];

/// All samples.
pub fn corpus() -> Vec<Sample> {
    [straight_lines(), large_sites(), slow_sites(), error_bodies(), schemas(), amplifiers()]
        .concat()
}

fn sample(kind: &'static str, name: impl Into<String>, crafted: &Crafted) -> Sample {
    Sample {
        name: name.into(),
        kind,
        component: Some(crafted.component()),
        order: order("02-dentist-us-minimal"),
        ends: CHECKS,
        may_succeed: false,
    }
}

/// A text that lives as long as the process, for the fields of [`Crafted`].
fn leaked(text: String) -> &'static str {
    text.leak()
}

// -------------------------------------------------------------------------------------------------
// C1: code without loops.

/// Calls in a straight line.
const CALLS: usize = 1_000;
/// Pages of memory: 255 MiB, almost all that a run may have.
const PAGES: u32 = 4_080;
/// Megabytes that each call passes: almost all of the memory, and what one call may pass.
const PASSED: [u32; 2] = [255, 60];
/// Megabytes of the largest text that a call may pass.
const LARGEST_TEXT: u32 = 4;

/// C1: straight lines of host calls, in `generate` and in `describe`.
pub fn straight_lines() -> Vec<Sample> {
    // A larger text stops its guest at the first call, so this one is read most often.
    let largest = straight_lines_of(LARGEST_TEXT).into_iter();
    let largest = largest.filter(|sample| sample.name.contains("panicked"));
    PASSED.into_iter().flat_map(straight_lines_of).chain(largest).collect()
}

/// The same, with this number of megabytes in each call.
fn straight_lines_of(megabytes: u32) -> Vec<Sample> {
    // Zeros are valid UTF-8. The first pages have the module's own data.
    let text = format!("(i32.const 0x50000) (i32.const {})", megabytes * 1_000_000);
    let none = |count: usize| "(i32.const 0) ".repeat(count);
    let calls = [
        ("log", format!("(call $log (i32.const 2) {text})")),
        ("progress", format!("(call $progress {text} (i32.const 1) (i32.const 2))")),
        (
            "report",
            format!(
                "(call $report (i32.const 0) (i32.const 1024) (i32.const 4) {text} {})",
                none(10)
            ),
        ),
        ("panicked", format!("(call $panicked {text} {})", none(9))),
        ("write", format!("(call $write (i32.const 1120) (i32.const 10) {text} (i32.const 4224))")),
        ("write, as a path", format!("(call $write {text} {text} (i32.const 4224))")),
    ];
    let order = order("02-dentist-us-minimal");
    let mut samples = Vec::new();
    for (name, call) in calls {
        let line = format!("{call}\n").repeat(CALLS);
        let name = format!("{CALLS} calls of {name} with {megabytes} MB");
        samples.push(Sample {
            kind: "C1",
            component: Some(straight("", &line, PAGES)),
            order: order.clone(),
            ends: RUN,
            may_succeed: false,
            name: name.clone(),
        });
        samples.push(Sample {
            kind: "C1",
            component: Some(straight(&line, "", PAGES)),
            order: order.clone(),
            // If what is passed is cut, the template is an ordinary one without a page.
            ends: &["template_load", "output_rejected"],
            may_succeed: false,
            name: format!("{name} in describe"),
        });
    }
    // A request of zeros: everything in it is empty, except its purpose.
    let ask = format!(
        "(call $pair (i32.const 262144) {text}) (drop (call $complete (i32.const 262144) \
         (i32.const 262400)))\n"
    );
    let generate = format!("{} (call $return (i32.const 4096)) (i32.const 0)", ask.repeat(CALLS));
    let asks = Crafted { generate: leaked(generate), pages: PAGES, ..Crafted::default() };
    let name = format!("{CALLS} calls of ai.complete with {megabytes} MB");
    samples.push(Sample { ends: RUN, ..sample("C1", name, &asks) });
    samples
}

// -------------------------------------------------------------------------------------------------
// C2 and C3: sites.

/// A file made of pieces, each repeated.
#[derive(Debug, Clone)]
pub struct Repeated {
    path: &'static str,
    pieces: Vec<(String, usize)>,
}

impl Repeated {
    /// A file of these pieces.
    pub fn new(path: &'static str, pieces: &[(&str, usize)]) -> Self {
        let pieces = pieces.iter().map(|(text, times)| ((*text).to_owned(), *times)).collect();
        Repeated { path, pieces }
    }

    /// A valid page with these pieces in its body.
    pub fn page(pieces: &[(&str, usize)]) -> Self {
        Self::page_with("", pieces)
    }

    /// A valid page with this text in its head, and these pieces in its body.
    pub fn page_with(head: &str, pieces: &[(&str, usize)]) -> Self {
        let mut page = Repeated::new("index.html", pieces);
        let start = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>A \
             page</title><meta name=\"description\" content=\"A page\"><meta name=\"viewport\" \
             content=\"width=device-width\">{head}</head><body><h1>A page</h1><p>It has as much text as \
             a page needs.</p>{IMPRINT}"
        );
        page.pieces.insert(0, (start, 1));
        page.pieces.push(("</body></html>".to_owned(), 1));
        page
    }

    fn bytes(&self) -> usize {
        self.pieces.iter().map(|(text, times)| text.len() * times).sum()
    }
}

/// A template that writes these files.
pub fn writes(files: &[Repeated]) -> Crafted {
    /// Address of the pieces, and of the content while it is made.
    const PIECES: usize = 0x8_0000;
    const CONTENT: usize = 0x20_0000;
    let mut at = PIECES;
    let mut also = String::from(
        "(func $repeat (param $to i32) (param $from i32) (param $length i32) (param $times i32)
            (result i32)
            (block $done (loop $again
                (br_if $done (i32.eqz (local.get $times)))
                (memory.copy (local.get $to) (local.get $from) (local.get $length))
                (local.set $to (i32.add (local.get $to) (local.get $length)))
                (local.set $times (i32.sub (local.get $times) (i32.const 1)))
                (br $again)))
            (local.get $to))",
    );
    let mut generate = String::from("(local $end i32)\n");
    let mut placed = |text: &str| {
        let bytes: String = text.bytes().fold(String::new(), |mut escaped, byte| {
            escaped += &format!("\\{byte:02x}");
            escaped
        });
        also += &format!("(data (i32.const {at}) \"{bytes}\")");
        at += text.len();
        assert!(at <= CONTENT, "the pieces are too long: {at}");
        format!("(i32.const {}) (i32.const {})", at - text.len(), text.len())
    };
    for file in files {
        generate += &format!("(local.set $end (i32.const {CONTENT}))");
        for (text, times) in &file.pieces {
            generate += &format!(
                "(local.set $end (call $repeat (local.get $end) {} (i32.const {times})))",
                placed(text)
            );
        }
        generate += &format!(
            "(call $write {} (i32.const {CONTENT}) (i32.sub (local.get $end) (i32.const \
             {CONTENT})) (i32.const 4224))
             (if (i32.load8_u (i32.const 4224)) (then unreachable))",
            placed(file.path)
        );
    }
    generate.push_str("(call $return (i32.const 4096)) (i32.const 0)");
    let most = files.iter().map(Repeated::bytes).max().unwrap_or_default();
    Crafted {
        also: leaked(also),
        generate: leaked(generate),
        pages: u32::try_from((CONTENT + most) / 65_536 + 1).expect("a few pages"),
        ..Crafted::default()
    }
}

/// C2: sites whose check would collect far more than they have.
pub fn large_sites() -> Vec<Sample> {
    let nested_style = Repeated::page(&[
        ("<svg>", 1),
        ("<style>a{background:url(a)}", 4_000),
        ("</style>", 4_000),
        ("</svg>", 1),
    ]);
    let sheets = ["a.css", "b.css", "c.css", "d.css", "e.css", "f.css", "g.css"];
    let style_sheets: Vec<Repeated> = std::iter::once(Repeated::page(&[]))
        .chain(sheets.map(|path| Repeated::new(path, &[("a{b:url(a)}", 600_000)])))
        .collect();
    let json =
        |pieces: &[(&str, usize)]| vec![Repeated::page(&[]), Repeated::new("data.json", pieces)];
    [
        ("nested style elements in an SVG", vec![nested_style], false),
        ("seven style sheets of url()", style_sheets, false),
        ("8 MB of empty JSON keys", json(&[("[", 1), ("{\"\":0},", 1_000_000), ("0]", 1)]), true),
        ("8 MB of JSON arrays", json(&[("[", 1), ("[],", 2_700_000), ("0]", 1)]), true),
        ("a million links on a page", vec![Repeated::page(&[("<a href=b></a>", 550_000)])], false),
        (
            "a srcset of a million images",
            vec![Repeated::page(&[
                ("<img alt=a src=a srcset=\"", 1),
                ("a 1x,", 1_000_000),
                ("\">", 1),
            ])],
            false,
        ),
        ("a million problems", vec![Repeated::page(&[("<img src>", 800_000)])], false),
    ]
    .into_iter()
    .map(|(name, files, may_succeed)| Sample { may_succeed, ..sample("C2", name, &writes(&files)) })
    .collect()
}

/// C3: sites, and an order, whose check would take quadratic time or longer.
pub fn slow_sites() -> Vec<Sample> {
    let svg = |pieces: &[(&str, usize)]| {
        let mut file = Repeated::new("icon.svg", pieces);
        file.pieces.insert(0, ("<svg xmlns=\"http://www.w3.org/2000/svg\">".to_owned(), 1));
        file.pieces.push(("</svg>".to_owned(), 1));
        vec![Repeated::page(&[]), file]
    };
    let css =
        |pieces: &[(&str, usize)]| vec![Repeated::page(&[]), Repeated::new("style.css", pieces)];
    let page = |pieces: &[(&str, usize)]| vec![Repeated::page(pieces)];
    let attributes: String = (0..8_000).fold("<p".to_owned(), |mut tag, number| {
        tag += &format!(" a{number}");
        tag
    }) + "></p>";
    let ids: String = (0..20_000).fold(String::new(), |mut ids, number| {
        ids += &format!("<p id=i{number}></p><a href=#i{number}>x</a>");
        ids
    });
    let base = format!("<base href=\"/{}/\">", "a".repeat(100_000));
    let mut samples: Vec<Sample> = [
        ("deep elements in an SVG", svg(&[("<a>x", 300_000), ("</a>", 300_000)])),
        ("deep elements in an SVG that never end", svg(&[("<a>x", 1_000_000)])),
        ("many entities in an SVG", svg(&[("&amp;&#65;&lt;", 500_000)])),
        (
            "a long base and many links",
            vec![Repeated::page_with(&base, &[("<a href=b>b</a>", 20_000)])],
        ),
        ("nested templates", page(&[("<template>", 200_000)])),
        ("8,000 attributes a tag", page(&[(&attributes, 150)])),
        ("brackets in a style sheet", css(&[("a{b:", 1), (")", 8_000_000)])),
        ("open blocks in a style sheet", css(&[("a{(", 2_000_000)])),
        ("open strings in a style sheet", css(&[("a{b:\"\n", 1_000_000)])),
        ("placeholders", page(&[("{{", 4_000_000)])),
        ("other placeholders", page(&[("${", 4_000_000)])),
        ("formatting elements", page(&[("<b><a href=b>", 300_000)])),
        ("formatting elements that cross", page(&[("<b><i><p></b>", 300_000)])),
        ("nested tables", page(&[("<table><tr>x", 300_000)])),
        ("nested select elements", page(&[("<select><option>", 300_000)])),
        ("closing tags without an opening one", page(&[("<p></div></b>", 300_000)])),
        ("deep elements", page(&[("<div>", 1_000_000)])),
        ("many ids and links to them", page(&[(&ids, 4)])),
        // Small enough to be checked at once.
        (
            "selectors in each other",
            vec![Repeated::page_with(
                "<style>:is(:is(:is(:is(:is(b q) q) q) q) q) q{color:red}</style>",
                &[("<q>", 200), ("<q>x</q>", 5_000), ("</q>", 200)],
            )],
        ),
        (
            "rules in a rule with many selectors",
            css(&[("a:hover,", 12_000), ("a{", 1), ("@media print{color:red}", 3_000), ("}", 1)]),
        ),
        (
            "rules in a rule with a long list",
            css(&[("a,", 400), ("a{", 1), ("b{color:red}", 14_000), ("}", 1)]),
        ),
        (
            "deep JSON",
            vec![
                Repeated::page(&[]),
                Repeated::new("data.json", &[("[", 4_000_000), ("]", 4_000_000)]),
            ],
        ),
    ]
    .into_iter()
    .map(|(name, files)| Sample { may_succeed: true, ..sample("C3", name, &writes(&files)) })
    .collect();
    samples.push(order_of_placeholders());
    samples
}

/// A page that shows the order document, and a customer who wrote placeholders.
fn order_of_placeholders() -> Sample {
    let head = "<!doctype html><html lang=en><title>A page</title><pre>";
    let also = format!("(data (i32.const 2560) \"{head}\")");
    let generate = format!(
        "(memory.copy (i32.const 0x200000) (i32.const 2560) (i32.const {length}))
         (memory.copy (i32.const {page}) (local.get $order) (local.get $length))
         (call $write (i32.const 1120) (i32.const 10) (i32.const 0x200000)
            (i32.add (local.get $length) (i32.const {length})) (i32.const 4224))
         (call $return (i32.const 4096)) (i32.const 0)",
        length = head.len(),
        page = 0x20_0000 + head.len(),
    );
    let crafted =
        Crafted { also: leaked(also), generate: leaked(generate), pages: 64, ..Crafted::default() };
    let mut order = order("02-dentist-us-minimal");
    let texts: Vec<Value> = (0..12)
        .map(|number| json!({ "name": format!("n{number}"), "text": "{{".repeat(10_000) }))
        .collect();
    order["onboarding"]["testimonials"] = json!(texts);
    Sample {
        order,
        may_succeed: true,
        ..sample("C3", "a customer who writes placeholders", &crafted)
    }
}

// -------------------------------------------------------------------------------------------------
// C4: providers.

/// Size of an error body in bytes: almost what the gateway reads of one.
const ERROR_BODY: usize = 4_000_000;

/// Pieces of error bodies: what begins like a key, an address or a document, and what is inside.
const ERROR_PIECES: [(&str, &str); 11] = [
    ("", "ask-"),
    ("", "key="),
    ("", "sk-"),
    ("", "Bearer "),
    ("", "authorization: basic "),
    ("sk-", "a"),
    ("https://user:", "a@"),
    ("{\"error\": {\"message\": \"", "ask-"),
    ("{\"error\": ", "{\"error\": "),
    ("{\"error\": {\"message\": \"", "\\\\\\\""),
    ("<html><title>", "<title>&amp;"),
];

/// The error body that an AI call asks for, if it asks for one: its text has the name of an order
/// of [`error_bodies`].
pub fn error_body(asked: &str) -> Option<String> {
    let number = asked.split_once(ASKS_FOR)?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let (begin, piece) = ERROR_PIECES.get(number[..digits].parse::<usize>().ok()?)?;
    Some(format!("{begin}{}", piece.repeat(ERROR_BODY / piece.len())))
}

/// Precedes the number of the error body in a call.
const ASKS_FOR: &str = "error-body-";

/// C4: orders of the guest `faulty` whose provider answers 400 with a hostile body, which
/// [`error_body`] makes.
pub fn error_bodies() -> Vec<Sample> {
    let calls = |number: usize| {
        let prompt = format!("[[{ASKS_FOR}{number}]] ");
        faulty("calls-in-turn", json!({ "n": 1, "prompt": prompt }))
    };
    ERROR_PIECES
        .iter()
        .enumerate()
        .map(|(number, (begin, piece))| Sample {
            name: format!("an error body of {begin}{piece}..."),
            kind: "C4",
            component: None,
            order: calls(number),
            ends: &["ai"],
            may_succeed: false,
        })
        .collect()
}

// -------------------------------------------------------------------------------------------------
// H1: schemas.

/// A way to refer to another schema in the same document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference {
    /// `$ref` with a JSON pointer.
    Pointer,
    /// `$id` in each definition, and a `$ref` relative to it.
    Id,
    /// The `id` of draft 4.
    OldId,
    /// `$anchor`.
    Anchor,
    /// `$dynamicAnchor` and `$dynamicRef`.
    DynamicAnchor,
    /// All of them in rotation.
    Mixed,
}

/// A schema of about 60 bytes a level whose evaluation visits 2^`levels` schemas.
fn doubling(reference: Reference, levels: usize) -> Value {
    let kinds = [Reference::Pointer, Reference::Id, Reference::Anchor, Reference::DynamicAnchor];
    let of = |level: usize| match reference {
        Reference::Mixed => kinds[level % kinds.len()],
        other => other,
    };
    // A definition with an `$id` is a base of its own for the references in it.
    let root = if reference == Reference::Mixed { "http://x.test/root" } else { "" };
    let to = |level: usize| match of(level) {
        Reference::Id | Reference::OldId => json!({ "$ref": format!("http://x.test/d{level}") }),
        Reference::Anchor => json!({ "$ref": format!("{root}#d{level}") }),
        Reference::DynamicAnchor => json!({ "$dynamicRef": format!("{root}#d{level}") }),
        Reference::Pointer | Reference::Mixed => {
            json!({ "$ref": format!("{root}#/$defs/d{level}") })
        }
    };
    let relative = reference == Reference::Id || reference == Reference::OldId;
    let mut definitions = Map::new();
    for level in 0..levels {
        let next =
            if relative { json!({ "$ref": format!("d{}", level + 1) }) } else { to(level + 1) };
        let mut definition = json!({ "allOf": [next, next] });
        match of(level) {
            Reference::Id => definition["$id"] = json!(format!("http://x.test/d{level}")),
            Reference::OldId => definition["id"] = json!(format!("http://x.test/d{level}")),
            Reference::Anchor => definition["$anchor"] = json!(format!("d{level}")),
            Reference::DynamicAnchor => {
                definition["$dynamicAnchor"] = json!(format!("d{level}"));
            }
            Reference::Pointer | Reference::Mixed => {}
        }
        definitions.insert(format!("d{level}"), definition);
    }
    let mut last = json!({ "type": "object" });
    match of(levels) {
        Reference::Id => last["$id"] = json!(format!("http://x.test/d{levels}")),
        Reference::OldId => last["id"] = json!(format!("http://x.test/d{levels}")),
        Reference::Anchor => last["$anchor"] = json!(format!("d{levels}")),
        Reference::DynamicAnchor => last["$dynamicAnchor"] = json!(format!("d{levels}")),
        Reference::Pointer | Reference::Mixed => {}
    }
    definitions.insert(format!("d{levels}"), last);
    let mut schema = to(0);
    schema["$defs"] = Value::Object(definitions);
    match reference {
        Reference::OldId => {
            schema["$schema"] = json!("http://json-schema.org/draft-04/schema#");
            schema["definitions"] = schema["$defs"].take();
        }
        Reference::Id | Reference::Mixed => schema["$id"] = json!("http://x.test/root"),
        _ => {}
    }
    schema
}

/// Other schemas that cost more than they should, with a document that each accepts or refuses.
fn expensive_schemas() -> Vec<(&'static str, Value)> {
    let many = |count: usize| (0..count).map(|n| json!({ "minLength": n })).collect::<Vec<_>>();
    let mut unevaluated = doubling(Reference::Pointer, 12);
    if let Some(definitions) = unevaluated["$defs"].as_object_mut() {
        for definition in definitions.values_mut() {
            definition["unevaluatedProperties"] = json!(true);
        }
    }
    vec![
        (
            "a recursion at every key",
            json!({
                "$id": "http://x.test/r",
                "anyOf": [{ "additionalProperties": { "$ref": "r" } },
                          { "additionalProperties": { "$ref": "r" } }, { "type": "string" }],
            }),
        ),
        ("unevaluated properties at every level", unevaluated),
        (
            "many patterns for each key",
            json!({
                "patternProperties": (0..1_000)
                    .map(|n| (format!("^(a|b|_|e)*{n}$"), json!(true)))
                    .collect::<Map<String, Value>>(),
            }),
        ),
        ("a thousand alternatives", json!({ "additionalProperties": { "anyOf": many(1_000) } })),
    ]
}

/// H1: schemas whose evaluation multiplies, in the manifest and in an AI call.
pub fn schemas() -> Vec<Sample> {
    use Reference::{Anchor, DynamicAnchor, Id, Mixed, OldId, Pointer};
    let mut schemas: Vec<(String, Value)> = [Pointer, Id, OldId, Anchor, DynamicAnchor, Mixed]
        .into_iter()
        .map(|reference| (format!("a chain by {reference:?}"), doubling(reference, 40)))
        .collect();
    schemas.extend(expensive_schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    let mut samples = Vec::new();
    for (name, schema) in schemas {
        let crafted = Crafted { schema: schema.to_string(), ..Crafted::default() };
        samples.push(Sample {
            // With a schema that is cheap after all the template runs, and writes no page.
            ends: &["template_load", "invalid_order", "deadline", "output_rejected"],
            ..sample("H1", format!("{name} in the manifest"), &crafted)
        });
        samples.push(Sample {
            name: format!("{name} in an AI call"),
            kind: "H1",
            component: None,
            order: faulty(
                "ai-echo",
                json!({ "prompt": "[[json]] call 1", "format": "json-schema", "schema": schema }),
            ),
            ends: SCHEMA,
            may_succeed: true,
        });
    }
    samples
}

// -------------------------------------------------------------------------------------------------
// M4: compiling.

/// M4: templates that are small and become large, or take long, when they are compiled.
pub fn amplifiers() -> Vec<Sample> {
    let images =
        |modules| (format!("{modules} modules with 16 MiB images"), memory_images(modules));
    let bomb = |name: &str, bomb: Bomb| (name.to_owned(), bomb.component());
    [
        images(4),
        images(15),
        images(200),
        bomb("a huge function", Bomb::HugeFunction(1_000_000)),
        bomb("many variables in many branches", Bomb::ManyLocals(20_000)),
        bomb("50,000 functions", Bomb::ManyFunctions(50_000)),
    ]
    .into_iter()
    .map(|(name, component)| Sample {
        name,
        kind: "M4",
        component: Some(component),
        order: order("02-dentist-us-minimal"),
        // A template that fits into the limits runs, and writes no page. Compiling takes from the
        // time of the attempt that needs the template.
        ends: &["template_load", "deadline", "output_rejected"],
        may_succeed: false,
    })
    .collect()
}
