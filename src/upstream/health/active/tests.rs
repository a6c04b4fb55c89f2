use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use portcullis_config::routing::http::{HealthCheck, ServersTransport};
use serde_json::{Value, json};

use super::*;
use crate::upstream::testing::{TestServer, endpoint, status, until};

/// A server whose status can be changed.
async fn changing() -> (TestServer, Arc<AtomicU16>) {
    let code = Arc::new(AtomicU16::new(200));
    let answer = Arc::clone(&code);
    (TestServer::start(move |_| status(answer.load(Relaxed), "")).await, code)
}

fn target(settings: &HealthCheck, url: &str) -> Arc<Target> {
    let mut made = |address: crate::upstream::endpoint::Address| {
        endpoint(&format!("http://{}", address.authority), &ServersTransport::default())
    };
    let probe = Probe::new(settings, url, &mut made).unwrap();
    Arc::new(Target { url: url.into(), probe, standing: Arc::default() })
}

fn settings(json: Value) -> HealthCheck {
    serde_json::from_value(json).unwrap()
}

fn begin(
    settings: &HealthCheck,
    targets: &[&Arc<Target>],
    previous: Option<&Arc<Active>>,
) -> Arc<Active> {
    let targets = targets.iter().map(|target| Arc::clone(target)).collect();
    Active::begin(&Name::verbatim("s@file"), settings, targets, previous)
}

#[tokio::test]
async fn a_server_goes_down_and_comes_back() {
    let ((a, code), (b, _)) = (changing().await, changing().await);
    let settings = settings(json!({ "path": "/health", "interval": "10ms" }));
    let (a, b) = (target(&settings, &a.url()), target(&settings, &b.url()));
    let active = begin(&settings, &[&a, &b], None);
    assert!(a.standing.is_up());
    code.store(500, Relaxed);
    until(|| !a.standing.is_up()).await;
    assert!(b.standing.is_up());
    code.store(302, Relaxed);
    until(|| a.standing.is_up()).await;
    drop(active);
}

#[tokio::test]
async fn a_server_that_refuses_or_is_silent_is_down() {
    let mut refusing = TestServer::named("a").await;
    refusing.stop().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = settings(json!({ "interval": "10ms", "timeout": "50ms" }));
    let refusing = target(&settings, &refusing.url());
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let silent = (target(&settings, &silent_url), silent);
    let active = begin(&settings, &[&refusing, &silent.0], None);
    until(|| !refusing.standing.is_up() && !silent.0.standing.is_up()).await;
    drop(active);
}

#[tokio::test]
async fn unhealthy_servers_have_a_pace_of_their_own() {
    let (server, code) = changing().await;
    code.store(500, Relaxed);
    let settings = settings(json!({ "interval": "10ms", "unhealthyInterval": "1h" }));
    let target = target(&settings, &server.url());
    let active = begin(&settings, &[&target], None);
    until(|| !target.standing.is_up()).await;
    let asked = server.seen().len();
    code.store(200, Relaxed);
    // Twenty intervals of healthy servers.
    let other = changing().await.0;
    let other_target = self::target(&settings, &other.url());
    let active = begin(&settings, &[&target, &other_target], Some(&active));
    other.wait_seen(20).await;
    assert_eq!(server.seen().len(), asked);
    assert!(!target.standing.is_up());
    drop(active);
}

#[tokio::test]
async fn equal_settings_go_on_and_other_ones_begin_at_once() {
    let (server, _) = changing().await;
    let slow = settings(json!({ "interval": "1h" }));
    let first_target = target(&slow, &server.url());
    let first = begin(&slow, &[&first_target], None);
    let second = begin(&slow, &[&first_target], Some(&first));
    assert!(Arc::ptr_eq(&first, &second));
    let other = settings(json!({ "interval": "1h", "path": "/other" }));
    let third = begin(&other, &[&target(&other, &server.url())], Some(&second));
    assert!(!Arc::ptr_eq(&second, &third));
    assert!(server.wait_seen(1).await[0].head.starts_with("get /other "));
}

#[tokio::test]
async fn probes_end_with_the_service() {
    let (server, _) = changing().await;
    let settings = settings(json!({ "interval": "5ms" }));
    let target = target(&settings, &server.url());
    let active = begin(&settings, &[&target], None);
    server.wait_seen(2).await;
    drop(active);
    until(|| Arc::strong_count(&target) == 1).await;
}

#[tokio::test]
async fn intervals_that_are_not_above_zero_fall_back() {
    let name = Name::verbatim("s@file");
    let setting = portcullis_config::units::Duration::seconds(-1);
    assert_eq!(positive(setting, "interval", INTERVAL, &name), INTERVAL);
    let setting = portcullis_config::units::Duration::seconds(2);
    assert_eq!(positive(setting, "interval", INTERVAL, &name), Duration::from_secs(2));
}
