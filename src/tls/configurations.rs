//! `Configurations`: the TLS part of a configuration compiled, with everything equal kept from the last one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;
use parking_lot::Mutex;
use portcullis_config::problem::{Kind, Problem};
use portcullis_config::routing::tls::{self, Tls};
use portcullis_config::units::FileOrContent;
use rustls::ServerConfig;

use super::acme::Acme;
use super::acme::names::Names;
use super::certificate::Certificate;
use super::generated;
use super::ocsp::Stapling;
use super::offered::{Offered, Parts};
use super::options::Recipe;
use super::policy::{Host, Hosts, Policy, Terms};
use super::store::Store;
use crate::install::{self, CertificatesResolver};
use crate::net::live::Live;

/// The compiled TLS options and certificates of the process. Made once; every reload goes through [`Configurations::prepare`].
///
/// Rustls configurations live as long as their options stay equal, whatever happens to the certificates: their session
/// tickets survive. Certificates are parsed once for as long as they are configured.
pub struct Configurations {
    shared: Arc<Shared>,
    acme: Acme,
    ocsp: Stapling,
}

struct Shared {
    kept: Mutex<Kept>,
    offered: Offered,
}

/// What the published configuration was made of.
#[derive(Clone, Default)]
struct Kept {
    configs: HashMap<Recipe, Arc<ServerConfig>>,
    certificates: HashMap<[u8; 32], Arc<Certificate>>,
    /// The last good certificate of every pair of files.
    last_good: HashMap<(FileOrContent, FileOrContent), Arc<Certificate>>,
}

impl Configurations {
    /// Begins without any configuration: every name gets the generated certificate.
    pub fn new() -> Result<Self, String> {
        Self::with_resolvers(&IndexMap::new())
    }

    /// As [`Configurations::new`], with resolvers, which obtain nothing before [`Acme::start`].
    pub fn with_resolvers(
        resolvers: &IndexMap<String, CertificatesResolver>,
    ) -> Result<Self, String> {
        let offered = Offered::new(Arc::clone(generated()?));
        let acme = Acme::new(resolvers, &offered);
        let ocsp = Stapling::new(None, &offered);
        Ok(Self { shared: Arc::new(Shared { kept: Mutex::default(), offered }), acme, ocsp })
    }

    /// The same with OCSP answers in handshakes, where the user wants that; nobody is asked before [`Stapling::start`].
    pub fn stapling(self, settings: Option<&install::Ocsp>) -> Self {
        Self { ocsp: Stapling::new(settings, &self.shared.offered), ..self }
    }

    /// The resolvers.
    pub fn acme(&self) -> &Acme {
        &self.acme
    }

    /// The OCSP answers.
    pub fn ocsp(&self) -> &Stapling {
        &self.ocsp
    }

    /// The store that handshakes use now.
    pub fn store(&self) -> Arc<Store> {
        self.shared.offered.live().load()
    }

    /// Compiles `tls`, whose names are qualified. Handshakes notice nothing until [`Prepared::publish`].
    ///
    /// `unusable` names options objects that were configured but had to be taken out before, such as `default` defined by
    /// two providers: their hosts are refused.
    pub fn prepare(&self, tls: &Tls, unusable: &[&str]) -> Prepared {
        let old = self.shared.kept.lock().clone();
        let mut compiling = Compiling { old, new: Kept::default(), problems: Vec::new() };
        let certificates = compiling.certificates(&tls.certificates);
        let default = tls.stores.get("default");
        let parts = Parts {
            certificates,
            default: compiling.default_certificate(default),
            generated_default: default.and_then(generated_default),
        };
        let store = self.shared.offered.store_of(&parts);
        compiling.unused_stores(tls);
        let mut terms = compiling.options(tls, self.shared.offered.live());
        for name in unusable {
            terms.insert((*name).to_owned(), None);
        }
        Prepared {
            shared: Arc::clone(&self.shared),
            parts,
            store: Arc::new(store),
            terms,
            kept: compiling.new,
            problems: compiling.problems,
        }
    }
}

