//! Names of fields as forms write them: in other languages, as questions, and with what CRMs and
//! form plugins add to a name.

use std::sync::LazyLock;

/// Words before the name of a field in a question: `What is your business name?`
const BEFORE: [&str; 18] = [
    "what", "which", "where", "when", "who", "whats", "s", "is", "are", "the", "your", "our",
    "please", "enter", "of", "provide", "a", "list",
];
/// Words behind it: `Which services do you offer?`
const AFTER: [&str; 9] =
    ["required", "optional", "please", "do", "you", "offer", "provide", "have", "open"];

/// The fields, and other names for each: folded, words joined by `_`. What the reader of a field
/// knows already is not repeated.
const SYNONYMS: &[(&str, &[&str])] = &[
    (
        "business_name",
        &[
            "account_name",
            "bedrijfsnaam",
            "business_or_company_name",
            "company_or_business_name",
            "denominazione",
            "firma",
            "firmenname",
            "naam_bedrijf",
            "name_of_business",
            "name_of_your_business",
            "nazwa_firmy",
            "nom_commercial",
            "nom_de_l_entreprise",
            "nom_de_votre_entreprise",
            "nom_du_commerce",
            "nom_entreprise",
            "nombre_comercial",
            "nombre_de_la_empresa",
            "nombre_de_tu_negocio",
            "nombre_del_comercio",
            "nombre_del_negocio",
            "nombre_empresa",
            "nombre_negocio",
            "nome_attivita",
            "nome_azienda",
            "nome_da_empresa",
            "nome_da_firma",
            "nome_dell_attivita",
            "nome_dell_azienda",
            "nome_do_estabelecimento",
            "nome_do_negocio",
            "nome_empresa",
            "nome_fantasia",
            "organisation_name",
            "organization_name",
            "restaurant_name",
            "shop_name",
            "store_name",
            "unternehmen",
            "unternehmensname",
        ],
    ),
    (
        "business_phone",
        &[
            "business_telephone",
            "cellulare",
            "celular",
            "company_phone",
            "contact_number",
            "contact_phone_number",
            "handy",
            "numer_telefonu",
            "numero_de_telefone",
            "numero_de_telefono",
            "numero_de_telephone",
            "phone_no",
            "tel",
            "telefon",
            "telefone_de_contato",
            "telefonnummer",
            "telefono",
            "telefoon",
            "telefoonnummer",
            "telephone_number",
            "work_phone",
        ],
    ),
    (
        "business_email",
        &[
            "business_email_address",
            "company_email",
            "correo",
            "correo_electronico",
            "courriel",
            "email_adresse",
            "emailadres",
            "endereco_de_email",
            "posta_elettronica",
            "work_email",
        ],
    ),
    (
        "whatsapp_number",
        &["numero_de_whatsapp", "numero_whatsapp", "whatsapp_business", "whatsapp_nummer"],
    ),
    (
        "business_address",
        &[
            "adres",
            "adresse",
            "anschrift",
            "billing_street",
            "company_address",
            "direccion",
            "endereco",
            "full_address",
            "indirizzo",
            "street",
        ],
    ),
    (
        "primary_city",
        &[
            "billing_city",
            "cidade",
            "citta",
            "ciudad",
            "localidad",
            "miasto",
            "ort",
            "plaats",
            "stad",
            "stadt",
            "town",
            "ville",
            "woonplaats",
        ],
    ),
    (
        "state",
        &["billing_state", "bundesland", "estado", "provincia", "province", "uf", "wojewodztwo"],
    ),
    ("country", &["billing_country", "kraj", "land", "paese", "pais", "panstwo", "pays"]),
    (
        "postal_code",
        &[
            "billing_postal_code",
            "code_postal",
            "codigo_postal",
            "kod_pocztowy",
            "plz",
            "post_code",
            "postcode",
            "postleitzahl",
        ],
    ),
    (
        "services",
        &[
            "dienstleistungen",
            "diensten",
            "leistungen",
            "our_services",
            "servicios",
            "servicos",
            "servizi",
            "services_offered",
            "uslugi",
        ],
    ),
    (
        "business_hours",
        &[
            "geschaftszeiten",
            "godziny_otwarcia",
            "heures_d_ouverture",
            "horaire",
            "horaires",
            "horaires_d_ouverture",
            "horario",
            "horario_de_atencion",
            "horario_de_atendimento",
            "horario_de_funcionamento",
            "horarios",
            "hours_of_operation",
            "office_hours",
            "openingstijden",
            "offnungszeiten",
            "oeffnungszeiten",
            "opening_times",
            "orari",
            "orari_di_apertura",
            "orario",
            "orario_di_apertura",
            "store_hours",
            "trading_hours",
            "working_hours",
        ],
    ),
    (
        "site_description",
        &[
            "about_your_business",
            "beschreibung",
            "beschrijving",
            "business_description",
            "chi_siamo",
            "company_description",
            "descricao",
            "descripcion",
            "descriptif",
            "descrizione",
            "omschrijving",
            "opis",
            "over_ons",
            "sobre",
            "sobre_nosotros",
            "uber_uns",
            "ueber_uns",
        ],
    ),
    (
        "custom_niche",
        &[
            "branche",
            "branza",
            "metier",
            "ramo",
            "ramo_de_atividade",
            "ramo_de_actividad",
            "rubro",
            "secteur",
            "secteur_d_activite",
            "sector",
            "settore",
            "setor",
            "giro",
            "gewerbe",
        ],
    ),
    (
        "prices",
        &[
            "ceny",
            "cennik",
            "precios",
            "precos",
            "preise",
            "preisliste",
            "prezzi",
            "prijzen",
            "prix",
            "tarifas",
            "tarife",
            "tariffe",
            "tarifs",
            "tarieven",
        ],
    ),
    (
        "vat_id",
        &[
            "btw",
            "btw_id",
            "btw_nummer",
            "gstin",
            "numero_de_tva",
            "numero_tva",
            "p_iva",
            "piva",
            "tva_intracommunautaire",
            "umsatzsteuer_id",
            "ust_id_nr",
            "ust_id_nummer",
            "ust_idnr",
            "ustidnr",
        ],
    ),
    ("tax_id", &["codice_fiscale", "cuit", "rfc", "steuer_id", "steuernr"]),
    (
        "company_number",
        &["handelsregisternummer", "hrb_nummer", "krs", "kv_k", "kv_k_nummer", "kvk", "kvk_nummer"],
    ),
    ("site_url", &["business_website", "homepage", "website", "website_url"]),
    (
        "primary_color",
        &[
            "brand_color",
            "color",
            "color_de_marca",
            "color_principal",
            "colore",
            "cor",
            "cor_da_marca",
            "cor_principal",
            "couleur",
            "couleur_principale",
            "farbe",
            "hauptfarbe",
            "kleur",
            "kolor",
            "main_color",
        ],
    ),
    ("has_whatsapp", &["ha_whatsapp", "hat_whatsapp", "tem_whatsapp", "tiene_whatsapp"]),
    ("logo_url", &["logo_link", "logotipo"]),
    (
        "years_in_business",
        &[
            "annees_d_experience",
            "anni_di_attivita",
            "anos_de_experiencia",
            "anos_de_mercado",
            "anos_no_mercado",
            "years_of_experience",
            "years_trading",
        ],
    ),
    (
        "social_facebook",
        &["facebook_page", "facebook_profile", "facebookhandle", "facebookpage", "facebookurl"],
    ),
    (
        "social_instagram",
        &[
            "insta",
            "instagram_account",
            "instagram_handle",
            "instagram_profile",
            "instagram_username",
            "instagramhandle",
            "instagramurl",
        ],
    ),
    (
        "social_linkedin",
        &[
            "linked_in_company_page",
            "linkedin_company",
            "linkedin_page",
            "linkedin_profile",
            "linkedincompanypage",
            "linkedinhandle",
            "linkedinpage",
            "linkedinurl",
        ],
    ),
    ("social_youtube", &["youtube_channel", "youtube_handle", "youtubehandle", "youtubeurl"]),
    ("social_tiktok", &["tiktok_handle", "tiktok_username", "tiktokhandle", "tiktokurl"]),
    (
        "social_x",
        &[
            "twitter_handle",
            "twitter_username",
            "twitterhandle",
            "twitterurl",
            "twitterusername",
            "x_handle",
            "x_url",
        ],
    ),
];

