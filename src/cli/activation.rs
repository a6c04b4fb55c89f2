//! What systemd tells a service that it starts, by environment variables.

/// Sockets handed over (sd_listen_fds, 3) and where readiness is told (sd_notify, 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activation {
    /// The process that the sockets are for.
    pub process: Option<u32>,
    /// Names of the sockets, in the order of their descriptors.
    pub names: Vec<String>,
    /// The socket to notify.
    pub notify: Option<String>,
}

impl Activation {
    /// What this process was told.
    pub fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let count = variable("LISTEN_FDS").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names: Vec<String> = names.split(':').map(str::to_owned).collect();
        names.resize(count.min(MOST), "unknown".to_owned());
        Self {
            process: variable("LISTEN_PID").and_then(|text| text.parse().ok()),
            names,
            notify: variable("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
        }
    }
}

/// More sockets than anybody has entry points.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_have_names_in_order() {
        let told = Activation::read(|name| {
            let value = match name {
                "LISTEN_FDS" => "3",
                "LISTEN_PID" => "42",
                "LISTEN_FDNAMES" => "web:websecure",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(told.process, Some(42));
        assert_eq!(told.names, ["web", "websecure", "unknown"]);
        assert_eq!(Activation::read(|_| None), Activation::default());
    }
}
