//! `Server`: one server of one service, compiled.

use std::sync::Arc;

use http::uri::Uri;
use portcullis_config::routing::http::Server as Settings;
use portcullis_middlewares::message::Target;

use super::balance::least_time;
use super::endpoint::Endpoint;
use super::forward::{Forwarding, HostHeader};
use super::standing::Standing;

/// One server of one service.
#[derive(Debug)]
pub struct Server {
    /// The URL as the user wrote it.
    pub url: Arc<str>,
    /// Its share, above 0.
    pub weight: f64,
    /// Its address and connections.
    pub endpoint: Arc<Endpoint>,
    /// How requests are rewritten for it.
    pub forwarding: Forwarding,
    /// What is known of it.
    pub standing: Arc<Standing>,
}

impl Server {
    /// The server of `config`, whose URL has been checked and whose weight is above 0.
    pub fn new(
        url: Arc<str>,
        config: &Settings,
        host: HostHeader,
        endpoint: Arc<Endpoint>,
        standing: Arc<Standing>,
    ) -> Result<Self, String> {
        let base_path = if config.preserve_path { base_path(&config.url)? } else { None };
        let weight = config.weight.unwrap_or(1) as f64;
        Ok(Self { url, weight, endpoint, forwarding: Forwarding { host, base_path }, standing })
    }

    /// Its score for `leasttime`.
    pub fn score(&self) -> f64 {
        least_time::score(self.standing.samples.mean(), self.standing.in_flight(), self.weight)
    }
}

/// The path of a URL without final slashes; `None` if that leaves nothing.
fn base_path(url: &str) -> Result<Option<Target>, String> {
    let wrong = |what: &str| format!("server url `{url}`: {what}");
    let uri: Uri = url.parse().map_err(|_| wrong("not a url"))?;
    match uri.path().trim_end_matches('/') {
        "" => Ok(None),
        path => Target::parse_path(path).map(Some).map_err(|error| wrong(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_the_path_without_final_slashes() {
        let base = |url| base_path(url).map(|base| base.map(|base| base.path().to_owned()));
        assert_eq!(base("http://a"), Ok(None));
        assert_eq!(base("http://a//"), Ok(None));
        assert_eq!(base("http://a/b/c/?q=1"), Ok(Some("/b/c".to_owned())));
        assert!(base("http://a/b/../c").unwrap_err().contains("http://a/b/../c"));
    }
}
