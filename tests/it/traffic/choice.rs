//! Which server a request gets, by how quick, how busy and how near servers are.

use std::io::Write as _;
use std::time::Duration;

use crate::harness::client::Client;
use crate::harness::server::{Server, ok};
use crate::harness::{Gateway, all_to};

/// A server that takes its time.
fn taking(milliseconds: u64) -> Server {
    Server::new(move |_, stream| {
        std::thread::sleep(Duration::from_millis(milliseconds));
        stream.write_all(&ok("served"))
    })
}

/// So many clients at once, each asking so often.
fn ask(gateway: &Gateway, clients: usize, count: usize) {
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = Client::connect(gateway.web);
                for _ in 0..count {
                    client.send("GET / HTTP/1.1\r\nHost: it.example\r\n\r\n");
                    assert_eq!(client.response().status, 200);
                }
            });
        }
    });
}

#[test]
fn the_quicker_of_two_servers_gets_four_fifths_and_more() {
    for workers in [1, 3] {
        let (quick, slow) = (taking(5), taking(50));
        let routes = all_to(&[quick.address, slow.address]);
        let routes = routes.replace("servers =", "strategy = \"ewma\"\nservers =");
        let gateway = Gateway::on_workers(workers, "", &routes);
        ask(&gateway, 4, 75);
        let (quick, slow) = (quick.count(), slow.count());
        assert_eq!(quick + slow, 300);
        assert!(quick >= 240, "{quick} of 300 with {workers} workers");
        println!("{quick} to the quick one, {slow} to the slow one, with {workers} workers");
    }
}

#[test]
fn least_request_and_hash_are_one_for_all_workers() {
    let servers = [taking(0), taking(0), taking(0)];
    let addresses = servers.each_ref().map(|server| server.address);
    let strategy = |text: &str| all_to(&addresses).replace("servers =", text);
    let gateway = Gateway::on_workers(3, "", &strategy("strategy = \"leastRequest\"\nservers ="));
    for _ in 0..60 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert_eq!(servers.each_ref().map(Server::count), [20; 3]);
    let hash = "strategy = \"hash\"\nhash = { header = \"X-User\" }\nservers =";
    let gateway = Gateway::on_workers(3, "", &strategy(hash));
    for user in 0..30 {
        let before = servers.each_ref().map(Server::count);
        for _ in 0..5 {
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n");
            assert_eq!(gateway.exchange(request).status, 200);
        }
        let after = servers.each_ref().map(Server::count);
        let changed = before.iter().zip(after).filter(|(before, after)| *before != after);
        assert_eq!(changed.count(), 1, "user {user}");
    }
    assert!(servers.iter().all(|server| server.count() >= 35));
}
