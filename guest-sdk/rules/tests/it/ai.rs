//! Kinds of AI errors, their names, and what an HTTP status means.

use sitewright_rules::ai::{AiErrorKind, UnknownKind};

/// The cases of an enum in the contract, in order.
fn cases_in_contract(name: &str) -> Vec<&'static str> {
    let contract = include_str!("../../../../wit/0.2.0/template.wit");
    let (_, after) = contract.split_once(&format!("enum {name} {{")).expect("the enum");
    let (body, _) = after.split_once('}').expect("its end");
    let cases = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    cases.filter_map(|line| line.strip_suffix(',')).collect()
}

#[test]
fn the_kinds_are_those_of_the_contract_in_its_order() {
    assert_eq!(AiErrorKind::ALL.map(AiErrorKind::as_str).to_vec(), cases_in_contract("error-kind"));
}

#[test]
fn a_kind_has_the_contracts_name_and_in_json_the_same_in_snake_case() {
    for kind in AiErrorKind::ALL {
        assert_eq!(kind.to_string(), kind.as_str());
        assert_eq!(kind.as_str().parse(), Ok(kind));
        let json = serde_json::to_value(kind).unwrap();
        assert_eq!(json, kind.as_str().replace('-', "_"));
        assert_eq!(serde_json::from_value::<AiErrorKind>(json).unwrap(), kind);
        let old = serde_json::Value::from(kind.as_str());
        assert_eq!(serde_json::from_value::<AiErrorKind>(old).unwrap(), kind);
    }
    let unknown = "rate_limited".parse::<AiErrorKind>().unwrap_err();
    assert_eq!(unknown, UnknownKind("rate_limited".to_owned()));
    assert_eq!(unknown.to_string(), r#""rate_limited" is not an AI error kind"#);
}

#[test]
fn the_schema_names_every_kind() {
    let schema = serde_json::to_value(schemars::schema_for!(AiErrorKind)).unwrap();
    let names: Vec<&str> = schema["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["const"].as_str().unwrap())
        .collect();
    assert_eq!(names, AiErrorKind::ALL.map(|kind| kind.as_str().replace('-', "_")));
}

#[test]
fn e12_a_status_without_an_error_code_has_a_kind() {
    use AiErrorKind::*;
    let rows = [
        (Auth, vec![401]),
        (QuotaExhausted, vec![402]),
        (Permission, vec![403]),
        (NotFound, vec![404, 405, 410]),
        (Timeout, vec![408, 499, 504, 524]),
        (ContextTooLong, vec![413]),
        (RateLimited, vec![429]),
        (InvalidRequest, vec![400, 406, 418, 422]),
        (Overloaded, vec![409, 423, 425, 500, 501, 502, 503, 520, 529, 599]),
        (Other, vec![0, 100, 200, 301, 304, 399, 600, u16::MAX]),
    ];
    for (kind, statuses) in rows {
        for status in statuses {
            assert_eq!(AiErrorKind::of_status(status), kind, "{status}");
        }
    }
}

#[test]
fn e12_the_provider_decides_whether_a_retry_makes_sense() {
    for kind in AiErrorKind::ALL {
        assert!(kind.retryable_after(Some(" true "), "Request too large"), "{kind}");
        assert!(!kind.retryable_after(Some("false"), ""), "{kind}");
        assert!(!kind.retryable_after(None, "Request too large for gpt-oss"), "{kind}");
        for undecided in [None, Some(""), Some("maybe")] {
            assert_eq!(kind.retryable_after(undecided, "try later"), kind.retryable(), "{kind}");
        }
    }
}
