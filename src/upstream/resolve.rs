//! Names of servers and their addresses, resolved off the workers.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// A host name or literal address with its addresses.
#[derive(Debug)]
pub struct Host {
    name: Box<str>,
    literal: Option<Arc<[IpAddr]>>,
}

impl Host {
    /// A host; nothing is looked up yet.
    pub fn new(name: &str) -> Arc<Self> {
        let literal = name.parse::<IpAddr>().ok().map(|address| Arc::from([address]));
        Arc::new(Self { name: name.into(), literal })
    }

    /// Its addresses in the order to try.
    pub async fn addresses(&self) -> io::Result<Arc<[IpAddr]>> {
        if let Some(literal) = &self.literal {
            return Ok(Arc::clone(literal));
        }
        let found = tokio::net::lookup_host((&*self.name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
