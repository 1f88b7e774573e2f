//! Why a database did not open, as far as its error tells, and what to do about it.

use std::io::ErrorKind;

/// Why a database did not open. Each may pass without a change of the configuration, so a worker is
/// restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub enum OpenCause {
    /// The name of the host has no address, or looking it up takes too long.
    Unresolved,
    /// Nothing listens at the address.
    Refused,
    /// There is no socket in the folder.
    NoSocket,
    /// The host does not answer.
    Unreachable,
    /// The host accepts connections, but nobody logs in.
    NoLogin,
    /// The connection was closed before the login was complete.
    HungUp,
    /// The server's certificate is a certificate authority's, which no server may present.
    TlsAuthorityAsServer,
    /// Nobody whom this program trusts has signed the server's certificate.
    TlsUnknownIssuer,
    /// The server's certificate is for another name.
    TlsOtherName,
    /// The server's certificate is not valid at this time.
    TlsExpired,
    /// Another failure of TLS; the server may not support it.
    Tls,
    /// A certificate or key file cannot be read.
    TlsFile,
    /// The password is wrong or missing.
    Password,
    /// The server does not let this role in from here.
    NotAllowed,
    /// The database does not exist.
    NoDatabase,
    /// All connections of the server are in use.
    TooManyClients,
    /// The server starts, stops or recovers.
    Starting,
    /// What answers is a pooler, and rejects the connection.
    Pooler,
    /// What answers is not PostgreSQL.
    NotPostgres,
    /// The file or its folder cannot be opened.
    File,
    /// The file or its folder cannot be written.
    ReadOnly,
    /// The file is not a database.
    NotADatabase,
    /// Another process has locked the file.
    Locked,
    /// The disk is full.
    DiskFull,
    /// Anything else.
    Other,
}

impl OpenCause {
    /// What to do.
    pub fn hint(self) -> &'static str {
        match self {
            OpenCause::Unresolved => {
                "the host's name cannot be looked up: check it, and the name server of this machine"
            }
            OpenCause::Refused => {
                "nothing listens there: start PostgreSQL, or correct host and port"
            }
            OpenCause::NoSocket => {
                "there is no socket of PostgreSQL in that folder: start PostgreSQL, or name another \
                 folder with `?host=/folder`"
            }
            OpenCause::Unreachable => {
                "the host does not answer: check address, routes and firewall"
            }
            OpenCause::NoLogin => {
                "it accepts connections, but answers no login: if it is PgBouncer, all places of \
                 its pool are in use (`default_pool_size`); otherwise the server is overloaded"
            }
            OpenCause::HungUp => {
                "it closed the connection before the login: check that host and port are \
                 PostgreSQL's, and the server's log"
            }
            OpenCause::TlsAuthorityAsServer => {
                "the server presents a certificate that is an authority's (CA:TRUE), as `openssl \
                 req -x509` makes it by default: make the server's with `-addext \
                 basicConstraints=critical,CA:FALSE` and name it in `sslrootcert`, or have an \
                 authority sign one"
            }
            OpenCause::TlsUnknownIssuer => {
                "nobody whom this program trusts has signed the server's certificate: name the \
                 certificate of the authority that did with `sslrootcert`, or encrypt without this \
                 check with `sslmode=require`"
            }
            OpenCause::TlsOtherName => {
                "the server's certificate is for another name: use that name as the host, or check \
                 only who signed it with `sslmode=verify-ca`"
            }
            OpenCause::TlsExpired => {
                "the server's certificate is not valid now: renew it, or correct the clock of this \
                 machine"
            }
            OpenCause::Tls => {
                "no encrypted connection was made: check that the server has `ssl = on`, or use \
                 `sslmode=prefer`"
            }
            OpenCause::TlsFile => "check the files that `sslrootcert`, `sslcert` and `sslkey` name",
            OpenCause::Password => {
                "check user name and password; characters such as / ? # @ and % must be \
                 percent-encoded in a URL"
            }
            OpenCause::NotAllowed => {
                "check the user name, and that the server lets it in from this machine \
                 (pg_hba.conf)"
            }
            OpenCause::NoDatabase => "create it, for example with `createdb`, or correct its name",
            OpenCause::TooManyClients => {
                "raise `max_connections` of the server, use fewer workers, or set a smaller \
                 `database.connections`"
            }
            OpenCause::Starting => "wait until it accepts connections",
            OpenCause::Pooler => {
                "a pooler answers there and rejects the connection: check its list of databases and \
                 users, and its log"
            }
            OpenCause::NotPostgres => {
                "what answers there is not PostgreSQL, or hangs up at once: check host and port"
            }
            OpenCause::File => "check that its folder exists, and who may open the file",
            OpenCause::ReadOnly => {
                "give the host's user write access to the file and its folder, and check that the \
                 file system is not mounted read-only"
            }
            OpenCause::NotADatabase => {
                "the file is not a database of SQLite, or is damaged: name another, or restore a \
                 backup"
            }
            OpenCause::Locked => "another process has locked it: `fuser` on the file names it",
            OpenCause::DiskFull => "free some space",
            OpenCause::Other => "check that it is there, that it can be reached and who may use it",
        }
    }

    /// Whether it often passes within a second: a server that is being restarted.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_restart(self) -> bool {
        matches!(self, OpenCause::Refused | OpenCause::NoSocket | OpenCause::Starting)
    }

    /// The cause of an error of SQLite.
    pub(crate) fn of_sqlite(error: &sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<u32>().ok()),
            sqlx::Error::Io(error) => return of_file(error.kind()),
            _ => None,
        };
        // The extended codes carry the primary one in the low byte.
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => OpenCause::Locked,
            Some(8) => OpenCause::ReadOnly,
            Some(13) => OpenCause::DiskFull,
            Some(14) => OpenCause::File,
            Some(11 | 26) => OpenCause::NotADatabase,
            _ => OpenCause::Other,
        }
    }

    /// The cause of an error of PostgreSQL while connecting. `resolved`: whether the host's name has
    /// an address.
    #[cfg(feature = "postgres")]
    pub(crate) fn of_postgres(error: &sqlx::Error, socket: bool, resolved: bool) -> Self {
        match error {
            sqlx::Error::Io(_) if !resolved => OpenCause::Unresolved,
            sqlx::Error::Io(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                match inner {
                    Some(tls) => of_tls(tls),
                    None => of_connection(error.kind(), socket),
                }
            }
            sqlx::Error::Tls(error) => error.downcast_ref().map_or(OpenCause::Tls, of_tls),
            sqlx::Error::Database(error) => of_code(error.code().as_deref().unwrap_or_default()),
            sqlx::Error::Configuration(_) => OpenCause::TlsFile,
            sqlx::Error::Protocol(_) => OpenCause::NotPostgres,
            _ => OpenCause::Other,
        }
    }
}