/// The fields by their other names, sorted: names are looked up for each field of each order.
static FIELDS: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let mut fields: Vec<(&'static str, &'static str)> = SYNONYMS
        .iter()
        .flat_map(|(field, names)| names.iter().map(move |name| (*name, *field)))
        .collect();
    // Of two fields with one name the first counts: the order of equal names is kept.
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    fields
});

/// Names of fields that are words of one language, or of few: folded, words joined by `_`.
const OF_LANGUAGES: &[(&str, &[&str])] = &[
    (
        "de",
        &[
            "adresse",
            "anschrift",
            "beschreibung",
            "branche",
            "bundesland",
            "dienstleistungen",
            "e_mail_adresse",
            "farbe",
            "firma",
            "firmenname",
            "geschaftszeiten",
            "gewerbe",
            "handy",
            "hauptfarbe",
            "hausnummer",
            "land",
            "leistungen",
            "oeffnungszeiten",
            "offnungszeiten",
            "ort",
            "plz",
            "postleitzahl",
            "preise",
            "preisliste",
            "stadt",
            "steuernummer",
            "strasse",
            "telefon",
            "telefonnummer",
            "uber_uns",
            "unternehmen",
            "unternehmensname",
            "ust_id_nr",
            "ust_idnr",
        ],
    ),
    (
        "es",
        &[
            "ciudad",
            "codigo_postal",
            "correo",
            "correo_electronico",
            "descripcion",
            "direccion",
            "estado",
            "giro",
            "horario",
            "horario_de_atencion",
            "horarios",
            "nombre",
            "nombre_comercial",
            "nombre_de_la_empresa",
            "nombre_de_tu_negocio",
            "nombre_del_negocio",
            "pais",
            "precios",
            "provincia",
            "rubro",
            "servicios",
            "sobre_nosotros",
            "tarifas",
            "telefono",
        ],
    ),
    (
        "fr",
        &[
            "a_propos",
            "adresse",
            "code_postal",
            "couleur",
            "couleur_principale",
            "courriel",
            "heures_d_ouverture",
            "horaires",
            "horaires_d_ouverture",
            "metier",
            "nom_commercial",
            "nom_de_l_entreprise",
            "nom_de_votre_entreprise",
            "nom_du_commerce",
            "nom_entreprise",
            "numero_de_telephone",
            "pays",
            "prix",
            "secteur",
            "secteur_d_activite",
            "siret",
            "tarifs",
            "ville",
        ],
    ),
    (
        "it",
        &[
            "cap",
            "cellulare",
            "chi_siamo",
            "citta",
            "colore",
            "denominazione",
            "descrizione",
            "indirizzo",
            "nome_attivita",
            "nome_azienda",
            "nome_dell_attivita",
            "nome_dell_azienda",
            "orari",
            "orari_di_apertura",
            "orario",
            "p_iva",
            "paese",
            "partita_iva",
            "prezzi",
            "provincia",
            "servizi",
            "settore",
            "tariffe",
            "telefono",
        ],
    ),
    (
        "nl",
        &[
            "adres",
            "bedrijfsnaam",
            "beschrijving",
            "branche",
            "btw",
            "btw_nummer",
            "diensten",
            "e_mailadres",
            "emailadres",
            "kleur",
            "kv_k",
            "kvk",
            "kvk_nummer",
            "land",
            "omschrijving",
            "openingstijden",
            "over_ons",
            "plaats",
            "prijzen",
            "stad",
            "tarieven",
            "telefoon",
            "telefoonnummer",
            "woonplaats",
        ],
    ),
    (
        "pl",
        &[
            "adres",
            "branza",
            "cennik",
            "ceny",
            "godziny_otwarcia",
            "kod_pocztowy",
            "kolor",
            "kraj",
            "miasto",
            "nazwa_firmy",
            "numer_telefonu",
            "opis",
            "telefon",
            "uslugi",
            "wojewodztwo",
        ],
    ),
    (
        "pt",
        &[
            "anos_de_mercado",
            "bairro",
            "celular",
            "cep",
            "cidade",
            "cnpj",
            "cor",
            "cor_principal",
            "descricao",
            "endereco",
            "estado",
            "horario",
            "horario_de_atendimento",
            "horario_de_funcionamento",
            "nome_da_empresa",
            "nome_do_negocio",
            "nome_fantasia",
            "pais",
            "precos",
            "ramo",
            "ramo_de_atividade",
            "servicos",
            "setor",
            "telefone",
            "tem_whatsapp",
            "uf",
        ],
    ),
];

