//! stub, replaced by the tls branch
pub use tokio_rustls::client::TlsStream;
/// Agreed protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1.
    Http1,
    /// h2.
    H2,
}
/// Which protocols the dialled connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1 and, where allowed, h2.
    Any,
    /// HTTP/1.1 only, for upgrades.
    Http1,
}
/// stub
#[derive(Debug)]
pub struct ClientTls;
/// stub
pub async fn connect(
    _: tokio::net::TcpStream,
    _: &ClientTls,
    _: &str,
    _: Offer,
) -> std::io::Result<(TlsStream<tokio::net::TcpStream>, Alpn)> {
    Err(std::io::Error::other("stub"))
}
