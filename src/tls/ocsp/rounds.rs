//! The one task that asks: looks which certificates there are, asks about those that are due, and gives them the answers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use indexmap::IndexMap;

use super::answer::{Answer, Verdict};
use super::board::{Board, Standing, State};
use super::schedule;
use super::subject::Subject;
use crate::tls::acme::https::{Boxed, Https, in_full};
use crate::tls::certificate::Certificate;
use crate::tls::offered::Offered;

/// How many questions are under way at once.
const AT_ONCE: usize = 8;

/// Answers are of two kilobytes, with the certificate of a delegate.
const LARGEST: usize = 64 * 1024;

/// The clock may be set: nobody sleeps for longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The certificates, the answers and the questions.
pub(super) struct Rounds {
    offered: Offered,
    https: Https,
    overrides: IndexMap<String, String>,
    board: Arc<Board>,
    entries: HashMap<Arc<str>, Entry>,
    /// Which certificate is asked about when.
    queue: BTreeSet<(i64, Arc<str>)>,
}

/// A certificate that somebody can be asked about.
struct Entry {
    /// Equal ones, by the chain that comes with them.
    certificates: Vec<Arc<Certificate>>,
    /// The one of them with the issuer in its chain.
    source: Arc<Certificate>,
    subject: Arc<Subject>,
    answer: Option<Answer>,
    failures: u32,
    error: Option<String>,
    due: i64,
}

/// What came of a question: the bytes of an answer that was believed, or why there is none.
type Outcome = (Arc<str>, Result<Answer, String>);

impl Rounds {
    pub(super) fn new(
        offered: Offered,
        https: Https,
        overrides: IndexMap<String, String>,
        board: Arc<Board>,
    ) -> Self {
        let (entries, queue) = (HashMap::new(), BTreeSet::new());
        Self { offered, https, overrides, board, entries, queue }
    }

