//! The template's own wording in each language that it supports: one file per language, all with
//! the fields of [`Words`].

mod ar;
mod de;
mod en;
mod es;
mod fr;
mod he;
mod it;
mod ja;
mod pt;

use sitewright_order::{Day, Locale, Niche};

/// A supported language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Language {
    Arabic,
    /// And the fallback for all languages that are not supported.
    English,
    French,
    German,
    Hebrew,
    Italian,
    Japanese,
    Portuguese,
    Spanish,
}

impl Language {
    /// All supported languages.
    pub const ALL: [Language; 9] = [
        Language::Arabic,
        Language::English,
        Language::French,
        Language::German,
        Language::Hebrew,
        Language::Italian,
        Language::Japanese,
        Language::Portuguese,
        Language::Spanish,
    ];

    /// The language of a locale; English if it is not supported.
    pub fn of(locale: &Locale) -> Language {
        Language::ALL
            .into_iter()
            .find(|language| language.code() == locale.language())
            .unwrap_or(Language::English)
    }

    /// Value of `<html lang>`: the order's locale if it is in this language, `en` if English is the
    /// fallback.
    pub fn tag(self, locale: &Locale) -> &str {
        if locale.language() == self.code() { locale.as_str() } else { self.code() }
    }

    /// Language subtag: `pt`.
    pub fn code(self) -> &'static str {
        match self {
            Language::Arabic => "ar",
            Language::English => "en",
            Language::French => "fr",
            Language::German => "de",
            Language::Hebrew => "he",
            Language::Italian => "it",
            Language::Japanese => "ja",
            Language::Portuguese => "pt",
            Language::Spanish => "es",
        }
    }

    /// English name of the language, for prompts.
    pub fn name(self) -> &'static str {
        match self {
            Language::Arabic => "Arabic",
            Language::English => "English",
            Language::French => "French",
            Language::German => "German",
            Language::Hebrew => "Hebrew",
            Language::Italian => "Italian",
            Language::Japanese => "Japanese",
            Language::Portuguese => "Portuguese",
            Language::Spanish => "Spanish",
        }
    }

    /// How copy in this language addresses the reader and is set, for prompts. Empty if there is
    /// nothing to add.
    pub fn voice(self) -> &'static str {
        match self {
            Language::Arabic => {
                "Write Modern Standard Arabic with wording that suits men and women, and Western \
                 digits."
            }
            Language::English => "",
            Language::French => {
                "Address the reader as `vous`. Put a narrow no-break space before ; : ! ? and \
                 inside « »."
            }
            Language::German => "Address the reader as `Sie`.",
            Language::Hebrew => "Address the reader in wording that suits men and women.",
            Language::Italian => "Address the reader as `tu`.",
            Language::Japanese => {
                "Write in the polite style (です・ます) with Japanese punctuation and no spaces \
                 between words."
            }
            Language::Portuguese => "Address the reader as `você`.",
            Language::Spanish => "Address the reader as `tú`.",
        }
    }

    /// Whether the language is written from right to left.
    pub fn is_right_to_left(self) -> bool {
        matches!(self, Language::Arabic | Language::Hebrew)
    }

    /// The first day of a week in tables.
    pub fn first_day(self) -> Day {
        if self.is_right_to_left() { Day::Sunday } else { Day::Monday }
    }

    /// A number with the decimal separator of this language, with at most one decimal.
    pub fn decimal(self, number: f64) -> String {
        let text =
            if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.1}") };
        match self {
            Language::Arabic | Language::English | Language::Hebrew | Language::Japanese => text,
            _ => text.replace('.', ","),
        }
    }

    /// A day such as `2026-03-09` as this language writes it; `None` if it is not one.
    pub fn date(self, locale: &Locale, day: &str) -> Option<String> {
        let mut parts = day.split('-');
        let year = parts.next()?;
        let month: usize = parts.next()?.parse().ok()?;
        let day: u8 = parts.next()?.parse().ok()?;
        let month = self.words().months.get(month.checked_sub(1)?)?;
        Some(match self {
            Language::English if matches!(locale.as_str(), "en" | "en-US") => {
                format!("{month} {day}, {year}")
            }
            Language::French if day == 1 => format!("1er {month} {year}"),
            Language::German => format!("{day}. {month} {year}"),
            Language::Hebrew => format!("{day} ב{month} {year}"),
            Language::Japanese => format!("{year}年{month}{day}日"),
            Language::Portuguese | Language::Spanish => format!("{day} de {month} de {year}"),
            _ => format!("{day} {month} {year}"),
        })
    }

    /// The city and the state, as far as they are known, as this language joins them.
    pub fn place(self, city: Option<&str>, state: Option<&str>) -> String {
        let mut parts: Vec<&str> = [city, state].into_iter().flatten().collect();
        if parts.iter().any(|part| part.is_ascii()) {
            return parts.join(", ");
        }
        if self == Language::Japanese {
            // From large to small without separators: 東京都渋谷区.
            parts.reverse();
            return parts.concat();
        }
        parts.join(self.words().comma)
    }

    /// The template's wording in this language.
    pub fn words(self) -> &'static Words {
        match self {
            Language::Arabic => &ar::WORDS,
            Language::English => &en::WORDS,
            Language::French => &fr::WORDS,
            Language::German => &de::WORDS,
            Language::Hebrew => &he::WORDS,
            Language::Italian => &it::WORDS,
            Language::Japanese => &ja::WORDS,
            Language::Portuguese => &pt::WORDS,
            Language::Spanish => &es::WORDS,
        }
    }
}

