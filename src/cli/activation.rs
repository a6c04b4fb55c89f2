//! What whoever started this process tells it by environment variables: systemd, or the gateway that it follows.

use std::path::PathBuf;

/// The process id of the gateway that hands its sockets over (in place of `LISTEN_PID`, which nobody can know before the
/// process is there).
pub(crate) const PREDECESSOR: &str = "PORTCULLIS_PREDECESSOR";
/// Those names of `LISTEN_FDNAMES` whose sockets came from systemd in the first place.
pub(crate) const ACTIVATED: &str = "PORTCULLIS_ACTIVATED";
/// Where the control socket is; empty = there is none.
pub(crate) const CONTROL: &str = "PORTCULLIS_CONTROL";

/// Where the control socket is if nobody says otherwise and the folder exists.
pub(crate) const CONTROL_DEFAULT: &str = "/run/portcullis/control.sock";

/// Sockets handed over (sd_listen_fds, 3) and where readiness is told (sd_notify, 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activation {
    /// The process that the sockets are for, if it was named.
    pub process: Option<u32>,
    /// The gateway that hands them over, if one does.
    pub predecessor: Option<u32>,
    /// Names of the sockets, in the order of their descriptors.
    pub names: Vec<String>,
    /// Names of those that come from systemd: they are used whatever their address is.
    pub activated: Vec<String>,
    /// The socket to notify.
    pub notify: Option<String>,
    /// Where the control socket is; `None` = nowhere.
    pub control: Option<PathBuf>,
}

impl Activation {
    /// What this process was told.
    pub fn of_process() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name| variable(name).and_then(|text| text.parse::<u32>().ok());
        let list = |name| variable(name).filter(|text| !text.is_empty());
        let split = |text: String| text.split(':').map(str::to_owned).collect::<Vec<_>>();
        let predecessor = number(PREDECESSOR);
        let mut names = list("LISTEN_FDNAMES").map(split).unwrap_or_default();
        let activated = match predecessor {
            Some(_) => list(ACTIVATED).map(split).unwrap_or_default(),
            None => names.clone(),
        };
        let count = number("LISTEN_FDS").map_or(0, |count| count as usize);
        names.resize(count.min(MOST), "unknown".to_owned());
        let control = variable(CONTROL).unwrap_or_else(|| CONTROL_DEFAULT.to_owned());
        Self {
            process: number("LISTEN_PID"),
            predecessor,
            names,
            activated,
            notify: list("NOTIFY_SOCKET"),
            control: Some(control).filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }

    /// Whether the sockets are for this process.
    pub fn is_for_this_process(&self) -> bool {
        match self.predecessor {
            Some(predecessor) => predecessor == std::os::unix::process::parent_id(),
            None => self.process == Some(std::process::id()),
        }
    }
}

/// More sockets than any machine has entry points and processors.
const MOST: usize = 16384;

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
        assert_eq!(told.activated, ["web", "websecure"]);
        let nothing = Activation::read(|_| None);
        assert_eq!((nothing.process, nothing.names.len()), (None, 0));
        assert_eq!(nothing.control, Some(CONTROL_DEFAULT.into()));
        assert!(!nothing.is_for_this_process());
    }

    #[test]
    fn sockets_of_a_predecessor_are_not_those_of_systemd() {
        let parent = std::os::unix::process::parent_id().to_string();
        let told = Activation::read(|name| {
            let value = match name {
                "LISTEN_FDS" => "2",
                "LISTEN_FDNAMES" => "web:other",
                "PORTCULLIS_PREDECESSOR" => &parent,
                "PORTCULLIS_ACTIVATED" => "other",
                "PORTCULLIS_CONTROL" => "",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!((told.names.len(), told.activated), (2, vec!["other".to_owned()]));
        assert_eq!(told.control, None);
        assert!(
            Activation { predecessor: told.predecessor, ..Activation::default() }
                .is_for_this_process()
        );
    }
}
