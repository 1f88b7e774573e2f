//! Errors of the HTTP client as failures of an attempt.

use std::error::Error;
use std::io;

use super::failure::AttemptFailure;
use sitewright_http::{ConnectTimeout, causes_with_self};
use sitewright_model::ai::{AiErrorKind, Limit};

/// The failure that an error of the HTTP client means. Its own message is often only `error sending
/// request`; the cause is in its source chain (failure catalogue A1). `what` is the subject of the
/// message: the request or the answer.
pub(super) fn failure(error: reqwest::Error, what: &str) -> AttemptFailure {
    let error = error.without_url();
    let causes = causes_with_self(&error);
    let root = causes.last().map_or_else(|| what.to_owned(), ToString::to_string);
    let timeout = find::<ConnectTimeout>(&error).copied();
    let (kind, detail) = if let Some(timeout) = timeout {
        let limit = timeout.limit.as_millis();
        (AiErrorKind::Timeout, format!("no connection was made within {limit} ms (connect_ms)"))
    } else if error.is_timeout() {
        (AiErrorKind::Timeout, format!("{what} took too long: {root}"))
    } else if causes.iter().any(|cause| cause.as_str().starts_with("dns error")) {
        (AiErrorKind::Connection, format!("its host name is not known: {root}"))
    } else if let Some(tls) = find::<rustls::Error>(&error) {
        (AiErrorKind::Connection, format!("TLS failed: {}", certificate(tls).unwrap_or(root)))
    } else {
        match io_kind(&error) {
            Some(io::ErrorKind::ConnectionRefused) => (
                AiErrorKind::Connection,
                "the connection was refused: nothing listens there".to_owned(),
            ),
            Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => (
                AiErrorKind::Connection,
                format!("the connection was lost before {what} was complete: {root}"),
            ),
            _ if error.is_builder() => {
                (AiErrorKind::Other, format!("the request could not be made: {root}"))
            }
            _ if error.is_connect() => {
                (AiErrorKind::Connection, format!("no connection could be established: {root}"))
            }
            _ => (AiErrorKind::Connection, format!("the connection was lost: {root}")),
        }
    };
    let limit = timeout.map(|_| Limit::Connect);
    let unconnected = timeout.is_some() || error.is_connect();
    AttemptFailure { causes, limit, unconnected, ..AttemptFailure::new(kind, detail) }
}

/// What is wrong with the server's certificate and what to do, where the library's words do not
/// say it.
fn certificate(error: &rustls::Error) -> Option<String> {
    let rustls::Error::InvalidCertificate(error) = error else { return None };
    Some(match error {
        rustls::CertificateError::UnknownIssuer => {
            "nobody that this machine trusts has issued the server's certificate; add its issuer \
             to the system's certificates, or name it in ca_file of the provider or in SSL_CERT_FILE"
                .to_owned()
        }
        rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
            format!("{error}; renew the certificate, or set this machine's clock")
        }
        rustls::CertificateError::Other(other)
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            "the server's certificate is itself a certificate authority, as `openssl req -x509` \
             makes it; name it in ca_file of the provider, or make one with `-addext \
             basicConstraints=critical,CA:FALSE` and name that one in SSL_CERT_FILE"
                .to_owned()
        }
        _ => return None,
    })
}

/// The first error of this type in the source chain, also inside I/O errors, which do not report
/// the error that they wrap as their source.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        if let Some(found) = inner.and_then(|inner| find::<E>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    find::<io::Error>(error).map(io::Error::kind)
}