fn of_file(kind: ErrorKind) -> OpenCause {
    match kind {
        ErrorKind::ReadOnlyFilesystem => OpenCause::ReadOnly,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OpenCause::DiskFull,
        _ => OpenCause::File,
    }
}

#[cfg(feature = "postgres")]
fn of_connection(kind: ErrorKind, socket: bool) -> OpenCause {
    match kind {
        ErrorKind::ConnectionRefused => OpenCause::Refused,
        ErrorKind::NotFound if socket => OpenCause::NoSocket,
        ErrorKind::PermissionDenied if socket => OpenCause::File,
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory => {
            OpenCause::TlsFile
        }
        ErrorKind::TimedOut | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            OpenCause::Unreachable
        }
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => OpenCause::HungUp,
        _ => OpenCause::Other,
    }
}

#[cfg(feature = "postgres")]
fn of_tls(error: &rustls::Error) -> OpenCause {
    use rustls::{CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer) => OpenCause::TlsUnknownIssuer,
        Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        ) => OpenCause::TlsOtherName,
        Error::InvalidCertificate(
            Certificate::Expired
            | Certificate::ExpiredContext { .. }
            | Certificate::NotValidYet
            | Certificate::NotValidYetContext { .. },
        ) => OpenCause::TlsExpired,
        Error::InvalidCertificate(Certificate::Other(other))
            if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            OpenCause::TlsAuthorityAsServer
        }
        _ => OpenCause::Tls,
    }
}

/// By PostgreSQL's code of five characters.
#[cfg(feature = "postgres")]
fn of_code(code: &str) -> OpenCause {
    match code {
        "28P01" => OpenCause::Password,
        "28000" | "42501" => OpenCause::NotAllowed,
        "3D000" => OpenCause::NoDatabase,
        "53300" => OpenCause::TooManyClients,
        "57P01" | "57P02" | "57P03" => OpenCause::Starting,
        // PgBouncer has this code for all its errors, PostgreSQL for none of a valid login.
        "08P01" => OpenCause::Pooler,
        _ => OpenCause::Other,
    }
}

/// The words of an error. sqlx adds the line of PostgreSQL's source code to those of the server.
pub(crate) fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        sqlx::Error::Tls(error) | sqlx::Error::Configuration(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use std::io;

    use strum::VariantArray as _;

    use super::*;

    fn io(kind: ErrorKind) -> sqlx::Error {
        sqlx::Error::Io(io::Error::from(kind))
    }

    #[test]
    fn d11_each_error_of_a_connection_has_its_cause() {
        for (kind, socket, cause) in [
            (ErrorKind::ConnectionRefused, false, OpenCause::Refused),
            (ErrorKind::ConnectionRefused, true, OpenCause::Refused),
            (ErrorKind::NotFound, true, OpenCause::NoSocket),
            (ErrorKind::NotFound, false, OpenCause::TlsFile),
            (ErrorKind::TimedOut, false, OpenCause::Unreachable),
            (ErrorKind::ConnectionReset, false, OpenCause::HungUp),
        ] {
            assert_eq!(OpenCause::of_postgres(&io(kind), socket, true), cause, "{kind}");
        }
        let unresolved = OpenCause::of_postgres(&io(ErrorKind::Other), false, false);
        assert_eq!(unresolved, OpenCause::Unresolved);
    }

    #[test]
    fn every_cause_says_what_to_do() {
        for cause in OpenCause::VARIANTS {
            assert!(cause.hint().len() > 10, "{cause:?}");
        }
    }
}