/// Declares [`Words`] and the list of its texts, so that a test sees every field.
macro_rules! words {
    ($($field:ident)+) => {
        /// The wording in one language. Each field is named after its position in the site. `{}` in
        /// a text is where a value goes; two of them take values in this sequence.
        #[derive(Debug)]
        #[allow(missing_docs, reason = "the texts say it")]
        pub struct Words {
            $(pub $field: &'static str,)+
            /// Monday to Sunday, as within a sentence.
            pub days: [&'static str; 7],
            /// January to December, as within a date.
            pub months: [&'static str; 12],
            /// Names of the trades.
            pub trades: Trades,
            /// Folders of the pages: lower-case ASCII letters and `-`.
            pub slugs: Slugs,
            /// Words in the names of pages as customers type them, in lower case without accents.
            pub page_names: PageNames,
        }

        impl Words {
            /// Name and text of each field.
            pub fn texts(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($field), self.$field),)+]
            }
        }
    };
}

words! {
    skip menu_button close main_navigation footer_navigation breadcrumb
    home about services menu gallery testimonials faq pricing contact
    call whatsapp write_us book
    see_services see_menu see_about see_testimonials see_contact see_reviews
    hours hours_day hours_time hours_other closed all_day days_two days_span
    comma colon quote_sign
    address map phone email areas year years owner
    testimonials_heading anonymous stars values reasons more_services highlight
    prices price_on_request ask_quote quote_list
    form form_book form_lead form_lead_post form_note form_name form_email form_phone form_service
    form_any form_date form_message form_send required
    order_online donate gift_cards emergency team locations photo news
    vat tax_number company_number license representative responsible imprint imprint_text
    privacy privacy_text privacy_site privacy_server privacy_mail privacy_post privacy_links
    privacy_rights
    questions_left follow external rights lost lost_text lost_back closing closing_lead
    service_areas_count services_count dishes_count
}

/// Names of the trades.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Trades {
    pub restaurant: &'static str,
    pub lawyer: &'static str,
    pub dentist: &'static str,
    pub real_estate: &'static str,
    pub plumber: &'static str,
    pub electrician: &'static str,
    pub landscaping: &'static str,
    pub cleaning: &'static str,
    pub general: &'static str,
}

/// Folders of the pages.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Slugs {
    pub imprint: &'static str,
    pub privacy: &'static str,
    pub news: &'static str,
    pub about: &'static str,
    pub services: &'static str,
    pub menu: &'static str,
    pub gallery: &'static str,
    pub testimonials: &'static str,
    pub faq: &'static str,
    pub pricing: &'static str,
    pub contact: &'static str,
}

/// Folders of languages in other scripts: an address with percent-encoded letters is unreadable.
const ENGLISH_SLUGS: Slugs = Slugs {
    imprint: "legal-notice",
    privacy: "privacy",
    news: "news",
    about: "about",
    services: "services",
    menu: "menu",
    gallery: "gallery",
    testimonials: "testimonials",
    faq: "faq",
    pricing: "pricing",
    contact: "contact",
};

