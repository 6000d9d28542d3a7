//! Whom TLS trusts: Mozilla's roots, compiled in, and the certificates of one file if the operator names it.
//!
//! The roots of the system are not asked: an extension inherits the function's environment, where `SSL_CERT_FILE` is the
//! function's own business, and a container image may have no roots at all.
//!
//! The configuration is built at the first connection that needs it, not at the start of the process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Tickets of so many sessions are kept: all of them belong to the one store that we talk to.
const SESSIONS_KEPT: usize = 8;

/// The TLS configuration of a store.
pub(super) struct Tls {
    ca_file: Option<PathBuf>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, config: OnceLock::new() }
    }

    /// The configuration, built if this is the first time. A failure is not kept: the file may be there next time.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, CaFileError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(build(self.ca_file.as_deref())?);
        Ok(Arc::clone(self.config.get_or_init(|| config)))
    }
}

fn build(ca_file: Option<&Path>) -> Result<ClientConfig, CaFileError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add_certificates(&mut roots, path)?;
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(SESSIONS_KEPT);
    Ok(config)
}

fn add_certificates(roots: &mut RootCertStore, path: &Path) -> Result<(), CaFileError> {
    let file = || path.to_owned();
    let text = std::fs::read(path).map_err(|source| CaFileError::Unreadable { path: file(), source })?;
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|source| CaFileError::NotPem { path: file(), source })?;
        roots.add(certificate).map_err(|source| CaFileError::BadCertificate { path: file(), source })?;
    }
    if roots.len() == before {
        return Err(CaFileError::Empty { path: file() });
    }
    Ok(())
}

/// What is wrong with the named file: a matter of configuration, and all that can keep TLS from being set up.
#[derive(Debug)]
pub(super) enum CaFileError {
    /// The file cannot be read.
    Unreadable { path: PathBuf, source: io::Error },
    /// The file is not PEM.
    NotPem { path: PathBuf, source: pem::Error },
    /// The file has no certificate.
    Empty { path: PathBuf },
    /// A certificate in the file cannot be a root.
    BadCertificate { path: PathBuf, source: rustls::Error },
}

impl fmt::Display for CaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "CA file {}: {source}", path.display())
            }
            Self::NotPem { path, source } => {
                write!(f, "CA file {} is not PEM: {source}", path.display())
            }
            Self::Empty { path } => {
                write!(f, "CA file {} has no certificate", path.display())
            }
            Self::BadCertificate { path, source } => {
                write!(f, "CA file {} has an unusable certificate: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for CaFileError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_ca_file_is_told_by_its_path_and_may_be_mended() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("ca.pem");
        let tls = Tls::new(Some(path.clone()));
        let message = |tls: &Tls| tls.config().expect_err("a bad file").to_string();

        assert!(message(&tls).contains("ca.pem: No such file"), "{}", message(&tls));
        for (text, what) in [
            ("", "has no certificate"),
            ("plain text", "has no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "is not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "unusable"),
        ] {
            std::fs::write(&path, text).expect("the file is written");
            assert!(message(&tls).contains(what), "{text}: {}", message(&tls));
        }

        std::fs::write(&path, super::super::recording_server::CA_PEM).expect("the file is written");
        assert!(tls.config().is_ok());
        std::fs::remove_file(&path).expect("the file is removed");
        assert!(tls.config().is_ok(), "a good configuration is kept");
    }
}
