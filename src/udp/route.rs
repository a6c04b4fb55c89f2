//! `Route`: one compiled UDP router.

use std::sync::Arc;

use super::service::Service;

/// One compiled UDP router.
#[derive(Debug)]
pub struct Route {
    /// The full name of the router.
    pub name: Arc<str>,
    /// Where its sessions go; `None` = it is broken: its datagrams are dropped, and no other router gets them.
    pub service: Option<Arc<Service>>,
}
