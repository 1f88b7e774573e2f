//! Countries: how forms write them, and the language that most businesses there use.

/// A country: code, three-letter code, main language, and names as forms write them, folded.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// Countries with a name that forms send. Other two-letter codes are accepted as they are.
const COUNTRIES: &[Row] = &[
    ("AE", "are", "ar", &["united arab emirates", "uae", "الامارات", "الامارات العربيه المتحده"]),
    ("AR", "arg", "es", &["argentina"]),
    ("AT", "aut", "de", &["austria", "osterreich", "oesterreich"]),
    ("AU", "aus", "en", &["australia"]),
    ("BE", "bel", "nl", &["belgium", "belgie", "belgique", "belgien"]),
    ("BG", "bgr", "bg", &["bulgaria", "bulgarien"]),
    ("BH", "bhr", "ar", &["bahrain", "البحرين"]),
    ("BO", "bol", "es", &["bolivia"]),
    ("BR", "bra", "pt", &["brazil", "brasil"]),
    ("CA", "can", "en", &["canada", "kanada"]),
    ("CH", "che", "de", &["switzerland", "schweiz", "suisse", "svizzera"]),
    ("CL", "chl", "es", &["chile"]),
    ("CN", "chn", "zh", &["china", "中国", "中國"]),
    ("CO", "col", "es", &["colombia"]),
    ("CR", "cri", "es", &["costa rica"]),
    ("CY", "cyp", "el", &["cyprus", "zypern"]),
    ("CZ", "cze", "cs", &["czech republic", "czechia", "ceska republika", "cesko"]),
    ("DE", "deu", "de", &["germany", "deutschland", "allemagne", "alemania", "alemanha"]),
    ("DK", "dnk", "da", &["denmark", "danmark"]),
    ("DO", "dom", "es", &["dominican republic", "republica dominicana"]),
    ("DZ", "dza", "ar", &["algeria", "algerie", "الجزائر"]),
    ("EC", "ecu", "es", &["ecuador"]),
    ("EE", "est", "et", &["estonia", "eesti", "estland"]),
    ("EG", "egy", "ar", &["egypt", "مصر"]),
    ("ES", "esp", "es", &["spain", "espana", "espanha", "espagne", "spanien"]),
    ("FI", "fin", "fi", &["finland", "suomi"]),
    ("FR", "fra", "fr", &["france", "francia", "franca", "frankreich"]),
    (
        "GB",
        "gbr",
        "en",
        &[
            "united kingdom",
            "uk",
            "great britain",
            "england",
            "scotland",
            "wales",
            "northern ireland",
        ],
    ),
    ("GH", "gha", "en", &["ghana"]),
    ("GR", "grc", "el", &["greece", "ελλαδα"]),
    ("GT", "gtm", "es", &["guatemala"]),
    ("HK", "hkg", "zh", &["hong kong", "香港"]),
    ("HR", "hrv", "hr", &["croatia", "hrvatska", "kroatien"]),
    ("HU", "hun", "hu", &["hungary", "magyarorszag", "ungarn", "hongrie"]),
    ("ID", "idn", "id", &["indonesia"]),
    ("IE", "irl", "en", &["ireland", "eire"]),
    ("IL", "isr", "he", &["israel", "ישראל"]),
    ("IN", "ind", "en", &["india"]),
    ("IS", "isl", "is", &["iceland"]),
    ("IT", "ita", "it", &["italy", "italia", "italien", "italie"]),
    ("JO", "jor", "ar", &["jordan", "الاردن"]),
    ("JP", "jpn", "ja", &["japan", "日本"]),
    ("KE", "ken", "en", &["kenya"]),
    ("KR", "kor", "ko", &["south korea", "korea", "대한민국", "한국"]),
    ("KW", "kwt", "ar", &["kuwait", "الكويت"]),
    ("LB", "lbn", "ar", &["lebanon", "liban", "لبنان"]),
    ("LT", "ltu", "lt", &["lithuania", "lietuva", "litauen"]),
    ("LU", "lux", "fr", &["luxembourg", "luxemburg"]),
    ("LV", "lva", "lv", &["latvia", "latvija", "lettland"]),
    ("MA", "mar", "ar", &["morocco", "maroc", "المغرب"]),
    ("MT", "mlt", "en", &["malta"]),
    ("MX", "mex", "es", &["mexico"]),
    ("MY", "mys", "ms", &["malaysia"]),
    ("NG", "nga", "en", &["nigeria"]),
    ("NL", "nld", "nl", &["netherlands", "the netherlands", "nederland", "holland"]),
    ("NO", "nor", "nb", &["norway", "norge"]),
    ("NZ", "nzl", "en", &["new zealand"]),
    ("OM", "omn", "ar", &["oman", "عمان"]),
    ("PA", "pan", "es", &["panama"]),
    ("PE", "per", "es", &["peru"]),
    ("PH", "phl", "en", &["philippines", "filipinas", "pilipinas"]),
    ("PK", "pak", "en", &["pakistan"]),
    ("PL", "pol", "pl", &["poland", "polska"]),
    ("PT", "prt", "pt", &["portugal"]),
    ("PY", "pry", "es", &["paraguay"]),
    ("QA", "qat", "ar", &["qatar", "قطر"]),
    ("RO", "rou", "ro", &["romania"]),
    ("RS", "srb", "sr", &["serbia", "srbija", "serbien"]),
    ("RU", "rus", "ru", &["russia", "россия"]),
    ("SA", "sau", "ar", &["saudi arabia", "ksa", "السعوديه", "المملكه العربيه السعوديه"]),
    ("SE", "swe", "sv", &["sweden", "sverige"]),
    ("SG", "sgp", "en", &["singapore"]),
    ("SI", "svn", "sl", &["slovenia", "slovenija", "slowenien"]),
    ("SK", "svk", "sk", &["slovakia", "slovensko", "slowakei"]),
    ("TH", "tha", "th", &["thailand", "ประเทศไทย"]), // typos:ignore
    ("TN", "tun", "ar", &["tunisia", "tunisie", "تونس"]),
    ("TR", "tur", "tr", &["turkey", "turkiye"]),
    ("TW", "twn", "zh", &["taiwan", "台灣", "臺灣"]),
    ("UA", "ukr", "uk", &["ukraine", "україна"]),
    (
        "US",
        "usa",
        "en",
        &["united states", "united states of america", "u.s.a.", "u.s.", "estados unidos"],
    ),
    ("UY", "ury", "es", &["uruguay"]),
    ("VE", "ven", "es", &["venezuela"]),
    ("VN", "vnm", "vi", &["vietnam", "viet nam"]), // typos:ignore
    ("ZA", "zaf", "en", &["south africa"]),
];

