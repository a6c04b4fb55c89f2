//! `Fault`: why the gateway answered a request itself, so that retries and logs can tell it from a server's answer.

/// Why the gateway answered a request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No server is usable: 503.
    NoServer,
    /// The connection could not be made, or broke: 502.
    Unreachable(Sent),
    /// A time limit passed: 504.
    Timeout(Sent),
    /// The client went away: 499.
    ClientGone,
    /// The client's body broke the rules of its coding: 400.
    ClientBody,
    /// The server's TLS or HTTP was not acceptable: 500.
    Protocol(Sent),
    /// A step of the gateway panicked: 500.
    Panic,
}

/// How much of the request had been written to the server when a fault happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Not one byte: the request can be repeated whatever it is.
    Nothing,
    /// Some or all.
    Some,
}

impl Fault {
    /// Whether a server was chosen and nothing was written to it, so that a repetition is safe for any request.
    pub fn is_safe_to_retry(self) -> bool {
        matches!(
            self,
            Self::Unreachable(Sent::Nothing)
                | Self::Timeout(Sent::Nothing)
                | Self::Protocol(Sent::Nothing)
        )
    }
}
