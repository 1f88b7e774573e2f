//! What holds for any text: no panic, bounded findings, time in proportion to the text.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sitewright_copy::{
    CopyCheck, CopyRule, Facts, MAX_FINDINGS, MAX_REPLY_FINDINGS, SearchRoom, TextKind,
};

const KINDS: [TextKind; 3] = [TextKind::Heading, TextKind::Label, TextKind::Text];
const UNKNOWN: [CopyRule; 7] = [
    CopyRule::UnknownPhone,
    CopyRule::UnknownEmail,
    CopyRule::UnknownPrice,
    CopyRule::UnknownYear,
    CopyRule::UnknownAward,
    CopyRule::UnknownFigure,
    CopyRule::UnknownAddress,
];

fn facts(value: &serde_json::Value) -> Facts {
    Facts::of_order(&value.to_string()).unwrap()
}

/// Pieces of text that rules look at.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-zA-Zéß]{1,8}",
        "[0-9]{1,12}",
        prop::sample::select(vec![
            " ",
            "\n",
            "[",
            "]",
            "{",
            "}",
            "{{",
            "}}",
            "<",
            ">",
            "**",
            "__",
            "`",
            "```",
            "%s",
            "$",
            "€",
            "&amp;",
            "\\n",
            "\\u00e9",
            "+",
            "(0)",
            "-",
            ".",
            ",",
            "@",
            "www.",
            "https://",
            "a@b.com",
            "b.com",
            "None",
            "null",
            "NaN",
            "TODO",
            "XXX",
            "1987",
            "since ",
            "$25",
            "1.234,50 €",
            "award",
            "\"",
            "„",
            "(",
            "…",
            "٣٤٥",
            "１２",
            "שלום",
            "こんにちは。",
            "ー",
            "\u{200b}",
            "\u{0}",
            "\u{301}",
            "İ",
            "ß",
            "ﬁ",
            "As an AI ",
            "#1 ",
            "- ",
            "# ",
            "|",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_text_has_bounded_findings(text in pieces(), order in pieces(), year in 0_u16..3000) {
        let facts = facts(&serde_json::json!({"about": order}));
        for language in ["en", "pt", "de", "ja", "ar", "xx", ""] {
            let check = CopyCheck::new(&facts, year).language(Some(language)).forbid(["bread", ""]);
            for kind in KINDS {
                let found = check.check(&text, kind);
                prop_assert!(found.len() <= MAX_FINDINGS);
                for finding in found {
                    prop_assert!(finding.excerpt.chars().count() <= 120);
                    prop_assert!(!finding.message.is_empty());
                }
            }
            prop_assert!(check.check_reply(&text, true).len() <= MAX_REPLY_FINDINGS);
        }
    }

    #[test]
    fn a_text_of_the_order_has_no_unknown_facts(text in pieces(), other in pieces()) {
        let facts = facts(&serde_json::json!({"about": text, "more": {"list": [other]}}));
        let check = CopyCheck::new(&facts, 2026);
        let around = format!("So it is. {text} Thus it goes.");
        for text in [&text, &around] {
            for kind in KINDS {
                let found = check.check(text, kind);
                let unknown = found.iter().find(|finding| UNKNOWN.contains(&finding.rule));
                prop_assert!(unknown.is_none(), "{unknown:?}");
            }
        }
    }

    #[test]
    fn pointers_lead_to_their_texts(name in "[a-z~/]{1,6}", text in pieces()) {
        let facts = facts(&serde_json::json!({}));
        let reply = serde_json::json!({"a": [1, {name: format!("{text} [Business Name] x")}]});
        let found = CopyCheck::new(&facts, 2026).check_reply(&reply.to_string(), true);
        for (pointer, _) in found {
            prop_assert!(reply.pointer(&pointer).is_some_and(serde_json::Value::is_string));
        }
    }
}

/// Each text that is looked for in an order takes time in proportion to the order, so all of them
/// together have a bound, whatever they are.
#[test]
fn texts_that_search_the_order_again_and_again_have_a_bound() {
    const ROOM: usize = 10_000_000;
    let order =
        serde_json::json!({"about": format!("As an AI we sell bread. {}", "x ".repeat(50_000))});
    let facts = facts(&order);
    let numbered = |of: fn(usize) -> String| (0..1_000).map(of).collect::<String>();
    let path = numbered(|n| format!("/part{n}"));
    let strings = numbered(|n| format!("\"{n}\\nb\","));
    let rows = [
        ("parts of an address", format!("instagram.com{path}")),
        ("addresses", numbered(|n| format!("instagram.com/a{n}/b{n} "))),
        ("years", numbered(|_| "best of 1987, ".to_owned())),
        ("texts of two lines", format!("[{strings}0]")),
        ("texts of four words", format!("[{}0]", numbered(|n| format!("\"a b c d{n}\",")))),
    ];
    for (name, reply) in rows {
        let room = SearchRoom::new(ROOM);
        CopyCheck::new(&facts, 2026).searching(room.clone()).check_reply(&reply, true);
        assert!(room.left() < 200_000, "{name}: {} bytes are left", room.left());
    }
    // Without room the order is not believed to have a text.
    let text = "As an AI";
    for (bytes, expected) in [(ROOM, 0), (0, 1)] {
        let check = CopyCheck::new(&facts, 2026).searching(SearchRoom::new(bytes));
        assert_eq!(check.check(text, TextKind::Heading).len(), expected, "{bytes}");
    }
    let room = SearchRoom::new(ROOM);
    let check = CopyCheck::new(&facts, 2026).searching(room.clone());
    check.check("We bake.", TextKind::Text);
    assert_eq!(room.left(), ROOM, "nothing of it needs the order");
}

/// Texts of 128 KiB that make a careless scan look at the rest of the text at each place.
#[test]
fn large_texts_take_time_in_proportion() {
    let order =
        serde_json::json!({"about": "[a] ".repeat(20_000), "more": "x 1 2 3 ".repeat(9_000)});
    let facts = facts(&order);
    let check = CopyCheck::new(&facts, 2026).language(Some("en")).forbid(["bread"]);
    let units = [
        "[",
        "{",
        "<",
        "*",
        "**",
        "__",
        "_",
        "`",
        "%",
        "~",
        "&",
        "\\",
        "(",
        "\"",
        "-",
        "1 ",
        "1.",
        "+1 ",
        "$1 ",
        "1-",
        "a@",
        "a.",
        "www.",
        "#",
        "| ",
        "- \n",
        "# \n",
        "title ",
        "sure ",
        "x",
        "X X ",
        "None ",
        "null ",
        "TODO ",
        "[a] ",
        "a b ",
        "a. ",
        "word ",
        "\n",
        "あ",
        "。",
        "、",
        "2001 ",
        "call ",
        "€",
        "https://a.de/ ",
        "Ã",
        "award ",
        "= ",
        "\u{200b}",
        "a-",
        "b@c.de ",
    ];
    const SIZE: usize = 1 << 17;
    for unit in units {
        let text = unit.repeat(SIZE / unit.len());
        let start = Instant::now();
        let found = check.check(&text, TextKind::Text);
        let took = start.elapsed();
        // A quadratic scan takes several minutes.
        assert!(took < Duration::from_secs(60), "{unit:?} took {took:?}");
        assert!(found.len() <= MAX_FINDINGS);
    }
}
