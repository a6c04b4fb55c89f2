//! `Strategy`: how a server is chosen, and what has to be known of servers for it.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderName;
use http::header::COOKIE;
use portcullis_config::routing::http::HashBy;
use portcullis_middlewares::message::{Request, Response};

use crate::upstream::balance::maglev::{self, Maglev};
use crate::upstream::balance::wrr::Wrr;
use crate::upstream::balance::{ewma, hrw, least_request, least_time, p2c};
use crate::upstream::server::Server;
use crate::upstream::standing::now;

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strategy {
    Wrr,
    P2c,
    Hrw,
    LeastTime,
    Ewma,
    LeastRequest,
    Hash,
}

/// What leads to a server with the strategy `hash`.
#[derive(Clone, Debug)]
pub(super) struct Hash {
    key: Key,
    table: Arc<Maglev>,
}

#[derive(Clone, Debug)]
enum Key {
    Client,
    Header(HeaderName),
    Cookie(Box<[u8]>),
}

impl Strategy {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" | "wrr" => Ok(Self::Wrr),
            "p2c" => Ok(Self::P2c),
            "hrw" => Ok(Self::Hrw),
            "leasttime" => Ok(Self::LeastTime),
            "ewma" => Ok(Self::Ewma),
            "leastRequest" => Ok(Self::LeastRequest),
            "hash" => Ok(Self::Hash),
            other => Err(format!(
                "strategy `{other}`: expected wrr, p2c, hrw or leasttime, or Portcullis's own ewma, leastRequest or hash"
            )),
        }
    }

    /// Whether it wants to know how many requests servers have.
    pub(super) fn counts(self) -> bool {
        matches!(self, Self::P2c | Self::LeastTime | Self::Ewma | Self::LeastRequest)
    }

    /// When a request began, if it matters how long it takes.
    pub(super) fn begin(self) -> Option<Instant> {
        matches!(self, Self::LeastTime | Self::Ewma).then(Instant::now)
    }

    /// Notes how long a server took for an answer that began to be waited for then.
    pub(super) fn note(self, server: &Server, begun: Instant, response: &Response) {
        let took = begun.elapsed();
        if self == Self::LeastTime {
            server.standing.samples.add(took);
            return;
        }
        let failed = response.status.is_server_error() || response.status.as_u16() == 429;
        let took = if failed { took.max(ewma::FAILED) } else { took };
        server.standing.estimate.add(now(Instant::now()), took);
    }

    /// The index of a usable server.
    #[allow(clippy::too_many_arguments, reason = "each strategy looks at something else")]
    pub(super) fn pick(
        self,
        servers: &[Server],
        hash: Option<&Hash>,
        turns: &Wrr,
        request: &Request,
        usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let count = servers.len();
        let in_flight = |index: usize| servers.get(index).map_or(0, |it| it.standing.in_flight());
        match self {
            Self::Wrr => turns.pick(usable),
            Self::P2c => p2c::pick(count, usable, in_flight),
            Self::Hrw => {
                let up = servers.iter().enumerate().filter(|(index, _)| usable(*index));
                hrw::pick(request.client_ip(), up.map(|(index, it)| (index, &*it.url, it.weight)))
            }
            Self::LeastTime => {
                let score = |index: usize| servers.get(index).map_or(f64::INFINITY, Server::score);
                least_time::pick(count, usable, score, turns)
            }
            Self::Ewma => {
                let now = now(Instant::now());
                let cost = |index: usize| {
                    servers.get(index).map_or(f64::INFINITY, |it| {
                        let average = it.standing.estimate.at(now);
                        ewma::cost(average, it.standing.in_flight(), it.weight)
                    })
                };
                p2c::pick(count, usable, cost)
            }
            Self::LeastRequest => {
                let score = |index: usize| {
                    let weight = servers.get(index).map_or(1.0, |it| it.weight);
                    least_request::score(in_flight(index), weight)
                };
                least_time::pick(count, usable, score, turns)
            }
            Self::Hash => hash.and_then(|hash| hash.table.pick(hash.key.of(request), usable)),
        }
    }
}

impl Hash {
    /// Reads the settings. The table is that of `previous` if that has the same servers.
    pub(super) fn new(
        settings: Option<&HashBy>,
        servers: &[Server],
        previous: Option<(&Self, &[Server])>,
    ) -> Result<Self, String> {
        let key = Key::parse(settings)?;
        let same =
            |(a, b): (&Server, &Server)| a.url == b.url && a.weight.total_cmp(&b.weight).is_eq();
        let table = previous
            .filter(|(_, old)| old.len() == servers.len() && servers.iter().zip(*old).all(same));
        let table = table.map(|(hash, _)| Arc::clone(&hash.table)).unwrap_or_else(|| {
            let choices = servers.iter().map(|server| (&*server.url, server.weight));
            Arc::new(Maglev::new(choices))
        });
        Ok(Self { key, table })
    }
}

#[cfg(test)]
impl Hash {
    pub(super) fn table(&self) -> &Maglev {
        &self.table
    }
}

impl Key {
    fn parse(settings: Option<&HashBy>) -> Result<Self, String> {
        let (header, cookie) =
            settings.map_or(("", ""), |it| (it.header.as_str(), it.cookie.as_str()));
        match (header, cookie) {
            ("", "") => Ok(Self::Client),
            (name, "") => name
                .parse()
                .map(Self::Header)
                .map_err(|_| format!("hash.header: `{name}` is not a header name")),
            ("", name) => Ok(Self::Cookie(name.as_bytes().into())),
            _ => Err("hash: only one of header and cookie can be set".to_owned()),
        }
    }

    fn of(&self, request: &Request) -> u64 {
        let said = match self {
            Self::Client => None,
            Self::Header(name) => request.headers.get(name).map(|value| value.as_bytes()),
            Self::Cookie(name) => {
                let lines = request.headers.get_all(COOKIE).iter();
                let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
                pairs.find_map(|pair| {
                    pair.trim_ascii_start().strip_prefix(&**name)?.strip_prefix(b"=")
                })
            }
        };
        match (said, request.client_ip().to_canonical()) {
            (Some(text), _) => maglev::hash(text),
            (None, std::net::IpAddr::V4(address)) => maglev::hash(&address.octets()),
            (None, std::net::IpAddr::V6(address)) => maglev::hash(&address.octets()),
        }
    }
}
