//! Why there is no encrypted connection, in words that say what is to be done.

use std::error::Error as StdError;
use std::io;

use rustls::{CertificateError, Error};

/// TLS with the server did not come about.
#[derive(Debug, thiserror::Error)]
pub(in crate::store::postgres) enum TlsFailure {
    #[error("the server does not speak TLS, and sslmode asks for it")]
    Absent,
    #[error("the server's certificate is of an authority that is not trusted: look at sslrootcert")]
    Authority,
    #[error("the server's certificate is for another host name than the one in store.url")]
    Name(#[source] Error),
    #[error("the server's certificate has expired")]
    Expired,
    #[error("the server's certificate is not valid yet")]
    Early,
    #[error("the server's certificate cannot be used")]
    Certificate(#[source] Error),
    #[error("the server broke off TLS: look at sslcert and sslkey")]
    Refused(#[source] Error),
    #[error("TLS with the server failed")]
    Other(#[source] Error),
}

impl TlsFailure {
    /// What it was, if TLS is at fault.
    pub(in crate::store::postgres) fn of(error: &tokio_postgres::Error) -> Option<Self> {
        let cause = error.source()?;
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            let error = error.get_ref()?.downcast_ref::<Error>()?;
            return Some(Self::from(error.clone()));
        }
        // The client library says it in words alone.
        (cause.to_string() == "server does not support TLS").then_some(Self::Absent)
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls adds situations as it likes; what is not told apart is told as it tells it"
)]
impl From<Error> for TlsFailure {
    fn from(error: Error) -> Self {
        match &error {
            Error::InvalidCertificate(certificate) => match certificate {
                // Two authorities of one name differ in the signature alone.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Authority,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::Name(error)
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::Early,
                _ => Self::Certificate(error),
            },
            Error::AlertReceived(_) => Self::Refused(error),
            _ => Self::Other(error),
        }
    }
}
