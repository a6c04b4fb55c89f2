//! Where the SPIFFE Workload API is (SPIFFE Workload Endpoint standard, section 4).

use std::net::SocketAddr;
use std::path::PathBuf;

/// The address of a SPIFFE Workload API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadApi {
    /// A socket in the file system: `unix:///run/agent.sock`.
    Unix(PathBuf),
    /// `tcp://127.0.0.1:8000`.
    Tcp(SocketAddr),
}

impl WorkloadApi {
    /// Reads an address; the message says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "`{text}` is no address of a Workload API; expected `unix:///path` or `tcp://address:port`"
            )
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(expected)?;
        match scheme {
            "unix" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let plain = path.starts_with('/') && path.len() > 1 && !path.contains(['?', '#']);
                plain.then(|| Self::Unix(path.into())).ok_or_else(expected)
            }
            "tcp" => {
                let address = rest.strip_prefix("//").and_then(|it| it.parse().ok());
                address.map(Self::Tcp).ok_or_else(expected)
            }
            _ => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sockets_in_the_file_system_or_of_tcp() {
        let path = WorkloadApi::Unix("/run/agent.sock".into());
        assert_eq!(WorkloadApi::parse("unix:///run/agent.sock"), Ok(path.clone()));
        assert_eq!(WorkloadApi::parse("unix:/run/agent.sock"), Ok(path));
        let address = "127.0.0.1:80".parse().unwrap();
        assert_eq!(WorkloadApi::parse("tcp://127.0.0.1:80"), Ok(WorkloadApi::Tcp(address)));
        for text in [
            "",
            "/run/agent.sock",
            "unix://host/run/agent.sock/../x?y",
            "unix://run/agent.sock",
            "unix:///",
            "unix:agent.sock",
            "tcp://localhost:80",
            "tcp://127.0.0.1",
            "tcp:127.0.0.1:80",
            "http://127.0.0.1:80",
        ] {
            assert!(WorkloadApi::parse(text).unwrap_err().contains("expected"), "{text}");
        }
    }
}