/// Countries with businesses of several languages, with these: that of most of them first.
const SEVERAL: &[(&str, &[&str])] = &[
    ("BE", &["nl", "fr", "de"]),
    ("CA", &["en", "fr"]),
    ("CH", &["de", "fr", "it"]),
    ("DZ", &["ar", "fr"]),
    ("FI", &["fi", "sv"]),
    ("HK", &["zh", "en"]),
    ("IL", &["he", "ar"]),
    ("LB", &["ar", "fr", "en"]),
    ("LU", &["fr", "de"]),
    ("MA", &["ar", "fr"]),
    ("TN", &["ar", "fr"]),
];

/// The two-letter code (ISO 3166-1) of a country that a form sent as a code or a name: `br`, `BRA`,
/// `Brasil`. `None` if it is none.
pub fn country_code(text: &str) -> Option<String> {
    let text = text.trim();
    let folded = crate::hours::fold_words(text);
    let named = COUNTRIES
        .iter()
        .find(|(_, alpha_3, _, names)| *alpha_3 == folded || names.contains(&folded.as_str()));
    if let Some((code, ..)) = named {
        return Some((*code).to_owned());
    }
    let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase())
}

/// The language that most businesses of a country use, as a language tag without a region; `None`
/// if the country is not in the table.
pub fn main_language(code: &str) -> Option<&'static str> {
    COUNTRIES.iter().find(|(known, ..)| *known == code).map(|(_, _, language, _)| *language)
}

/// The languages that businesses of a country use, as language tags without a region: that of
/// [`main_language`] first. Empty if the country is not in the table.
pub fn country_languages(code: &str) -> Vec<&'static str> {
    match SEVERAL.iter().find(|(known, _)| *known == code) {
        Some((_, languages)) => languages.to_vec(),
        None => main_language(code).into_iter().collect(),
    }
}
