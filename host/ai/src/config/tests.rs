//! What is read, what is refused, and which words say so.

use super::AiConfig;

/// The problems of one provider's table, or why it cannot be read at all.
fn problems(provider: &str) -> Vec<String> {
    match toml::from_str::<AiConfig>(&format!("[providers.p]\n{provider}")) {
        Ok(config) => config.check().iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.message().to_owned()],
    }
}

#[test]
fn a_provider_of_every_kind_is_read_with_its_keys_and_the_common_ones() {
    let common = "api_key_env = \"K\"\nconnect_ms = 1\nfirst_byte_ms = 2\nidle_ms = 3\ncall_ms = \
                  4\nretry = {}\nlimits = {}\nbreaker = {}";
    for own in [
        "kind = \"openai\"\nbase_url = \"http://h/v1\"\ndialect = \"vllm\"",
        "kind = \"openai\"\nbase_url = \"https://n.openai.azure.com\"\napi_version = \
         \"2024-10-21\"",
        "kind = \"anthropic\"",
        "kind = \"anthropic\"\nversion = \"2023-06-01\"\nmax_output_tokens = 9\nstructured_output \
         = \"schema\"",
        "kind = \"gemini\"\nbase_url = \"http://127.0.0.1:1\"\nstructured_output = \"json-schema\"",
        "kind = \"gemini\"",
        "kind = \"ollama\"",
        "kind = \"ollama\"\nbase_url = \"http://h:1\"\ncontext_tokens = 8192",
        "kind = \"cloudflare\"\naccount_id = \"0a1b\"\nmax_output_tokens = 9",
    ] {
        let text = format!("{own}\n{common}");
        assert_eq!(problems(&text), Vec::<String>::new(), "{own}");
        let config: AiConfig = toml::from_str(&format!("[providers.p]\n{text}")).unwrap();
        let again: AiConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config, "{own}");
        assert!(toml::to_string(&config).unwrap().contains("idle_ms = 3"), "{own}");
    }
}

#[test]
fn a_model_that_refuses_temperatures_is_sent_none() {
    let route = |candidate: &str| {
        let text = format!(
            "[providers.p]\nkind = \"ollama\"\n[routes.default]\ntry = [{{ provider = \"p\", \
             {candidate} }}]"
        );
        toml::from_str::<AiConfig>(&text).unwrap()
    };
    let config = route("model = \"m\", send_temperature = false");
    assert!(config.check().is_empty() && !config.routes["default"].candidates[0].send_temperature);
    let both = route("model = \"m\", send_temperature = false, temperature = 0.5").check();
    assert_eq!(both[0].key, "ai.routes.default.try[0].temperature");
    let none = route("max_output_tokens = 5").check();
    assert_eq!(none[0].key, "ai.routes.default.try[0].model");
}

