//! Questions about certificates, and answers made as responders make them: which of them are believed.

use std::time::Duration;

use indexmap::IndexMap;
use rcgen::ExtendedKeyUsagePurpose::{self, OcspSigning, ServerAuth};
use x509_cert::der::asn1::{BitString, GeneralizedTime, Ia5String, OctetString};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AccessDescription, AuthorityInfoAccessSyntax, CrlReason};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{OcspRequest, ResponderId, ResponseData, RevokedInfo, Version};

use super::super::subject::{Subject, Unfit};
use super::*;
use crate::tls::testing::{Authority, Issued};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;
const NAMED: &str = "http://ocsp.test/";

/// An authority, a certificate of its, and that certificate as responders know it.
struct Case {
    authority: Authority,
    subject: Subject,
}

impl Case {
    fn new() -> Self {
        let authority = Authority::new("it-ca");
        let leaf = leaf(&authority, &[NAMED]);
        let chain = [leaf.der, authority.der.clone()];
        let subject = Subject::of(&chain, &IndexMap::new()).unwrap();
        Self { authority, subject }
    }

    fn good(&self) -> Draft {
        let status = CertStatus::good();
        Draft { id: self.subject.id.clone(), status, begins: NOW - HOUR, ends: Some(NOW + HOUR) }
    }

    /// What is believed of a draft that the issuer signs itself.
    fn believed(&self, draft: &Draft) -> Result<Answer, Bad> {
        self.check(&draft.signed(&|message| self.authority.sign(message), &[]))
    }

    /// What is believed of a good answer that `delegate` signs.
    fn believed_from(&self, delegate: &Issued) -> Result<Answer, Bad> {
        self.check(&self.good().signed(&|message| delegate.sign(message), &[&delegate.der]))
    }

    fn check(&self, bytes: &[u8]) -> Result<Answer, Bad> {
        Answer::check(bytes, &self.subject.id, &self.authority.der, NOW)
    }
}

/// What an answer says before it is signed.
struct Draft {
    id: CertId,
    status: CertStatus,
    begins: i64,
    ends: Option<i64>,
}

impl Draft {
    fn signed(
        &self,
        sign: &dyn Fn(&[u8]) -> Vec<u8>,
        certificates: &[&CertificateDer<'_>],
    ) -> Vec<u8> {
        let single = SingleResponse {
            cert_id: self.id.clone(),
            cert_status: self.status,
            this_update: time(self.begins),
            next_update: self.ends.map(time),
            single_extensions: None,
        };
        let data = ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(OctetString::new([0; 20]).unwrap()),
            produced_at: time(self.begins),
            responses: vec![single],
            response_extensions: None,
        };
        let ecdsa_with_sha256 = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
        let signature = sign(&data.to_der().unwrap());
        let certificates = certificates.iter().map(|der| Certificate::from_der(der).unwrap());
        let basic = BasicOcspResponse {
            tbs_response_data: data,
            signature_algorithm: AlgorithmIdentifierOwned {
                oid: ecdsa_with_sha256,
                parameters: None,
            },
            signature: BitString::from_bytes(&signature).unwrap(),
            certs: Some(certificates.collect()),
        };
        OcspResponse::successful(basic).unwrap().to_der().unwrap()
    }
}

fn time(seconds: i64) -> OcspGeneralizedTime {
    let since = Duration::from_secs(seconds.unsigned_abs());
    OcspGeneralizedTime(GeneralizedTime::from_unix_duration(since).unwrap())
}

/// A certificate that names these responders.
fn leaf(authority: &Authority, responders: &[&str]) -> Issued {
    let describe = |url: &&str| AccessDescription {
        access_method: ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1"),
        access_location: GeneralName::UniformResourceIdentifier(Ia5String::new(url).unwrap()),
    };
    let access = AuthorityInfoAccessSyntax(responders.iter().map(describe).collect());
    authority.issue_with(&["a.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        if !responders.is_empty() {
            let oid = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
            let content = access.to_der().unwrap();
            params.custom_extensions.push(rcgen::CustomExtension::from_oid_content(oid, content));
        }
    })
}

/// A certificate for signing answers, if `purpose` says so, that ends in the year `until`.
fn delegate(authority: &Authority, purpose: ExtendedKeyUsagePurpose, until: i32) -> Issued {
    authority.issue_with(&["responder.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.extended_key_usages.push(purpose);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
    })
}

#[test]
fn an_answer_of_the_issuer_is_believed_and_kept_as_it_came() {
    let case = Case::new();
    let bytes = case.good().signed(&|message| case.authority.sign(message), &[]);
    let (begins, ends) = (NOW - HOUR, NOW + HOUR);
    let expected = Answer { verdict: Verdict::Good, begins, ends, bytes: bytes.clone() };
    assert_eq!(case.check(&bytes).unwrap(), expected);
}

#[test]
fn a_delegate_is_believed_only_where_the_issuer_lets_it_sign_answers_today() {
    let case = Case::new();
    case.believed_from(&delegate(&case.authority, OcspSigning, 2100)).unwrap();
    let stranger = Authority::new("it-ca");
    let refused = [
        ("serves only", delegate(&case.authority, ServerAuth, 2100)),
        ("has ended", delegate(&case.authority, OcspSigning, 2020)),
        ("is of an authority with the same name", delegate(&stranger, OcspSigning, 2100)),
        ("is any certificate of the issuer", leaf(&case.authority, &[])),
    ];
    for (what, delegate) in refused {
        let believed = case.believed_from(&delegate);
        assert!(matches!(believed, Err(Bad::Signature(_))), "one that {what}: {believed:?}");
    }
}

