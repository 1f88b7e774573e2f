//! What the words of an error body mean: codes and sentences of all providers, in one table, because
//! a relay passes on the words of the provider behind it.

use sitewright_model::ai::AiErrorKind;

/// Codes in lower case, without separators; see [`squash`]. A code is specific and counts before
/// the status.
const CODES: &[(AiErrorKind, &[&str])] = &[
    (
        AiErrorKind::Auth,
        &[
            "invalidapikey",
            "apikeyinvalid",
            "authenticationerror",
            "invalidauthentication",
            "invalidauthenticationerror",
            "unauthorized",
            "unauthenticated",
            "incorrectapikey",
            "invalidtoken",
            "tokenexpired",
            "expiredapikey",
            "apikeyexpired",
            "expiredtoken",
            "expiredtokenexception",
        ],
    ),
    (
        AiErrorKind::Permission,
        &[
            "permissionerror",
            "permissiondenied",
            "accessdenied",
            "accountdeactivated",
            "modelnotallowed",
            "apikeyserviceblocked",
        ],
    ),
    (
        AiErrorKind::QuotaExhausted,
        &[
            "insufficientquota",
            "insufficientuserquota",
            "insufficientbalance",
            "insufficientbalanceerror",
            "insufficientcredits",
            "insufficientcredit",
            "insufficientfunds",
            "billingerror",
            "billingnotactive",
            "billinghardlimitreached",
            "billingnotenabled",
            "exceededcurrentquotaerror",
            "arrearage",
            "accountoverdueerror",
            "accountarrears",
            "paymentrequired",
            "creditexhausted",
            "creditsexhausted",
            "outofcredits",
            "creditlimit",
            "creditlimitreached",
            "nocredits",
            "notenoughbalance",
            "balancenotenough",
            "pretokenquotaexhausted",
            "tokenquotaexhausted",
            "userquotaexhausted",
            "quotanotenough",
            "prequotafailed",
            "allocationquotafreetieronly",
            "freetieronly",
            "spendlimitexceeded",
            "budgetexceeded",
            "1113",
        ],
    ),
    (
        AiErrorKind::ContextTooLong,
        &[
            "contextlengthexceeded",
            "exceedcontextsizeerror",
            "contextwindowexceeded",
            "contextwindowexceedederror",
            "maxcontextlengthexceeded",
        ],
    ),
    (
        AiErrorKind::ContentFiltered,
        &[
            "contentfilter",
            "contentpolicyviolation",
            "responsibleaipolicyviolation",
            "datainspectionfailed",
            "contentmoderation",
            "sensitivecontent",
            // Zhipu
            "1301",
        ],
    ),
    (
        AiErrorKind::NotFound,
        &[
            "modelnotfound",
            "deploymentnotfound",
            "notfounderror",
            "unknownmodel",
            "modelnotexist",
            "modeldoesnotexist",
            "unknownurl",
        ],
    ),
    (
        AiErrorKind::RateLimited,
        &[
            "ratelimitexceeded",
            "ratelimiterror",
            "ratelimitreached",
            "ratelimitreachederror",
            "throttling",
            "throttlingratequota",
            "toomanyrequests",
        ],
    ),
    (
        AiErrorKind::Overloaded,
        &[
            "overloadederror",
            "overloaded",
            "engineoverloaded",
            "engineoverloadederror",
            "unavailableerror",
            "unavailable",
            "servererror",
            "internalservererror",
            "serviceunavailable",
            "capacityexceeded",
        ],
    ),
    (AiErrorKind::Timeout, &["timeouterror", "deadlineexceeded"]),
    // Groq validates JSON mode itself.
    (AiErrorKind::Malformed, &["jsonvalidatefailed"]),
];

/// The kind that a code means.
pub(super) fn kind_of_code(code: &str) -> Option<AiErrorKind> {
    let code = squash(code);
    CODES.iter().find_map(|(kind, codes)| codes.contains(&code.as_str()).then_some(*kind))
}

