//! The rules `unused-field` and `whose-site`: which fields of an order no page shows, and whether
//! the entry page says whose site it is.

use serde_json::{Value, json};
use sitewright_site::{Level, Levels, Rule, VerifyOptions, verify};

use crate::support::{Files, page, path};

/// A normalized order with these fields.
fn order(fields: &Value) -> String {
    let mut order = json!({
        "id": "1", "locale": "pt-BR", "business_name": "Padaria",
        "niche": "general", "tone": "professional", "primary_cta": "call",
    });
    for (name, value) in fields.as_object().unwrap() {
        order[name] = value.clone();
    }
    order.to_string()
}

fn options(fields: &Value) -> VerifyOptions {
    let languages = vec!["pt-BR".parse().unwrap()];
    let options = VerifyOptions::for_order(&order(fields), languages).unwrap();
    VerifyOptions { copy: None, ..options }
}

fn site(body: &str) -> Files {
    let body = format!("<h1>Padaria</h1>{body}");
    [(path("index.html"), page("", &body).into_bytes())].into_iter().collect()
}

/// The fields that the warning names; empty if there is none.
fn unused(files: &Files, options: &VerifyOptions) -> Vec<String> {
    let verdict = verify(files, options).unwrap();
    let mut found = verdict.warnings.iter().filter(|warning| warning.rule == Rule::UnusedField);
    let Some(warning) = found.next() else { return Vec::new() };
    assert!(found.next().is_none(), "one warning names all fields");
    assert_eq!(warning.file.as_str(), "index.html");
    let names = warning.message.as_str().split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// Fields of an order, what a page has, and what the warning names.
#[test]
fn a_field_is_used_if_a_page_shows_it_or_a_link_leads_to_it() {
    let rows: &[(Value, &str, &[&str])] = &[
        (json!({"services": ["Pão francês"]}), "<p>PÃO   <b>fran</b>cês.</p>", &[]),
        (json!({"services": ["Pão", "Bolo"]}), "<p>Pãozinho, bolo</p>", &["/services/0"]),
        (json!({"services": ["Pão", "Bolo"]}), "<p>Nada</p>", &["/services"]),
        (json!({"services": ["💾"]}), "", &[]),
        (json!({"services": ["パン"]}), "<p>おいしいパンです</p>", &[]),
        (
            json!({"services": ["Pão"]}),
            "<!-- Pão --><script>var a = 'Pão'</script>",
            &["/services"],
        ),
        (json!({"services": ["Pão"]}), "<svg role=\"img\" aria-label=\"Pão\"></svg>", &[]),
        (json!({"services": ["Pão doce"]}), "<div>Pão</div><div>doce</div>", &[]),
        (json!({"services": ["Paodoce"]}), "<p>Pao</p><p>doce</p>", &["/services"]),
        (
            json!({"prices": [{"name": "Corte", "price": "R$ 1.234,50/mês"}]}),
            "<dt>Corte</dt><dd>R$1.234,50 / mês</dd>",
            &[],
        ),
        (
            json!({"prices": [{"name": "Corte", "price": "R$ 45"}, {"name": "Tinta"}]}),
            "<p>Corte R$ 450 Tinta</p>",
            &["/prices/0/price"],
        ),
        (
            json!({"team": [{"name": "Ana", "role": "Dona"}, {"name": "Rui", "role": "Padeiro"}]}),
            "<p>Ana, padeira e dona</p>",
            &["/team/1"],
        ),
        (
            json!({"team": [{"name": "Ana", "role": "Dona"}], "prices": [{"name": "Kit", "price": "R$ 45"}]}),
            "<p><bdi>Ana</bdi><bdi>Dona</bdi><span>Kit<small>60 min</small></span><span>R$ 45</span></p>",
            &[],
        ),
        (json!({"legal": {"siret": "812 345 678 00019"}}), "<p>SIRET 812 345 678 00019</p>", &[]),
        (json!({"legal": {"siret": "812", "ein": "77"}}), "<p>EIN 77</p>", &["/legal/siret"]),
        (json!({"business_address": "Rua A, 12\nCentro"}), "<p>Centro</p><p>Rua A,<br>12</p>", &[]),
        (
            json!({"booking_url": "https://www.a.example/agenda/"}),
            "<a href=\"http://a.example/agenda\">x</a>",
            &[],
        ),
        (
            json!({"booking_url": "https://a.example/agenda", "donation_url": "https://b.test/"}),
            "<a href=\"https://a.example/\">a.example</a> <p>b.test</p>",
            &["/booking_url"],
        ),
        (
            json!({"form_endpoint": "https://f.example/1"}),
            "<form action=\"https://f.example/1\"></form>",
            &[],
        ),
        (
            json!({"logo_url": "https://a.example/l.png", "social_x": "https://x.com/a"}),
            "<script type=\"application/ld+json\">{\"@context\": \"https://schema.org\", \
             \"@type\": \"Thing\", \"logo\": \"https://a.example/l.png\", \"sameAs\": [\"https://x.com/a\"]}\
             </script>",
            &["/social_x"],
        ),
        (
            json!({"photos": [{"url": "https://a.example/1.jpg", "alt": "Forno"}]}),
            "<a href=\"https://a.example/1.jpg\">Forno</a>",
            &[],
        ),
        (
            json!({"emergency_phone": "+55 11 95550-0199"}),
            "<a href=\"tel:+5511955500199\">Já</a>",
            &[],
        ),
        (json!({"emergency_phone": "+55 11 95550-0199"}), "<p>(011) 95550 0199</p>", &[]),
        (
            json!({"whatsapp_phone": "+55 11 95550-0199"}),
            "<a href=\"https://wa.me/5511955500199?text=Oi%2012345678\">x</a>",
            &[],
        ),
        (
            json!({"business_phone": "+55 11 95550-0199", "emergency_phone": "+55 11 95550-0100"}),
            "<a href=\"tel:+5511955500199\">x</a>",
            &["/emergency_phone"],
        ),
        (json!({"business_email": "Oi@A.example"}), "<a href=\"mailto:oi@a.example\">x</a>", &[]),
        (json!({"business_email": "oi@a.example"}), "<p>oi@a.example</p>", &[]),
        (json!({"business_email": "oi@a.example"}), "<p>a.example</p>", &["/business_email"]),
        (json!({"primary_color": "#112233", "design_notes": "Azul", "extra": {"a": "b"}}), "", &[]),
    ];
    for (fields, body, expected) in rows {
        assert_eq!(unused(&site(body), &options(fields)), *expected, "{fields} in {body}");
    }
}

/// An address for forms, of the customer or of the operator, on a site with a form and without one:
/// whether it is missed, and whether the page says how to reach the business.
#[test]
fn an_address_for_forms_of_the_operator_may_stay_unused() {
    let form = "<form action=\"https://f.example/1\"></form>";
    for (forms_of_operator, body, is_missed, is_reached) in [
        (false, "", true, false),
        (false, form, false, true),
        (true, "", false, false),
        (true, form, false, true),
    ] {
        let fields = json!({"form_endpoint": "https://f.example/1", "services": ["Pão"]});
        let options = VerifyOptions { forms_of_operator, ..options(&fields) };
        let files = site(&format!("<p>Pão</p>{body}"));
        let missed = unused(&files, &options);
        assert_eq!(
            missed == ["/form_endpoint"],
            is_missed,
            "{forms_of_operator}, {body}: {missed:?}"
        );
        assert!(is_missed || missed.is_empty(), "{forms_of_operator}, {body}: {missed:?}");
        let lacks = unsaid(&files, &options);
        assert_eq!(lacks.is_empty(), is_reached, "{forms_of_operator}, {body}: {lacks:?}");
    }
}

#[test]
fn a_warning_names_twenty_fields_and_counts_the_others() {
    let services: Vec<String> = (0..30).map(|number| format!("Serviço {number}")).collect();
    let options = options(&json!({"services": services}));
    let files = site("<p>Serviço 0</p>");
    assert_eq!(unused(&files, &options).len(), 20);
    let verdict = verify(&files, &options).unwrap();
    assert!(verdict.is_good());
    assert!(verdict.warnings.iter().any(|warning| warning.message.as_str().contains("and 9 more")));
    let with = |level| VerifyOptions {
        levels: Levels::new([(Rule::UnusedField, level)].into()).unwrap(),
        ..options.clone()
    };
    assert_eq!(unused(&files, &with(Level::Off)), Vec::<String>::new());
    assert!(!verify(&files, &with(Level::Error)).unwrap().is_good());
}

#[test]
fn what_any_page_shows_is_used() {
    let options = options(&json!({"services": ["Pão", "Bolo"]}));
    let mut files = site("<a href=\"outra.html\">Pão</a>");
    files.insert(path("outra.html"), page("", "<p>Bolo</p>").into_bytes());
    assert_eq!(unused(&files, &options), Vec::<String>::new());
}

/// What the entry page lacks to say whose site it is: the name, and fields that are ways to reach the
/// business. Empty if it lacks nothing.
fn unsaid(files: &Files, options: &VerifyOptions) -> Vec<String> {
    unsaid_of(files, options, "index.html")
}

/// The same of the page that visitors see first, which is `file`.
fn unsaid_of(files: &Files, options: &VerifyOptions, file: &str) -> Vec<String> {
    let problems = verify(files, options).unwrap().problems;
    let found = problems.iter().filter(|problem| problem.rule == Rule::WhoseSite);
    let names = found.flat_map(|problem| {
        assert_eq!(problem.file.as_str(), file);
        problem.message.as_str().split('`').skip(1).step_by(2).map(str::to_owned)
    });
    names.collect()
}

/// Fields of an order, what the entry page has beside its heading, and what it lacks.
#[test]
fn the_entry_page_says_whose_site_it_is() {
    let long = format!("Casa Ana {}", "e filhos ".repeat(20));
    let east = "東".repeat(45);
    let rows: &[(Value, &str, &[&str])] = &[
        (json!({}), "", &[]),
        (json!({"business_email": "oi@a.example"}), "<a href=\"mailto:oi@a.example\">x</a>", &[]),
        (json!({"business_email": "oi@a.example"}), "<p>a.example</p>", &["/business_email"]),
        (
            json!({"business_email": "oi@a.example", "business_phone": "+55 11 95550-0199"}),
            "<p>(011) 95550 0199</p>",
            &[],
        ),
        (
            json!({"business_email": "oi@a.example", "business_phone": "+55 11 95550-0199"}),
            "<!-- oi@a.example --><template>oi@a.example</template>",
            &["/business_email", "/business_phone"],
        ),
        (json!({"business_address": "Rua A, 12\nCentro"}), "<p>Rua A, 12, Centro</p>", &[]),
        (
            json!({"social_instagram": "https://instagram.com/a"}),
            "<a href=\"https://www.instagram.com/a/\">x</a>",
            &[],
        ),
        (
            json!({"locations": [{"name": "Centro", "phone": "+55 11 95550-0199"}]}),
            "<p>Centro</p>",
            &["/locations/0/phone"],
        ),
        // The address of the site itself, and its city, reach nobody.
        (json!({"site_url": "https://a.example/", "primary_city": "Campinas"}), "", &[]),
        (json!({"business_name": "Casa Ana"}), "<p>Casa da Ana</p>", &["Casa Ana"]),
        (json!({"business_name": "CASA <Ana>"}), "<p>Casa <b>A</b>na</p>", &[]),
        (
            json!({"business_name": "Casa Ana"}),
            "<svg role=\"img\" aria-label=\"Casa Ana\"></svg>",
            &[],
        ),
        (
            json!({"business_name": long}),
            "<p>Casa Ana e filhos e filhos e filhos e outros</p>",
            &[],
        ),
        (json!({"business_name": "💾"}), "", &[]),
        // Words that are set apart in a logo, cut, in capitals, or between marks.
        (json!({"business_name": "Pãodoce"}), "<p>Pão<span>doce</span></p>", &[]),
        (json!({"business_name": "Pãodoce"}), "<p>Pão</p><p>doce</p>", &["Pãodoce"]),
        (
            json!({"business_name": "Rindfleischetikettierungsüberwachungsaufgaben GmbH"}),
            "<p>Rindfleischetikettierungsüberwachungsaufgaben GmbH</p>",
            &[],
        ),
        (
            json!({"business_name": "Müller-Lüdenscheidt-Immobilienverwaltungsgesellschaft"}),
            "<p>Müller-Lüdenscheidt-Immobilienverwaltungsgesellschaft</p>",
            &[],
        ),
        (json!({"business_name": "東".repeat(50)}), &east, &[]),
        (json!({"business_name": "Joʼs Straße"}), "<p>Jo’s STRASSE</p>", &[]),
        (
            json!({"business_name": "مخبز\u{200f} الهدى"}),
            "<p><bdi>مخبز</bdi> \u{61c}الهدى</p>",
            &[],
        ),
        (json!({"business_email": "oi@a.example"}), "<p>oi (at) a.example</p>", &[]),
        (json!({"business_email": "oi@a.example"}), "<p>oi [at] a [dot] example</p>", &[]),
        // Numbers without the code of the country, before other digits, and in another script.
        (json!({"business_phone": "+354 581 2345"}), "<p>581 2345</p>", &[]),
        (json!({"business_phone": "+354 581 2345"}), "<p>581 2346</p>", &["/business_phone"]),
        (json!({"business_phone": "+43 1 58801"}), "<p>01 58801</p>", &[]),
        (
            json!({"business_phone": "+55 11 95550-0199"}),
            "<p>(11) 95550-0199</p><p>13010-000</p><p>8:00–19:00</p>",
            &[],
        ),
        (json!({"business_phone": "+55 11 95550-0199"}), "<p>١١ ٩٥٥٥٠ ٠١٩٩</p>", &[]),
        (
            json!({"business_phone": "+55 11 95550-0199"}),
            "<a href=\"tel:011%2095550%200199\">x</a>",
            &[],
        ),
        (
            json!({"booking_url": "https://a.example/agenda"}),
            "<a href=\"https://a.example/agenda?utm_source=site#hoje\">x</a>",
            &[],
        ),
    ];
    for (fields, body, expected) in rows {
        assert_eq!(unsaid(&site(body), &options(fields)), *expected, "{fields} in {body}");
    }
}

/// Where the entry page leads by itself, what the page in Portuguese shows, and what is missing of
/// the page that visitors see first: the other one only if it is in the site.
#[test]
fn a_page_to_which_the_entry_page_leads_says_whose_site_it_is() {
    let options = options(&json!({"business_name": "Casa Ana", "business_email": "oi@a.example"}));
    let link = "<p><a href=\"pt/\">Português</a></p>";
    let whole = "<p>Casa Ana, oi@a.example</p>";
    /// What a page does not say.
    type Missing = (&'static str, &'static [&'static str]);
    let none: Missing = ("index.html", &[]);
    let entry: Missing = ("index.html", &["Casa Ana", "/business_email"]);
    let rows: [(Option<&str>, &str, Missing); 9] = [
        (Some("pt/"), whole, none),
        (Some("/pt/index.html"), whole, none),
        (Some("pt/"), "<p>Casa Ana</p>", ("pt/index.html", &["/business_email"])),
        (Some("pt/"), "", ("pt/index.html", &["Casa Ana", "/business_email"])),
        (Some("https://casa.example/pt/"), whole, entry),
        (Some("index.html"), whole, entry),
        (Some("es/"), whole, entry),
        (Some("folheto.pdf"), whole, entry),
        (None, whole, entry),
    ];
    for (target, body, (file, missing)) in rows {
        let head = target.map_or_else(String::new, |target| {
            format!("<meta http-equiv=\"refresh\" content=\"0; url={target}\">")
        });
        let files: Files = [
            (path("index.html"), page(&head, link).into_bytes()),
            (path("pt/index.html"), page("", body).into_bytes()),
            (path("folheto.pdf"), b"%PDF-1.7".to_vec()),
        ]
        .into_iter()
        .collect();
        assert_eq!(unsaid_of(&files, &options, file), missing, "{target:?}: {body}");
    }
}

/// Pages that lead on, each to the next one, and what is missing of the last one. A page that was
/// read before the one that leads to it is not judged, nor is the end of a long or endless way.
#[test]
fn redirections_are_followed_to_the_page_that_visitors_see() {
    let options = options(&json!({"business_name": "Casa Ana", "business_email": "oi@a.example"}));
    let rows: [(&[&str], &str, &[&str]); 7] = [
        (&["b.html", "c.html"], "Casa Ana, oi@a.example", &[]),
        (&["b.html", "c.html"], "Casa Ana", &["/business_email"]),
        (&["b.html", "c.html"], "", &["Casa Ana", "/business_email"]),
        (&["c.html", "b.html"], "", &[]),
        (&["b.html", "c.html", "b.html"], "", &[]),
        (&["b.html", "c.html", "d.html", "e.html"], "", &["Casa Ana", "/business_email"]),
        (&["b.html", "c.html", "d.html", "e.html", "f.html"], "", &[]),
    ];
    for (way, body, missing) in rows {
        let mut files = Files::new();
        let starts = std::iter::once(&"index.html").chain(way);
        for (from, to) in starts.zip(way) {
            let head = format!("<meta http-equiv=\"refresh\" content=\"0; url={to}\">");
            files.insert(path(from), page(&head, "<p>...</p>").into_bytes());
        }
        let last = way.last().copied().unwrap();
        let whole = page("", &format!("<p>{body}</p>")).into_bytes();
        files.entry(path(last)).or_insert(whole);
        assert_eq!(unsaid_of(&files, &options, last), missing, "{way:?}: {body}");
    }
}

#[test]
fn only_the_entry_page_says_whose_site_it_is() {
    let options = options(&json!({"business_name": "Casa Ana", "business_email": "oi@a.example"}));
    let mut files = site("<a href=\"outra.html\">Contato</a>");
    files.insert(path("outra.html"), page("", "<p>Casa Ana, oi@a.example</p>").into_bytes());
    assert_eq!(unsaid(&files, &options), ["Casa Ana", "/business_email"]);
    let levels = Levels::new([(Rule::WhoseSite, Level::Warning)].into()).unwrap();
    let warned = verify(&files, &VerifyOptions { levels, ..options }).unwrap();
    assert!(warned.is_good());
    assert_eq!(warned.warnings.iter().filter(|warning| warning.rule == Rule::WhoseSite).count(), 2);
}
