//! Where the database is, as `DATABASE_URL` says it, with libpq's words for TLS.
//!
//! The URL carries a password: nothing here ever repeats any part of it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Settings;
use super::failure::BoxError;

/// The address of the database cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is not a URL of PostgreSQL.
    #[error(
        "must be postgres://user:password@host:port/database?sslmode=…, with special characters percent-encoded \
         and only parameters that are known"
    )]
    Url,
    /// `sslmode` has another value.
    #[error("sslmode must be disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode,
    /// A certificate was given without its key, or the other way round.
    #[error("sslcert and sslkey go together")]
    HalfAnIdentity,
    /// A file with certificates or a key cannot be read.
    #[error("the file of {0} cannot be read as PEM")]
    Pem(&'static str, #[source] BoxError),
    /// The certificates cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[source] BoxError),
    /// The system has no certificates to trust.
    #[error("this system has no certificate authorities: name a file by sslrootcert")]
    NoAuthorities,
}

/// How much of the server's certificate is looked at. libpq's meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Anybody,
    Authority,
    AuthorityAndName,
}

/// What a connection needs.
pub(super) struct Address {
    pub(super) config: tokio_postgres::Config,
    pub(super) tls: MakeRustlsConnect,
}

/// The parameters of the URL that are ours to understand; the others are the client library's.
#[derive(Default)]
struct TlsParameters {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl Address {
    pub(super) fn new(settings: &Settings) -> Result<Self, AddressError> {
        use secrecy::ExposeSecret;
        let (url, parameters) = take_tls_parameters(settings.url.expose_secret())?;
        let mut config: tokio_postgres::Config = url.parse().or(Err(AddressError::Url))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(AddressError::Url);
        }
        if let Some(password) = &settings.password {
            config.password(password.expose_secret());
        }
        if config.get_application_name().is_none() {
            config.application_name(settings.application_name.as_str());
        }
        config.connect_timeout(settings.connect_timeout);
        // What was sent and is not acknowledged by then is lost; without it a cut cable is noticed after fifteen minutes.
        config.tcp_user_timeout(Duration::from_secs(5));
        config.keepalives(true);
        config.keepalives_idle(Duration::from_secs(5));
        config.keepalives_interval(Duration::from_secs(2));
        config.keepalives_retries(3);
        // After a failover, the primary; never a standby.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        let options = format!("{} {}", config.get_options().unwrap_or_default(), server_side(settings));
        config.options(options.trim());

        let has_network = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
        let (mode, trust) = match parameters.mode.as_deref() {
            // libpq: a root certificate turns `require` into `verify-ca`.
            Some("require") if parameters.root.is_some() => (SslMode::Require, Trust::Authority),
            Some("require") => (SslMode::Require, Trust::Anybody),
            Some("verify-ca") => (SslMode::Require, Trust::Authority),
            Some("verify-full") => (SslMode::Require, Trust::AuthorityAndName),
            None | Some("prefer" | "allow") if has_network => (SslMode::Prefer, Trust::Anybody),
            None | Some("disable" | "prefer" | "allow") => (SslMode::Disable, Trust::Anybody),
            Some(_) => return Err(AddressError::SslMode),
        };
        config.ssl_mode(mode);
        let tls = MakeRustlsConnect::new(client(trust, &parameters)?);
        Ok(Self { config, tls })
    }
}

/// What the server is told to watch on its side: a node that dies or stands still must not hold locks that others wait for, a statement must not outlive its
/// asker.
fn server_side(settings: &Settings) -> String {
    // A statement that is slow ends on the server first, so that a silence always means the server.
    let statement_ms = settings.read_timeout.as_millis() * 3 / 4;
    format!(
        "-c statement_timeout={statement_ms} -c lock_timeout={statement_ms} -c idle_in_transaction_session_timeout=1000 \
         -c tcp_user_timeout=5000 -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 \
         -c client_encoding=UTF8 -c standard_conforming_strings=on -c default_transaction_isolation=read\\ committed \
         -c jit=off"
    )
}

