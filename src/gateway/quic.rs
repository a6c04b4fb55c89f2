//! HTTP/3 beside the TCP sockets of an entry point.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use http::HeaderValue;

use super::sockets::Place;
use super::start::{Beside, Opening, Start};
use crate::entrypoint::quic::Quic;
use crate::entrypoint::tcp::Entrance;
use crate::install::EntryPoint;
use crate::net::listen::Sharing;
use crate::net::task;

/// How long clients may remember that there is HTTP/3, in seconds. Traefik: 30 days.
const REMEMBERED: u32 = 30 * 24 * 60 * 60;

/// Opens the UDP sockets of an entry point whose TCP sockets are on `address`, if it is to serve HTTP/3, and tells its
/// clients from then on.
pub(super) const OPEN: Beside = open;

fn open(
    entrance: &Arc<Entrance>,
    entry_point: &EntryPoint,
    address: SocketAddr,
    opening: &mut Opening<'_>,
) -> anyhow::Result<Vec<Start>> {
    let Some(settings) = &entry_point.http3 else { return Ok(Vec::new()) };
    let port = match settings.advertised_port {
        0 => address.port(),
        wanted => u16::try_from(wanted)
            .map_err(|_| anyhow!("http3.advertisedPort: expected 0 to 65535, got {wanted}"))?,
    };
    let sharing = if entry_point.reuse_port { Sharing::Allowed } else { Sharing::Refused };
    let host = Some(address.ip()).filter(|ip| *ip != Ipv6Addr::UNSPECIFIED);
    let (name, port_of_tcp, count) = (&entrance.name, address.port(), opening.count);
    let place = Place { host, port: port_of_tcp, sharing };
    let sockets = opening
        .sockets
        .open_udp(name, place, count)
        .with_context(|| format!("cannot listen on UDP {address} for HTTP/3"))?;
    let quic = Quic::new(Arc::clone(entrance), count, sockets.len());
    let (quic, parts) = quic.map_err(|error| anyhow!("http3: {error}"))?;
    tracing::info!(entry_point = %entrance.name, "listening on UDP {address} for HTTP/3");
    let told = HeaderValue::try_from(format!("h3=\":{port}\"; ma={REMEMBERED}"));
    // Nobody else sets it.
    drop(entrance.handler.alternative.set(told.context("http3.advertisedPort")?));
    let start = |((socket, succession), part)| -> Start {
        let quic = Arc::clone(&quic);
        Box::new(move || drop(task::spawn(quic.accept(part, socket, succession))))
    };
    Ok(sockets.into_iter().zip(parts).map(start).collect())
}
