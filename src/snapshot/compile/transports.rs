//! Servers transports: settings to connections' settings, equal ones shared.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::{Kind, Severity};
use portcullis_config::routing::http::ServersTransport;

use super::Compiling;
use crate::tls::client::ClientTls;
use crate::upstream::dial::Dial;
use crate::upstream::endpoint::{Address, Endpoint};
use crate::upstream::transport::Transport;

impl Compiling<'_> {
    /// The settings and the transport called `reference` by an object of `provider`; empty = the default one.
    pub(super) fn transport(
        &mut self,
        reference: &str,
        provider: &str,
    ) -> Result<(ServersTransport, Arc<Transport>), String> {
        let name = match reference {
            "" => Name::verbatim("default@internal"),
            text => Name::qualify(text, provider),
        };
        let settings = if name.as_str() == "default@internal" {
            self.context.default_transport.clone()
        } else if let Some(error) = self.broken(Kind::HttpServersTransport, name.as_str()) {
            return Err(format!("serversTransport `{name}` is broken: {error}"));
        } else {
            let found = self.configuration.servers_transports.get(&name);
            found.cloned().ok_or_else(|| format!("serversTransport `{name}` does not exist"))?
        };
        let transport = self.compile_transport(&name, &settings)?;
        Ok((settings, transport))
    }

    fn compile_transport(
        &mut self,
        name: &Name,
        settings: &ServersTransport,
    ) -> Result<Arc<Transport>, String> {
        // Equal settings may name files that have changed.
        let current = |old: &&Arc<Transport>| old.tls.is_current(settings);
        let old = || self.old.transports.get(settings).filter(current);
        let found = self.kept.transports.get(settings).or_else(old);
        let transport = match found {
            Some(transport) => Arc::clone(transport),
            None => {
                let (tls, problems) =
                    ClientTls::compile(name.as_str(), settings, self.context.spiffe.as_ref());
                let error = problems.iter().find(|p| p.severity == Severity::Error);
                let error = error.map(|problem| problem.message.clone());
                for problem in problems {
                    self.add(problem);
                }
                let tls = tls.ok_or_else(|| {
                    format!("serversTransport `{name}` is broken: {}", error.unwrap_or_default())
                })?;
                let dialer = self.dialer(&settings.mesh_identity)?;
                Arc::new(Transport::new(settings, tls).by(dialer))
            }
        };
        self.kept.transports.insert(settings.clone(), Arc::clone(&transport));
        Ok(transport)
    }

    /// Whoever reaches servers as `identity`; nobody if that is empty.
    pub(super) fn dialer(&self, identity: &str) -> Result<Option<Arc<dyn Dial>>, String> {
        match &self.context.extension {
            _ if identity.is_empty() => Ok(None),
            Some(extension) => extension.dialer(identity).map(Some),
            None => Err("this process has no part in a mesh".to_owned()),
        }
    }

    /// The endpoint of `address` by a transport; the one of the snapshot before, if there is one.
    pub(super) fn endpoint(
        &mut self,
        address: Address,
        settings: &ServersTransport,
        transport: &Arc<Transport>,
    ) -> Arc<Endpoint> {
        let key = (settings.clone(), address);
        let same = |old: &&Arc<Endpoint>| Arc::ptr_eq(&old.transport, transport);
        let old = || self.old.endpoints.get(&key).filter(same);
        let found = self.kept.endpoints.get(&key).or_else(old);
        let endpoint = match found {
            Some(endpoint) => Arc::clone(endpoint),
            None => Endpoint::new(key.1.clone(), Arc::clone(transport)),
        };
        self.kept.endpoints.insert(key, Arc::clone(&endpoint));
        endpoint
    }
}
