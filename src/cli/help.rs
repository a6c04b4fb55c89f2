//! The texts of `help` and `version`.

use portcullis_config::tree::decode::nearest;

use crate::install::schema::{Field, Shape};

/// The help on a command, or on the whole program.
pub(super) fn topic(name: Option<&str>) -> Result<String, String> {
    match name {
        None => Ok(PROGRAM.to_owned()),
        Some("flags") => Ok(flags()),
        Some("ca") => Ok(CA.to_owned()),
        Some("check") => Ok(CHECK.to_owned()),
        Some("explain") => Ok(EXPLAIN.to_owned()),
        Some("demo") => Ok(DEMO.to_owned()),
        Some("healthcheck") => Ok(HEALTHCHECK.to_owned()),
        Some("mesh") => Ok(MESH.to_owned()),
        Some("token") => Ok(TOKEN.to_owned()),
        Some("upgrade") => Ok(UPGRADE.to_owned()),
        Some("version") => Ok(VERSION.to_owned()),
        Some(other) => Err(unknown_command(other)),
    }
}

/// The version and what it was built for.
pub(super) fn version() -> String {
    // Traefik's names for architectures are Go's.
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "Version:      {}\nRust version: {}\nOS/Arch:      {}/{architecture}",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_RUST_VERSION"),
        std::env::consts::OS,
    )
}

/// What to say about a command that there is not.
pub(super) fn unknown_command(word: &str) -> String {
    let hint = nearest(word, COMMANDS).map(|it| format!("; did you mean `{it}`?"));
    let hint = hint.unwrap_or_else(|| "; see `portcullis help`".to_owned());
    format!("there is no command `{word}`{hint}")
}

/// Every flag with its manual, as the types of the install configuration have it.
fn flags() -> String {
    let mut text = FLAGS.to_owned();
    for (path, field) in Shape::of_install().options() {
        text.push_str(&flag(&path, field));
    }
    text
}

fn flag(path: &str, field: &Field) -> String {
    let value = match (&field.shape, field.default.as_str()) {
        (Shape::Block(_) | Shape::Map(_), _) => String::new(),
        (_, "") => String::new(),
        (_, default) => format!(" (default {default})"),
    };
    format!("\n  --{path}{value}\n      {}\n", field.manual)
}

const COMMANDS: &[&str] = &[
    "ca",
    "check",
    "demo",
    "explain",
    "healthcheck",
    "help",
    "mesh",
    "token",
    "upgrade",
    "version",
];

const PROGRAM: &str = "\
portcullis takes requests from the world and sends each to the right server: an ingress gateway that
reads the configuration of Traefik v3 (labels, files, flags) and needs the processor time of nginx.

USAGE
  portcullis [FLAGS]                            run the gateway
  portcullis check [FLAGS] [FILE]...            validate configuration without starting
  portcullis explain METHOD URL [-H HEADER]...  which router takes this request, and why
  portcullis demo                               see it work: sample back ends, configuration and API
  portcullis healthcheck [FLAGS]                ask a running gateway whether it is well
  portcullis mesh status                        what a running gateway is in the mesh, and whom it knows
  portcullis upgrade [PROGRAM]                  replace a running gateway, losing no connection
  portcullis ca init | rotate                   the mesh's authority: make it, replace its root
  portcullis token create                       invite a machine into the mesh
  portcullis version                            print the version
  portcullis help [COMMAND | flags]             this text; more on a command; every flag

START HERE
  portcullis demo
      One command, no other software.

  portcullis --configFile=portcullis.toml
      With this file, and routers in the folder `routes` that are followed as they change:

          [entryPoints.web]
          address = \":80\"

          [providers.file]
          directory = \"routes\"

  portcullis --providers.docker --entryPoints.web.address=:80
      Containers say themselves what they serve, by a label such as
      traefik.http.routers.shop.rule=Host(`shop.example`).

