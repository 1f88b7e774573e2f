//! Characters that look like those of a delimiter, and their encodings.
//!
//! `guest-sdk/delimiter.json` has the cases.

/// The part of a delimiter that a character resembles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `<`.
    Angle,
    /// None, but it may be between `<` and the name: `/` and similar, and all ASCII punctuation.
    Punctuation,
    /// None, and it is not seen: white space, control characters, invisible characters, and those
    /// that combine with the one before.
    Blank,
    /// This letter of `data`.
    Letter(u8),
    /// None.
    Other,
}

// The confusable characters of Unicode (UTS #39) for each character of `</data`, and those whose
// compatibility decomposition (NFKD) without diacritics is that character.
const ANGLES: &str = "«˂ᐸᚲ‹≤≪≮≺⋖❮❰⟨⟪⦉⧼⩽⪡〈《﹤＜𝈶";
const SLASHES: &str = "᜵⁁⁄∕∖╱⟋⧵⧸Ⳇ⼃〳ノ㇓丿／＼𝈺";
const LETTERS_D: &str = "ÐðĎďĐđƉƊƋƌȡɖɗԀԁᎠᏧᑯᗞᗪᴅᴰᵈᵭᶁᶑḊḋḌḍḎḏḐḑḒḓⅅⅆⅮⅾ\
    ⒟ⒹⓓꓒꓓꟇꟈＤｄ𝐃𝐝𝐷𝑑𝑫𝒅𝒟𝒹𝓓𝓭𝔇𝔡𝔻𝕕𝕯𝖉𝖣𝖽𝗗𝗱𝘋𝘥𝘿𝙙𝙳𝚍🄓🄳🅓🅳🆥\
    🇩";
const LETTERS_A: &str = "ªÀÁÂÃÄÅàáâãäåĀāĂăĄąǍǎǞǟǠǡǺǻȀȁȂȃȦȧȺɑΑΛαАа\
    ӑᎪᗅᴀᴬᵃᶏḀḁẚẠạẢảẤấẦầẨẩẪẫẬậẮắẰằẲẳẴẵẶặₐ\u{212b}∀⍺⒜Ⓐ\
    ⓐⱥꓮＡａ𐊠𖽀𝐀𝐚𝐴𝑎𝑨𝒂𝒜𝒶𝓐𝓪𝔄𝔞𝔸𝕒𝕬𝖆𝖠𝖺𝗔𝗮𝘈𝘢𝘼𝙖𝙰𝚊𝚨𝛂𝛢𝛼𝜜𝜶𝝖\
    𝝰𝞐𝞪🄐🄰🅐🅰🇦";
const LETTERS_T: &str = "ŢţŤťŦŧƫƬƭƮȚțȶȾʈΤτТтᎢᴛᵀᵗᵵṪṫṬṭṮṯṰṱẗ†ₜ⊤⒯Ⓣⓣ⟙\
    ⱦⲦꓔＴｔ𐊗𐊱𐌕𑢼𖼊𝐓𝐭𝑇𝑡𝑻𝒕𝒯𝓉𝓣𝓽𝔗𝔱𝕋𝕥𝕿𝖙𝖳𝗍𝗧𝘁𝘛𝘵𝙏𝙩𝚃𝚝𝚻𝛵𝜯𝝩\
    𝞣𝼉🄣🅃🅣🆃🇹🝨";

