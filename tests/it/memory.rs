//! R20: the gateway under a memory limit. It needs a control group of its own, hence root; without one the test says so.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::harness::client::Client;
use crate::harness::server::Server;
use crate::harness::{Gateway, all_to, until};

/// What the gateway and everything that the kernel holds for it may take.
const LIMIT: u64 = 128 << 20;

const METRICS: &str = "[metrics.prometheus]\nentryPoint = \"secure\"\n";

/// A control group with a memory limit; it is removed at the end.
struct Group(PathBuf);

impl Group {
    /// `None` where this process may not make one. Both versions of the kernel's interface are known.
    fn new(limit: u64) -> Option<Self> {
        let name = format!("portcullis-it-{}", std::process::id());
        for (root, file) in
            [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")]
        {
            // The root of version 1 is no group, and anybody may make folders there.
            if !PathBuf::from(root).join("cgroup.procs").exists() {
                continue;
            }
            let group = Self(PathBuf::from(root).join(&name));
            if fs::create_dir(&group.0).is_ok()
                && fs::write(group.0.join(file), limit.to_string()).is_ok()
            {
                return Some(group);
            }
        }
        None
    }

    fn take(&self, gateway: &Gateway) {
        fs::write(self.0.join("cgroup.procs"), gateway.pid().to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only an empty group can be removed; the gateway is gone by then.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn r20_a_crowd_with_large_heads_does_not_get_the_gateway_killed() {
    let Some(group) = Group::new(LIMIT) else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no control group with a memory limit can be made"
        );
        println!("skipped: no control group with a memory limit can be made here");
        return;
    };
    let server = Server::saying("served");
    let mut gateway = Gateway::on_workers(2, METRICS, &all_to(&[server.address]));
    group.take(&gateway);
    until("the gateway knows its limit", || gateway.log().contains("memory is limited to 128 MiB"));
    assert_eq!(gateway.get("/").text(), "served");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}", "x".repeat(60 * 1024));
    let mut crowd = Vec::new();
    // Three times what the limit holds.
    for _ in 0..6000 {
        if let Ok(mut client) = Client::try_connect(gateway.web) {
            let _ = client.try_send(&head);
            crowd.push(client);
        }
        assert!(gateway.is_alive(), "killed with {} connections", crowd.len());
    }
    assert!(gateway.log().contains("new connections are refused"), "the crowd was too small");
    drop(crowd);
    let begun = Instant::now();
    until("it recovers", || {
        assert!(gateway.is_alive());
        let Ok(mut client) = Client::try_connect(gateway.web) else { return false };
        client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_ok()
            && client.try_response("GET").is_ok_and(|it| it.is_some_and(|it| it.status == 200))
    });
    // The promise is five seconds; the rest is for machines that do much else meanwhile.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(gateway.metric("portcullis_memory_refused_total ").unwrap() > 0.0);
    drop(gateway);
}