/// The language of the names of an order's fields; `None` if fewer than two are words of one
/// language, or as many of another.
pub(super) fn language_of<'n>(fields: impl Iterator<Item = &'n String>) -> Option<&'static str> {
    /// Maximum number of names that are looked at.
    const MAX_NAMES: usize = 300;
    /// Maximum length of a name that is looked at, in bytes.
    const MAX_NAME: usize = 60;
    let mut counts = [0_usize; OF_LANGUAGES.len()];
    for name in fields.filter(|name| name.len() <= MAX_NAME).take(MAX_NAMES) {
        let joined = without_additions(name, super::fields::words(name)).join("_");
        let folded = crate::hours::fold_words(&joined);
        for (count, (_, names)) in counts.iter_mut().zip(OF_LANGUAGES) {
            *count += usize::from(names.contains(&folded.as_str()));
        }
    }
    let most = counts.iter().copied().max().filter(|most| *most >= 2)?;
    let mut best = counts.iter().zip(OF_LANGUAGES).filter(|(count, _)| **count == most);
    let (_, (language, _)) = best.next()?;
    best.next().is_none().then_some(*language)
}

/// Whether a name is written as the names of fields are, and nothing is added to it: words of ASCII
/// letters in lower case and digits, joined by single `_`.
pub(super) fn is_plain(name: &str) -> bool {
    let name = name.as_bytes();
    let is_of_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_numbered = matches!(name, [b'q', number, ..] if number.is_ascii_digit());
    !is_numbered
        && name.first().is_some_and(is_of_word)
        && name.last().is_some_and(is_of_word)
        && name.iter().all(|byte| is_of_word(byte) || *byte == b'_')
        && !name.windows(2).any(|pair| pair == b"__")
}

