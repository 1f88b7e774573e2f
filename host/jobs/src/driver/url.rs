//! The URL of a PostgreSQL database, read strictly.
//!
//! A password with a raw `?`, `#` or `/` ends the part of the URL that it stands in, and its rest
//! looks like a port, a path or a parameter. Whatever reads such a URL shows that rest, as sqlx does
//! in a warning. So a URL that may be one of those is refused before anybody else reads it, and
//! nothing of a refused URL is shown.

use url::Url;

/// Whether the path of an SQLite URL begins with `user:password@`, as the URL of a server does. A
/// file whose name has both characters is written with `/` or `./` before it.
pub fn has_sqlite_password(url: &str) -> bool {
    let Some(path) = url.strip_prefix("sqlite:") else { return false };
    let path = path.strip_prefix("//").unwrap_or(path);
    let is_path = ["/", "./", "../"].iter().any(|start| path.starts_with(start));
    !is_path && path.split_once(':').is_some_and(|(_, rest)| rest.contains('@'))
}

/// What happens with a parameter of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is passed to sqlx, and may be shown.
    Shown,
    /// It is passed to sqlx, and its value is not shown.
    Hidden,
    /// Clients in C or poolers know it, this program does not.
    Ignored,
}

/// The parameters that a URL of PostgreSQL can have.
const PARAMETERS: [(&str, Use); 53] = [
    ("application_name", Use::Shown),
    ("dbname", Use::Shown),
    ("host", Use::Shown),
    ("hostaddr", Use::Shown),
    ("options", Use::Hidden),
    ("password", Use::Hidden),
    ("port", Use::Shown),
    ("ssl-ca", Use::Shown),
    ("ssl-cert", Use::Shown),
    ("ssl-key", Use::Shown),
    ("ssl-mode", Use::Shown),
    ("ssl-root-cert", Use::Shown),
    ("sslcert", Use::Shown),
    ("sslkey", Use::Shown),
    ("sslmode", Use::Shown),
    ("sslrootcert", Use::Shown),
    ("statement-cache-capacity", Use::Shown),
    ("user", Use::Shown),
    // Of libpq.
    ("channel_binding", Use::Ignored),
    ("client_encoding", Use::Ignored),
    ("connect_timeout", Use::Ignored),
    ("fallback_application_name", Use::Ignored),
    ("gssdelegation", Use::Ignored),
    ("gssencmode", Use::Ignored),
    ("gsslib", Use::Ignored),
    ("keepalives", Use::Ignored),
    ("keepalives_count", Use::Ignored),
    ("keepalives_idle", Use::Ignored),
    ("keepalives_interval", Use::Ignored),
    ("krbsrvname", Use::Ignored),
    ("load_balance_hosts", Use::Ignored),
    ("passfile", Use::Ignored),
    ("replication", Use::Ignored),
    ("require_auth", Use::Ignored),
    ("requirepeer", Use::Ignored),
    ("service", Use::Ignored),
    ("ssl_max_protocol_version", Use::Ignored),
    ("ssl_min_protocol_version", Use::Ignored),
    ("sslcertmode", Use::Ignored),
    ("sslcompression", Use::Ignored),
    ("sslcrl", Use::Ignored),
    ("sslcrldir", Use::Ignored),
    ("sslnegotiation", Use::Ignored),
    ("sslpassword", Use::Ignored),
    ("sslsni", Use::Ignored),
    ("target_session_attrs", Use::Ignored),
    ("tcp_user_timeout", Use::Ignored),
    // Of other clients, in the URLs that hosts of databases hand out.
    ("connection_limit", Use::Ignored),
    ("pgbouncer", Use::Ignored),
    ("pool_max_conns", Use::Ignored),
    ("pool_timeout", Use::Ignored),
    ("schema", Use::Ignored),
    ("supa", Use::Ignored),
];

/// The values of `sslmode`.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// A URL that has exactly one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl {
    /// What sqlx reads: the URL without the parameters that it does not know.
    pub(crate) text: String,
    /// The URL without passwords and parameters of unknown meaning.
    pub(crate) shown: String,
    /// Known parameters that have no effect.
    pub(crate) ignored: Vec<&'static str>,
    /// The number of parameters that nobody knows. They are not named: the rest of a password with
    /// a raw `&` looks like one.
    pub(crate) unknown: usize,
}

