//! Trackers that scripts load while they run.
//!
//! What a script will ask for cannot be known without running it. The snippets of the common
//! trackers name their hosts, so those are found.

/// Maximum bytes of the part of a name before one of [`HOSTS`] (RFC 1035).
const MAX_NAME: usize = 253;
/// Hosts of trackers, and ends of their names.
const HOSTS: [&str; 20] = [
    "googletagmanager.com",
    "google-analytics.com",
    "doubleclick.net",
    "connect.facebook.net",
    "analytics.tiktok.com",
    "snap.licdn.com",
    "bat.bing.com",
    "clarity.ms",
    "static.hotjar.com",
    "cdn.segment.com",
    "cdn.mxpnl.com",
    "cdn.amplitude.com",
    "mc.yandex.ru",
    "hs-scripts.com",
    "s.pinimg.com",
    "sc-static.net",
    "matomo.cloud",
    "plausible.io",
    "stats.wp.com",
    "cloudflareinsights.com",
];

/// The hosts of trackers that a script names, one for each of [`HOSTS`], in lower case.
pub(super) fn trackers(script: &str) -> Vec<String> {
    HOSTS.iter().filter_map(|host| named(script, host)).collect()
}

/// The whole name of a host of which `end` is the end, where the script first has it.
fn named(script: &str, end: &str) -> Option<String> {
    let at = script.find(end)?;
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let (before, after) = (script.get(..at)?, script.get(at + end.len()..)?);
    if after.as_bytes().first().is_some_and(is_of_name) {
        return None;
    }
    let more = before.bytes().rev().take(MAX_NAME).take_while(is_of_name).count();
    let name = script.get(at - more..at + end.len())?.trim_start_matches('.');
    let is_host = name == end || name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.'));
    is_host.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_of_trackers_are_found_in_scripts() {
        for (script, expected) in [
            ("s.src = 'https://www.googletagmanager.com/gtm.js?id='", "www.googletagmanager.com"),
            ("t.src='//connect.facebook.net/en_US/fbevents.js'", "connect.facebook.net"),
            ("fetch(\"https://plausible.io/api/event\")", "plausible.io"),
            ("cookie = '; domain=.clarity.ms'", "clarity.ms"),
        ] {
            assert_eq!(trackers(script), [expected], "{script}");
        }
        for script in ["'notplausible.io'", "'plausible.io.example'", "'doubleclick.network'", "é"]
        {
            assert_eq!(trackers(script), [""; 0], "{script}");
        }
    }
}