/// `insufficient_quota`, `InsufficientQuota` and `Insufficient Quota` are one code.
fn squash(code: &str) -> String {
    code.chars()
        .filter(|letter| letter.is_alphanumeric())
        .take(100)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Sentences that say that the account has no money. They are in lower case.
const NO_MONEY: &[&str] = &[
    "insufficient balance",
    "insufficient account balance",
    "insufficient credit",
    "insufficient fund",
    "insufficient quota",
    "insufficient_quota",
    "not enough credit",
    "not enough balance",
    "balance is not enough",
    "balance is insufficient",
    "balance is too low",
    "balance too low",
    "balance not enough",
    "quota is not enough",
    "quota not enough",
    "quota is insufficient",
    "negative balance",
    "no credits left",
    "have any credits",
    "credit limit",
    "no remaining credit",
    "out of credits",
    "run out of credit",
    "ran out of credit",
    "requires more credits",
    "credit balance",
    "credits exhausted",
    "add more credits",
    "purchase more credits",
    "buy more credits",
    "please recharge",
    "top up your",
    "please top up",
    "in arrears",
    "overdue payment",
    "overdue-payment",
    "payment required",
    "payment method is required",
    "account balance",
    "spending limit",
    "spend limit",
    "hard limit has been reached",
    "billing account is not active",
    "billing to be enabled",
    "余额不足",
    "额度不足",
    "额度已用尽",
    "欠费",
];

/// Whether a whole message is a provider's sentence about its own load, in an answer whose status
/// says nothing.
pub(super) fn says_overloaded(message: &str) -> bool {
    let message = message.to_lowercase();
    ["overload", "at capacity", "too busy", "try again later"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether a message of a 400 begins with a provider's own sentence about money. Other messages of
/// a 400 may quote the prompt.
pub(super) fn begins_with_no_money(message: &str) -> bool {
    let message = message.trim_start().to_lowercase();
    ["your credit balance is too low", "insufficient balance", "your account has insufficient"]
        .iter()
        .any(|words| message.starts_with(words))
}

/// Whether a message says that the key has expired. Some clouds say so with a 403, as if the key
/// had no permission: another key of the same account helps.
pub(super) fn says_expired(message: &str) -> bool {
    let message = message.to_lowercase();
    let of_key = ["token", "key", "credential"].iter().any(|word| message.contains(word));
    of_key
        && ["has expired", "is expired", "have expired", "expired token"]
            .iter()
            .any(|words| message.contains(words))
}

/// Whether a message says that the account has no money. Not for a 400: there the message may
/// quote the prompt.
pub(super) fn says_no_money(message: &str) -> bool {
    let message = message.to_lowercase();
    NO_MONEY.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_any_spelling() {
        for (code, kind) in [
            ("insufficient_user_quota", Some(AiErrorKind::QuotaExhausted)),
            ("Arrearage", Some(AiErrorKind::QuotaExhausted)),
            ("AccountOverdueError", Some(AiErrorKind::QuotaExhausted)),
            ("AllocationQuota.FreeTierOnly", Some(AiErrorKind::QuotaExhausted)),
            ("1113", Some(AiErrorKind::QuotaExhausted)),
            ("API_KEY_INVALID", Some(AiErrorKind::Auth)),
            ("model_not_found", Some(AiErrorKind::NotFound)),
            ("Throttling.RateQuota", Some(AiErrorKind::RateLimited)),
            ("RESOURCE_EXHAUSTED", None),
            ("invalid_request_error", None),
        ] {
            assert_eq!(kind_of_code(code), kind, "{code}");
        }
    }

    #[test]
    fn each_code_has_one_kind() {
        let mut all: Vec<&str> = CODES.iter().flat_map(|(_, codes)| *codes).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|code| squash(code) == *code));
    }

    #[test]
    fn no_money_is_said_in_many_ways() {
        for said in [
            "Insufficient balance or no resource package. Please recharge.",
            "insufficient balance (1008)",
            "user quota is not enough (request id: 2026)",
            "Your credit balance is too low to access the API",
            "This request requires more credits, or fewer max_tokens.",
            "账户余额不足",
        ] {
            assert!(says_no_money(said), "{said}");
        }
        for said in ["Rate limit reached for requests", "The engine is overloaded", "quota metric"]
        {
            assert!(!says_no_money(said), "{said}");
        }
    }
}
