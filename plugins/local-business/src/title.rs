//! The title of a page, for the browser's tab and for search results.

/// Maximum length, in characters: search engines cut longer titles.
pub const MAX: usize = 59;

/// Fewest characters of the page's own title that are worth showing beside the business's name.
const MIN_PART: usize = 14;

/// The title: the business's name, then the page's title. What is too long is cut at a word; if
/// little would be left of the page's title, its `label` in menus replaces it, so that no two pages
/// have the same title.
pub fn of(business: &str, title: &str, label: &str) -> String {
    let business = business.split_whitespace().collect::<Vec<_>>().join(" ");
    if length(title) <= MAX && title.contains(&business) {
        return title.to_owned();
    }
    let room = MAX.saturating_sub(length(&business) + 3);
    if length(title) <= room {
        return format!("{business} · {title}");
    }
    let part = at_word(title, room);
    if length(&part) >= MIN_PART.max(length(title) / 2) {
        return format!("{business} · {part}");
    }
    let label = at_word(label, MAX / 2);
    let name = at_word(&business, MAX - length(&label) - 3);
    format!("{name} · {label}")
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// The beginning of the text, at most `max` characters, with an ellipsis if something is left out.
/// Cut after a word, if there is a space in its second half.
fn at_word(text: &str, max: usize) -> String {
    if length(text) <= max {
        return text.to_owned();
    }
    let short: String = text.chars().take(max.saturating_sub(1)).collect();
    let ends_a_word = text[short.len()..].starts_with(char::is_whitespace);
    let at = match short.rfind(char::is_whitespace) {
        Some(at) if !ends_a_word && at * 2 > short.len() => at,
        _ => short.len(),
    };
    let cut = short[..at].trim_end_matches(|c: char| !c.is_alphanumeric());
    if cut.is_empty() { String::new() } else { format!("{cut}…") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_first_and_the_rest_is_cut_at_a_word() {
        for (business, title, label, expected) in [
            ("Bright Oak Dental", "What we offer", "Services", "Bright Oak Dental · What we offer"),
            ("Zum Löwen", "Willkommen im Zum Löwen", "Start", "Willkommen im Zum Löwen"),
            (
                "Ferraz Advocacia",
                "Advocacia de família, contratos e sucessões em Campinas e região",
                "Início",
                "Ferraz Advocacia · Advocacia de família, contratos e…",
            ),
            (
                "Cabinet d'Aubigné-Lefèvre & Associés — Transactions, Location et Gestion de Biens",
                "Honoraires de vente et de location",
                "Honoraires",
                "Cabinet d'Aubigné-Lefèvre & Associés — Transactions… · Honoraires",
            ),
            ("東京庭園", "お庭の手入れと造園", "ホーム", "東京庭園 · お庭の手入れと造園"),
        ] {
            let title = of(business, title, label);
            assert!(length(&title) <= MAX, "{title}");
            if length(expected) <= MAX {
                assert_eq!(title, expected);
            }
        }
    }

    #[test]
    fn no_title_is_60_characters_long() {
        for name in [1, 20, 40, 44, 45, 46, 55, 58, 59, 60, 200] {
            for title in [1, 10, 30, 70] {
                for label in [1, 8, 60] {
                    for text in ["word ", "ーー", "x"] {
                        let long = |count: usize| -> String {
                            text.repeat(count).chars().take(count).collect()
                        };
                        let made = of(&long(name), long(title).trim(), long(label).trim());
                        assert!((1..=MAX).contains(&length(&made)), "{made}");
                    }
                }
            }
        }
    }
}
