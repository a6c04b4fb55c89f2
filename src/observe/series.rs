//! The labels of a route, resolved when it is compiled so that no request looks anything up by text.

use std::sync::Arc;

/// What counts for one entry point.
#[derive(Debug)]
pub struct EntryPointSeries {
    /// Its name.
    pub name: Arc<str>,
}

/// What counts for one router.
#[derive(Debug)]
pub struct RouterSeries {
    /// `web@file`, or `parent -> child` for the log.
    pub name: Arc<str>,
    /// The service as the router names it, qualified.
    pub service: Arc<str>,
    /// Whether its requests are logged.
    pub access_log: Switch,
    /// Whether its requests are counted.
    pub metrics: Switch,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}
