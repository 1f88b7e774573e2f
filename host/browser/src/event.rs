//! The events of a page that matter, and what is kept of them.

use serde_json::Value;

use sitewright_site::excerpt;

/// Maximum characters of a text of a page.
const TEXT: usize = 300;
/// Maximum bytes of an address. A longer one is cut, and leads to no file.
const ADDRESS: usize = 4_096;

/// An event of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The page and what it refers to are loaded.
    Loaded,
    /// The page asks for something and waits. `navigates` is the frame that it is the document of.
    Requested { id: String, address: String, method: String, navigates: Option<String> },
    /// The console shows an error.
    Logged { text: String, place: Place },
    /// A script ended with an exception that nothing catches.
    Thrown { text: String, place: Place },
    /// A dialog keeps the page from going on.
    Dialog,
    /// The page's process ended.
    Crashed,
}

/// Where a script was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The address of the file; empty if it is unknown.
    pub(crate) address: String,
    /// Counted from 1.
    pub(crate) line: Option<u64>,
}

impl Event {
    /// The event of this method; `None` if it does not matter.
    pub(crate) fn of(method: &str, params: &Value) -> Option<Self> {
        Some(match method {
            "Page.loadEventFired" => Event::Loaded,
            "Page.javascriptDialogOpening" => Event::Dialog,
            "Inspector.targetCrashed" => Event::Crashed,
            "Fetch.requestPaused" => Event::Requested {
                id: text(&params["requestId"]),
                address: address(&params["request"]["url"]),
                method: excerpt(&text(&params["request"]["method"]), TEXT),
                navigates: (params["resourceType"] == "Document").then(|| text(&params["frameId"])),
            },
            "Runtime.consoleAPICalled" if is_error(&params["type"]) => {
                let parts = params["args"].as_array().map(Vec::as_slice).unwrap_or_default();
                let parts: Vec<String> = parts.iter().map(shown).collect();
                Event::Logged {
                    text: excerpt(&parts.join(" "), TEXT),
                    place: Place::of_frame(&params["stackTrace"]["callFrames"][0]),
                }
            }
            "Runtime.exceptionThrown" => {
                let details = &params["exceptionDetails"];
                let thrown = shown(&details["exception"]);
                // The stack follows, which has addresses that visitors never see.
                let first = thrown.lines().next().filter(|line| !line.trim().is_empty());
                let text = first.map_or_else(|| text(&details["text"]), str::to_owned);
                let frame = &details["stackTrace"]["callFrames"][0];
                let place = match frame.is_null() {
                    true => Place::of_frame(details),
                    false => Place::of_frame(frame),
                };
                Event::Thrown { text: excerpt(&text, TEXT), place }
            }
            // Failed requests are known from the requests.
            "Log.entryAdded"
                if is_error(&params["entry"]["level"])
                    && params["entry"]["source"] != "network" =>
            {
                let entry = &params["entry"];
                Event::Logged {
                    text: excerpt(&text(&entry["text"]), TEXT),
                    place: Place::of_frame(entry),
                }
            }
            _ => return None,
        })
    }
}

impl Place {
    /// Of an object with `url` and `lineNumber`, which is counted from 0.
    fn of_frame(frame: &Value) -> Self {
        let line = frame["lineNumber"].as_u64().map(|line| line.saturating_add(1));
        Place { address: address(&frame["url"]), line }
    }
}

fn is_error(kind: &Value) -> bool {
    kind == "error" || kind == "assert"
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn address(value: &Value) -> String {
    let address = value.as_str().unwrap_or_default();
    address[..address.floor_char_boundary(ADDRESS)].to_owned()
}

/// A value of a script as the console shows it.
fn shown(object: &Value) -> String {
    match (&object["description"], &object["value"]) {
        (Value::String(description), _) => description.clone(),
        (_, Value::String(value)) => value.clone(),
        (_, Value::Null) => text(&object["type"]),
        (_, value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_all_events_those_are_kept_that_tell_of_faults() {
        let frame = json!({ "url": "https://a/x.js", "lineNumber": 2, "columnNumber": 4 });
        let stack = json!({ "callFrames": [frame] });
        let place = |line| Place { address: "https://a/x.js".to_owned(), line: Some(line) };
        let logged =
            |text: &str, line| Some(Event::Logged { text: text.to_owned(), place: place(line) });
        let thrown = |text: &str, place| Some(Event::Thrown { text: text.to_owned(), place });
        let nowhere = Place { address: String::new(), line: None };
        let rows = [
            (
                "Runtime.consoleAPICalled",
                json!({
                    "type": "error",
                    "args": [{ "type": "string", "value": "bad" }, { "type": "number", "value": 7 },
                        { "type": "object", "description": "Object" }, { "type": "undefined" }],
                    "stackTrace": stack,
                }),
                logged("bad 7 Object undefined", 3),
            ),
            ("Runtime.consoleAPICalled", json!({ "type": "warning", "args": [] }), None),
            (
                "Runtime.exceptionThrown",
                json!({ "exceptionDetails": {
                    "text": "Uncaught",
                    "url": "https://a/x.js",
                    "lineNumber": 0,
                    "exception": { "description": "TypeError: no\n    at https://a/x.js:1:1" },
                } }),
                thrown("TypeError: no", place(1)),
            ),
            (
                "Runtime.exceptionThrown",
                json!({ "exceptionDetails": { "text": "Uncaught (in promise)",
                    "exception": { "type": "number", "value": 3 }, "stackTrace": stack } }),
                thrown("3", place(3)),
            ),
            (
                "Runtime.exceptionThrown",
                json!({ "exceptionDetails": { "text": "Uncaught" } }),
                thrown("Uncaught", nowhere),
            ),
            (
                "Log.entryAdded",
                json!({ "entry": { "source": "security", "level": "error", "text": "refused",
                    "url": "https://a/x.js", "lineNumber": 6 } }),
                logged("refused", 7),
            ),
            (
                "Log.entryAdded",
                json!({ "entry": { "source": "network", "level": "error", "text": "404" } }),
                None,
            ),
            ("Page.loadEventFired", json!({}), Some(Event::Loaded)),
            ("Page.frameNavigated", json!({}), None),
        ];
        for (method, params, expected) in rows {
            assert_eq!(Event::of(method, &params), expected, "{method} {params}");
        }
        let long = json!({ "entry": { "source": "other", "level": "error",
            "text": "x".repeat(10_000), "url": "é".repeat(10_000) } });
        let Some(Event::Logged { text, place }) = Event::of("Log.entryAdded", &long) else {
            panic!("it is an error");
        };
        assert!(text.chars().count() <= TEXT + 1 && place.address.len() <= ADDRESS);
    }
}