/// Words in the names of pages.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PageNames {
    pub home: &'static [&'static str],
    pub contact: &'static [&'static str],
    pub faq: &'static [&'static str],
    pub testimonials: &'static [&'static str],
    pub pricing: &'static [&'static str],
    pub gallery: &'static [&'static str],
    pub services: &'static [&'static str],
    pub about: &'static [&'static str],
    /// A page that says who is responsible for the site.
    pub imprint: &'static [&'static str],
    /// A page about the data that the site processes.
    pub privacy: &'static [&'static str],
    /// Legal pages that need a lawyer's text.
    pub legal: &'static [&'static str],
}

impl Words {
    /// Name of a weekday, as within a sentence.
    pub fn day(&self, day: Day) -> &'static str {
        match day {
            Day::Monday => self.days[0],
            Day::Tuesday => self.days[1],
            Day::Wednesday => self.days[2],
            Day::Thursday => self.days[3],
            Day::Friday => self.days[4],
            Day::Saturday => self.days[5],
            Day::Sunday => self.days[6],
        }
    }

    /// Name of a trade.
    pub fn trade(&self, niche: Niche) -> &'static str {
        match niche {
            Niche::Restaurant => self.trades.restaurant,
            Niche::Lawyer => self.trades.lawyer,
            Niche::Dentist => self.trades.dentist,
            Niche::RealEstate => self.trades.real_estate,
            Niche::Plumber => self.trades.plumber,
            Niche::Electrician => self.trades.electrician,
            Niche::Landscaping => self.trades.landscaping,
            Niche::Cleaning => self.trades.cleaning,
            Niche::General | Niche::Other => self.trades.general,
        }
    }
}

/// Puts the values into the `{}` of a text.
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut parts = text.split("{}");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (at, part) in parts.enumerate() {
        filled.push_str(values.get(at).copied().unwrap_or_default());
        filled.push_str(part);
    }
    filled
}

