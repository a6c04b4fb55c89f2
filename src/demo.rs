//! `demo`: a gateway with servers of its own behind it and a sample configuration, for whoever meets Portcullis first.
//!
//! Everything is what a user would write: an install configuration in TOML and a routing file in YAML, both in a folder
//! that goes away with the demonstration. So the file can be edited and the gateway seen to follow.

mod back_end;
mod folder;

use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{self, Demo, Disk, Loaded};

use back_end::BackEnd;
use folder::Folder;

/// The name of the program that wants to be called by `explain` and `check`, where nobody says it.
const PROGRAM: &str = "portcullis";

/// Starts the back ends, writes the configuration, says what to try and runs the gateway by `serve` until it ends.
pub(crate) fn run(demo: &Demo, serve: impl FnOnce(Loaded) -> ExitCode) -> Result<ExitCode, String> {
    let (web, api) = ports(demo)?;
    let failed = |what: &'static str| move |cause: std::io::Error| format!("{what}: {cause}");
    let back_ends = back_end::start(["shop-1", "shop-2", "stock", "vault"])
        .map_err(failed("the sample servers do not start"))?;
    let folder =
        Folder::new().map_err(failed("no temporary folder for the sample configuration"))?;
    let install = folder.path().join("portcullis.toml");
    let file = folder.path().join("routing.yml");
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(failed("the sample configuration cannot be written"))
    };
    write(&file, routing(&back_ends))?;
    write(&install, installed(web, api, &file))?;
    let flags = [format!("--configFile={}", install.display())];
    let loaded = cli::load(&flags, &[], &Disk::default());
    let loaded = loaded.map_err(|problems| format!("the sample configuration: {problems:?}"))?;
    cli::show(&guide(web, api, &file, &install));
    Ok(serve(loaded))
}

/// The ports of the entry point and of the API, known to be free. 0 stands for any.
fn ports(demo: &Demo) -> Result<(u16, u16), String> {
    let web = free(demo.port, "--port")?;
    let api = free(demo.api_port, "--api-port")?;
    let port = |listener: &TcpListener| listener.local_addr().map(|it| it.port());
    let known = port(&web).and_then(|web| Ok((web, port(&api)?)));
    known.map_err(|cause| format!("no free ports: {cause}"))
}

/// Holds a port until both are found. Who gets no port is told which option chooses another.
fn free(port: u16, option: &str) -> Result<TcpListener, String> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).map_err(|cause| {
        let why = match cause.kind() {
            ErrorKind::AddrInUse => "is in use".to_owned(),
            ErrorKind::PermissionDenied => "may be opened by root only".to_owned(),
            _ => format!("cannot be opened ({cause})"),
        };
        let other = if port < 1024 { 8000 } else { port.checked_add(1).unwrap_or(8000) };
        format!("port {port} {why}; choose another, such as `portcullis demo {option} {other}`")
    })
}

/// The install configuration.
fn installed(web: u16, api: u16, routing: &Path) -> String {
    INSTALL
        .replace("WEB", &web.to_string())
        .replace("API", &api.to_string())
        .replace("ROUTING", &routing.display().to_string())
}

/// The routing configuration, which leads to the back ends.
fn routing(back_ends: &[BackEnd]) -> String {
    let mut text = ROUTING.to_owned();
    for back_end in back_ends {
        let url = format!("http://{}", back_end.address);
        text = text.replace(&format!("<{}>", back_end.name), &url);
    }
    text
}

/// What to try.
fn guide(web: u16, api: u16, routing: &Path, install: &Path) -> String {
    let program = std::env::args().next().unwrap_or_else(|| PROGRAM.to_owned());
    let words: [(&str, &dyn Display); 5] = [
        ("WEB", &web),
        ("API", &api),
        ("ROUTING", &routing.display()),
        ("INSTALL", &install.display()),
        ("PROGRAM", &program),
    ];
    words
        .iter()
        .fold(GUIDE.to_owned(), |text, (word, value)| text.replace(word, &value.to_string()))
}

