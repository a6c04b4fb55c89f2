//! The labels of a route, resolved when it is compiled so that no request looks anything up by text.

use std::sync::Arc;

/// What counts for one entry point.
#[derive(Debug)]
pub struct EntryPointSeries {
    /// Its name.
    pub name: Arc<str>,
    /// Whether requests that no router takes are logged.
    pub access_log: Switch,
    /// Whether requests that no router takes are counted.
    pub metrics: Switch,
}

/// What counts for one router.
#[derive(Debug)]
pub struct RouterSeries {
    /// `web@file`, or `parent -> child` for the log.
    pub name: Arc<str>,
    /// The service as the router names it, qualified; of a parent of other routers `web@file-muxer`, as Traefik calls it.
    pub service: Arc<str>,
    /// Whether its requests are logged.
    pub access_log: Switch,
    /// Whether its requests are counted.
    pub metrics: Switch,
}

impl EntryPointSeries {
    /// What counts for the entry point `name`, all of it.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), access_log: Switch::On, metrics: Switch::On }
    }
}

impl RouterSeries {
    /// Whether a part of the gateway itself answers, such as its API.
    pub fn is_internal(&self) -> bool {
        self.service.ends_with("@internal")
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl Switch {
    /// On, unless the setting says otherwise.
    pub fn of(setting: Option<bool>) -> Self {
        if setting == Some(false) { Self::Off } else { Self::On }
    }
}
