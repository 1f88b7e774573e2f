//! Clients with another proxy or other certificates than those of the machine.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

use super::{Client, ClientError};
use sitewright_model::message;
use sitewright_model::message::Message;

/// How a client reaches its servers, where that differs from the client of the process.
#[derive(Clone, Default)]
pub struct ConnectionSettings {
    pub proxy: ProxySetting,
    /// Certificates in PEM that are trusted beside those of the machine: of authorities, or of the
    /// server itself.
    pub roots: Option<Vec<u8>>,
    /// The client's certificate and what leads to its authority, in PEM, and its private key in PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// The proxy of a client.
#[derive(Clone, Default)]
pub enum ProxySetting {
    /// No proxy, whatever the environment says.
    #[default]
    None,
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
    /// This one, with its user name and password if it has some.
    Url(String),
}

impl ConnectionSettings {
    /// Whether they are those of the client of the process.
    pub fn are_default(&self) -> bool {
        matches!(self.proxy, ProxySetting::None) && self.roots.is_none() && self.identity.is_none()
    }
}

impl Client {
    /// A client with these settings, with connections of its own.
    ///
    /// # Errors
    /// A certificate, key or proxy cannot be used. The message never contains a key or password.
    pub fn with_settings(&self, settings: &ConnectionSettings) -> Result<Client, ClientError> {
        let tls = tls(settings)?;
        let proxy = match &settings.proxy {
            ProxySetting::None => super::Proxy::None,
            ProxySetting::Environment => super::Proxy::Environment,
            ProxySetting::Url(url) => {
                let proxy = reqwest::Proxy::all(url.as_str()).map_err(|_| {
                    wrong(message!(
                        "the proxy is not an http or https URL; write it like \
                         http://proxy.example:3128"
                    ))
                })?;
                super::Proxy::Of(Box::new(proxy))
            }
        };
        Client::of(tls, proxy)
    }
}

fn wrong(message: Message) -> ClientError {
    ClientError { causes: vec![message] }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(wrong(message!(
            "the file of {what} holds no certificate; it must be PEM, which begins with \
             -----BEGIN CERTIFICATE-----"
        ))),
        Err(error) => Err(wrong(message!("the file of {what} is not valid PEM: {error}"))),
    }
}

fn tls(settings: &ConnectionSettings) -> Result<rustls::ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::of(&error))?;
    let config = match &settings.roots {
        None => super::verified(config, provider)?,
        Some(pem) => {
            let named = certificates(pem, "ca_file")?;
            let inner = rustls_platform_verifier::Verifier::new_with_extra_roots(
                named.iter().cloned(),
                provider,
            );
            let inner = inner.map_err(|error| ClientError::of(&error))?;
            config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NamedCertificates { inner, named }))
        }
    };
    let mut tls = match &settings.identity {
        None => config.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = certificates(chain, "client_cert_file")?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
                wrong(message!(
                    "the file of client_key_file holds no private key in PEM that can be used; \
                     an encrypted key must be decrypted first"
                ))
            })?;
            config.with_client_auth_cert(chain, key).map_err(|error| ClientError::of(&error))?
        }
    };
    tls.alpn_protocols = super::ALPN.iter().map(|name| name.to_vec()).collect();
    Ok(tls)
}

/// Accepts what the machine accepts, and the named certificates as those of servers. A certificate
/// that `openssl req -x509` makes is one of an authority, which no server may have otherwise.
#[derive(Debug)]
struct NamedCertificates {
    inner: rustls_platform_verifier::Verifier,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for NamedCertificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let Err(error) = verified else { return verified };
        // Its dates were checked before these.
        let only_the_issuer = match &error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
            rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
                format!("{other:?}").contains("CaUsedAsEndEntity")
            }
            _ => false,
        };
        let named = self.named.iter().any(|named| named.as_ref() == end_entity.as_ref());
        if !only_the_issuer || !named {
            return Err(error);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