const INSTALL: &str = r#"# The install configuration of the demonstration: read once, when the gateway starts.

[entryPoints.web]
address = "127.0.0.1:WEB"

# Where the API, ping and metrics answer.
[entryPoints.traefik]
address = "127.0.0.1:API"

[api]
insecure = true

[ping]

[metrics.prometheus]

[accessLog]

[log]
level = "INFO"

[providers.file]
filename = "ROUTING"
"#;

const ROUTING: &str = r#"# The routing configuration of the demonstration: followed while the gateway runs.
# Change something, save, and the next request goes the new way.

http:
  routers:
    # A host leads to a service.
    shop:
      rule: Host(`shop.localhost`)
      service: shop

    # Two matchers; the longer rule is asked first. Middlewares act from left to right.
    stock:
      rule: Host(`shop.localhost`) && PathPrefix(`/api`)
      middlewares: [without-api, marked]
      service: stock

    vault:
      rule: Host(`vault.localhost`)
      middlewares: [password]
      service: vault

  middlewares:
    without-api:
      stripPrefix:
        prefixes: [/api]

    marked:
      headers:
        customRequestHeaders:
          X-Passed: the gate
        customResponseHeaders:
          X-Gate: portcullis

    # The user is `guest`, the password `sesame`.
    password:
      basicAuth:
        users: ["guest:$apr1$demosalt$cnNUDf7ayauLYEBfmk.V2/"]

  services:
    # Two servers, in turn.
    shop:
      loadBalancer:
        servers:
          - url: <shop-1>
          - url: <shop-2>

    stock:
      loadBalancer:
        servers:
          - url: <stock>

    vault:
      loadBalancer:
        servers:
          - url: <vault>
"#;

const GUIDE: &str = "\
Portcullis runs, with four small servers behind it. Try, in another terminal:

  1  A host leads to a service, whose two servers take turns. Call it twice:
       curl http://shop.localhost:WEB/

  2  Middlewares on the way: `/api` is cut off, a header is added in each direction:
       curl -i http://shop.localhost:WEB/api/items

  3  A route behind a password:
       curl -i http://vault.localhost:WEB/
       curl -u guest:sesame http://vault.localhost:WEB/

  4  What the gateway knows, and what it counts:
       curl http://127.0.0.1:API/api/http/routers
       curl http://127.0.0.1:API/metrics

  5  Why a request goes where it goes:
       PROGRAM explain GET http://shop.localhost:WEB/api/items --configFile=INSTALL

Now change it while it runs. The routes are in
       ROUTING
Take `password` away from the router `vault`, save, and repeat 3. Write nonsense into one router, and see
the others go on.

Ctrl-C ends the demonstration and removes its files.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_option() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ports(&Demo { port, api_port: 0 }).unwrap_err();
        assert!(error.starts_with(&format!("port {port} is in use; ")), "{error}");
        assert!(error.contains("demo --port "), "{error}");
        let error = ports(&Demo { port: 0, api_port: port }).unwrap_err();
        assert!(error.contains("demo --api-port "), "{error}");
    }

    #[test]
    fn both_ports_differ() {
        let (web, api) = ports(&Demo { port: 0, api_port: 0 }).unwrap();
        assert_ne!(web, api);
        let error = ports(&Demo { port: web, api_port: web }).unwrap_err();
        assert!(error.contains("--api-port"), "{error}");
    }

    #[test]
    fn no_word_is_left_open() {
        let back_ends = back_end::start(["shop-1", "shop-2", "stock", "vault"]).unwrap();
        let text = routing(&back_ends);
        assert_eq!(text.matches("http://127.0.0.1:").count(), 4, "{text}");
        assert!(!text.contains('<'), "{text}");
        let text = guide(8000, 8080, Path::new("/r.yml"), Path::new("/p.toml"));
        assert!(!text.contains("WEB") && !text.contains("INSTALL"), "{text}");
    }
}
