//! What nodes and the authority say to each other: JSON over HTTP/2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::tls::spiffe::Id;

/// Where to join: with a token, without a certificate.
pub(super) const JOIN: &str = "/v1/join";

/// Where a node whose certificate has ended asks for another one with the same key.
pub(super) const RECOVER: &str = "/v1/recover";

/// Where to ask for a certificate, with the node's own.
pub(super) const ISSUE: &str = "/v1/issue";

/// Where to ask for the roots and say which ones are there, with the node's own certificate.
pub(super) const BUNDLE: &str = "/v1/bundle";

/// No message is longer, in bytes.
pub(super) const LONGEST: usize = 64 << 10;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinRequest {
    pub(super) token: String,
    pub(super) node: String,
    pub(super) request: Binary,
    pub(super) proof: Binary,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecoverRequest {
    pub(super) node: String,
    pub(super) request: Binary,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IssueRequest {
    pub(super) id: Id,
    pub(super) request: Binary,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BundleRequest {
    /// The version that the node has.
    pub(super) acknowledged: u64,
}

/// The answer to joining and issuing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issued {
    /// The leaf first, without the root.
    pub(super) chain: Vec<Binary>,
    pub(super) bundle: Roots,
}

/// The roots of the trust domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Roots {
    pub(super) version: u64,
    pub(super) trust_domain: String,
    pub(super) roots: Vec<Binary>,
}

/// The answer to whoever gets nothing.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Denied {
    pub(super) reason: String,
    pub(super) message: String,
}

/// Bytes, base64 in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Binary(pub(super) Vec<u8>);

impl TryFrom<String> for Binary {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Binary> for String {
    fn from(bytes: Binary) -> Self {
        STANDARD.encode(bytes.0)
    }
}

/// Certificates as they travel.
pub(super) fn packed(certificates: &[CertificateDer<'_>]) -> Vec<Binary> {
    certificates.iter().map(|it| Binary(it.to_vec())).collect()
}

/// And back.
pub(super) fn unpacked(certificates: Vec<Binary>) -> Vec<CertificateDer<'static>> {
    certificates.into_iter().map(|it| CertificateDer::from(it.0)).collect()
}
