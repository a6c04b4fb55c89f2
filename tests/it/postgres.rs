//! A real PostgreSQL behind TCP routers: TLS that ends at the gateway, and TLS that passes.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::lines::service;
use crate::harness::{Gateway, nobody, until};

/// A private cluster on loopback, with TLS.
struct Postgres {
    folder: TempDir,
    address: SocketAddr,
    authority: PathBuf,
}

/// The programs of the server; Debian keeps them apart by version.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .expect("the package postgresql is installed by tests/run")
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap()
}

/// Runs as the user postgres, since the server refuses to run as root.
fn as_postgres(program: &Path, arguments: &[&str]) -> Output {
    let is_root = nix::unistd::getuid().is_root();
    let mut command = if is_root { Command::new("runuser") } else { Command::new(program) };
    if is_root {
        command.args(["-u", "postgres", "--"]).arg(program);
    }
    command.args(arguments).current_dir("/").env_remove("PGHOST").output().unwrap()
}

impl Postgres {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["db.test".to_owned()]).unwrap();
        let authority = folder.path().join("server.crt");
        let key = folder.path().join("server.key");
        fs::write(&authority, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        if nix::unistd::getuid().is_root() {
            let given = Command::new("chown").arg("-R").arg("postgres").arg(folder.path()).status();
            assert!(given.unwrap().success());
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let postgres = Self { folder, address: nobody(), authority };
        let data = postgres.data();
        postgres.must(&program("initdb"), &["-D", &data, "-A", "trust", "-U", "it", "--no-sync"]);
        let options = format!(
            "-c listen_addresses={} -c port={} -c unix_socket_directories='' -c ssl=on -c fsync=off \
             -c ssl_cert_file={} -c ssl_key_file={}",
            postgres.address.ip(),
            postgres.address.port(),
            postgres.authority.display(),
            key.display(),
        );
        let hba = format!("{data}/pg_hba.conf");
        fs::write(hba, "host all all 127.0.0.0/8 trust\n").unwrap();
        let log = format!("{}/log", postgres.folder.path().display());
        postgres
            .must(&program("pg_ctl"), &["-D", &data, "-o", &options, "-l", &log, "-w", "start"]);
        postgres
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn must(&self, program: &Path, arguments: &[&str]) {
        let output = as_postgres(program, arguments);
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {text}{log}", program.display());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let arguments = ["-D", &self.data(), "-m", "immediate", "stop"];
        let _ = as_postgres(&program("pg_ctl"), &arguments);
    }
}

/// What psql says of its connection to `host` at the gateway.
fn psql(gateway: &Gateway, options: &str) -> Result<String, String> {
    let (ip, port) = (gateway.web.ip(), gateway.web.port());
    let place =
        format!("hostaddr={ip} port={port} user=it dbname=postgres connect_timeout=20 {options}");
    let query =
        "select 1 + 1, coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)";
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-c", query, &place])
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn psql_connects_with_tls_that_ends_here_and_with_tls_that_passes() {
    let postgres = Postgres::start();
    let made = rcgen::generate_simple_self_signed(["ends.test".to_owned()]).unwrap();
    let own = postgres.folder.path().join("ends.crt");
    let key = postgres.folder.path().join("ends.key");
    fs::write(&own, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let routes = format!(
        "[tcp.routers.ends]\nrule = \"HostSNI(`ends.test`)\"\nservice = \"it\"\ntls = {{}}\nentryPoints = [\"web\"]\n\
         [tcp.routers.passes]\nrule = \"HostSNI(`db.test`)\"\nservice = \"it\"\nentryPoints = [\"web\"]\n\
         tls = {{ passthrough = true }}\n{}\
         [[tls.certificates]]\ncertFile = {own:?}\nkeyFile = {key:?}\n",
        service("it", &[postgres.address])
    );
    let gateway = Gateway::on_workers(2, "", &routes);
    let verified = |host: &str, root: &Path| {
        format!("host={host} sslmode=verify-full sslrootcert={}", root.display())
    };
    let mut first = Err(String::new());
    until("psql connects", || {
        first = psql(&gateway, &verified("db.test", &postgres.authority));
        first.is_ok()
    });
    // TLS passes: the server itself says that its connection has TLS.
    assert_eq!(first.as_deref(), Ok("2|t"));
    // TLS ends at the gateway: the server sees none.
    assert_eq!(psql(&gateway, &verified("ends.test", &own)).as_deref(), Ok("2|f"));
    assert_eq!(psql(&gateway, "host=ends.test sslmode=require").as_deref(), Ok("2|f"));
    assert!(psql(&gateway, "host=else.test sslmode=require").is_err());
    assert!(psql(&gateway, &verified("db.test", &own)).unwrap_err().contains("certificate"));
}

#[test]
fn psql_connects_in_the_clear_where_no_router_wants_tls() {
    let postgres = Postgres::start();
    let gateway = Gateway::new(&crate::harness::lines::all_to(&[postgres.address]));
    assert_eq!(psql(&gateway, "sslmode=disable").as_deref(), Ok("2|f"));
    // The server grants TLS itself; the gateway only passes bytes.
    assert_eq!(psql(&gateway, "sslmode=require").as_deref(), Ok("2|t"));
}