/// The resolver and the names of the default certificate, where one is to be obtained.
fn generated_default(store: &tls::Store) -> Option<(String, Names)> {
    let wish = store.default_generated_cert.as_ref()?;
    Some((wish.resolver.clone(), Names::of_domain(wish.domain.as_ref()?)?))
}

impl fmt::Debug for Configurations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configurations").field("store", &self.store()).finish()
    }
}

/// A compiled TLS part that waits for the snapshot it belongs to.
pub struct Prepared {
    shared: Arc<Shared>,
    parts: Parts,
    store: Arc<Store>,
    terms: BTreeMap<String, Option<Arc<Terms>>>,
    kept: Kept,
    problems: Vec<Problem>,
}

impl Prepared {
    /// What is wrong with certificates, options and stores.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The certificates, for the API and the metrics.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The terms of the options object `name`, for a connection whose options are known otherwise (a TCP router);
    /// `None` if there is no such object or it is unusable.
    pub fn terms(&self, name: &str) -> Option<&Arc<Terms>> {
        self.terms.get(name).and_then(Option::as_ref)
    }

    /// Whether options were configured under `name`, usable or not. `default` always is.
    pub fn has_options(&self, name: &str) -> bool {
        self.terms.contains_key(name)
    }

    /// Says which options serve which host of one entry point, and what is wrong with the wishes of its routers.
    pub fn policy(&self, hosts: &[Host<'_>], conflicts: Conflicts) -> (Policy, Vec<Problem>) {
        Hosts::new(hosts).policy(
            &|name| self.terms(name).cloned(),
            self.shared.offered.live(),
            conflicts,
        )
    }

    /// Makes the certificates the ones that handshakes use from now on. The old snapshot's policies use them, too, so
    /// swap the snapshot right before or after.
    pub fn publish(self) {
        *self.shared.kept.lock() = self.kept;
        self.shared.offered.configure(self.parts);
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("options", &self.terms.keys()).finish_non_exhaustive()
    }
}

/// What happens to routers that want different options for one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflicts {
    /// They get the options `default` and a warning each.
    FallBack,
    /// They are errors and the host is refused. Traefik: `core.strictTLSOptions`.
    Refuse,
}

struct Compiling {
    old: Kept,
    new: Kept,
    problems: Vec<Problem>,
}

impl Compiling {
    fn certificates(&mut self, configured: &[tls::Certificate]) -> Vec<Arc<Certificate>> {
        let mut certificates = Vec::with_capacity(configured.len());
        for settings in configured {
            let name = shown(&settings.cert_file);
            if !settings.stores.is_empty()
                && !settings.stores.iter().any(|store| store == "default")
            {
                let message = format!(
                    "it belongs to {}, but only the store `default` is used, so it is not offered",
                    settings.stores.join(", ")
                );
                self.problems.push(Problem::warning(Kind::TlsCertificate, name, message));
                continue;
            }
            let loaded = self.certificate(&settings.cert_file, &settings.key_file);
            match loaded.or_else(|error| self.last_good(settings, name, error)) {
                Ok(certificate) => certificates.push(certificate),
                Err(problem) => self.problems.push(problem),
            }
        }
        certificates
    }

    fn certificate(
        &mut self,
        certificate: &FileOrContent,
        key: &FileOrContent,
    ) -> Result<Arc<Certificate>, String> {
        let pair = Certificate::read(certificate, key)?;
        let known = self.new.certificates.get(&pair.digest);
        let loaded = match known.or_else(|| self.old.certificates.get(&pair.digest)) {
            Some(known) => Arc::clone(known),
            None => Arc::new(pair.load(certificate, key)?),
        };
        self.new.certificates.insert(pair.digest, Arc::clone(&loaded));
        if !certificate.is_content() {
            self.new.last_good.insert((certificate.clone(), key.clone()), Arc::clone(&loaded));
        }
        Ok(loaded)
    }

