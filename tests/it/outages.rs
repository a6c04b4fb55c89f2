//! R8: the provider loses what it reads. The last good configuration is served meanwhile, the metric tells, and what
//! comes back is served at once.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::harness::load::Load;
use crate::harness::server::Server;
use crate::harness::{Gateway, all_to, until};

const METRICS: &str = "[metrics.prometheus]\nentryPoint = \"secure\"\n";

/// The promise is two seconds; the rest is for machines that do much else meanwhile.
const PROMPTLY: Duration = Duration::from_secs(5);

fn is_up(gateway: &Gateway) -> bool {
    gateway.metric("portcullis_provider_up{provider=\"file\"} ").unwrap() > 0.5
}

#[test]
fn r8_the_folder_of_the_file_provider_goes_and_comes_back() {
    let (before, after) = (Server::saying("before"), Server::saying("after"));
    let mut gateway = Gateway::with(METRICS, &all_to(&[before.address]));
    until("the provider is in touch", || is_up(&gateway));
    let load = Load::start(gateway.web, 2);
    let (folder, away) = (gateway.routes_folder(), gateway.path("away"));
    for _ in 0..3 {
        fs::rename(&folder, &away).unwrap();
        until("the loss shows", || !is_up(&gateway));
        load.until_more(50);
        fs::rename(&away, &folder).unwrap();
        let begun = Instant::now();
        until("the provider is in touch again", || is_up(&gateway));
        assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
    }
    assert!(gateway.log().contains("cannot read the folder"));
    // Something else came back than what went.
    fs::rename(&folder, &away).unwrap();
    until("the loss shows", || !is_up(&gateway));
    let text = gateway.next_generation(&all_to(&[after.address]));
    fs::write(away.join("main.toml"), text).unwrap();
    load.until_more(20);
    assert_eq!(after.count(), 0);
    fs::rename(&away, &folder).unwrap();
    let begun = Instant::now();
    gateway.until_applied();
    assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
    assert_eq!(load.failures(), [] as [String; 0]);
    assert_eq!(gateway.get("/").text(), "after");
}

#[test]
fn r8_a_file_that_cannot_be_read_keeps_what_it_said() {
    let (before, after) = (Server::saying("before"), Server::saying("after"));
    let mut gateway = Gateway::with(METRICS, &all_to(&[before.address]));
    let load = Load::start(gateway.web, 2);
    let (file, new) = (gateway.routes_folder().join("main.toml"), gateway.path("new"));
    let whole = fs::read(&file).unwrap();
    let spoil: [&dyn Fn(); 3] = [
        // No target, a loop, no text. Permissions would not stop a test that runs as root.
        &|| symlink("/nowhere/main.toml", &new).unwrap(),
        &|| symlink("main.toml", &new).unwrap(),
        &|| fs::write(&new, b"\xff\xfe\x00").unwrap(),
    ];
    for (round, spoil) in spoil.iter().enumerate() {
        spoil();
        fs::rename(&new, &file).unwrap();
        until("the log tells", || {
            gateway.log().matches("what the file last said stays").count() > round
        });
        load.until_more(30);
        fs::write(&new, &whole).unwrap();
        fs::rename(&new, &file).unwrap();
        let text = gateway.next_generation(&all_to(&[before.address]));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &file).unwrap();
        let begun = Instant::now();
        gateway.until_applied();
        assert!(begun.elapsed() < PROMPTLY, "{:?}", begun.elapsed());
    }
    gateway.reload(&all_to(&[after.address]));
    assert_eq!(load.failures(), [] as [String; 0]);
    assert_eq!(gateway.get("/").text(), "after");
}

#[test]
fn r8_routes_that_come_with_the_return_are_served() {
    let server = Server::saying("served");
    let mut gateway = Gateway::with(METRICS, "");
    let (folder, away) = (gateway.routes_folder(), gateway.path("away"));
    fs::rename(&folder, &away).unwrap();
    until("the loss shows", || !is_up(&gateway));
    assert_eq!(gateway.get("/").status, 404);
    let text = gateway.next_generation(&all_to(&[server.address]));
    fs::write(away.join("main.toml"), text).unwrap();
    fs::rename(&away, &folder).unwrap();
    gateway.until_applied();
    assert_eq!(gateway.get("/").text(), "served");
}