impl Kind {
    /// The kind of a character.
    pub(super) fn of(c: char) -> Self {
        match c {
            '<' => Kind::Angle,
            'd' | 'D' => Kind::Letter(b'd'),
            'a' | 'A' => Kind::Letter(b'a'),
            't' | 'T' => Kind::Letter(b't'),
            c if c.is_ascii_punctuation() => Kind::Punctuation,
            c if is_blank(c) => Kind::Blank,
            c if c.is_ascii() => Kind::Other,
            c if ANGLES.contains(c) => Kind::Angle,
            c if SLASHES.contains(c) => Kind::Punctuation,
            c if LETTERS_D.contains(c) => Kind::Letter(b'd'),
            c if LETTERS_A.contains(c) => Kind::Letter(b'a'),
            c if LETTERS_T.contains(c) => Kind::Letter(b't'),
            _ => Kind::Other,
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(
        c,
            '\u{0}'..='\u{20}'
            | '\u{7f}'..='\u{a0}'
            | '\u{ad}'
            | '\u{300}'..='\u{36f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{1680}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fe20}'..='\u{fe2f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffc}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
thread_local! {
    /// Number of characters that were looked at.
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The kind of the first character of `text`, and the length of that character in bytes. A
/// character reference of HTML, percent-encoding, or an escape sequence of JSON counts as the
/// character that it stands for.
pub(super) fn first(text: &str) -> Option<(Kind, usize)> {
    #[cfg(test)]
    STEPS.set(STEPS.get() + 1);
    let c = text.chars().next()?;
    let decoded = match c {
        '&' => reference(&text[1..]),
        '%' => percent(&text[1..]),
        '\\' => escape(&text[1..]),
        _ => None,
    };
    Some(match decoded {
        Some((code, rest)) => {
            let kind = char::from_u32(code).map_or(Kind::Other, Kind::of);
            (kind, text.len() - rest.len())
        }
        None => (Kind::of(c), c.len_utf8()),
    })
}

/// Character references by name, without `;`.
const NAMED: [(&str, u32); 10] = [
    ("lt", 0x3c),
    ("sol", 0x2f),
    ("bsol", 0x5c),
    ("nbsp", 0xa0),
    ("shy", 0xad),
    ("zwnj", 0x200c),
    ("zwj", 0x200d),
    ("tab", 0x09),
    ("newline", 0x0a),
    ("zerowidthspace", 0x200b),
];

/// The rest of a character reference after `&`: `lt;`, `#60;`, `#x3C;`, also if its `&` is written
/// as `&amp;`, any number of times.
fn reference(mut rest: &str) -> Option<(u32, &str)> {
    while let Some(after) = without(rest, "amp;") {
        rest = after;
    }
    let (code, rest) = match rest.strip_prefix('#') {
        Some(number) => match without(number, "x") {
            Some(hex) => digits(hex, 16, 6)?,
            None => digits(number, 10, 7)?,
        },
        None => NAMED.iter().find_map(|(name, code)| Some((*code, without(rest, name)?)))?,
    };
    Some((code, rest.strip_prefix(';').unwrap_or(rest)))
}

/// The rest of percent-encoding after `%`: `3C`, also if its `%` is encoded, any number of times.
fn percent(mut rest: &str) -> Option<(u32, &str)> {
    while let Some(after) = rest.strip_prefix("25")
        && exactly(after, 2).is_some()
    {
        rest = after;
    }
    exactly(rest, 2)
}

/// The rest of an escape sequence after `\`: `u003c`, `u{3c}`, `x3c`.
fn escape(rest: &str) -> Option<(u32, &str)> {
    if let Some(rest) = without(rest, "u{") {
        let (code, rest) = digits(rest, 16, 6)?;
        return Some((code, rest.strip_prefix('}')?));
    }
    match without(rest, "u") {
        Some(rest) => exactly(rest, 4),
        None => exactly(without(rest, "x")?, 2),
    }
}

/// `text` without this prefix in upper or lower case.
fn without<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The number at the beginning of `text`: any number of zeros, then at most `most` digits.
fn digits(text: &str, radix: u32, most: usize) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches('0');
    let length = rest.chars().take(most).take_while(|c| c.is_digit(radix)).count();
    if length == 0 {
        return (rest.len() < text.len()).then_some((0, rest));
    }
    let (number, rest) = rest.split_at(length);
    Some((u32::from_str_radix(number, radix).ok()?, rest))
}

/// The number of exactly this many hexadecimal digits at the beginning of `text`.
fn exactly(text: &str, length: usize) -> Option<(u32, &str)> {
    let (number, rest) = text.split_at_checked(length)?;
    let is_hex = number.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((is_hex.then(|| u32::from_str_radix(number, 16).ok())??, rest))
}
