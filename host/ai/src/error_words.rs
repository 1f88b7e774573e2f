//! What the words of an error body mean: codes and sentences of all providers, in one table,
//! because a relay passes on the words of the provider behind it.

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
            "unrecognizedclientexception",
            "authfailure",
            "invalidauthenticationtoken",
            "invalidauthenticationtokentenant",
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
            "accessdeniedexception",
            "modeltermsrequired",
            "organizationrestricted",
            "accessterminated",
            "unsupportedcountryregionterritory",
            "failedoperationservicenotactivated",
            // Zhipu: the plan does not have the model.
            "1311",
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
            "blockedapiaccess",
            "setlimitexceeded",
            "operationdeniedserviceoverdue",
            "consumertokenquotaexceeded",
            "pretokenquotafailed",
            "preconsumetokenquotafailed",
            "quotaexhausted",
            "tokenquotareached",
            "prepaidbilloverdue",
            "postpaidbilloverdue",
            "commoditynotpurchased",
            // Zhipu: arrears, and a plan that has expired.
            "1113",
            "1309",
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
            "outofcontexterror",
            "tokenslimitreached",
            "modelmaxprompttokensexceeded",
            // Zhipu and Baidu
            "1261",
            "336103",
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
            "sensitivecontentdetected",
            "inputtextsensitivecontentdetected",
            "outputtextsensitivecontentdetected",
            "sensitivewordsdetected",
            "promptblocked",
            "invalidprompt",
            "cyberpolicy",
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
            "unknownoperationexception",
            "resourcenotfoundexception",
            "invalidmodel",
            "modelnotsupported",
            "modeldecommissioned",
            "modelnotopen",
            "modelnotavailable",
            "notfound",
            "notfoundexception",
            "endpointnotfound",
            "invalidendpoint",
            "invalidendpointormodel",
            // Azure: the deployed model has no chat.
            "operationnotsupported",
            // Zhipu
            "1211",
        ],
    ),
    (
        AiErrorKind::RateLimited,
        &[
            "ratelimitexceeded",
            "ratelimited",
            "ratelimiterror",
            "ratelimitreached",
            "ratelimitreachederror",
            "throttling",
            "throttlingratequota",
            "throttlingexception",
            "toomanyrequests",
            "toomanyrequestserror",
            "requestlimitexceeded",
            "limitexceeded",
            "limitexceededexception",
            "servicequotaexceededexception",
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
            "internalerror",
            "internalserviceerror",
            "serviceunavailableexception",
            "internalserverexception",
            "modelnotreadyexception",
            "serverisoverloaded",
            "serveroverloaded",
            "modelerrorexception",
            "modelstreamerrorexception",
            "slowdown",
            // MiniMax
            "1013",
            "1033",
        ],
    ),
    (
        AiErrorKind::Timeout,
        &["timeouterror", "deadlineexceeded", "modeltimeoutexception", "requesttimeout"],
    ),
    // Groq validates JSON mode itself, and finds calls of tools that nobody offered.
    (AiErrorKind::Malformed, &["jsonvalidatefailed", "toolusefailed"]),
];

/// The kind that a code means. Some clouds put a namespace before it, as in `com.amazon#Code`, or a
/// detail behind it, as in `Code.Detail`.
pub(super) fn kind_of_code(code: &str) -> Option<AiErrorKind> {
    let code = code.rsplit('#').next().unwrap_or(code);
    let known = |code: &str| {
        let code = squash(code);
        CODES.iter().find_map(|(kind, codes)| codes.contains(&code.as_str()).then_some(*kind))
    };
    known(code).or_else(|| known(code.split('.').next()?))
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
    "key limit exceeded",
    "free trial quota",
    "free allocated quota",
    "daily free allocation",
    "token quota exhausted",
    "included credits",
    "credits are depleted",
    "failure to pay",
    "service is overdue",
    "subscription has expired",
    "package has expired",
    "trial has ended",
    "trial has expired",
    "please check your billing",
    "budget has been exceeded",
    "exceededbudget",
    "exceededtokenbudget",
    "usage limits exceeded",
    "out of extra usage",
    "余额不足",
    "额度已用完",
    "余量已用尽",
    "积分不足",
    "点数不足",
    "请充值",
    "额度不足",
    "额度已用尽",
    "欠费",
];

