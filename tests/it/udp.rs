//! UDP routers: a real DNS server, sessions, reloads, the end of the gateway.

mod upgrades;

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::client::Client;
use crate::harness::{Gateway, nobody, until};

/// A server that answers each datagram with its name and the datagram.
fn echo(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let text = [name.as_bytes(), b" ", &buffer[..length]].concat();
            // Without its first bytes if it would be too large.
            let text = text.get(text.len().saturating_sub(65_507)..).unwrap();
            let _ = socket.send_to(text, peer);
        }
    });
    address
}

fn routes(servers: &[SocketAddr]) -> String {
    let servers: String = servers.iter().map(|it| format!("{{ address = \"{it}\" }},")).collect();
    format!(
        "[udp.routers.it]\nservice = \"it\"\nentryPoints = [\"dns\"]\n\
         [udp.services.it.loadBalancer]\nservers = [{servers}]\n"
    )
}

/// A gateway with the UDP entry point `dns`.
fn gateway(timeout: &str, routes: &str) -> (Gateway, SocketAddr) {
    let address = nobody();
    let install = format!(
        "[entryPoints.dns]\naddress = \"{address}/udp\"\n[entryPoints.dns.udp]\ntimeout = \"{timeout}\"\n\
         [entryPoints.web.transport.lifeCycle]\ngraceTimeOut = \"25s\"\n\
         [metrics.prometheus]\nmanualRouting = true\n"
    );
    (Gateway::on_workers(2, &install, routes), address)
}

fn client(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

fn ask(socket: &UdpSocket, text: &str) -> Option<String> {
    socket.send(text.as_bytes()).ok()?;
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// A name server that knows one name.
struct Dnsmasq(Child, SocketAddr);

impl Dnsmasq {
    fn start() -> Self {
        let address = nobody();
        let child = Command::new("dnsmasq")
            .args([
                "--no-daemon",
                "--no-resolv",
                "--no-hosts",
                "--conf-file=/dev/null",
                "--bind-interfaces",
            ])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(["--address=/known.test/192.0.2.53", "--user="])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package dnsmasq-base is installed by tests/run");
        Self(child, address)
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn names_are_resolved_through_the_gateway() {
    let server = Dnsmasq::start();
    let (_gateway, address) = gateway("3s", &routes(&[server.1]));
    let dig = || {
        let output = Command::new("dig")
            .args(["+short", "+time=2", "+tries=1", "-p", &address.port().to_string()])
            .args([&format!("@{}", address.ip()), "known.test"])
            .output()
            .expect("the package bind9-dnsutils is installed by tests/run");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    until("dig has the answer", || dig() == "192.0.2.53");
    for _ in 0..20 {
        assert_eq!(dig(), "192.0.2.53");
    }
}

#[test]
fn a_session_keeps_its_server_over_a_reload_and_new_ones_do_not() {
    let (old, new) = (echo("old"), echo("new"));
    let (mut gateway, address) = gateway("30s", &routes(&[old]));
    let first = client(address);
    assert_eq!(ask(&first, "a").as_deref(), Some("old a"));
    gateway.reload(&routes(&[new]));
    assert_eq!(ask(&first, "b").as_deref(), Some("old b"));
    assert_eq!(ask(&client(address), "c").as_deref(), Some("new c"));
}

/// The number of open sessions, as metrics tell.
fn open_sessions(gateway: &Gateway) -> String {
    let mut client = Client::connect(gateway.secure);
    client.send("GET /metrics HTTP/1.1\r\nHost: metrics\r\n\r\n");
    let response = client.response();
    let start = "traefik_open_connections{entrypoint=\"dns\",protocol=\"UDP\"} ";
    let line = response.text().lines().find_map(|line| line.strip_prefix(start));
    line.unwrap().to_owned()
}

#[test]
fn an_idle_session_ends() {
    let (a, b) = (echo("a"), echo("b"));
    let metrics = "[http.routers.metrics]\nrule = \"Path(`/metrics`)\"\nservice = \"prometheus@internal\"\n\
                   entryPoints = [\"secure\"]\n";
    let (gateway, address) = gateway("300ms", &format!("{}{metrics}", routes(&[a, b])));
    let socket = client(address);
    let first = ask(&socket, "x").unwrap();
    until("the session is over", || open_sessions(&gateway) == "0");
    assert_ne!(ask(&socket, "x").unwrap(), first);
}

#[test]
fn the_largest_datagrams_pass() {
    let (_gateway, address) = gateway("3s", &routes(&[echo("it")]));
    let socket = client(address);
    let datagram: Vec<u8> = (0..65_507_u32).map(|index| (index % 251) as u8).collect();
    socket.send(&datagram).unwrap();
    let mut buffer = vec![0; 70_000];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(length, 65_507);
    assert!(buffer[..length] == datagram[..]);
}

#[test]
fn sessions_may_finish_after_sigterm() {
    let (mut gateway, address) = gateway("400ms", &routes(&[echo("it")]));
    let socket = client(address);
    assert_eq!(ask(&socket, "a").as_deref(), Some("it a"));
    gateway.signal(Signal::SIGTERM);
    until("the gateway ends", || gateway.log().contains("stopping"));
    assert_eq!(ask(&socket, "b").as_deref(), Some("it b"));
    let late = client(address);
    late.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(ask(&late, "c"), None);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn out_of_descriptors_the_session_that_is_idle_longest_goes() {
    let server = echo("it");
    let (gateway, address) = gateway("30s", &routes(&[server]));
    let few = gateway.descriptors() + 50;
    let limited = Command::new("prlimit")
        .args([format!("--nofile={few}"), format!("--pid={}", gateway.pid())])
        .status();
    assert!(limited.unwrap().success());
    let socket = client(address);
    for _ in 0..500 {
        client(address).send(b"x").unwrap();
    }
    until("a client is served", || ask(&socket, "y").as_deref() == Some("it y"));
    let open = gateway.descriptors();
    // Some may have been opened between the count and the limit.
    assert!(open <= few + 5, "{open} of {few} descriptors");
}