/// The URL without what is said about TLS, and that.
fn take_tls_parameters(url: &str) -> Result<(String, TlsParameters), AddressError> {
    let mut parameters = TlsParameters::default();
    let Some((base, query)) = url.rsplit_once('?') else {
        return Ok((url.to_owned(), parameters));
    };
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(AddressError::Url)?;
        let wanted = match name {
            "sslmode" => &mut parameters.mode,
            "sslrootcert" => &mut parameters.root,
            "sslcert" => &mut parameters.certificate,
            "sslkey" => &mut parameters.key,
            _ => {
                kept.push(pair);
                continue;
            }
        };
        *wanted = Some(percent_decoded(value)?);
    }
    let url = if kept.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", kept.join("&"))
    };
    Ok((url, parameters))
}

fn percent_decoded(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| {
                char::from(byte?)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                return Err(AddressError::Url);
            };
            bytes.push(high * 16 + low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).or(Err(AddressError::Url))
}

fn client(trust: Trust, parameters: &TlsParameters) -> Result<ClientConfig, AddressError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = |error: rustls::Error| AddressError::Tls(Box::new(error));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anybody => Arc::new(Lenient {
            algorithms: provider.signature_verification_algorithms,
            authorities: None,
        }),
        Trust::Authority => Arc::new(Lenient {
            algorithms: provider.signature_verification_algorithms,
            authorities: Some(authorities(parameters)?),
        }),
        Trust::AuthorityAndName => by_name(parameters, provider)?,
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match (&parameters.certificate, &parameters.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let chain: Vec<_> = certificates("sslcert", certificate)?;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|error| AddressError::Pem("sslkey", Box::new(error)))?;
            builder.with_client_auth_cert(chain, key).map_err(tls)
        }
        (Some(_), None) | (None, Some(_)) => Err(AddressError::HalfAnIdentity),
    }
}

fn by_name(
    parameters: &TlsParameters,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, AddressError> {
    let authorities = Arc::new(authorities(parameters)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(authorities, provider)
        .build()
        .map_err(|error| AddressError::Tls(Box::new(error)))?;
    Ok(verifier)
}

fn authorities(parameters: &TlsParameters) -> Result<RootCertStore, AddressError> {
    let mut roots = RootCertStore::empty();
    match parameters.root.as_deref() {
        Some(path) if path != "system" => {
            for certificate in certificates("sslrootcert", path)? {
                roots
                    .add(certificate)
                    .map_err(|error| AddressError::Tls(Box::new(error)))?;
            }
        }
        Some(_) | None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        Err(AddressError::NoAuthorities)
    } else {
        Ok(roots)
    }
}

fn certificates(parameter: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, AddressError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| AddressError::Pem(parameter, Box::new(error)))
}

/// Looks at less than a name: at who signed the certificate (`verify-ca`), or at nothing (`require`, `prefer`, which protect
/// from listeners only, as libpq's do).
#[derive(Debug)]
struct Lenient {
    algorithms: WebPkiSupportedAlgorithms,
    authorities: Option<RootCertStore>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, authorities, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, AddressError> {
        Address::new(&Settings::at(url))
    }

    #[test]
    fn what_the_url_says_about_tls_is_kept_from_the_client_library() {
        let address = address("postgres://u:p%40@db:6432/wardbell?sslmode=require&application_name=x").unwrap();

        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.config.get_password(), Some(&b"p@"[..]));
        assert_eq!(address.config.get_application_name(), Some("x"));
        assert_eq!(address.config.get_ports(), [6432]);
    }

    #[test]
    fn a_password_from_a_file_wins_over_the_url() {
        let mut settings = Settings::at("postgres://u:old@db/wardbell");
        settings.password = Some("new".to_owned().into());

        assert_eq!(
            Address::new(&settings).unwrap().config.get_password(),
            Some(&b"new"[..])
        );
    }

    #[test]
    fn no_complaint_repeats_the_password() {
        for url in [
            "postgres://u:hunter2@db/wardbell?sslmode=maybe",
            "postgres://u:hunter2@db/wardbell?hunter2=1",
            "postgres://u:hunter2@db:port/wardbell",
            "postgres://u:hunter2?@db/wardbell",
            "postgres://u:hunter2@db/w?sslmode=verify-full&sslrootcert=/nowhere/hunter2",
            "hunter2",
        ] {
            let error = address(url).err().unwrap_or_else(|| panic!("took {url}"));
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
