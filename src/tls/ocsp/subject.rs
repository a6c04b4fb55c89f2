//! `Subject`: a certificate as responders know it, and who they are.

use bytes::Bytes;
use indexmap::IndexMap;
use rustls_pki_types::CertificateDer;
use sha1::{Digest as _, Sha1};
use x509_cert::der::asn1::{Null, ObjectIdentifier, OctetString};
use x509_cert::der::{self, Encode as _};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{CertId, OcspRequest, Request, TbsRequest};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The hash that every responder knows (RFC 5019 section 2.1.1); it names and protects nothing.
const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

/// Certificates name one or two; each costs a question.
const MOST_RESPONDERS: usize = 4;

/// A certificate as responders know it.
#[derive(Debug)]
pub(super) struct Subject {
    /// Issuer and serial number.
    pub(super) id: CertId,
    /// Where in the chain the issuer is.
    pub(super) issuer: usize,
    /// Whom to ask, in this order.
    pub(super) responders: Vec<String>,
}

/// Why nobody can be asked about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the certificate names no OCSP responder")]
    NoResponder,
    #[error("the certificate of the issuer is not in the chain")]
    NoIssuer,
    #[error("the certificate cannot be put into a question")]
    Odd,
}

impl Subject {
    /// Finds issuer and responders of the first certificate of `chain`; `overrides` says whom to ask instead.
    pub(super) fn of(
        chain: &[CertificateDer<'_>],
        overrides: &IndexMap<String, String>,
    ) -> Result<Self, Unfit> {
        let (leaf, rest) = chain.split_first().ok_or(Unfit::Odd)?;
        let leaf = parse(leaf).ok_or(Unfit::Odd)?;
        let responders = responders(&leaf, overrides);
        if responders.is_empty() {
            return Err(Unfit::NoResponder);
        }
        let issued_by = |der: &CertificateDer<'_>| {
            parse(der).is_some_and(|it| it.subject().as_raw() == leaf.issuer().as_raw())
        };
        let issuer = 1 + rest.iter().position(issued_by).ok_or(Unfit::NoIssuer)?;
        let parsed = chain.get(issuer).and_then(parse).ok_or(Unfit::NoIssuer)?;
        let id = id(&leaf, &parsed).map_err(|_| Unfit::Odd)?;
        Ok(Self { id, issuer, responders })
    }

    /// The question, DER. It has no nonce: large responders answer in advance (RFC 5019 section 2.1.1).
    pub(super) fn question(&self) -> der::Result<Bytes> {
        let request = Request { req_cert: self.id.clone(), single_request_extensions: None };
        let tbs_request = TbsRequest { request_list: vec![request], ..TbsRequest::default() };
        Ok(OcspRequest { tbs_request, optional_signature: None }.to_der()?.into())
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn responders(leaf: &X509Certificate<'_>, overrides: &IndexMap<String, String>) -> Vec<String> {
    let access =
        leaf.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityInfoAccess(access) => Some(access),
            _ => None,
        });
    let named = access.flat_map(|access| access.iter()).filter_map(|description| {
        let is_ocsp = description.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP;
        match description.access_location {
            GeneralName::URI(url) if is_ocsp => Some(url),
            _ => None,
        }
    });
    let asked = named.map(|url| overrides.get(url).map_or(url, String::as_str));
    asked.take(MOST_RESPONDERS).map(str::to_owned).collect()
}

fn id(leaf: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> der::Result<CertId> {
    let hash = |bytes: &[u8]| OctetString::new(Sha1::digest(bytes).to_vec());
    Ok(CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: SHA_1, parameters: Some(Null.into()) },
        issuer_name_hash: hash(issuer.subject().as_raw())?,
        issuer_key_hash: hash(&issuer.public_key().subject_public_key.data)?,
        serial_number: SerialNumber::new(leaf.raw_serial())?,
    })
}