    /// Asks for as long as the process lives.
    pub(super) async fn run(mut self) {
        let offered = self.offered.clone();
        let mut asking: FuturesUnordered<Boxed<Outcome>> = FuturesUnordered::new();
        loop {
            self.look();
            let changed = offered.changed();
            tokio::pin!(changed);
            loop {
                while asking.len() < AT_ONCE
                    && let Some(question) = self.next(now())
                {
                    asking.push(question);
                }
                let pause = self.pause(asking.len());
                tokio::select! {
                    () = &mut changed => break,
                    Some((name, outcome)) = asking.next() => self.take(&name, outcome),
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    /// How long there is nothing to ask.
    fn pause(&self, asking: usize) -> Duration {
        let Some((due, _)) = self.queue.first().filter(|_| asking < AT_ONCE) else {
            return LONGEST_SLEEP;
        };
        let left = due.saturating_sub(now()).max(1).unsigned_abs();
        Duration::from_secs(left).min(LONGEST_SLEEP)
    }

    /// Finds out which certificates there are; known ones keep their answers.
    fn look(&mut self) {
        let store = self.offered.live().load();
        let mut present: HashMap<&str, Vec<Arc<Certificate>>> = HashMap::new();
        for certificate in store.certificates() {
            present.entry(&certificate.facts().name).or_default().push(Arc::clone(certificate));
        }
        self.entries.retain(|name, _| present.contains_key(&**name));
        let entries = &self.entries;
        self.queue.retain(|(_, name)| entries.contains_key(name));
        self.board.retain(|name| present.contains_key(name));
        for (name, certificates) in present {
            match self.entries.get_mut(name) {
                Some(entry) => entry.belongs_to(certificates),
                None => self.add(name, certificates),
            }
        }
    }

    fn add(&mut self, name: &str, certificates: Vec<Arc<Certificate>>) {
        // Of equal certificates, one may come without its issuer.
        let subject = |it: &Arc<Certificate>| {
            Subject::of(it.chain(), &self.overrides).map(|subject| (subject, Arc::clone(it)))
        };
        let found = certificates.iter().map(subject).reduce(|one, other| one.or(other));
        let (subject, source) = match found {
            Some(Ok(found)) => found,
            Some(Err(unfit)) => {
                tracing::debug!(certificate = name, "no OCSP answer: {unfit}");
                return self.board.write(name, Standing::unsupported(unfit.to_string()));
            }
            None => return,
        };
        let (name, due): (Arc<str>, _) = (name.into(), now());
        let entry = Entry {
            certificates,
            source,
            subject: Arc::new(subject),
            answer: None,
            failures: 0,
            error: None,
            due,
        };
        self.board.write(&name, entry.standing());
        self.queue.insert((due, Arc::clone(&name)));
        self.entries.insert(name, entry);
    }

    /// The question that is due, as a future.
    fn next(&mut self, now: i64) -> Option<Boxed<Outcome>> {
        if self.queue.first()?.0 > now {
            return None;
        }
        let (_, name) = self.queue.pop_first()?;
        let entry = self.entries.get(&name)?;
        let (source, subject) = (Arc::clone(&entry.source), Arc::clone(&entry.subject));
        let https = self.https.clone();
        Some(Box::pin(async move { (name, ask(&https, &subject, &source).await) }))
    }

    /// Notes what came of a question, unless the certificate has gone meanwhile.
    fn take(&mut self, name: &Arc<str>, outcome: Result<Answer, String>) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let (now, jitter) = (now(), fastrand::f64());
        // A certificate that went and came back meanwhile is in the queue, too.
        self.queue.remove(&(entry.due, Arc::clone(name)));
        match outcome {
            Ok(answer) => {
                self.board.count(|counts| match answer.verdict {
                    Verdict::Good => counts.good += 1,
                    Verdict::Revoked(..) => counts.revoked += 1,
                });
                entry.due = schedule::renewal(&answer, now, jitter);
                entry.accept(answer);
            }
            Err(error) => {
                self.board.count(|counts| counts.failed += 1);
                entry.fail(error, now);
                entry.due = schedule::retry(entry.failures, now, jitter);
            }
        }
        self.queue.insert((entry.due, Arc::clone(name)));
        self.board.write(name, entry.standing());
    }
}

impl Entry {
    /// Takes other copies of the certificate, which get the answer at once.
    fn belongs_to(&mut self, certificates: Vec<Arc<Certificate>>) {
        let same = |one: &[Arc<Certificate>], other: &[Arc<Certificate>]| {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if !same(&self.certificates, &certificates) {
            self.certificates = certificates;
            self.staple();
        }
    }

    fn staple(&self) {
        let good = self.answer.as_ref().filter(|answer| answer.verdict == Verdict::Good);
        for certificate in &self.certificates {
            certificate.staple(good.map(|answer| (&*answer.bytes, schedule::shown_until(answer))));
        }
    }

    /// Takes an answer, unless an older one comes out of somebody's cache.
    fn accept(&mut self, answer: Answer) {
        let names = self.names();
        let again = std::mem::take(&mut self.failures) > 0;
        self.error = None;
        if self.answer.as_ref().is_some_and(|held| held.begins > answer.begins) {
            return tracing::debug!(names, "the OCSP answer is older than the last one");
        }
        match &answer.verdict {
            Verdict::Good if again => {
                tracing::info!(names, "there is an OCSP answer for the certificate again");
            }
            Verdict::Good => tracing::debug!(names, "got an OCSP answer for the certificate"),
            Verdict::Revoked(since, reason) => {
                let since = jiff::Timestamp::from_second(*since).unwrap_or_default();
                let reason = reason.as_deref().unwrap_or("for no stated reason");
                tracing::error!(
                    names,
                    "the issuer has revoked the certificate at {since} ({reason}); clients refuse it, so replace it"
                );
            }
        }
        self.answer = Some(answer);
        self.staple();
    }

    /// Notes a failure. An answer from before is shown to its end.
    fn fail(&mut self, error: String, now: i64) {
        let names = self.names();
        self.failures = self.failures.saturating_add(1);
        if self.error.as_ref() != Some(&error) {
            tracing::warn!(names, "no OCSP answer for the certificate: {error}");
        }
        self.error = Some(error);
        if self.answer.as_ref().is_some_and(|answer| answer.ends <= now) {
            self.answer = None;
            self.staple();
        }
    }

    fn names(&self) -> String {
        self.certificates.first().map(|it| it.names().join(",")).unwrap_or_default()
    }

    fn standing(&self) -> Standing {
        let state = match self.answer.as_ref().map(|answer| &answer.verdict) {
            Some(Verdict::Good) => State::Good,
            Some(Verdict::Revoked(..)) => State::Revoked,
            None if self.failures > 0 => State::Failing,
            None => State::Waiting,
        };
        let shown = self.answer.as_ref().filter(|_| state == State::Good);
        Standing {
            state,
            shown_until: shown.map(schedule::shown_until),
            ends: self.answer.as_ref().map(|answer| answer.ends),
            next_attempt: Some(self.due),
            failures: self.failures,
            error: self.error.clone(),
        }
    }
}

impl Standing {
    fn unsupported(error: String) -> Self {
        Self {
            state: State::Unsupported,
            shown_until: None,
            ends: None,
            next_attempt: None,
            failures: 0,
            error: Some(error),
        }
    }
}

/// Asks one responder after the other until one gives an answer to believe; otherwise, what the last one said.
async fn ask(https: &Https, subject: &Subject, source: &Certificate) -> Result<Answer, String> {
    let question = subject.question().map_err(|error| error.to_string())?;
    let issuer = source.chain().get(subject.issuer).ok_or("the issuer is missing")?;
    let mut error = String::new();
    for responder in &subject.responders {
        match answer_of(https, responder, question.clone()).await {
            Ok(bytes) => match Answer::check(&bytes, &subject.id, issuer, now()) {
                Ok(answer) => return Ok(answer),
                Err(bad) => error = format!("{responder}: {bad}"),
            },
            Err(failure) => error = format!("{responder}: {failure}"),
        }
    }
    Err(error)
}

/// RFC 6960 appendix A.1.
async fn answer_of(https: &Https, responder: &str, question: Bytes) -> Result<Bytes, String> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(responder)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-request"))
        .header(ACCEPT, HeaderValue::from_static("application/ocsp-response"))
        .body(Full::new(question))
        .map_err(|error| format!("is no URL: {error}"))?;
    let response = https.send(request).await.map_err(|error| in_full(&error))?;
    let (status, body) = (response.status(), response.into_body());
    match body.len() {
        _ if !status.is_success() => Err(format!("answered {status}")),
        size if size > LARGEST => Err(format!("answered {size} bytes; expected {LARGEST} or less")),
        _ => Ok(body),
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