THE FLAGS USED MOST
  --configFile=portcullis.toml                 read everything from a file (TOML or YAML) instead of flags
  --entryPoints.web.address=:80                listen on port 80 and call that `web`
  --entryPoints.web.http.redirections.entryPoint.to=websecure
                                               send plain HTTP to the entry point `websecure`
  --entryPoints.websecure.http.tls             routers of `websecure` take TLS connections
  --providers.file.directory=routes            routing configuration from files
  --providers.docker.exposedByDefault=false    from containers, but only those with the label traefik.enable=true
  --log.level=DEBUG                            say more: TRACE, DEBUG, INFO, WARN, ERROR
  --accessLog                                  a line for each request
  --metrics.prometheus                         figures at :8080/metrics
  --api.insecure                               the API at :8080/api, without authentication
  --ping                                       health at :8080/ping, for `portcullis healthcheck`

WHERE CONFIGURATION COMES FROM
  One of these, the first that says anything; they are not merged:
    1. a file: --configFile or PORTCULLIS_CONFIGFILE, else portcullis.toml, .yaml or .yml in /etc/portcullis,
       $XDG_CONFIG_HOME, $HOME/.config or here, else the same with traefik for portcullis
    2. flags, in any case
    3. environment variables: PORTCULLIS_ENTRYPOINTS_WEB_ADDRESS=:80, or TRAEFIK_ENTRYPOINTS_WEB_ADDRESS
  PORTCULLIS_WORKERS sets the number of workers; without it there is one for each processor.

Options mean what they mean in Traefik; what is not served yet is named when the gateway starts.
`portcullis help flags` prints all of them.
";

const CHECK: &str = "\
portcullis check reads the install configuration (flags, file or environment, as the gateway would) and routing
configuration from files, and prints every problem with its place. Nothing is started and nothing is listened on.

USAGE
  portcullis check [FLAGS] [FILE | FOLDER]...

  Without files, those of the file provider are read.

EXAMPLES
  portcullis check --configFile=portcullis.toml
  portcullis check routes/shop.yml

Exits with 1 if there are errors.
";

const EXPLAIN: &str = "\
portcullis explain says which entry point, router and chain of middlewares would take a request, and why each router
that looks better does not.

USAGE
  portcullis explain METHOD URL [-H 'NAME: VALUE']... [--client-ip ADDRESS] [--entrypoint NAME]
                     [--api URL | --configFile=FILE]

  -H, --header 'NAME: VALUE'   a header of the request; may be given again
  --client-ip ADDRESS          who sends it, for ClientIP in rules (default 127.0.0.1)
  --entrypoint NAME            where the request arrives
  --api URL                    ask a running gateway
  --configFile FILE            read the files of this install configuration

EXAMPLES
  portcullis explain GET https://shop.example/cart --configFile=portcullis.toml
  portcullis explain GET http://shop.example/ -H 'X-Debug: 1' --api http://localhost:8080
  portcullis explain GET https://admin.example/ --client-ip 10.0.0.7

Exits with 0 if a router takes the request, with 1 if none does.
";

const DEMO: &str = "\
portcullis demo runs a gateway with a sample configuration, servers behind it, and the API. It needs nothing else and
ends with Ctrl-C.

USAGE
  portcullis demo [--port 8000] [--api-port 8080]
";

const HEALTHCHECK: &str = "\
portcullis healthcheck asks the gateway that runs with the same install configuration for /ping, for at most five
seconds. The gateway must run with --ping.

USAGE
  portcullis healthcheck [FLAGS]

