//! The delimiters of order data in prompts: what a model gets of a template in each language. The
//! crate `sitewright-rules` has the cases.

use serde_json::json;
use sitewright_tests::chat_server::{Answer, ChatServer};
use sitewright_tests::languages::plugin;
use sitewright_tests::{Workbench, order};

/// The mark in the only delimiters of a prompt.
fn mark_of(prompt: &str) -> String {
    let marks: Vec<&str> = prompt
        .split("<data-")
        .skip(1)
        .map(|rest| rest.split([' ', '>']).next().unwrap_or_default())
        .collect();
    assert!(!marks.is_empty() && marks.iter().all(|mark| *mark == marks[0]), "{prompt}");
    assert_eq!(marks[0].len(), 32, "{prompt}");
    marks[0].to_owned()
}

#[test]
fn e14_the_mark_is_the_order_s_in_every_language() {
    const TEST: &str = "e14_the_mark_is_the_order_s_in_every_language";
    let server = ChatServer::start(sitewright_tests::ANY_ANSWER, |_| Answer::Http {
        status: 400,
        headers: &[],
        body: json!({ "error": { "message": "no" } }).to_string(),
    });
    let bench = Workbench::configured(&format!(
        "[ai.retry]\nattempts = 1\n[ai.providers.local]\nkind = \"openai\"\nbase_url = \
         \"{}\"\n[ai.routes.default]\ntry = [{{ provider = \"local\", model = \"m\" }}]\n",
        server.base_url()
    ));
    let one = order("04-other-hostile-text");
    let mut other = one.clone();
    other["onboarding"]["design_notes"] = json!("a note that no prompt contains");
    let mut seen = Vec::new();
    for name in ["local-business", "landing-py", "landing-js"] {
        let Some(file) = plugin(name, TEST) else { continue };
        let marks: Vec<String> = [&one, &one, &other]
            .into_iter()
            .map(|order| {
                let before = server.calls().len();
                assert_ne!(bench.generate(&file, order).code, 0);
                let calls = server.calls().split_off(before);
                let marks: Vec<_> =
                    calls.iter().flat_map(|call| call.messages()).map(mark_of).collect();
                assert!(!marks.is_empty() && marks.iter().all(|mark| *mark == marks[0]), "{name}");
                marks[0].clone()
            })
            .collect();
        assert_eq!(marks[0], marks[1], "{name}: an attempt repeats the prompts of the last one");
        assert_ne!(marks[0], marks[2], "{name}: the mark is of the whole document");
        seen.push(marks);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]), "{seen:?}");
}
