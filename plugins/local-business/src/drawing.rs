//! Which drawing shows the trade: that of the order's niche, or the one that the customer's own
//! words for it name.

use sitewright_order::{Niche, Order};

use crate::pages::fold;

/// A drawing of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Drawing {
    Restaurant,
    Lawyer,
    Dentist,
    RealEstate,
    Plumber,
    Electrician,
    Landscaping,
    Cleaning,
    Bakery,
    Car,
    Flowers,
    Gym,
    Hair,
    Health,
    Hotel,
    Music,
    Pets,
    Photo,
    School,
    Yoga,
    /// A shop, for all other trades.
    General,
}

/// Parts of the customer's words for a trade, in lower case and without accents. A Latin one of
/// fewer than five letters is a whole word. The first drawing that has one counts: a veterinary
/// clinic is no clinic.
const TRADES: [(Drawing, &[&str]); 20] = [
    (
        Drawing::Pets,
        &[
            "veterin",
            "pet",
            "pets",
            "petshop",
            "vet",
            "vets",
            "grooming",
            "dog",
            "dogs",
            "cat",
            "cats",
            "animal",
            "mascota",
            "tierarzt",
            "hunde",
            "بيطر",
            "וטרינר",
            "ペット",
            "動物",
        ],
    ),
    (
        Drawing::Music,
        &[
            "music",
            "musik",
            "musique",
            "guitar",
            "piano",
            "klavier",
            "violin",
            "singing",
            "موسيق",
            "מוזיק",
            "音楽",
            "ピアノ",
        ],
    ),
    (Drawing::Yoga, &["yoga", "pilates", "meditat", "wellness", "massage", "يوغا", "יוגה", "ヨガ"]),
    (
        Drawing::School,
        &[
            "school",
            "kindergarten",
            "daycare",
            "childcare",
            "tutor",
            "creche",
            "escola",
            "escuela",
            "jardin de infan",
            "jardin infantil",
            "guarderia",
            "ecole",
            "garderie",
            "jardin d enfant",
            "schule",
            "kita",
            "scuola",
            "asilo",
            "idioma",
            "حضان",
            "مدرس",
            "روضه",
            "גנון",
            "גן ילדים",
            "בית ספר",
            "学校",
            "保育",
            "学習塾",
            "幼稚園",
        ],
    ),
    (Drawing::Photo, &["photograph", "fotograf", "تصوير", "צילום", "צלמ", "写真", "フォト"]),
    (
        Drawing::Hair,
        &[
            "hair",
            "barber",
            "hairdress",
            "beauty",
            "nail",
            "nails",
            "cabeleir",
            "barbear",
            "beleza",
            "peluquer",
            "belleza",
            "coiffeu",
            "coiffure",
            "beaute",
            "friseu",
            "frisor",
            "nagelstudio",
            "kosmetik",
            "parrucch",
            "bellezza",
            "حلاق",
            "تجميل",
            "صالون",
            "מספרה",
            "美容",
            "理容",
            "ヘアサロン",
        ],
    ),
    (
        Drawing::Gym,
        &[
            "gym",
            "fitness",
            "crossfit",
            "academia",
            "ginasi",
            "gimnasi",
            "personal trainer",
            "sportstudio",
            "palestra",
            "musculation",
            "رياضي",
            "כושר",
            "スポーツジム",
            "フィットネス",
        ],
    ),
    (
        Drawing::Hotel,
        &[
            "hotel",
            "hostel",
            "hostal",
            "pousada",
            "inn",
            "bed and breakfast",
            "guesthouse",
            "chambre d hote",
            "gite",
            "gasthof",
            "ferienwohnung",
            "agriturismo",
            "فندق",
            "מלון",
            "旅館",
            "ホテル",
            "民宿",
            "ペンション",
        ],
    ),
    (
        Drawing::Flowers,
        &[
            "florist",
            "flower",
            "floricult",
            "floristeria",
            "fleurist",
            "blumen",
            "fiorai",
            "fiorist",
            "زهور",
            "פרחים",
            "花屋",
            "フラワー",
        ],
    ),
    (
        Drawing::Bakery,
        &[
            "baker",
            "bakes",
            "cafe",
            "coffee",
            "pastry",
            "cakes",
            "patisser",
            "boulanger",
            "padaria",
            "confeitaria",
            "panader",
            "pasteler",
            "cafeter",
            "backerei",
            "baeckerei",
            "konditor",
            "panific",
            "pasticc",
            "مخبز",
            "حلويات",
            "مقهي",
            "מאפי",
            "קונדיטור",
            "בית קפה",
            "パン屋",
            "ベーカリー",
            "カフェ",
            "喫茶",
            "菓子",
        ],
    ),
    (
        Drawing::Car,
        &[
            "auto",
            "car",
            "cars",
            "mechanic",
            "garage",
            "autohaus",
            "automobil",
            "autowerk",
            "autorepar",
            "autofficin",
            "automotiv",
            "mecanic",
            "kfz",
            "werkstatt",
            "carrosser",
            "carrozz",
            "tires",
            "tyres",
            "pneus",
            "سيارات",
            "מוסך",
            "自動車",
            "車検",
        ],
    ),
    (
        Drawing::Dentist,
        &[
            "dentist",
            "dental",
            "orthodont",
            "odonto",
            "zahnarzt",
            "zahnaerzt",
            "اسنان",
            "שיניים",
            "歯科",
        ],
    ),
    (
        Drawing::Health,
        &[
            "clinic",
            "medical",
            "medecin",
            "doctor",
            "physio",
            "chiropract",
            "therap",
            "pharmac",
            "farmaci",
            "fisioterap",
            "kinesi",
            "kine",
            "arztpraxis",
            "apothek",
            "osteop",
            "psycholog",
            "psicolog",
            "nursing",
            "عياده",
            "طبيب",
            "صيدلي",
            "מרפא",
            "רופא",
            "クリニック",
            "医院",
            "整体",
            "整骨",
            "薬局",
        ],
    ),
    // Trades that have a niche, in the words of customers whose order names none.
    (
        Drawing::Restaurant,
        &[
            "restaurant",
            "pizza",
            "pizze",
            "bistro",
            "ristorante",
            "trattoria",
            "churrascaria",
            "sushi",
            "catering",
            "imbiss",
            "biergarten",
            "traiteur",
            "steakhouse",
            "taco",
            "tacos",
            "taqueria",
            "burger",
            "kebab",
            "food truck",
            "مطعم",
            "מסעד",
            "פיצ",
            "レストラン",
            "料理",
            "ラーメン",
            "寿司",
            "食堂",
            "居酒屋",
        ],
    ),
    (
        Drawing::Lawyer,
        &[
            "lawyer",
            "law firm",
            "attorney",
            "advoga",
            "abogad",
            "avocat",
            "rechtsanwalt",
            "kanzlei",
            "avvocat",
            "notar",
            "محام",
            "עורכ",
            "עורך דין",
            "弁護士",
            "司法書士",
            "法律",
        ],
    ),
    (
        Drawing::RealEstate,
        &[
            "real estate",
            "realtor",
            "imobiliari",
            "inmobiliari",
            "immobili",
            "makler",
            "roof",
            "roofs",
            "roofing",
            "roofer",
            "telhad",
            "tejado",
            "couvreur",
            "toiture",
            "dachdeck",
            "عقار",
            "נדלן",
            "נדל ן",
            "תיווך",
            "不動産",
        ],
    ),
    (
        Drawing::Plumber,
        &[
            "plumb",
            "encanador",
            "fontaner",
            "plombier",
            "klempner",
            "sanitar",
            "idraulic",
            "سباك",
            "אינסטלט",
            "水道",
            "水漏れ",
        ],
    ),
    (
        Drawing::Electrician,
        &["electric", "eletric", "elektri", "elettric", "كهربا", "חשמל", "電気工事"],
    ),
    (
        Drawing::Landscaping,
        &[
            "landscap",
            "garden",
            "jardin",
            "jardim",
            "paisag",
            "paysag",
            "garten",
            "giardin",
            "حدائق",
            "גינון",
            "造園",
            "庭師",
            "庭園",
        ],
    ),
    (
        Drawing::Cleaning,
        &[
            "cleaning",
            "limpeza",
            "limpieza",
            "nettoyage",
            "reinigung",
            "pulizi",
            "lavander",
            "laundry",
            "تنظيف",
            "ניקיון",
            "清掃",
            "クリーニング",
        ],
    ),
];

