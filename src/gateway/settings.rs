//! Install configuration to the settings that entry points run with.

use http::HeaderName;
use portcullis_config::routing::http::ServersTransport as Settings;
use portcullis_config::routing::http::{
    Domain, ForwardingTimeouts, Observability, RouterTls, Spiffe,
};
use portcullis_config::routing::tcp::{ServersTransport as TcpSettings, TransportTls};
use portcullis_config::units::{Duration, IpRanges};
use portcullis_middlewares::path::{EncodedCharacter, EncodedCharacters, Semicolons};

use crate::http::settings::{
    Aliases, Append, Forwarded, Http2, Sanitize, Settings as HttpSettings,
};
use crate::install::{
    self, AliasHeadersStrategy, EntryPoint, EntryPointKind, INTERNAL_ENTRY_POINT, Install,
    ServersTransport, TcpServersTransport, TraceVerbosity,
};
use crate::net::proxy_protocol::Trust;
use crate::snapshot::configuration::{ByDefault, EntryPointDefaults};

/// Traefik's limit for request heads. Whoever leaves it gets ours, which is enough for every browser and costs an
/// attacker's target less.
const TRAEFIK_MAX_HEADER_BYTES: i64 = 1 << 20;

/// What routers take from an entry point.
pub(super) fn defaults(
    name: &str,
    entry_point: &EntryPoint,
    install: &Install,
) -> EntryPointDefaults {
    let any_default = install.entry_points.values().any(|entry_point| entry_point.as_default);
    let public = name != INTERNAL_ENTRY_POINT && entry_point.kind == EntryPointKind::Public;
    let by_default = if any_default { entry_point.as_default } else { public };
    let tls = entry_point.http.tls.as_ref().map(|tls| RouterTls {
        options: tls.options.clone(),
        cert_resolver: tls.cert_resolver.clone(),
        domains: tls
            .domains
            .iter()
            .map(|domain| Domain { main: domain.main.clone(), sans: domain.sans.clone() })
            .collect(),
    });
    EntryPointDefaults {
        name: name.into(),
        by_default: if by_default { ByDefault::Yes } else { ByDefault::No },
        middlewares: entry_point.http.middlewares.clone(),
        tls,
        observability: entry_point.observability.as_ref().map(observability).unwrap_or_default(),
    }
}

fn observability(settings: &install::Observability) -> Observability {
    let off = |on: bool| (!on).then_some(false);
    Observability {
        access_logs: off(settings.access_logs),
        metrics: off(settings.metrics),
        tracing: off(settings.tracing),
        trace_verbosity: match settings.trace_verbosity {
            TraceVerbosity::Minimal => String::new(),
            TraceVerbosity::Detailed => "detailed".to_owned(),
        },
    }
}

/// How an entry point speaks HTTP. The message of an error names the field.
pub(super) fn http(entry_point: &EntryPoint, install: &Install) -> Result<HttpSettings, String> {
    let defaults = HttpSettings::default();
    let (transport, http) = (&entry_point.transport, &entry_point.http);
    let timeouts = &transport.responding_timeouts;
    let (max_head, max_target) = match http.max_header_bytes {
        TRAEFIK_MAX_HEADER_BYTES => (defaults.max_head, defaults.max_target),
        wanted => {
            let bytes = usize::try_from(wanted).ok().filter(|bytes| *bytes > 0);
            let bytes = bytes.ok_or("http.maxHeaderBytes: expected a number above 0")?;
            (bytes, bytes.max(defaults.max_target))
        }
    };
    Ok(HttpSettings {
        read_timeout: timeouts.read_timeout.positive(),
        write_timeout: timeouts.write_timeout.positive(),
        idle_timeout: timeouts.idle_timeout.positive(),
        keep_alive_requests: u64::try_from(transport.keep_alive_max_requests)
            .ok()
            .filter(|requests| *requests > 0),
        keep_alive_time: transport.keep_alive_max_time.positive(),
        max_head,
        max_target,
        max_fields: defaults.max_fields,
        sanitize: if http.sanitize_path { Sanitize::Yes } else { Sanitize::No },
        semicolons: if http.encode_query_semicolons {
            Semicolons::Encode
        } else {
            Semicolons::Separate
        },
        denied_characters: denied(http.encoded_characters.as_ref()),
        aliases: aliases(http),
        forwarded: forwarded(entry_point, install)?,
        http2: Http2 {
            max_streams: clamp(entry_point.http2.max_concurrent_streams),
            decoder_table: clamp(entry_point.http2.max_decoder_header_table_size),
        },
    })
}

