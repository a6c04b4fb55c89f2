//! A resolver's settings, checked once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use portcullis_config::units::Secret;
use rustls_pki_types::ServerName;

use super::dns::Dns;
use super::https::{self, Clear, Https, System};
use super::key::{CommonName, KeyType};
use super::names::{Names, Wildcards};
use crate::install;

/// What `clientTimeout` and its kin are where they are zero. Traefik: the same values.
const CLIENT_TIMEOUT: Duration = Duration::from_mins(2);
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const CERTIFICATE_TIMEOUT: Duration = Duration::from_secs(30);

/// A resolver's settings.
#[derive(Debug)]
pub(super) struct Settings {
    /// The address of the authority's directory.
    pub(super) directory: String,
    /// `mailto:` addresses.
    pub(super) contacts: Vec<String>,
    /// The authority's own account that ours is bound to.
    pub(super) binding: Option<Binding>,
    pub(super) key_type: KeyType,
    pub(super) common_name: CommonName,
    /// How many hours certificates are assumed to last.
    pub(super) hours: i64,
    /// The common name of an issuer whose chain is preferred; empty = the authority's choice.
    pub(super) preferred_chain: String,
    /// The profile to order; empty = the authority's choice.
    pub(super) profile: String,
    /// How the authority is reached.
    pub(super) https: Https,
    /// How long the authority may take to issue a certificate.
    pub(super) patience: Duration,
    /// How control is proven.
    pub(super) proofs: Proofs,
}

/// External account binding (RFC 8555 section 7.3.4).
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) kid: String,
    pub(super) key: Key,
}

/// The bytes of a secret key; `Debug` shows nothing.
pub(super) struct Key(pub(super) Vec<u8>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("REDACTED")
    }
}

/// How control of a name is proven: at least one way.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Over HTTP; the wait before the authority is told to look.
    pub(super) http: Option<Duration>,
    /// Over TLS; the wait before the authority is told to look.
    pub(super) tls: Option<Duration>,
    /// By DNS.
    pub(super) dns: Option<Arc<Dns>>,
}

/// One way to prove control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// TLS-ALPN-01.
    Tls,
    /// HTTP-01.
    Http,
    /// DNS-01.
    Dns,
}

impl Settings {
    /// Checks `acme`; an error means that the resolver cannot order anything. The remarks are for the operator.
    pub(super) fn read(acme: &install::Acme) -> Result<(Self, Vec<String>), String> {
        let mut remarks = Vec::new();
        let (key_type, remark) = KeyType::parse(&acme.key_type);
        remarks.extend(remark);
        let mut directory = acme.ca_server.clone();
        if directory.contains("://acme-v01.") || directory.contains("://acme-staging.") {
            // Traefik: the same; the first version of the protocol is gone.
            directory = directory
                .replace("acme-v01.", "acme-v02.")
                .replace("acme-staging.", "acme-staging-v02.");
            remarks.push(format!("caServer `{}` is gone; `{directory}` is used", acme.ca_server));
        }
        let settings = Self {
            directory,
            contacts: contacts(acme),
            binding: acme.eab.as_ref().map(binding).transpose()?,
            key_type,
            common_name: if acme.disable_common_name {
                CommonName::Nothing
            } else {
                CommonName::Main
            },
            hours: acme.certificates_duration,
            preferred_chain: acme.preferred_chain.clone(),
            profile: acme.profile.clone(),
            https: transport(acme)?,
            patience: acme.certificate_timeout.positive().unwrap_or(CERTIFICATE_TIMEOUT),
            proofs: proofs(acme, &mut remarks)?,
        };
        Ok((settings, remarks))
    }

    /// Whether wildcards can be proven.
    pub(super) fn wildcards(&self) -> Wildcards {
        if self.proofs.dns.is_some() { Wildcards::Allowed } else { Wildcards::Refused }
    }
}

impl Proofs {
    /// The ways to prove `names`, the best first; after a failure (`attempt` from 0) another one is tried first.
    ///
    /// Traefik: the same order, without the change after failures.
    pub(super) fn ways(&self, names: &Names, attempt: u32) -> Vec<Way> {
        if names.has_wildcard() {
            return vec![Way::Dns];
        }
        let all = [
            (self.tls.is_some(), Way::Tls),
            (self.http.is_some(), Way::Http),
            (self.dns.is_some(), Way::Dns),
        ];
        let mut ways: Vec<Way> =
            all.into_iter().filter_map(|(on, way)| on.then_some(way)).collect();
        if !ways.is_empty() {
            let first = attempt as usize % ways.len();
            ways.rotate_left(first);
        }
        ways
    }
}

fn contacts(acme: &install::Acme) -> Vec<String> {
    let addresses = std::iter::once(&acme.email).chain(&acme.email_addresses);
    let given = addresses.map(|address| address.trim()).filter(|address| !address.is_empty());
    let mut contacts: Vec<String> = Vec::new();
    for address in given {
        let contact = format!("mailto:{address}");
        if !contacts.contains(&contact) {
            contacts.push(contact);
        }
    }
    contacts
}

fn binding(eab: &install::Eab) -> Result<Binding, String> {
    let Secret(encoded) = &eab.hmac_encoded;
    if eab.kid.is_empty() || encoded.is_empty() {
        return Err("`eab` needs both `kid` and `hmacEncoded`".to_owned());
    }
    // Authorities print it in either alphabet, with and without padding.
    let text = encoded.trim().replace('+', "-").replace('/', "_");
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let key = GeneralPurpose::new(&alphabet::URL_SAFE, lenient)
        .decode(text)
        .map_err(|_| "`eab.hmacEncoded` is not base64".to_owned())?;
    Ok(Binding { kid: eab.kid.clone(), key: Key(key) })
}