#[test]
fn what_is_wrong_names_its_key_and_what_would_be_right() {
    for (provider, says) in [
        ("kind = \"anthropic\"\nbase_ur = \"x\"", "unknown field `base_ur`"),
        ("kind = \"openai\"\nbase_url = \"http://h\"\nconect_ms = 1", "unknown field `conect_ms`"),
        (
            "kind = \"openai\"\nbase_url = \"http://h\"\naccount_id = \"x\"",
            "a provider of the kind `openai` has no key `account_id`",
        ),
        (
            "kind = \"gemini\"\nmax_output_tokens = 1",
            "the kind `gemini` has no key `max_output_tokens`",
        ),
        (
            "kind = \"scripted\"\nrules = \"a\"\nidle_ms = 1",
            "the kind `scripted` has no key `idle_ms`",
        ),
        ("kind = \"anthropic\"\nstructured_output = \"json-schema\"", "is tool, schema or prompt"),
        (
            "kind = \"gemini\"\nstructured_output = \"tool\"",
            "is response-schema, json-schema or prompt",
        ),
        ("kind = \"gemini\"\nstructured_output = \"magic\"", "unknown variant `magic`"),
        ("base_url = \"http://h\"", "`kind` is missing: openai, anthropic"),
        ("kind = \"openai\"", "`base_url` is missing: the URL before"),
        ("kind = \"cloudflare\"", "`account_id` is missing: it is in"),
        ("kind = \"claude\"", "unknown variant `claude`"),
        (
            "kind = \"openai\"\nbase_url = \"http://h\"\ndialect = \"klingon\"",
            "unknown variant `klingon`",
        ),
        ("kind = \"anthropic\"\nidle_ms = 0", "ai.providers.p.idle_ms: it is 0"),
        (
            "kind = \"anthropic\"\nmax_output_tokens = 0",
            "ai.providers.p.max_output_tokens: it is 0",
        ),
        ("kind = \"anthropic\"\nversion = \" \"", "ai.providers.p.version: this is not a version"),
        (
            "kind = \"anthropic\"\nbase_url = \"api.anthropic.com\"",
            "write it like https://api.anthropic.com/v1",
        ),
        (
            "kind = \"gemini\"\nbase_url = \"https://generativelanguage.googleapis.com\"",
            "ai.providers.p.base_url: the API's version is missing",
        ),
        (
            "kind = \"gemini\"\nbase_url = \"http://u:secret@h/\"",
            "the URL holds a user name or password",
        ),
        ("kind = \"ollama\"\ncontext_tokens = 0", "ai.providers.p.context_tokens: it is 0"),
        (
            "kind = \"ollama\"\napi_key_env = \"A\"\napi_key_file = \"b\"",
            "ai.providers.p.api_key_file: both",
        ),
        (
            "kind = \"cloudflare\"\naccount_id = \"a/b\"",
            "ai.providers.p.account_id: this is not an account id",
        ),
        (
            "kind = \"openai\"\nbase_url = \"http://h\"\napi_version = \"\"",
            "ai.providers.p.api_version: it is empty",
        ),
    ] {
        let problems = problems(provider);
        assert!(problems.len() == 1 && problems[0].contains(says), "{provider}: {problems:?}");
        assert!(!problems[0].contains("secret"), "{problems:?}");
    }
}

#[test]
fn settings_of_a_candidate_that_cannot_work_are_named() {
    for (kind, setting, key, says) in [
        ("ollama", "reasoning = \"high\"", "", ""),
        ("ollama", "drop = [\"seed\"], extra = { options = { top_k = 1 } }", "", ""),
        ("cloudflare", "reasoning = \"low\"", "reasoning", "use `extra`"),
        ("ollama", "service_tier = \"flex\"", "service_tier", "use `extra`"),
        ("ollama", "reasoning = \"low\", reasoning_tokens = 9", "reasoning_tokens", "use `extra`"),
        ("anthropic", "reasoning_tokens = 9", "reasoning_tokens", "it needs `reasoning`"),
        ("anthropic", "reasoning = \"low\", reasoning_tokens = 0", "reasoning_tokens", "it is 0"),
        ("ollama", "drop = [\"messages\"]", "drop", "is the request itself"),
        ("ollama", "drop = [\" \"]", "drop", "an empty name"),
        ("ollama", "extra = { model = \"x\" }", "extra", "is the request itself"),
        ("ollama", "headers = { Host = \"x\" }", "headers.Host", "belongs to the connection"),
    ] {
        let account = if kind == "cloudflare" { "account_id = \"a\"\n" } else { "" };
        let text = format!(
            "[providers.p]\nkind = \"{kind}\"\n{account}[routes.default]\ntry = [{{ provider = \
             \"p\", model = \"m\", {setting} }}]"
        );
        let config: AiConfig = toml::from_str(&text).unwrap();
        let problems = config.check();
        if key.is_empty() {
            assert_eq!(problems, [], "{setting}");
            let again: AiConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
            assert_eq!(again, config, "{setting}");
            continue;
        }
        assert_eq!(problems.len(), 1, "{setting}: {problems:?}");
        assert_eq!(problems[0].key, format!("ai.routes.default.try[0].{key}"), "{setting}");
        assert!(problems[0].message.as_str().contains(says), "{setting}: {}", problems[0]);
    }
    let source = "[providers.p]\nkind = \"ollama\"\n[routes.default]\ntry = [{ provider = \"p\", \
                  model = \"m\", headers = { x = 1 } }]";
    let error = toml::from_str::<AiConfig>(source).unwrap_err();
    assert!(error.message().contains("{ env = \"NAME\" }"), "{error}");
}