/// Why a URL is refused. No text of the URL is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlProblem {
    #[error(
        "it cannot be read as a URL ({0}); if its user name or password has one of the characters \
         / ? # [ ] @ : % or a space, write it as %2F %3F %23 %5B %5D %40 %3A %25 or %20"
    )]
    Unreadable(url::ParseError),
    #[error("it has a line break or a tab inside")]
    LineBreak,
    #[error("after its scheme it needs two slashes")]
    NoSlashes,
    #[error(
        "its user name or password has a raw `/`, `?` or `#`, which ends the host's part of a URL; \
         write / as %2F, ? as %3F, # as %23 and, after the host, @ as %40"
    )]
    RawSeparator,
    #[error("it has a `#`; write it as %23")]
    Fragment,
    #[error("its host has percent-encoded characters; only a socket's folder is written so")]
    EncodedHost,
    #[error("it names several hosts; name one")]
    SeveralHosts,
    #[error("a percent-encoded part of it is not valid UTF-8")]
    NotUtf8,
    #[error("its `sslmode` is not one of disable, allow, prefer, require, verify-ca, verify-full")]
    SslMode,
    #[error("its parameter `{0}` is not a number that it can be")]
    Number(&'static str),
    #[error("its parameter `hostaddr` is not an IP address")]
    HostAddress,
}

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`UrlProblem`] if it cannot be read, or could be read in two ways.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlProblem> {
        let text = text.trim();
        // A URL's reader drops them silently.
        if text.contains(['\n', '\r', '\t']) {
            return Err(UrlProblem::LineBreak);
        }
        if text.split_once(':').is_none_or(|(_, rest)| !rest.starts_with("//")) {
            return Err(UrlProblem::NoSlashes);
        }
        let with_host = with_host(text);
        let text = with_host.as_deref().unwrap_or(text);
        let mut url = Url::parse(text).map_err(|error| {
            // What follows the separator would be read as a port.
            if after_separator(text).contains('@') {
                UrlProblem::RawSeparator
            } else {
                UrlProblem::Unreadable(error)
            }
        })?;
        if after_separator(text).contains('@') {
            return Err(UrlProblem::RawSeparator);
        }
        if url.fragment().is_some() {
            return Err(UrlProblem::Fragment);
        }
        let host = url.host_str().unwrap_or_default();
        if host.contains('%') && !host.to_ascii_uppercase().starts_with("%2F") {
            return Err(UrlProblem::EncodedHost);
        }
        if host.contains(',') {
            return Err(UrlProblem::SeveralHosts);
        }
        for part in [url.username(), url.password().unwrap_or_default(), host, url.path()] {
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
            decoded.map_err(|_| UrlProblem::NotUtf8)?;
        }

        let (mut kept, mut shown_parts) = (Vec::new(), Vec::new());
        let (mut ignored, mut unknown) = (Vec::new(), 0);
        for part in url.query().into_iter().flat_map(|query| query.split('&')) {
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let known = PARAMETERS.iter().find(|(known, _)| *known == name);
            match known {
                Some((known, Use::Shown)) => {
                    check(known, value)?;
                    kept.push(part.to_owned());
                    shown_parts.push(part.to_owned());
                }
                Some((known, Use::Hidden)) => {
                    kept.push(part.to_owned());
                    shown_parts.push(format!("{known}=***"));
                }
                Some((known, Use::Ignored)) => ignored.push(*known),
                None if name.starts_with("options[") => {
                    kept.push(part.to_owned());
                    shown_parts.push("options=***".to_owned());
                }
                None => unknown += 1,
            }
        }
        let query = |parts: &[String]| (!parts.is_empty()).then(|| parts.join("&"));
        let shown = shown(&url, query(&shown_parts));
        url.set_query(query(&kept).as_deref());
        Ok(PostgresUrl { text: url.into(), shown, ignored, unknown })
    }
}

/// `postgres://user@/name?host=/folder` with a host: libpq and hosts of databases write it without
/// one, which is no URL.
fn with_host(text: &str) -> Option<String> {
    let end = text.len() - after_separator(text).len();
    let (before, after) = text.split_at_checked(end)?;
    before.ends_with('@').then(|| format!("{before}localhost{after}"))
}

/// What comes after the authority of a URL: path, parameters and fragment.
fn after_separator(text: &str) -> &str {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    authority.find(['/', '?', '#']).and_then(|at| authority.get(at..)).unwrap_or_default()
}

/// Checks the values whose errors sqlx would word with the value.
fn check(name: &'static str, value: &str) -> Result<(), UrlProblem> {
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    let value = decoded.map_err(|_| UrlProblem::NotUtf8)?;
    match name {
        "sslmode" | "ssl-mode" if !SSL_MODES.contains(&value.to_ascii_lowercase().as_str()) => {
            Err(UrlProblem::SslMode)
        }
        "port" if value.parse::<u16>().is_err() => Err(UrlProblem::Number(name)),
        "statement-cache-capacity" if value.parse::<usize>().is_err() => {
            Err(UrlProblem::Number(name))
        }
        "hostaddr" if value.parse::<std::net::IpAddr>().is_err() => Err(UrlProblem::HostAddress),
        _ => Ok(()),
    }
}