/// The text with a capital first letter, for the beginning of a line.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Fields whose text is the same as in English: language and field.
    const LIKE_ENGLISH: &[(&str, &str)] = &[
        ("ar", "colon"),
        ("de", "faq"),
        ("de", "comma"),
        ("de", "colon"),
        ("de", "form_name"),
        ("es", "comma"),
        ("es", "colon"),
        ("fr", "menu_button"),
        ("fr", "services"),
        ("fr", "contact"),
        ("fr", "comma"),
        ("fr", "form_message"),
        ("fr", "photo"),
        ("fr", "services_count"),
        ("he", "comma"),
        ("he", "colon"),
        ("it", "menu_button"),
        ("it", "home"),
        ("it", "menu"),
        ("it", "comma"),
        ("it", "colon"),
        ("it", "email"),
        ("it", "form_email"),
        ("pt", "menu_button"),
        ("pt", "comma"),
        ("pt", "colon"),
        ("pt", "quote_sign"),
    ];

    #[test]
    fn every_language_has_every_text() {
        for language in Language::ALL {
            let words = language.words();
            let code = language.code();
            for (field, text) in words.texts() {
                assert!(!text.trim().is_empty(), "{code}: {field}");
            }
            for (field, count) in [
                ("stars", 1),
                ("days_two", 2),
                ("days_span", 2),
                ("photo", 1),
                ("imprint_text", 1),
                ("privacy_text", 1),
                ("privacy_post", 1),
            ] {
                let text = words.texts().into_iter().find(|(name, _)| *name == field).unwrap().1;
                assert_eq!(text.matches("{}").count(), count, "{code}: {field}");
            }
            let days: HashSet<&str> = words.days.into_iter().collect();
            assert_eq!(days.len(), 7, "{code}");
            let months: HashSet<&str> = words.months.into_iter().collect();
            assert_eq!(months.len(), 12, "{code}");
            let trades: HashSet<&str> = [
                Niche::Restaurant,
                Niche::Lawyer,
                Niche::Dentist,
                Niche::RealEstate,
                Niche::Plumber,
                Niche::Electrician,
                Niche::Landscaping,
                Niche::Cleaning,
                Niche::General,
            ]
            .map(|niche| words.trade(niche))
            .into();
            assert!(trades.len() == 9 && trades.iter().all(|name| !name.is_empty()), "{code}");
        }
    }

    #[test]
    fn no_text_is_english_in_another_language() {
        let english = Language::English.words();
        for language in Language::ALL.into_iter().filter(|other| *other != Language::English) {
            let (words, code) = (language.words(), language.code());
            for ((field, text), (_, other)) in words.texts().into_iter().zip(english.texts()) {
                let allowed = LIKE_ENGLISH.contains(&(code, field));
                assert_eq!(text == other, allowed, "{code}: {field} is English: {text}");
            }
            for (day, other) in words.days.iter().zip(english.days) {
                assert_ne!(*day, other, "{code}");
            }
        }
    }

    #[test]
    fn texts_are_typeset_as_their_language_does() {
        for language in Language::ALL {
            for (field, text) in language.words().texts() {
                let at = format!("{}: {field}: {text}", language.code());
                assert!(!text.contains("  ") && !text.contains(['\'', '"']), "{at}");
                match language {
                    Language::French => {
                        for sign in [";", ":", "!", "?"] {
                            let thin = text.matches(&format!("\u{202f}{sign}")).count();
                            assert_eq!(text.matches(sign).count(), thin, "{at}");
                        }
                    }
                    Language::Japanese => assert!(!text.contains([' ', ',', '.']), "{at}"),
                    Language::Arabic => assert!(!text.contains([',', '?', ';']), "{at}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn a_locale_has_the_language_of_its_first_part() {
        for (locale, language, tag) in [
            ("ar-SA", Language::Arabic, "ar-SA"),
            ("de", Language::German, "de"),
            ("en-GB", Language::English, "en-GB"),
            ("es-419", Language::Spanish, "es-419"),
            ("fr-CA", Language::French, "fr-CA"),
            ("he-IL", Language::Hebrew, "he-IL"),
            ("it-CH", Language::Italian, "it-CH"),
            ("ja-JP", Language::Japanese, "ja-JP"),
            ("pt-PT", Language::Portuguese, "pt-PT"),
            ("fi", Language::English, "en"),
        ] {
            let locale: Locale = locale.parse().unwrap();
            assert_eq!(Language::of(&locale), language, "{locale}");
            assert_eq!(Language::of(&locale).tag(&locale), tag);
        }
    }

    #[test]
    fn dates_are_written_as_their_language_does() {
        for (locale, day, expected) in [
            ("ar-SA", "2026-03-09", "9 مارس 2026"),
            ("de", "2026-03-09", "9. März 2026"),
            ("en", "2026-03-09", "March 9, 2026"),
            ("en-GB", "2026-03-09", "9 March 2026"),
            ("es", "2026-03-09", "9 de marzo de 2026"),
            ("fr", "2026-03-01", "1er mars 2026"),
            ("he", "2026-03-09", "9 במרץ 2026"),
            ("it", "2026-12-31", "31 dicembre 2026"),
            ("ja", "2026-03-09", "2026年3月9日"),
            ("pt-BR", "2026-03-09", "9 de março de 2026"),
        ] {
            let locale: Locale = locale.parse().unwrap();
            let date = Language::of(&locale).date(&locale, day);
            assert_eq!(date.as_deref(), Some(expected), "{locale}");
        }
        let english: Locale = "en".parse().unwrap();
        for day in ["", "2026", "2026-13-01", "2026-00-01", "March 9"] {
            assert_eq!(Language::English.date(&english, day), None, "{day}");
        }
    }

    #[test]
    fn numbers_and_places_are_written_as_their_language_does() {
        assert_eq!(Language::German.decimal(4.5), "4,5");
        assert_eq!(Language::Japanese.decimal(4.5), "4.5");
        assert_eq!(Language::French.decimal(5.0), "5");
        let place = |language: Language, city, state| language.place(Some(city), state);
        assert_eq!(place(Language::Spanish, "Girona", Some("Cataluña")), "Girona, Cataluña");
        assert_eq!(place(Language::Japanese, "渋谷区", Some("東京都")), "東京都渋谷区");
        assert_eq!(place(Language::Arabic, "الرياض", Some("منطقة الرياض")), "الرياض، منطقة الرياض");
        assert_eq!(place(Language::Japanese, "Tampa", Some("FL")), "Tampa, FL");
        assert_eq!(place(Language::English, "Tampa", None), "Tampa");
    }
}
