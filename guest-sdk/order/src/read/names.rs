//! Names of fields as forms write them: in other languages, as questions, and with what CRMs and
//! form plugins add to a name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Words before the name of a field in a question: `What is your business name?`
const BEFORE: [&str; 18] = [
    "what", "which", "where", "when", "who", "whats", "s", "is", "are", "the", "your", "our",
    "please", "enter", "of", "provide", "a", "list",
];
/// Words behind it: `Which services do you offer?`
const AFTER: [&str; 9] =
    ["required", "optional", "please", "do", "you", "offer", "provide", "have", "open"];

/// Names of fields, folded, with words joined by `_`, and the languages whose words they are: no
/// language if they are of English, of many languages, or of none.
type Group = (&'static [&'static str], &'static [&'static str]);

/// The fields, and other names for each. What the reader of a field knows already is not repeated.
const SYNONYMS: &[(&str, &[Group])] = &[
    (
        "business_name",
        &[
            (
                &[],
                &[
                    "account_name",
                    "business_or_company_name",
                    "company_or_business_name",
                    "name_of_business",
                    "name_of_your_business",
                    "organisation_name",
                    "organization_name",
                    "restaurant_name",
                    "shop_name",
                    "store_name",
                ],
            ),
            (&["de"], &["firma", "firmenname", "unternehmen", "unternehmensname"]),
            (
                &["es"],
                &[
                    "nombre_comercial",
                    "nombre_de_la_empresa",
                    "nombre_de_tu_negocio",
                    "nombre_del_comercio",
                    "nombre_del_negocio",
                    "nombre_empresa",
                    "nombre_negocio",
                ],
            ),
            (
                &["fr"],
                &[
                    "nom_commercial",
                    "nom_de_l_entreprise",
                    "nom_de_votre_entreprise",
                    "nom_du_commerce",
                    "nom_entreprise",
                ],
            ),
            (
                &["it"],
                &[
                    "denominazione",
                    "nome_attivita",
                    "nome_azienda",
                    "nome_dell_attivita",
                    "nome_dell_azienda",
                ],
            ),
            (&["nl"], &["bedrijfsnaam", "naam_bedrijf"]),
            (&["pl"], &["nazwa_firmy"]),
            (
                &["pt"],
                &[
                    "nome_da_empresa",
                    "nome_da_firma",
                    "nome_do_estabelecimento",
                    "nome_do_negocio",
                    "nome_empresa",
                    "nome_fantasia",
                ],
            ),
        ],
    ),
    (
        "business_phone",
        &[
            (
                &[],
                &[
                    "business_telephone",
                    "company_phone",
                    "contact_number",
                    "contact_phone_number",
                    "phone_no",
                    "tel",
                    "telephone_number",
                    "work_phone",
                ],
            ),
            (&["de"], &["handy", "telefonnummer"]),
            (&["de", "pl"], &["telefon"]),
            (&["es"], &["numero_de_telefono"]),
            (&["es", "it"], &["telefono"]),
            (&["fr"], &["numero_de_telephone"]),
            (&["it"], &["cellulare"]),
            (&["nl"], &["telefoon", "telefoonnummer"]),
            (&["pl"], &["numer_telefonu"]),
            (&["pt"], &["celular", "numero_de_telefone", "telefone_de_contato"]),
        ],
    ),
    (
        "business_email",
        &[
            (&[], &["business_email_address", "company_email", "work_email"]),
            (&["de"], &["email_adresse"]),
            (&["es"], &["correo", "correo_electronico"]),
            (&["fr"], &["courriel"]),
            (&["it"], &["posta_elettronica"]),
            (&["nl"], &["emailadres"]),
            (&["pt"], &["endereco_de_email"]),
        ],
    ),
    (
        "whatsapp_number",
        &[
            (&[], &["numero_whatsapp", "whatsapp_business"]),
            (&["de", "nl"], &["whatsapp_nummer"]),
            (&["es", "pt"], &["numero_de_whatsapp"]),
        ],
    ),
    (
        "business_address",
        &[
            (&[], &["billing_street", "company_address", "full_address", "street"]),
            (&["de"], &["anschrift"]),
            (&["de", "fr"], &["adresse"]),
            (&["es"], &["direccion"]),
            (&["it"], &["indirizzo"]),
            (&["nl", "pl"], &["adres"]),
            (&["pt"], &["endereco"]),
        ],
    ),
    (
        "primary_city",
        &[
            (&[], &["billing_city", "town"]),
            (&["de"], &["ort", "stadt"]),
            (&["es"], &["ciudad", "localidad"]),
            (&["fr"], &["ville"]),
            (&["it"], &["citta"]),
            (&["nl"], &["plaats", "stad", "woonplaats"]),
            (&["pl"], &["miasto"]),
            (&["pt"], &["cidade"]),
        ],
    ),
    (
        "state",
        &[
            (&[], &["billing_state", "province"]),
            (&["de"], &["bundesland"]),
            (&["es", "it"], &["provincia"]),
            (&["es", "pt"], &["estado"]),
            (&["pl"], &["wojewodztwo"]),
            (&["pt"], &["uf"]),
        ],
    ),
    (
        "country",
        &[
            (&[], &["billing_country"]),
            (&["de", "nl"], &["land"]),
            (&["es", "pt"], &["pais"]),
            (&["fr"], &["pays"]),
            (&["it"], &["paese"]),
            (&["pl"], &["kraj", "panstwo"]),
        ],
    ),
    (
        "postal_code",
        &[
            (&[], &["billing_postal_code", "post_code", "postcode"]),
            (&["de"], &["plz", "postleitzahl"]),
            (&["es"], &["codigo_postal"]),
            (&["fr"], &["code_postal"]),
            (&["pl"], &["kod_pocztowy"]),
        ],
    ),
    (
        "services",
        &[
            (&[], &["our_services", "services_offered"]),
            (&["de"], &["dienstleistungen", "leistungen"]),
            (&["es"], &["servicios"]),
            (&["it"], &["servizi"]),
            (&["nl"], &["diensten"]),
            (&["pl"], &["uslugi"]),
            (&["pt"], &["servicos"]),
        ],
    ),
    (
        "business_hours",
        &[
            (
                &[],
                &[
                    "hours_of_operation",
                    "office_hours",
                    "opening_times",
                    "store_hours",
                    "trading_hours",
                    "working_hours",
                ],
            ),
            (&["de"], &["geschaftszeiten", "offnungszeiten", "oeffnungszeiten"]),
            (&["es"], &["horario_de_atencion", "horarios"]),
            (&["es", "pt"], &["horario"]),
            (&["fr"], &["heures_d_ouverture", "horaire", "horaires", "horaires_d_ouverture"]),
            (&["it"], &["orari", "orari_di_apertura", "orario", "orario_di_apertura"]),
            (&["nl"], &["openingstijden"]),
            (&["pl"], &["godziny_otwarcia"]),
            (&["pt"], &["horario_de_atendimento", "horario_de_funcionamento"]),
        ],
    ),
    (
        "site_description",
        &[
            (&[], &["about_your_business", "business_description", "company_description", "sobre"]),
            (&["de"], &["beschreibung", "uber_uns", "ueber_uns"]),
            (&["es"], &["descripcion", "sobre_nosotros"]),
            (&["fr"], &["descriptif"]),
            (&["it"], &["chi_siamo", "descrizione"]),
            (&["nl"], &["beschrijving", "omschrijving", "over_ons"]),
            (&["pl"], &["opis"]),
            (&["pt"], &["descricao"]),
        ],
    ),
    (
        "custom_niche",
        &[
            (&[], &["sector"]),
            (&["de"], &["gewerbe"]),
            (&["de", "nl"], &["branche"]),
            (&["es"], &["ramo_de_actividad", "rubro", "giro"]),
            (&["fr"], &["metier", "secteur", "secteur_d_activite"]),
            (&["it"], &["settore"]),
            (&["pl"], &["branza"]),
            (&["pt"], &["ramo", "ramo_de_atividade", "setor"]),
        ],
    ),
    (
        "prices",
        &[
            (&[], &["tarife"]),
            (&["de"], &["preise", "preisliste"]),
            (&["es"], &["precios", "tarifas"]),
            (&["fr"], &["prix", "tarifs"]),
            (&["it"], &["prezzi", "tariffe"]),
            (&["nl"], &["prijzen", "tarieven"]),
            (&["pl"], &["ceny", "cennik"]),
            (&["pt"], &["precos"]),
        ],
    ),
    (
        "vat_id",
        &[
            (&[], &["gstin"]),
            (&["de"], &["umsatzsteuer_id", "ust_id_nr", "ust_id_nummer", "ust_idnr", "ustidnr"]),
            (&["fr"], &["numero_de_tva", "numero_tva", "tva_intracommunautaire"]),
            (&["it"], &["p_iva", "piva"]),
            (&["nl"], &["btw", "btw_id", "btw_nummer"]),
        ],
    ),
    (
        "tax_id",
        &[
            (&[], &["cuit", "rfc"]),
            (&["de"], &["steuer_id", "steuernr"]),
            (&["it"], &["codice_fiscale"]),
        ],
    ),
    (
        "company_number",
        &[
            (&[], &["krs"]),
            (&["de"], &["handelsregisternummer", "hrb_nummer"]),
            (&["nl"], &["kv_k", "kv_k_nummer", "kvk", "kvk_nummer"]),
        ],
    ),
    ("site_url", &[(&[], &["business_website", "homepage", "website", "website_url"])]),
    (
        "primary_color",
        &[
            (&[], &["brand_color", "color", "main_color"]),
            (&["de"], &["farbe", "hauptfarbe"]),
            (&["es"], &["color_de_marca", "color_principal"]),
            (&["fr"], &["couleur", "couleur_principale"]),
            (&["it"], &["colore"]),
            (&["nl"], &["kleur"]),
            (&["pl"], &["kolor"]),
            (&["pt"], &["cor", "cor_da_marca", "cor_principal"]),
        ],
    ),
    (
        "has_whatsapp",
        &[
            (&["de"], &["hat_whatsapp"]),
            (&["es"], &["tiene_whatsapp"]),
            (&["it"], &["ha_whatsapp"]),
            (&["pt"], &["tem_whatsapp"]),
        ],
    ),
    ("logo_url", &[(&[], &["logo_link", "logotipo"])]),
    (
        "years_in_business",
        &[
            (&[], &["years_of_experience", "years_trading"]),
            (&["es", "pt"], &["anos_de_experiencia"]),
            (&["fr"], &["annees_d_experience"]),
            (&["it"], &["anni_di_attivita"]),
            (&["pt"], &["anos_de_mercado", "anos_no_mercado"]),
        ],
    ),
    (
        "social_facebook",
        &[(
            &[],
            &["facebook_page", "facebook_profile", "facebookhandle", "facebookpage", "facebookurl"],
        )],
    ),
    (
        "social_instagram",
        &[(
            &[],
            &[
                "insta",
                "instagram_account",
                "instagram_handle",
                "instagram_profile",
                "instagram_username",
                "instagramhandle",
                "instagramurl",
            ],
        )],
    ),
    (
        "social_linkedin",
        &[(
            &[],
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
        )],
    ),
    (
        "social_youtube",
        &[(&[], &["youtube_channel", "youtube_handle", "youtubehandle", "youtubeurl"])],
    ),
    ("social_tiktok", &[(&[], &["tiktok_handle", "tiktok_username", "tiktokhandle", "tiktokurl"])]),
    (
        "social_x",
        &[(
            &[],
            &[
                "twitter_handle",
                "twitter_username",
                "twitterhandle",
                "twitterurl",
                "twitterusername",
                "x_handle",
                "x_url",
            ],
        )],
    ),
];