impl Drawing {
    /// The drawing of an order.
    pub fn of(order: &Order) -> Drawing {
        let own = || Drawing::named(order.custom_niche.as_deref().unwrap_or_default());
        match order.niche {
            // The niche that is nearest to a bakery or a café.
            Niche::Restaurant if own() == Drawing::Bakery => Drawing::Bakery,
            Niche::Restaurant => Drawing::Restaurant,
            Niche::Lawyer => Drawing::Lawyer,
            Niche::Dentist => Drawing::Dentist,
            Niche::RealEstate => Drawing::RealEstate,
            Niche::Plumber => Drawing::Plumber,
            Niche::Electrician => Drawing::Electrician,
            Niche::Landscaping => Drawing::Landscaping,
            Niche::Cleaning => Drawing::Cleaning,
            Niche::General | Niche::Other => own(),
        }
    }

    /// The drawing that the customer's words for a trade name.
    fn named(trade: &str) -> Drawing {
        let folded = fold(trade);
        let has = |part: &&str| {
            let is_whole = part.is_ascii() && part.len() < 5;
            if is_whole {
                folded.split(' ').any(|word| word == *part)
            } else {
                folded.contains(*part)
            }
        };
        let found = TRADES.iter().find(|(_, parts)| parts.iter().any(has));
        found.map_or(Drawing::General, |(drawing, _)| *drawing)
    }

