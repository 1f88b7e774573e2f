//! Whether `robots.txt` lets search engines read the site (RFC 9309).

/// The line that keeps all search engines out of the whole site, counted from 1.
pub(super) fn keeps_all_out(text: &str) -> Option<u64> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Whether the group that is read is for all, and whether its rules have begun.
    let (mut for_all, mut in_rules) = (false, false);
    let (mut closed, mut opened) = (None, false);
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let Some((field, value)) = line.split_once(':') else { continue };
        let (field, value) = (field.trim(), value.trim());
        let is = |name: &str| field.eq_ignore_ascii_case(name);
        if is("user-agent") {
            // Lines one after the other name the agents of one group.
            for_all = (for_all && !in_rules) || value == "*";
            in_rules = false;
        } else if is("disallow") || is("allow") {
            in_rules = true;
            let whole = matches!(value, "/" | "/*" | "*" | "/*$");
            if for_all && whole && is("disallow") {
                closed = closed.or(Some(number));
            }
            // Of two rules of one length, the one that allows holds.
            opened |= for_all && is("allow") && !value.is_empty();
        }
    }
    closed.filter(|_| !opened)
}

#[cfg(test)]
mod tests {
    use super::keeps_all_out;

    #[test]
    fn a_group_for_all_that_closes_the_whole_site_is_found() {
        let rows = [
            ("User-agent: *\nDisallow: /\n", Some(2)),
            ("user-agent:*\r\nDISALLOW : / # all\r\n", Some(2)),
            ("\u{feff}User-agent: a\nUser-agent: *\nDisallow: /*\n", Some(3)),
            ("User-agent: *\nDisallow:\n", None),
            ("User-agent: *\nDisallow: /admin/\n", None),
            ("User-agent: *\nAllow: /\nDisallow: /\n", None),
            ("User-agent: GPTBot\nDisallow: /\n", None),
            ("User-agent: *\nDisallow: /x\n\nUser-agent: GPTBot\nDisallow: /\n", None),
            ("# Disallow: /\nUser-agent: *\nAllow: /\n", None),
            ("Disallow: /\n", None),
        ];
        for (text, line) in rows {
            assert_eq!(keeps_all_out(text), line, "{text:?}");
        }
    }
}