EXAMPLE
  HEALTHCHECK CMD [\"portcullis\", \"healthcheck\", \"--ping\"]

Prints `OK: URL` and exits with 0, or exits with 1.
";

const MESH: &str = "\
portcullis mesh status says what a running gateway is in the mesh: its identities and how long they hold, the services
and workloads that it knows, and its tunnels to other nodes.

USAGE
  portcullis mesh status [--api URL]

  --api URL    the gateway's API: by default http://localhost:8080
";

const UPGRADE: &str = "\
portcullis upgrade has a running gateway start its successor: the same program, or PROGRAM, with the same arguments and
environment. The successor takes all listening sockets over; once it has its configuration and serves, the old gateway
accepts nothing more, ends what runs within graceTimeOut, and goes. A successor that does not become ready is ended, and
the old gateway goes on. The signal SIGUSR2 does the same with the same program.

USAGE
  portcullis upgrade [PROGRAM] [--control SOCKET] [--timeout SECONDS]

  --control SOCKET    the gateway's control socket: by default PORTCULLIS_CONTROL, or /run/portcullis/control.sock,
                      which a gateway opens if that folder exists
  --timeout SECONDS   how long the successor may take to be ready: by default 60

Prints the new process id and exits with 0, or says why not and exits with 1. A gateway that is process 1 of a
container refuses, as the container would end with it.
";

const CA: &str = "\
portcullis ca looks after the authority that signs the identities of the mesh. It works on the authority's folder, which a
running gateway with the role `control` notices.

USAGE
  portcullis ca init --trust-domain NAME [--directory FOLDER]
  portcullis ca rotate [--directory FOLDER] [--timeout SECONDS] [--leaf-lifetime SECONDS] [--force]
  portcullis ca rotate --status [--directory FOLDER]

  --directory FOLDER       by default /var/lib/portcullis/mesh
  --trust-domain NAME      the first part of every identity, such as corp.example
  --timeout SECONDS        how long nodes may take to believe the new root: by default 60
  --leaf-lifetime SECONDS  how long the gateway's certificates live, if it is not a day
  --force                  leave silent nodes behind; what they hold fails from then on
  --status                 say how far a rotation is

`ca rotate` announces a new root, waits until every node that holds a certificate has said that it believes it, and lets
it sign; one leaf's life later the gateway drops the old one. If a node is silent it stops and says which: nothing is
lost, the old root still signs, and calling it again goes on.
";

const TOKEN: &str = "\
portcullis token create invites a machine into the mesh: prints a token, which the machine's gateway reads from its
tokenFile. It is for one node, lapses, and only the first key that comes with it is let in.

USAGE
  portcullis token create --node NAME --address HOST:PORT [--allow PATTERN]... [--ttl TIME] [--directory FOLDER]

  --node NAME          the name of the node, which its gateway must have
  --address HOST:PORT  where the gateway with the role `control` listens
  --allow PATTERN      which accounts the node may speak for: by default 'ns/*/sa/*'; may be given again
  --ttl TIME           how long the token is good, 24h at most: by default 10m
  --directory FOLDER   the authority's: by default /var/lib/portcullis/mesh

EXAMPLE
  portcullis token create --node n2 --address 10.0.0.10:15012 --allow 'ns/shop/sa/*' > join
";

const VERSION: &str = "\
portcullis version prints the version and what it was built for.
";

const FLAGS: &str = "\
Every flag of portcullis. <name> is a name of your choice, [n] the index of a list's element. Lists may also be written
as a,b. Times are written as 10s, 1m30s or whole seconds. The same paths are the keys of a TOML or YAML file, and in
upper case with underscores the names of environment variables.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_the_help_are_real() {
        let shape = Shape::of_install();
        let words = PROGRAM.split_whitespace().filter_map(|word| word.strip_prefix("--"));
        let mut count = 0;
        for word in words.filter(|word| !word.starts_with("configFile")) {
            let path = word.split('=').next().unwrap();
            let steps: Vec<&str> = path.trim_end_matches(',').split('.').collect();
            if !steps.starts_with(&["providers", "docker"]) {
                assert!(shape.find(&steps).is_ok(), "{word}");
            }
            count += 1;
        }
        assert!(count >= 10, "{count}");
    }

    #[test]
    fn all_flags_are_listed_with_default_and_manual() {
        let text = flags();
        assert!(
            text.contains("--entryPoints.<name>.transport.lifeCycle.graceTimeOut (default 10s)"),
            "{text}"
        );
        assert!(text.contains("--metrics.prometheus.buckets (default 0.1,0.3,1.2,5.0)"), "{text}");
    }

    #[test]
    fn the_version_looks_as_that_of_traefik() {
        let text = version();
        assert!(text.starts_with(&format!("Version:      {}\n", env!("CARGO_PKG_VERSION"))));
        assert!(text.contains("OS/Arch:      linux/"), "{text}");
    }
}