/// The URL without its password.
fn shown(url: &Url, query: Option<String>) -> String {
    let mut shown = format!("{}://", url.scheme());
    if !url.username().is_empty() || url.password().is_some() {
        shown.push_str(url.username());
        if url.password().is_some() {
            shown.push_str(":***");
        }
        shown.push('@');
    }
    shown.push_str(url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        shown.push_str(&format!(":{port}"));
    }
    shown.push_str(url.path());
    if let Some(query) = query {
        shown.push('?');
        shown.push_str(&query);
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a8_no_password_is_ever_shown() {
        for (url, shown) in [
            ("postgres://me:s3cr3t@db:5432/sites", "postgres://me:***@db:5432/sites"),
            (
                "postgres://me:p@ss:w@db/sites?sslmode=require",
                "postgres://me:***@db/sites?sslmode=require",
            ),
            ("postgres://me@db/sites", "postgres://me@db/sites"),
            (
                "postgres:///sites?host=/run&password=x&user=me",
                "postgres:///sites?host=/run&password=***&user=me",
            ),
            ("postgres://db/sites?options=-c%20a=b", "postgres://db/sites?options=***"),
            (
                "postgres://me:x@/sites?host=/run/pg",
                "postgres://me:***@localhost/sites?host=/run/pg",
            ),
            ("postgres://%2Frun%2Fpg/sites", "postgres://%2Frun%2Fpg/sites"),
            ("postgres://me:x@[::1]:5433/sites", "postgres://me:***@[::1]:5433/sites"),
        ] {
            assert_eq!(PostgresUrl::parse(url).unwrap().shown, shown);
        }
    }

    #[test]
    fn a_file_has_no_password() {
        for (url, has) in [
            ("sqlite://sw:pw@h/q.db", true),
            ("sqlite:sw:pw@h/q.db", true),
            ("sqlite://sw:p/w@h/q.db", true),
            ("sqlite://orders.db", false),
            ("sqlite://a@b/orders.db", false),
            ("sqlite:///srv/a:b@c/orders.db", false),
            ("sqlite://./a:b@c.db", false),
            ("sqlite://:memory:", false),
            ("postgres://sw:pw@h/q", false),
        ] {
            assert_eq!(has_sqlite_password(url), has, "{url}");
        }
    }

    /// Each raw character in a password, with digits before it that would be read as a port.
    #[test]
    fn d4_raw_characters_are_read_as_part_of_the_password_or_refused() {
        let read = |password: &str| {
            PostgresUrl::parse(&format!("postgres://me:{password}@db.example/sites"))
        };
        for password in ["12@qx", "12:qx", "12%qx", "12 qx", "12[qx", "12]qx", "12&qx", "12=qx"] {
            let url = read(password).unwrap_or_else(|problem| panic!("{password}: {problem}"));
            assert_eq!(url.shown, "postgres://me:***@db.example/sites", "{password}");
            let parsed = Url::parse(&url.text).unwrap();
            let password_of = percent_encoding::percent_decode_str(parsed.password().unwrap());
            assert_eq!(password_of.decode_utf8().unwrap(), password);
        }
        for password in ["12?qx", "12#qx", "12/qx", "qx?", "qx#", "qx/", "?qx", "#qx", "/qx"] {
            assert_eq!(read(password), Err(UrlProblem::RawSeparator), "{password}");
        }
    }

    #[test]
    fn d4_what_has_no_single_reading_is_refused() {
        use UrlProblem as Problem;
        let unreadable = Problem::Unreadable(url::ParseError::InvalidPort);
        for (url, problem) in [
            ("postgres:me:qx@db/sites", Problem::NoSlashes),
            ("postgres://me:qx", unreadable),
            ("postgres://me:12#qx", Problem::Fragment),
            ("postgres://me%3A12%40db/sites", Problem::EncodedHost),
            ("postgres://me:12\nqx@db/sites", Problem::LineBreak),
            ("postgres://me:12@one,two/sites", Problem::SeveralHosts),
            ("postgres://me:%ff@db/sites", Problem::NotUtf8),
            ("postgres://me@db/sites?sslmode=qx", Problem::SslMode),
            ("postgres://me@db/sites?port=qx", Problem::Number("port")),
            ("postgres://me@db/sites?hostaddr=qx", Problem::HostAddress),
        ] {
            let refused = PostgresUrl::parse(url).unwrap_err();
            assert_eq!(refused, problem, "{url}");
            assert!(!refused.to_string().contains("qx"), "{refused}");
        }
    }

    /// sqlx warns about parameters that it does not know, with their values.
    #[test]
    fn d4_parameters_that_sqlx_does_not_know_are_not_passed_to_it() {
        let url = PostgresUrl::parse(
            "postgres://u:p@db/s?connect_timeout=9&password=a&secret=qx&sslmode=require&qx",
        )
        .unwrap();
        assert_eq!(url.text, "postgres://u:p@db/s?password=a&sslmode=require");
        assert_eq!(url.shown, "postgres://u:***@db/s?password=***&sslmode=require");
        assert_eq!((url.ignored.as_slice(), url.unknown), (["connect_timeout"].as_slice(), 2));
    }

    proptest! {
        /// Whatever the password is, no part of it is shown.
        #[test]
        fn no_part_of_a_password_is_shown(password in "[ -~]{8,24}", port in "|:5432") {
            let marked = format!("Zq9{password}Zq9");
            let text = format!("postgres://me:{marked}@db.example{port}/sites");
            match PostgresUrl::parse(&text) {
                Ok(url) => {
                    prop_assert_eq!(url.shown, format!("postgres://me:***@db.example{port}/sites"));
                }
                Err(problem) => prop_assert!(!problem.to_string().contains("Zq9")),
            }
        }
    }
}
