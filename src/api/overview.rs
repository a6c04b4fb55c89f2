//! `/api/overview` and `/api/rawdata`: everything at once, in numbers and in full.

use serde_json::{Map, Value, json};

use super::list::{by_name, counts};
use super::{View, certificates, http, layer4};

pub(super) fn overview(view: &View<'_>) -> Value {
    let installed = view.installed;
    let certificates = certificates::rows(view);
    let with = |status: &str| certificates.iter().filter(|row| row.status() == status).count();
    json!({
        "http": {
            "routers": counts(&http::routers(view)),
            "services": counts(&http::services(view)),
            "middlewares": counts(&http::middlewares(view)),
        },
        "tcp": {
            "routers": counts(&layer4::tcp_routers(view)),
            "services": counts(&layer4::tcp_services(view)),
            "middlewares": counts(&layer4::tcp_middlewares(view)),
        },
        "udp": {
            "routers": counts(&layer4::udp_routers(view)),
            "services": counts(&layer4::udp_services(view)),
        },
        "certificates": {
            "total": certificates.len(), "warnings": with("warning"), "errors": with("expired"),
        },
        "features": {
            "tracing": installed.tracing,
            "metrics": installed.metrics,
            "accessLog": installed.access_log,
        },
        "providers": installed.providers,
    })
}

pub(super) fn raw(view: &View<'_>) -> Value {
    let parts = [
        ("routers", http::routers(view)),
        ("middlewares", http::middlewares(view)),
        ("services", http::services(view)),
        ("tcpRouters", layer4::tcp_routers(view)),
        ("tcpMiddlewares", layer4::tcp_middlewares(view)),
        ("tcpServices", layer4::tcp_services(view)),
        ("udpRouters", layer4::udp_routers(view)),
        ("udpServices", layer4::udp_services(view)),
    ];
    let parts =
        parts.into_iter().filter_map(|(name, rows)| Some((name.to_owned(), by_name(rows)?)));
    Value::Object(parts.collect::<Map<_, _>>())
}