/// The words of a name without what CRMs and forms add to it: the `__c` of Salesforce, the `q3_` of
/// Jotform, the question around it.
pub(super) fn without_additions(name: &str, mut words: Vec<String>) -> Vec<String> {
    if name.ends_with("__c") && words.len() > 1 {
        words.pop();
    }
    let numbered = words
        .first()
        .and_then(|word| word.strip_prefix('q'))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
    if numbered && words.len() > 1 {
        words.remove(0);
    }
    // `Name` in a question may be that of the person who fills in the form.
    if name.contains(' ') && words.len() > 2 {
        let is = |list: &[&str], word: &String| list.contains(&word.as_str());
        // `WhatsApp number` is no question.
        let is_brand =
            matches!(words.as_slice(), [first, second, ..] if first == "whats" && second == "app");
        let asked = words.iter().take_while(|word| is(&BEFORE, word)).count();
        let from = if is_brand { 0 } else { asked };
        let to = words.iter().rev().take_while(|word| is(&AFTER, word)).count();
        let inner = words.get(from..words.len() - to.min(words.len())).unwrap_or_default();
        if (from > 0 || to > 0) && !inner.is_empty() && inner != ["name"] {
            return inner.to_vec();
        }
    }
    words
}

/// The field that another name means.
pub(super) fn synonym(name: &str) -> Option<&'static str> {
    let folded;
    let name = if name.is_ascii() {
        name
    } else {
        folded = crate::hours::fold_words(name);
        folded.as_str()
    };
    let at = FIELDS.binary_search_by_key(&name, |(other, _)| *other).ok()?;
    FIELDS.get(at).map(|(_, field)| *field)
}

#[cfg(test)]
mod tests {
    use super::super::fields::{meant_name, words};
    use super::{SYNONYMS, is_plain, language_of, synonym, without_additions};

    #[test]
    fn names_of_fields_are_in_a_language() {
        let table: [(&[&str], Option<&str>); 6] = [
            (&["Firmenname", "Branche", "Land"], Some("de")),
            (&["Bedrijfsnaam", "Branche", "Land"], Some("nl")),
            (&["Nome da empresa", "Estado", "Ramo"], Some("pt")),
            (&["Branche", "Land"], None),
            (&["Estado", "phone"], None),
            (&["business_name", "phone", "services"], None),
        ];
        for (names, expected) in table {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(language_of(names.iter()), expected, "{names:?}");
        }
    }

    #[test]
    fn each_other_name_means_the_first_field_that_has_it() {
        for (field, names) in SYNONYMS {
            for name in *names {
                let first = SYNONYMS.iter().find(|(_, names)| names.contains(name));
                assert_eq!(synonym(name), first.map(|(field, _)| *field), "{name} of {field}");
            }
        }
        for name in ["", "a", "business_name", "zzz"] {
            assert_eq!(synonym(name), None, "{name}");
        }
    }

    proptest::proptest! {
        /// What is not read word for word is read as if it was.
        #[test]
        fn a_plain_name_is_its_words(name in "[a-cqA-C0-3_é -]{0,8}|q3_[a-c_]{0,4}|[a-c]{1,3}__c") {
            let joined = without_additions(&name, words(&name)).join("_");
            assert!(!is_plain(&name) || joined == name, "{name} is {joined}");
        }
    }

    #[test]
    fn names_in_other_words_mean_their_field() {
        for (written, meant) in [
            ("What is your business name?", "business_name"),
            ("Which services do you offer?", "services"),
            ("Nome da empresa", "business_name"),
            ("nome attività", "business_name"),
            ("Tem WhatsApp?", "has_whatsapp"),
            ("Öffnungszeiten", "business_hours"),
            ("Horário de funcionamento", "business_hours"),
            ("Nom de l'entreprise *", "business_name"),
            ("Business_Phone__c", "business_phone"),
            ("q3_businessName", "business_name"),
            ("Instagram handle", "social_instagram"),
            ("Your brand colour", "primary_color"),
            ("What is your name?", "what_is_your_name"),
            ("Whats your business name", "business_name"),
            ("WhatsApp Number", "whatsapp_number"),
            ("services", "services"),
            ("q1", "q1"),
        ] {
            assert_eq!(meant_name(written), meant, "{written}");
        }
    }
}