    /// The certificate that the same files held before they broke, for instance while certificate and key are being
    /// replaced one after the other.
    fn last_good(
        &mut self,
        settings: &tls::Certificate,
        name: String,
        error: String,
    ) -> Result<Arc<Certificate>, Problem> {
        let sources = (settings.cert_file.clone(), settings.key_file.clone());
        let Some(old) = self.old.last_good.get(&sources).map(Arc::clone) else {
            return Err(Problem::error(Kind::TlsCertificate, name, error));
        };
        let message = format!("{error}; the certificate from before is still offered");
        self.problems.push(Problem::warning(Kind::TlsCertificate, name, message));
        self.new.last_good.insert(sources, Arc::clone(&old));
        Ok(old)
    }

    /// The user's default certificate; `None` means the generated one.
    fn default_certificate(&mut self, store: Option<&tls::Store>) -> Option<Arc<Certificate>> {
        let store = store?;
        if store.default_generated_cert.is_some() && store.default_certificate.is_some() {
            let message = "defaultCertificate wins over defaultGeneratedCert";
            self.problems.push(Problem::warning(Kind::TlsStore, "default", message));
        }
        let pair = store.default_certificate.as_ref()?;
        match self.certificate(&pair.cert_file, &pair.key_file) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                let message =
                    format!("defaultCertificate: {error}; a self-signed certificate stands in");
                self.problems.push(Problem::error(Kind::TlsStore, "default", message));
                None
            }
        }
    }

    fn unused_stores(&mut self, tls: &Tls) {
        for name in tls.stores.keys().filter(|name| *name != "default") {
            let message = "only the store `default` is used";
            self.problems.push(Problem::warning(Kind::TlsStore, name.clone(), message));
        }
    }

    fn options(
        &mut self,
        tls: &Tls,
        live: &Arc<Live<Store>>,
    ) -> BTreeMap<String, Option<Arc<Terms>>> {
        let implied = tls::Options::default();
        let default = (!tls.options.contains_key("default")).then_some(("default", &implied));
        let configured = tls.options.iter().map(|(name, options)| (name.as_str(), options));
        let mut all = BTreeMap::new();
        for (name, options) in default.into_iter().chain(configured) {
            let terms = self.terms(name, options, live).inspect_err(|error| {
                let message = format!("{error}; connections to its hosts are refused");
                self.problems.push(Problem::error(Kind::TlsOptions, name, message));
            });
            all.insert(name.to_owned(), terms.ok().map(Arc::new));
        }
        all
    }

    fn terms(
        &mut self,
        name: &str,
        options: &tls::Options,
        live: &Arc<Live<Store>>,
    ) -> Result<Terms, String> {
        let recipe = Recipe::read(options)?;
        for remark in recipe.remarks() {
            self.problems.push(Problem::warning(Kind::TlsOptions, name, remark));
        }
        let known = self.new.configs.get(&recipe).or_else(|| self.old.configs.get(&recipe));
        let config = match known {
            Some(config) => Arc::clone(config),
            None => Arc::new(recipe.build(live)?),
        };
        let terms = Terms::new(name, Arc::clone(&config), recipe.strictness());
        self.new.configs.insert(recipe, config);
        Ok(terms)
    }
}

/// How a certificate is named in problems: its path, or what it is.
fn shown(certificate: &FileOrContent) -> String {
    if certificate.is_content() { "given as text".to_owned() } else { certificate.0.clone() }
}

/// The generated certificate of the process.
fn generated() -> Result<&'static Arc<Certificate>, String> {
    static GENERATED: OnceLock<Result<Arc<Certificate>, String>> = OnceLock::new();
    GENERATED.get_or_init(|| generated::generate().map(Arc::new)).as_ref().map_err(Clone::clone)
}
