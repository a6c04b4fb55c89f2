//! Reading certificates and keys from PEM files or PEM text.

use portcullis_config::units::FileOrContent;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A PEM source with the name of its field, which the messages carry. Content is never shown.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    field: &'a str,
    text: &'a FileOrContent,
}

impl<'a> Source<'a> {
    pub(super) fn new(field: &'a str, text: &'a FileOrContent) -> Self {
        Self { field, text }
    }

    /// The bytes of the file or of the text itself.
    pub(super) fn read(self) -> Result<Vec<u8>, String> {
        if self.text.0.is_empty() {
            return Err(format!("{} is empty; expected a path or PEM text", self.field));
        }
        self.text.read().map_err(|error| format!("{} cannot be read: {error}", self.place()))
    }

    /// The certificates in `bytes`, in their order; at least one.
    pub(super) fn certificates(self, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("{} is not valid PEM: {error}", self.place()))?;
        if certificates.is_empty() {
            return Err(format!("{} holds no certificate; expected PEM text", self.place()));
        }
        Ok(certificates)
    }

    /// The first private key in `bytes`: PKCS#8, PKCS#1 or SEC1.
    pub(super) fn key(self, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
            pem::Error::NoItemsFound => format!(
                "{} holds no private key; expected PEM text of a PKCS#8, PKCS#1 or SEC1 key",
                self.place()
            ),
            other => format!("{} is not valid PEM: {other}", self.place()),
        })
    }

    /// `certFile `/etc/x.pem``, or `certFile` alone where the text is the content.
    fn place(self) -> String {
        if self.text.is_content() {
            format!("{} (given as text)", self.field)
        } else {
            format!("{} `{}`", self.field, self.text.0)
        }
    }
}