    /// The drawing as SVG, 320 by 320 units, without the enclosing `<svg>` element.
    pub(crate) fn svg(self) -> &'static str {
        match self {
            Drawing::Restaurant => include_str!("../art/restaurant.svg"),
            Drawing::Lawyer => include_str!("../art/lawyer.svg"),
            Drawing::Dentist => include_str!("../art/dentist.svg"),
            Drawing::RealEstate => include_str!("../art/real-estate.svg"),
            Drawing::Plumber => include_str!("../art/plumber.svg"),
            Drawing::Electrician => include_str!("../art/electrician.svg"),
            Drawing::Landscaping => include_str!("../art/landscaping.svg"),
            Drawing::Cleaning => include_str!("../art/cleaning.svg"),
            Drawing::Bakery => include_str!("../art/bakery.svg"),
            Drawing::Car => include_str!("../art/car.svg"),
            Drawing::Flowers => include_str!("../art/flowers.svg"),
            Drawing::Gym => include_str!("../art/gym.svg"),
            Drawing::Hair => include_str!("../art/hair.svg"),
            Drawing::Health => include_str!("../art/health.svg"),
            Drawing::Hotel => include_str!("../art/hotel.svg"),
            Drawing::Music => include_str!("../art/music.svg"),
            Drawing::Pets => include_str!("../art/pets.svg"),
            Drawing::Photo => include_str!("../art/photo.svg"),
            Drawing::School => include_str!("../art/school.svg"),
            Drawing::Yoga => include_str!("../art/yoga.svg"),
            Drawing::General => include_str!("../art/general.svg"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::{Map, Value, json};

    use super::*;

    #[test]
    fn the_customers_words_for_a_trade_choose_the_drawing() {
        for (trade, expected) in [
            ("Hair salon", Drawing::Hair),
            ("Bakery & café", Drawing::Bakery),
            ("Hochzeitsfotografin", Drawing::Photo),
            ("Academia de treino funcional", Drawing::Gym),
            ("حضانة أطفال", Drawing::School),
            ("Veterinary clinic", Drawing::Pets),
            ("Clínica médica", Drawing::Health),
            ("KFZ-Meisterbetrieb", Drawing::Car),
            ("Auto repair", Drawing::Car),
            ("Fleuriste", Drawing::Flowers),
            ("旅館", Drawing::Hotel),
            ("Pizzeria", Drawing::Restaurant),
            ("Zahnärztin", Drawing::Dentist),
            ("عيادة أسنان", Drawing::Dentist),
            ("Vet & grooming", Drawing::Pets),
            ("Jardín de infantes", Drawing::School),
            ("Jardin d’enfants", Drawing::School),
            ("Biergarten", Drawing::Restaurant),
            ("Garten- und Landschaftsbau", Drawing::Landscaping),
            ("Frisör", Drawing::Hair),
            ("נדל״ן", Drawing::RealEstate),
            ("中華料理", Drawing::Restaurant),
            ("Yoga studio", Drawing::Yoga),
            ("Music school", Drawing::Music),
            ("Escola de música", Drawing::Music),
            ("Roofing", Drawing::RealEstate),
            ("Dachdeckerei", Drawing::RealEstate),
            ("Taco truck", Drawing::Restaurant),
            ("Carpentry", Drawing::General),
            ("Retro-computing repair — 💾", Drawing::General),
            ("", Drawing::General),
        ] {
            assert_eq!(Drawing::named(trade), expected, "{trade}");
        }
    }

    #[test]
    fn every_part_is_written_as_trades_are_compared() {
        for (drawing, parts) in TRADES {
            for part in parts {
                assert_eq!(fold(part), *part, "{drawing:?}");
            }
            assert!(drawing.svg().contains("class=\"f-"), "{drawing:?}");
        }
    }

    /// The single pages in Python and JavaScript have the same drawings and words.
    /// `SITEWRIGHT_UPDATE_DRAWINGS=1` rewrites their files.
    #[test]
    fn the_single_pages_have_these_drawings() {
        let name = |drawing: Drawing| match drawing {
            Drawing::RealEstate => "real-estate".to_owned(),
            other => format!("{other:?}").to_lowercase(),
        };
        let trades: Vec<Value> = TRADES
            .iter()
            .map(|(drawing, words)| json!({ "drawing": name(*drawing), "words": words }))
            .collect();
        let drawings = TRADES.iter().map(|(drawing, _)| *drawing).chain([Drawing::General]);
        let svg: Map<String, Value> =
            drawings.map(|drawing| (name(drawing), Value::from(drawing.svg().trim()))).collect();
        let expected = json!({ "trades": trades, "svg": svg });
        for template in ["landing-js", "landing-py"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(template)
                .join("src/drawings.json");
            if std::env::var_os("SITEWRIGHT_UPDATE_DRAWINGS").is_some() {
                fs::write(&path, format!("{expected:#}\n")).unwrap();
            }
            let known: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert!(
                known == expected,
                "{} has other drawings or words; set SITEWRIGHT_UPDATE_DRAWINGS=1 and run this \
                 again",
                path.display()
            );
        }
    }
}
