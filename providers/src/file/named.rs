//! The files that a configuration names: certificates, keys, authorities. Traefik does not notice that they change.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portcullis_config::Routing;
use portcullis_config::routing::tls::ClientCertificate;
use portcullis_config::units::FileOrContent;

/// All files that `routing` names for TLS.
pub(super) fn files(routing: &Routing) -> BTreeSet<PathBuf> {
    let mut files = Files::default();
    for certificate in &routing.tls.certificates {
        files.add(&certificate.cert_file);
        files.add(&certificate.key_file);
    }
    for options in routing.tls.options.values() {
        files.add_all(&options.client_auth.ca_files);
    }
    for store in routing.tls.stores.values() {
        files.add_pairs(store.default_certificate.as_slice());
    }
    for transport in routing.http.servers_transports.values() {
        files.add_all(&transport.root_cas);
        files.add_pairs(&transport.certificates);
    }
    for tls in routing.tcp.servers_transports.values().filter_map(|it| it.tls.as_ref()) {
        files.add_all(&tls.root_cas);
        files.add_pairs(&tls.certificates);
    }
    files.0
}

#[derive(Default)]
struct Files(BTreeSet<PathBuf>);

impl Files {
    fn add(&mut self, file: &FileOrContent) {
        if !file.is_content() && !file.0.is_empty() {
            self.0.insert(PathBuf::from(&file.0));
        }
    }

    fn add_all(&mut self, files: &[FileOrContent]) {
        for file in files {
            self.add(file);
        }
    }

    fn add_pairs(&mut self, pairs: &[ClientCertificate]) {
        for pair in pairs {
            self.add(&pair.cert_file);
            self.add(&pair.key_file);
        }
    }
}