#[test]
fn a_budget_that_cannot_be_kept_is_named() {
    let route = "[providers.p]\nkind = \"ollama\"\n[routes.default]\n\
                 try = [{ provider = \"p\", model = \"m\" }]\n";
    let price = "[prices.m]\ninput_per_million = 1.0\noutput_per_million = 1.0\n";
    for (budget, more, expected) in [
        ("day_tokens = 1\nday_usd = 0.01\ncost_usd = 0.01", price, None),
        ("day_tokens = 0", "", Some("ai.budget.day_tokens: it is 0")),
        ("day_usd = 0.0", price, Some("ai.budget.day_usd: it is 0")),
        ("day_usd = -1.0", price, Some("ai.budget.day_usd: it is -1")),
        ("day_usd = nan", price, Some("ai.budget.day_usd: it is NaN")),
        ("tenant_day_tokens = 1\ntenant_day_usd = 0.01", price, None),
        ("tenant_day_tokens = 0", "", Some("ai.budget.tenant_day_tokens: it is 0")),
        ("tenant_day_usd = 0.0", price, Some("ai.budget.tenant_day_usd: it is 0")),
        (
            "tenant_day_usd = 1.0",
            "",
            Some("ai.prices.\"m\": there is none, but ai.budget.tenant_day_usd"),
        ),
        ("tenants.acme = { day_tokens = 1, day_usd = 0.01 }", price, None),
        ("tenants.acme.day_tokens = 0", "", Some("ai.budget.tenants.\"acme\".day_tokens: it is 0")),
        ("tenants.acme.day_usd = 0.0", price, Some("ai.budget.tenants.\"acme\".day_usd: it is 0")),
        (
            "tenants.acme.day_usd = 1.0",
            "",
            Some("ai.prices.\"m\": there is none, but ai.budget.tenants.\"acme\".day_usd"),
        ),
        ("day_usd = 1.0", "", Some("ai.prices.\"m\": there is none, but ai.budget.day_usd")),
        ("cost_usd = 1.0", "", Some("ai.prices.\"m\": there is none, but ai.budget.cost_usd")),
    ] {
        let text = format!("{route}[budget]\n{budget}\n{more}");
        let problems = toml::from_str::<AiConfig>(&text).unwrap().check();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        match expected {
            None => assert!(problems.is_empty(), "{problems:?}"),
            Some(says) => {
                assert!(problems.len() == 1 && problems[0].starts_with(says), "{problems:?}");
            }
        }
    }
}

#[test]
fn batches_have_bounds_and_an_api_of_their_provider() {
    let provider = |kind: &str, batch: &str| {
        format!(
            "[providers.p]\nkind = {kind:?}\nbase_url = \"http://h/v1\"\nbatch = {batch:?}\n\
             [routes.default]\ntry = [{{ provider = \"p\", model = \"m\" }}]\n"
        )
    };
    for (text, expected) in [
        (provider("openai", "auto"), None),
        (provider("openai", "openai"), None),
        (provider("anthropic", "anthropic"), None),
        (provider("gemini", "none"), None),
        (provider("ollama", "auto"), None),
        (provider("openai", "anthropic"), Some("ai.providers.p.batch: this batch API takes")),
        (provider("anthropic", "openai"), Some("ai.providers.p.batch: this batch API takes")),
        (provider("ollama", "openai"), Some("ai.providers.p.batch: this batch API takes")),
        ("[batch]\ncollect_ms = 0\nprice = 1.0".to_owned(), None),
        ("[batch]\ngather_ms = 0".to_owned(), Some("ai.batch.gather_ms: it is 0; give 1 to")),
        ("[batch]\npoll_ms = 9".to_owned(), Some("ai.batch.poll_ms: it is 9; give 10 to")),
        ("[batch]\nmax_items = 50001".to_owned(), Some("ai.batch.max_items: it is 50001")),
        ("[batch]\ngive_up_h = 0".to_owned(), Some("ai.batch.give_up_h: it is 0")),
        ("[batch]\nprice = 1.5".to_owned(), Some("ai.batch.price: it is 1.5")),
        ("[batch]\nprice = nan".to_owned(), Some("ai.batch.price: it is NaN")),
    ] {
        let problems = toml::from_str::<AiConfig>(&text).unwrap().check();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        match expected {
            None => assert!(problems.is_empty(), "{text}: {problems:?}"),
            Some(says) => {
                assert!(problems.len() == 1 && problems[0].starts_with(says), "{problems:?}");
            }
        }
    }
}
