//! A real Traefik that uses the same storage.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};

use super::pebble::quietly;

/// A running Traefik.
pub(crate) struct Traefik(Child);

impl Traefik {
    /// The program; `None`, said aloud, without one. With `CI` set, that is a failure.
    pub(crate) fn find() -> Option<String> {
        let found = std::env::var("TRAEFIK").ok();
        if found.is_none() {
            assert!(std::env::var_os("CI").is_none(), "TRAEFIK does not name a program");
            println!("SKIPPED: TRAEFIK does not name a program");
        }
        found
    }

    /// Starts it with this install configuration (TOML) and these routes (TOML); it listens on `secure`.
    pub(crate) fn start(
        program: &str,
        folder: &Path,
        secure: SocketAddr,
        (install, routes): (&str, &str),
    ) -> Self {
        let (file, dynamic) = (folder.join("traefik.toml"), folder.join("routes.toml"));
        let text = format!(
            "[entryPoints.secure]\naddress = \"{secure}\"\n[log]\nlevel = \"DEBUG\"\n\
             [providers.file]\nfilename = {dynamic:?}\n[global]\ncheckNewVersion = false\n{install}"
        );
        fs::write(&file, text).unwrap();
        fs::write(&dynamic, routes).unwrap();
        let mut command = Command::new(program);
        command.arg(format!("--configFile={}", file.display()));
        Self(quietly(command, fs::File::create(folder.join("traefik.log")).unwrap()))
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