/// Whether a whole message is a provider's sentence about its own load or failure, in an answer
/// whose status says nothing.
pub(super) fn says_overloaded(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "overload",
        "at capacity",
        "over capacity",
        "maximum capacity",
        "capacity temporarily exceeded",
        "too busy",
        "try again later",
        "unknown error",
        "internal error",
        "internal server error",
        "unexpected eof",
        "访问量过大",
        "稍后再试",
        "系统繁忙",
        "服务繁忙",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Whether a message of a 400 begins with a provider's own sentence about money. Other messages of
/// a 400 may quote the prompt.
pub(super) fn begins_with_no_money(message: &str) -> bool {
    let message = message.trim_start().to_lowercase();
    [
        "your credit balance is too low",
        "insufficient balance",
        "your account has insufficient",
        "you have reached your specified api usage limit",
        "budget has been exceeded",
        "exceededbudget",
        "you're out of extra usage",
        "third-party apps now draw from your extra usage",
        "this workspace has reached its api usage limit",
        "your organization has reached its api usage limit",
    ]
    .iter()
    .any(|words| message.starts_with(words))
}

/// Sentences that say that the prompt does not fit into the context. They are in lower case.
const TOO_LONG: &[&str] = &[
    "maximum context length",
    "context size",
    "context window",
    "context length",
    "contextwindowexceeded",
    "prompt is too long",
    "prompt too long",
    "prompt tokens too long",
    "prompt length",
    "prompt token count",
    "maximum prompt length",
    "maximum model length",
    "input is too long",
    "input token count",
    "too many input tokens",
    "too many tokens",
    "token limit exceeded",
    "model token limit",
    "maximum number of tokens allowed",
    "allowed input length",
    "range of input length",
    "max message tokens",
    "max_num_tokens",
    "max_seq_len",
    "supported sequence length",
    "`inputs` must have less than",
    "`inputs` tokens + ",
    "reduce the length of the messages",
    "上下文长度",
    "token 总数超过",
    "token总数超过",
    "tokens 总数超过",
    "tokens总数超过",
    "字符总数超过",
    "prompt 超长",
    "prompt超长",
    "输入超长",
    "文本超长",
    "more than max tokens allowed",
    "input tokens exceed",
    "context limit",
    "total tokens limit",
    "token数量超过",
    "cannot truncate prompt",
    "exceeds the maximum allowed length",
    // vLLM: what the context has left for the reply.
    "max_tokens must be at least 1, got -",
];

/// Whether a message says that the prompt is too long for the model.
pub(super) fn says_too_long(message: &str) -> bool {
    let message = message.to_lowercase();
    TOO_LONG.iter().any(|words| message.contains(words)) && !is_throttled(&message)
}

/// Whether a message says that the limit of a time is reached: Bedrock says so with a 400, in the
/// words of a prompt that is too long.
pub(super) fn says_throttled(message: &str) -> bool {
    is_throttled(&message.to_lowercase())
}

/// As [`says_throttled`], of a message in lower case.
fn is_throttled(message: &str) -> bool {
    let what = ["too many tokens", "too many requests", "too many connections"];
    what.iter().any(|words| message.contains(words)) && message.contains("please wait before")
}

/// Sentences of a filter or of the model's policy. They are in lower case.
const FILTERED: &[&str] = &[
    "content exists risk",
    "content violates",
    "content management policy",
    "content filtering policy",
    "contentpolicyviolation",
    "potentially violating",
    "flagged for possible",
    "considered high risk",
    "may contain sensitive information",
    "may contain inappropriate content",
    "datainspectionfailed",
    "sensitive words",
    "new_sensitive",
    "content audit failed",
    "prohibited_content",
    "blocked due to security",
    "violated guardrail",
    "guardrail checks",
    "敏感信息",
    "敏感内容",
    "内容违规",
];

/// Whether a message says that a filter refused the prompt or the reply.
pub(super) fn says_filtered(message: &str) -> bool {
    let message = message.to_lowercase();
    FILTERED.iter().any(|words| message.contains(words))
}

/// Whether a message of a 401 or 403 says that the key is wrong: some clouds say so as if it had no
/// permission.
pub(super) fn says_wrong_key(message: &str) -> bool {
    let message = message.to_lowercase();
    [
        "reported as leaked",
        "unregistered callers",
        "security token included in the request is invalid",
        "bearer token included in the request is invalid",
        "authentication error",
        "api key is not valid",
        "api key not valid",
        "invalid api key",
        "incorrect api key",
        "invalid api token",
        "invalid access token",
        "access token invalid",
        "signature expired",
        "signature we calculated does not match",
        "login fail",
    ]
    .iter()
    .any(|words| message.contains(words))
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
    // Gemini says the same of a limit per minute, and then which one.
    let current_quota = message.contains("exceeded your current quota")
        && !["quota exceeded for metric", "ai.google.dev", "retry in"]
            .iter()
            .any(|words| message.contains(words));
    current_quota
        || is_limit_of_nothing(&message)
        || NO_MONEY.iter().any(|words| message.contains(words))
}

/// Whether a message says that a limit allows nothing. It is never reset: the plan does not have
/// the model.
pub(super) fn says_limit_of_nothing(message: &str) -> bool {
    is_limit_of_nothing(&message.to_lowercase())
}

/// As [`says_limit_of_nothing`], of a message in lower case.
fn is_limit_of_nothing(message: &str) -> bool {
    message.contains("quota exceeded for metric") && message.contains("limit: 0,")
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
            ("com.amazon#ThrottlingException", Some(AiErrorKind::RateLimited)),
            ("SensitiveContentDetected.SevereViolation", Some(AiErrorKind::ContentFiltered)),
            ("ServiceQuotaExceededException", Some(AiErrorKind::RateLimited)),
            ("rate_limited", Some(AiErrorKind::RateLimited)),
            ("unsupported_country_region_territory", Some(AiErrorKind::Permission)),
            ("InvalidEndpointOrModel.NotFound", Some(AiErrorKind::NotFound)),
            ("PrepaidBillOverdue", Some(AiErrorKind::QuotaExhausted)),
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
            "Your account is not active, please check your billing details on our website.",
            "ExceededBudget: Crossed spend within team.",
            "Portkey Error: Usage limits exceeded.",
            "Quota exceeded for metric: free_tier_requests, limit: 0, model: m",
        ] {
            assert!(says_no_money(said), "{said}");
        }
        for said in [
            "Rate limit reached for requests",
            "The engine is overloaded",
            "quota metric",
            "Quota exceeded for metric: free_tier_requests, limit: 20, model: m",
        ] {
            assert!(!says_no_money(said), "{said}");
        }
    }

    #[test]
    fn a_limit_of_a_time_is_no_prompt_that_is_too_long() {
        for (said, too_long, throttled) in [
            ("Too many tokens, please wait before trying again.", false, true),
            ("Too many tokens per day, please wait before trying again.", false, true),
            ("Too many tokens in the prompt: 9000", true, false),
            ("input length and `max_tokens` exceed context limit: 195000 + 8192", true, false),
            ("tokens in request more than max tokens allowed", true, false),
            ("Cannot truncate prompt with n_keep (4270) >= n_ctx (4096)", true, false),
            ("max_tokens must be at least 1, got -186.", true, false),
            ("max_tokens must be at least 1, got 0.", false, false),
            ("Please wait before the next call", false, false),
        ] {
            assert_eq!(
                (says_too_long(said), says_throttled(said)),
                (too_long, throttled),
                "{said}"
            );
        }
    }
}