/// Names that the reader of their field knows already, and that are words of a language.
const READ_ANYWAY: &[Group] = &[
    (&["de"], &["e_mail_adresse", "hausnummer", "steuernummer", "strasse"]),
    (&["es"], &["nombre"]),
    (&["fr"], &["a_propos", "siret"]),
    (&["it"], &["cap", "partita_iva"]),
    (&["nl"], &["e_mailadres"]),
    (&["pt"], &["bairro", "cep", "cnpj", "telefone"]),
];

/// What is known of a name.
struct Known {
    name: &'static str,
    /// The field that it means; `None` if the reader of the field knows the name.
    field: Option<&'static str>,
    languages: &'static [&'static str],
}

/// All names of both tables, sorted: names are looked up for each field of each order.
static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let of_fields = SYNONYMS
        .iter()
        .flat_map(|(field, groups)| groups.iter().map(move |group| (Some(*field), group)));
    let mut all: Vec<Known> = of_fields
        .chain(READ_ANYWAY.iter().map(|group| (None, group)))
        .flat_map(|(field, &(languages, names))| {
            names.iter().map(move |&name| Known { name, field, languages })
        })
        .collect();
    // Of two fields with one name the first counts: the order of equal names is kept.
    all.sort_by_key(|known| known.name);
    all.dedup_by_key(|known| known.name);
    all
});

/// What is known of a folded name.
fn known(name: &str) -> Option<&'static Known> {
    let at = KNOWN.binary_search_by_key(&name, |known| known.name).ok()?;
    KNOWN.get(at)
}

/// The language of the names of an order's fields; `None` if fewer than two are words of one
/// language, or as many of another.
pub(super) fn language_of<'n>(fields: impl Iterator<Item = &'n String>) -> Option<&'static str> {
    /// Maximum number of names that are looked at.
    const MAX_NAMES: usize = 300;
    /// Maximum length of a name that is looked at, in bytes.
    const MAX_NAME: usize = 60;
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for name in fields.filter(|name| name.len() <= MAX_NAME).take(MAX_NAMES) {
        let joined = without_additions(name, super::fields::words(name)).join("_");
        let folded = crate::hours::fold_words(&joined);
        for language in known(&folded).map(|known| known.languages).unwrap_or_default() {
            *counts.entry(*language).or_default() += 1;
        }
    }
    let most = counts.values().copied().max().filter(|most| *most >= 2)?;
    let mut best = counts.iter().filter(|(_, count)| **count == most);
    let (language, _) = best.next()?;
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
    known(name)?.field
}