fn clamp(number: i64) -> u32 {
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

fn aliases(http: &install::Http) -> Aliases {
    match http.alias_headers_strategy.or(http.underscore_headers_strategy) {
        None | Some(AliasHeadersStrategy::Keep) => Aliases::Keep,
        Some(AliasHeadersStrategy::Delete) => Aliases::Delete,
        Some(AliasHeadersStrategy::Reject) => Aliases::Reject,
    }
}

fn denied(allowed: Option<&install::EncodedCharacters>) -> EncodedCharacters {
    let Some(allowed) = allowed else { return EncodedCharacters::default() };
    let table = [
        (allowed.allow_encoded_slash, EncodedCharacter::Slash),
        (allowed.allow_encoded_back_slash, EncodedCharacter::BackSlash),
        (allowed.allow_encoded_null_character, EncodedCharacter::NullCharacter),
        (allowed.allow_encoded_semicolon, EncodedCharacter::Semicolon),
        (allowed.allow_encoded_percent, EncodedCharacter::Percent),
        (allowed.allow_encoded_question_mark, EncodedCharacter::QuestionMark),
        (allowed.allow_encoded_hash, EncodedCharacter::Hash),
    ];
    let denied = table.into_iter().filter(|(is_allowed, _)| !is_allowed);
    denied.fold(EncodedCharacters::default(), |all, (_, character)| all.with(character))
}

fn forwarded(entry_point: &EntryPoint, install: &Install) -> Result<Forwarded, String> {
    let settings = &entry_point.forwarded_headers;
    let ranges = IpRanges::parse(settings.trusted_ips.iter().map(String::as_str));
    let names: Result<Vec<HeaderName>, String> = settings
        .connection
        .iter()
        .map(|name| {
            let wrong = |_| format!("forwardedHeaders.connection: `{name}` is no header name");
            name.parse().map_err(wrong)
        })
        .collect();
    let silent = settings.not_append_x_forwarded_for || install.global.not_append_x_forwarded_for;
    Ok(Forwarded {
        insecure: settings.insecure,
        trusted: ranges.map_err(|error| format!("forwardedHeaders.trustedIPs: {error}"))?,
        connection: names?,
        append: if silent { Append::Nothing } else { Append::Peer },
    })
}

/// Whose PROXY headers are believed.
pub(super) fn proxy_protocol(entry_point: &EntryPoint) -> Result<Option<Trust>, String> {
    let Some(settings) = &entry_point.proxy_protocol else { return Ok(None) };
    let trusted = IpRanges::parse(settings.trusted_ips.iter().map(String::as_str))
        .map_err(|error| format!("proxyProtocol.trustedIPs: {error}"))?;
    Ok(Some(Trust { insecure: settings.insecure, trusted }))
}

/// The transport of TCP services that name none.
pub(super) fn default_tcp_transport(settings: &TcpServersTransport) -> TcpSettings {
    let defaults = TcpSettings::default();
    TcpSettings {
        dial_keep_alive: settings.dial_keep_alive,
        dial_timeout: settings.dial_timeout,
        // Traefik ignores it here, and cuts the answer to a client that has ended its side at once.
        termination_delay: match settings.termination_delay {
            Duration(0) => defaults.termination_delay,
            set => set,
        },
        tls: settings.tls.as_ref().map(|tls| TransportTls {
            insecure_skip_verify: tls.insecure_skip_verify,
            root_cas: tls.root_cas.clone(),
            spiffe: tls.spiffe.as_ref().map(spiffe),
            ..TransportTls::default()
        }),
        ..defaults
    }
}

fn spiffe(settings: &install::SpiffeIdentities) -> Spiffe {
    Spiffe { ids: settings.ids.clone(), trust_domain: settings.trust_domain.clone() }
}

/// The transport of services that name none.
pub(super) fn default_transport(settings: &ServersTransport) -> Settings {
    let timeouts = settings.forwarding_timeouts.clone().unwrap_or_default();
    Settings {
        insecure_skip_verify: settings.insecure_skip_verify,
        root_cas: settings.root_cas.clone(),
        max_idle_conns_per_host: settings.max_idle_conns_per_host,
        spiffe: settings.spiffe.as_ref().map(spiffe),
        forwarding_timeouts: Some(ForwardingTimeouts {
            dial_timeout: timeouts.dial_timeout,
            response_header_timeout: timeouts.response_header_timeout,
            idle_conn_timeout: timeouts.idle_conn_timeout,
            read_idle_timeout: Duration(0),
            ping_timeout: Duration::seconds(15),
        }),
        ..Settings::default()
    }
}
