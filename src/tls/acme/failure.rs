//! Why an order came to nothing, in words for an operator.

use instant_acme::{Error, Problem};

use super::authority::Heard;
use super::back_off::Wish;

/// Why an order came to nothing.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// What happened; never holds a secret.
    pub(super) reason: String,
    /// What the authority asks for.
    pub(super) wish: Wish,
    /// What the caller may do about it at once.
    pub(super) remedy: Remedy,
}

/// What can be done about a failure at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing but another order later.
    Later,
    /// The authority has forgotten the account: make another one.
    Account,
    /// The authority does not take the certificate that is to be replaced: order without naming it.
    Replacement,
}

impl Failure {
    /// A failure on our side.
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), wish: Wish::Nothing, remedy: Remedy::Later }
    }

    /// A failure of the protocol; `doing` says what was tried.
    pub(super) fn of(doing: &str, error: Error, heard: &Heard) -> Self {
        let reason = format!("{doing}: {}", text(&error));
        let wait = heard.retry_after.map(Wish::Wait);
        let kind = match &error {
            Error::Api(problem) => problem.r#type.as_deref().and_then(|it| it.rsplit(':').next()),
            _ => None,
        };
        let (wish, remedy) = match kind {
            Some("rateLimited") => (wait.unwrap_or(Wish::Less), Remedy::Later),
            Some("accountDoesNotExist") => (Wish::Nothing, Remedy::Account),
            Some("alreadyReplaced") => (Wish::Nothing, Remedy::Replacement),
            _ => (wait.unwrap_or(Wish::Nothing), Remedy::Later),
        };
        Self { reason, wish, remedy }
    }
}

fn text(error: &Error) -> String {
    match error {
        Error::Api(problem) => describe(problem),
        Error::Timeout(_) => "the authority did not finish in time".to_owned(),
        other => other.to_string(),
    }
}

/// A problem document (RFC 7807) on one line of bounded length: it comes from outside.
pub(super) fn describe(problem: &Problem) -> String {
    let kind = problem.r#type.as_deref().and_then(|it| it.rsplit(':').next()).unwrap_or("error");
    let detail = problem.detail.as_deref().unwrap_or("no detail");
    let mut all = format!("{kind}: {detail}");
    for sub in &problem.subproblems {
        all.push_str(&format!("; {sub}"));
    }
    bounded(&all)
}

/// Text from outside, fit for a line of a log.
pub(super) fn bounded(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST).collect()
}

const LONGEST: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn problem(kind: &str) -> Error {
        let text = format!(
            r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"line one\nline two","status":400}}"#
        );
        Error::Api(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn a_problem_is_one_line_with_its_kind() {
        let failure = Failure::of("new order", problem("rejectedIdentifier"), &Heard::default());
        assert_eq!(failure.reason, "new order: rejectedIdentifier: line one line two");
        assert_eq!((failure.wish, failure.remedy), (Wish::Nothing, Remedy::Later));
    }

    #[test]
    fn limits_and_lost_accounts_are_told_apart() {
        let heard = Heard { retry_after: Some(Duration::from_secs(7)), ..Heard::default() };
        let of = |kind, heard: &Heard| Failure::of("x", problem(kind), heard);
        assert_eq!(of("rateLimited", &Heard::default()).wish, Wish::Less);
        assert_eq!(of("rateLimited", &heard).wish, Wish::Wait(Duration::from_secs(7)));
        assert_eq!(of("accountDoesNotExist", &heard).remedy, Remedy::Account);
        assert_eq!(of("alreadyReplaced", &heard).remedy, Remedy::Replacement);
    }

    #[test]
    fn what_an_authority_says_is_bounded() {
        assert_eq!(bounded(&"x".repeat(10_000)).len(), LONGEST);
    }
}