/// How the authority is reached. Traefik: `LEGO_CA_…` in the environment count where the options say nothing.
fn transport(acme: &install::Acme) -> Result<Https, String> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut files = acme.ca_certificates.clone();
    if files.is_empty()
        && let Some(given) = variable("LEGO_CA_CERTIFICATES")
    {
        files = given.split(':').map(str::to_owned).collect();
    }
    let too = acme.ca_system_cert_pool
        || variable("LEGO_CA_SYSTEM_CERT_POOL")
            .is_some_and(|value| value == "true" || value == "1");
    let roots = https::roots(&files, if too { System::Too } else { System::Not })
        .map_err(|error| format!("`caCertificates`: {error}"))?;
    let name = match acme.ca_server_name.as_str() {
        "" => variable("LEGO_CA_SERVER_NAME"),
        name => Some(name.to_owned()),
    };
    let server_name = name
        .map(|name| {
            ServerName::try_from(name.clone())
                .map_err(|_| format!("`caServerName`: `{name}` is no host name"))
        })
        .transpose()?;
    let settings = https::Settings {
        whole: acme.client_timeout.positive().unwrap_or(CLIENT_TIMEOUT),
        head: acme.client_response_header_timeout.positive().unwrap_or(HEAD_TIMEOUT),
        server_name,
        clear: Clear::Refused,
    };
    Https::new(roots, settings)
}

fn proofs(acme: &install::Acme, remarks: &mut Vec<String>) -> Result<Proofs, String> {
    let wait = |delay: portcullis_config::units::Duration| delay.positive().unwrap_or_default();
    let dns = acme.dns_challenge.as_ref().map(Dns::build).transpose()?.map(|(dns, said)| {
        remarks.extend(said);
        Arc::new(dns)
    });
    let http = acme.http_challenge.as_ref();
    if http.is_some_and(|http| http.entry_point.is_empty()) {
        return Err("`httpChallenge.entryPoint` is missing".to_owned());
    }
    let proofs = Proofs {
        http: http.map(|http| wait(http.delay)),
        tls: acme.tls_challenge.as_ref().map(|tls| wait(tls.delay)),
        dns,
    };
    if proofs.http.is_none() && proofs.tls.is_none() && proofs.dns.is_none() {
        let message = "has no way to prove control of names; expected `httpChallenge`, \
                       `tlsChallenge` or `dnsChallenge`";
        return Err(message.to_owned());
    }
    Ok(proofs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> install::Acme {
        install::Acme { tls_challenge: Some(Default::default()), ..Default::default() }
    }

    #[test]
    fn a_resolver_without_a_challenge_says_so() {
        let error = Settings::read(&install::Acme::default()).unwrap_err();
        assert!(error.contains("tlsChallenge"), "{error}");
        Settings::read(&acme()).unwrap();
    }

    #[test]
    fn the_key_of_the_binding_is_read_in_any_spelling_and_never_shown() {
        for encoded in ["-_8gc2VjcmV0", "+/8gc2VjcmV0", "c2VjcmV0IQ==", "c2VjcmV0IQ"] {
            let eab = install::Eab { kid: "kid".into(), hmac_encoded: Secret(encoded.into()) };
            let settings = install::Acme { eab: Some(eab), ..acme() };
            let (settings, _) = Settings::read(&settings).unwrap();
            assert!(
                settings.binding.as_ref().unwrap().key.0.ends_with(b"!") || encoded.len() == 12
            );
            assert!(!format!("{settings:?}").contains("secret"));
        }
        let eab = install::Eab { kid: "kid".into(), hmac_encoded: Secret("s3cr?t".into()) };
        let error = Settings::read(&install::Acme { eab: Some(eab), ..acme() }).unwrap_err();
        assert!(error.contains("hmacEncoded") && !error.contains("s3cr"), "{error}");
    }

    #[test]
    fn another_way_is_tried_after_a_failure() {
        let zero = Some(Duration::ZERO);
        let proofs = Proofs { http: zero, tls: zero, dns: None };
        let names = Names::new(["a.test"]).unwrap();
        assert_eq!(proofs.ways(&names, 0), [Way::Tls, Way::Http]);
        assert_eq!(proofs.ways(&names, 1), [Way::Http, Way::Tls]);
        assert_eq!(proofs.ways(&Names::new(["*.a.test"]).unwrap(), 1), [Way::Dns]);
    }

    #[test]
    fn addresses_of_the_old_protocol_are_rewritten() {
        let ca_server = "https://acme-v01.api.letsencrypt.org/directory".to_owned();
        let (settings, remarks) = Settings::read(&install::Acme { ca_server, ..acme() }).unwrap();
        assert_eq!(settings.directory, "https://acme-v02.api.letsencrypt.org/directory");
        assert_eq!(remarks.len(), 1);
    }

    #[test]
    fn contacts_are_mail_addresses_each_once() {
        let (email, more) =
            ("a@a.test".to_owned(), vec!["b@a.test".to_owned(), "a@a.test".to_owned()]);
        let acme = install::Acme { email, email_addresses: more, ..acme() };
        assert_eq!(contacts(&acme), ["mailto:a@a.test", "mailto:b@a.test"]);
    }
}
