use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::UdpSocket;

use super::*;
use crate::upstream::testing::until;

/// What a name server answers.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Address(Ipv4Addr, u32),
    /// Codes of RFC 1035 section 4.1.1.
    Code(u8),
    Silent,
}

const SERVFAIL: Mode = Mode::Code(2);
const NXDOMAIN: Mode = Mode::Code(3);

/// A name server for tests.
struct NameServer {
    mode: Arc<Mutex<Mode>>,
    asked: Arc<AtomicUsize>,
    address: SocketAddr,
}

impl NameServer {
    async fn start(mode: Mode) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (mode, asked) = (Arc::new(Mutex::new(mode)), Arc::<AtomicUsize>::default());
        let server = Self { mode: Arc::clone(&mode), asked: Arc::clone(&asked), address };
        task::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                asked.fetch_add(1, Relaxed);
                let mode = *mode.lock();
                if let Some(answer) = answer(&buffer[..length], mode) {
                    socket.send_to(&answer, from).await.unwrap();
                }
            }
        });
        server
    }

    fn say(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    async fn wait_asked(&self, more: usize) {
        let until_then = self.asked.load(Relaxed) + more;
        until(|| self.asked.load(Relaxed) >= until_then).await;
    }

    fn names(&self) -> Arc<Names> {
        let mut server = NameServerConfig::udp(self.address.ip());
        for connection in &mut server.connections {
            connection.port = self.address.port();
        }
        let config = ResolverConfig::from_name_servers(vec![server]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        settle(builder.options_mut());
        builder.options_mut().timeout = Duration::from_millis(200);
        Arc::new(Names(Some(Box::new(builder.build().unwrap()))))
    }
}

/// The answer to a question, as RFC 1035 section 4 writes it.
fn answer(question: &[u8], mode: Mode) -> Option<Vec<u8>> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0)? + 1;
    let kind = question[name_end + 1];
    let (code, address) = match mode {
        Mode::Silent => return None,
        Mode::Code(code) => (code, None),
        Mode::Address(address, lifetime) => (0, Some((address, lifetime)).filter(|_| kind == 1)),
    };
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    out.extend(&question[12..name_end + 4]);
    if let Some((address, lifetime)) = address {
        out.extend([0xc0, 12, 0, 1, 0, 1]);
        out.extend(lifetime.to_be_bytes());
        out.extend([0, 4]);
        out.extend(address.octets());
    }
    Some(out)
}

const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TWO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

async fn now(host: &Arc<Host>) -> Result<Vec<IpAddr>, String> {
    host.addresses().await.map(|all| all.to_vec()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_literal_address_needs_no_lookup() {
    assert_eq!(now(&Host::new("::1")).await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn names_of_the_hosts_file_are_known() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let local = hosts.lines().filter_map(|line| line.strip_prefix("127.0.0.1"));
    for name in local.flat_map(str::split_whitespace).chain(["localhost"]) {
        let found = now(&Host::new(name)).await.unwrap();
        assert!(found.iter().any(IpAddr::is_loopback), "{name} {found:?}");
    }
}

/// R7: a time to live of 0 with flapping addresses.
#[tokio::test]
async fn a_name_is_resolved_again_as_its_time_to_live_ends() {
    let server = NameServer::start(Mode::Address(ONE, 0)).await;
    let host = Host::by("shop.test.", server.names());
    assert_eq!(now(&host).await, Ok(vec![ONE.into()]));
    let asked = server.asked.load(Relaxed);
    for _ in 0..100 {
        assert_eq!(now(&host).await, Ok(vec![ONE.into()]));
    }
    assert!(server.asked.load(Relaxed) - asked <= 2);
    server.say(Mode::Address(TWO, 0));
    let known = || host.known.borrow().usable().unwrap().to_vec();
    until(|| known() == [IpAddr::from(TWO)]).await;
}

/// R7: NXDOMAIN, SERVFAIL, silence.
#[tokio::test]
async fn the_last_good_answer_outlives_failures_and_nobody_waits() {
    for failure in [NXDOMAIN, SERVFAIL, Mode::Silent] {
        let server = NameServer::start(Mode::Address(ONE, 0)).await;
        let host = Host::by("shop.test.", server.names());
        assert_eq!(now(&host).await, Ok(vec![ONE.into()]));
        server.say(failure);
        server.wait_asked(2).await;
        until(|| host.known.borrow().failure.is_some()).await;
        let addresses = futures_util::FutureExt::now_or_never(host.addresses());
        assert_eq!(addresses.expect("no waiting").unwrap().to_vec(), [IpAddr::from(ONE)]);
        server.say(Mode::Address(TWO, 60));
        let known = || host.known.borrow().usable().unwrap().to_vec();
        until(|| known() == [IpAddr::from(TWO)]).await;
        assert!(host.known.borrow().failure.is_none());
    }
}

#[tokio::test]
async fn a_name_that_was_never_found_is_an_error_until_it_is() {
    let server = NameServer::start(NXDOMAIN).await;
    let host = Host::by("shop.test.", server.names());
    let error = now(&host).await.unwrap_err();
    assert!(error.starts_with("shop.test.: "), "{error}");
    server.say(Mode::Address(ONE, 60));
    until(|| host.known.borrow().usable().is_some()).await;
    assert_eq!(now(&host).await, Ok(vec![ONE.into()]));
}

#[tokio::test]
async fn lookups_end_with_their_host() {
    let server = NameServer::start(Mode::Address(ONE, 0)).await;
    let host = Host::by("shop.test.", server.names());
    now(&host).await.unwrap();
    let gone = Arc::downgrade(&host);
    drop(host);
    until(|| gone.strong_count() == 0).await;
}

#[tokio::test]
async fn answers_hold_between_one_second_and_five_minutes() {
    let host = Host::by("shop.test.", Arc::new(Names(None)));
    let addresses: Arc<[IpAddr]> = Arc::from([IpAddr::from(ONE)]);
    let pause = |seconds| {
        host.note(Ok((Arc::clone(&addresses), Duration::from_secs(seconds))), 0).as_secs()
    };
    assert_eq!([0, 20, 86_400].map(pause), [1, 20, 300]);
    let pauses = [0, 1, 4, 90].map(|failed| host.note(Err(String::new()), failed).as_secs());
    assert_eq!(pauses, [1, 2, 16, 30]);
    assert!(KEPT >= Duration::from_mins(10));
    let old = Instant::now().checked_sub(Duration::from_mins(11)).unwrap();
    let known = Known { answer: Some((addresses, old)), failure: Some("gone".into()) };
    assert!(known.usable().is_some());
}
