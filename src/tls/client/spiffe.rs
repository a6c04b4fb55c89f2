//! Servers that show SPIFFE identities, to whom we show ours. Traefik: `ids` win over `trustDomain`; with neither, any identity
//! will do whose trust domain the Workload API gives roots for.

use std::sync::Arc;

use portcullis_config::routing::http::{ServersTransport, Spiffe};

use crate::tls::spiffe::{self, ClientParts, Expected, Holder, Id};

/// What a handshake takes from SPIFFE, if `transport` wants it.
pub(super) fn parts(
    transport: &ServersTransport,
    holder: Option<&Arc<Holder>>,
) -> Result<Option<ClientParts>, String> {
    let Some(settings) = &transport.spiffe else { return Ok(None) };
    let other = [
        ("serverName", !transport.server_name.is_empty()),
        ("insecureSkipVerify", transport.insecure_skip_verify),
        ("rootCAs", !transport.root_cas.is_empty()),
        ("certificates", !transport.certificates.is_empty()),
        ("peerCertURI", !transport.peer_cert_uri.is_empty()),
    ];
    if let Some((field, _)) = other.iter().find(|(_, set)| *set) {
        return Err(format!("spiffe and {field} exclude each other"));
    }
    let expected = expected(settings)?;
    let holder = holder.ok_or(
        "spiffe: this gateway has no SPIFFE Workload API; \
         expected `spiffe.workloadAPIAddr` in the install configuration",
    )?;
    Ok(Some(spiffe::client_parts(holder, expected)))
}

fn expected(settings: &Spiffe) -> Result<Expected, String> {
    if !settings.ids.is_empty() {
        let ids = settings.ids.iter().map(|id| Id::parse(id)).collect::<Result<_, _>>();
        return ids.map(Expected::AnyOf).map_err(|error| format!("spiffe.ids: {error}"));
    }
    if settings.trust_domain.is_empty() {
        return Ok(Expected::Anyone);
    }
    // Traefik: the name, or the ID of the trust domain or of anyone in it.
    let name = settings.trust_domain.strip_prefix("spiffe://").unwrap_or(&settings.trust_domain);
    let id = Id::parse(&format!("spiffe://{name}"));
    let id = id.map_err(|error| format!("spiffe.trustDomain: {error}"))?;
    Ok(Expected::MemberOf(id.trust_domain().into()))
}