#[test]
fn the_certificate_of_a_delegate_does_not_help_somebody_else() {
    let case = Case::new();
    let allowed = delegate(&case.authority, OcspSigning, 2100);
    let other = delegate(&Authority::new("other"), OcspSigning, 2100);
    let bytes = case.good().signed(&|message| other.sign(message), &[&allowed.der, &other.der]);
    assert!(matches!(case.check(&bytes), Err(Bad::Signature(_))));
}

#[test]
fn no_changed_and_no_cut_answer_is_believed() {
    let case = Case::new();
    let bytes = case.good().signed(&|message| case.authority.sign(message), &[]);
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(case.check(&changed).is_err(), "byte {place} of {}", bytes.len());
        assert!(case.check(&bytes[..place]).is_err(), "the first {place} bytes");
    }
}

#[test]
fn an_answer_about_another_certificate_is_not_taken() {
    let (case, other) = (Case::new(), Case::new());
    let mut draft = case.good();
    draft.id.serial_number = other.subject.id.serial_number.clone();
    assert!(matches!(case.believed(&draft), Err(Bad::Other)));
    // The same serial number of another issuer.
    let mut draft = case.good();
    draft.id.issuer_key_hash = other.subject.id.issuer_key_hash;
    assert!(matches!(case.believed(&draft), Err(Bad::Other)));
}

#[test]
fn answers_count_in_their_time_only_with_some_leeway_for_clocks() {
    let case = Case::new();
    let at = |begins: i64, ends: Option<i64>| {
        let believed = case.believed(&Draft { begins, ends, ..case.good() });
        believed.map(|answer| answer.ends)
    };
    assert!(matches!(at(NOW + SKEW + 1, Some(NOW + HOUR)), Err(Bad::Early(301))));
    assert_eq!(at(NOW + SKEW, Some(NOW + HOUR)).unwrap(), NOW + HOUR);
    assert!(matches!(at(NOW - HOUR, Some(NOW)), Err(Bad::Late(0))));
    assert_eq!(at(NOW - 60, None).unwrap(), NOW - 60 + WITHOUT_END);
    assert!(matches!(at(NOW - WITHOUT_END, None), Err(Bad::Late(0))));
}

#[test]
fn a_revoked_certificate_is_told_with_its_reason_and_an_unknown_one_is_no_answer() {
    let case = Case::new();
    let revoked = RevokedInfo {
        revocation_time: time(NOW - 2 * HOUR),
        revocation_reason: Some(CrlReason::KeyCompromise),
    };
    let draft = Draft { status: CertStatus::Revoked(revoked), ..case.good() };
    let reason = Some("KeyCompromise".to_owned());
    assert_eq!(case.believed(&draft).unwrap().verdict, Verdict::Revoked(NOW - 2 * HOUR, reason));
    let draft = Draft { status: CertStatus::unknown(), ..case.good() };
    assert!(matches!(case.believed(&draft), Err(Bad::Unknown)));
}

#[test]
fn a_responder_that_refuses_is_quoted() {
    let case = Case::new();
    let bytes = OcspResponse::try_later().to_der().unwrap();
    let bad = case.check(&bytes).unwrap_err();
    assert_eq!(bad.to_string(), "the responder refuses to answer: TryLater");
    assert!(matches!(case.check(b"<html>moved</html>"), Err(Bad::Format(_))));
}

#[test]
fn the_question_is_about_the_certificate_and_goes_to_whom_it_names_or_to_who_stands_in() {
    let authority = Authority::new("it-ca");
    let own = leaf(&authority, &[NAMED, "http://second.test/"]);
    let between = leaf(&Authority::new("other"), &[]);
    // The issuer need not come right after the certificate.
    let chain = [own.der, between.der, authority.der.clone()];
    let overrides = IndexMap::from([(NAMED.to_owned(), "https://stand-in.test/".to_owned())]);
    let subject = Subject::of(&chain, &overrides).unwrap();
    assert_eq!(subject.responders, ["https://stand-in.test/", "http://second.test/"]);
    assert_eq!(subject.issuer, 2);
    let question = OcspRequest::from_der(&subject.question().unwrap()).unwrap();
    let [request] = &*question.tbs_request.request_list else { panic!("{question:?}") };
    assert_eq!(request.req_cert, subject.id);
}

#[test]
fn it_is_said_why_nobody_can_be_asked() {
    let authority = Authority::new("it-ca");
    let of = |chain: &[CertificateDer<'_>]| Subject::of(chain, &IndexMap::new()).err();
    let silent = [leaf(&authority, &[]).der, authority.der.clone()];
    assert_eq!(of(&silent), Some(Unfit::NoResponder));
    let alone = leaf(&authority, &[NAMED]).der;
    assert_eq!(of(std::slice::from_ref(&alone)), Some(Unfit::NoIssuer));
    assert_eq!(of(&[alone, Authority::new("other").der]), Some(Unfit::NoIssuer));
    assert_eq!(of(&[]), Some(Unfit::Odd));
}
