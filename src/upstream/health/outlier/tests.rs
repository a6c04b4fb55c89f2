use std::collections::HashSet;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn servers(count: usize) -> Vec<(Arc<str>, Arc<Standing>)> {
    (0..count).map(|index| (format!("http://{index}").into(), Arc::default())).collect()
}

fn outlier(change: impl FnOnce(&mut Ejection)) -> Outlier {
    let mut settings = Ejection { jitter: 0, ..Ejection::default() };
    change(&mut settings);
    Outlier::new(&settings).unwrap()
}

fn answer(status: u16) -> Response {
    Response::new(StatusCode::from_u16(status).unwrap(), "")
}

fn please_wait(seconds: &'static str) -> Response {
    answer(429).with(RETRY_AFTER, http::HeaderValue::from_static(seconds))
}

/// The time of all answers, behind the beginning of the clock of standings.
fn begin() -> Instant {
    now(Instant::now());
    Instant::now()
}

/// The probe of a server, which must be due.
fn probe(server: &Arc<Standing>) -> Probe {
    match Conduct::enter(server) {
        Entry::Probe(probe) => probe,
        other => panic!("no probe: {other:?}"),
    }
}

/// Has the time of an ejected server be over.
fn end_time(server: &Standing) {
    let often = server.conduct.ejections(0, SECOND * 60);
    server.conduct.eject(1, often);
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_does_not_count() {
    let (outlier, servers, at) = (outlier(|it| it.consecutive_failures = 3), servers(2), begin());
    let note = |status| outlier.note(&answer(status), &servers[0].1, None, &servers, at);
    for status in [500, 502, 200, 503, 500] {
        assert_eq!(note(status), None);
    }
    assert_eq!(note(599), Some(Reason::Consecutive));
    assert!(!servers[0].1.is_up() && !servers[0].1.is_well());
    // Answers that come late change nothing.
    assert_eq!(note(200), None);
    assert!(!servers[0].1.is_up());
}

#[test]
fn a_small_share_of_successes_ejects() {
    let outlier = outlier(|it| {
        it.consecutive_failures = 0;
        it.success_rate = 80;
        it.min_requests = 10;
    });
    let (servers, at) = (servers(2), begin());
    let note = |status| outlier.note(&answer(status), &servers[0].1, None, &servers, at);
    for round in 0..100 {
        assert_eq!(note(if round % 5 == 4 { 500 } else { 200 }), None, "{round}");
    }
    assert_eq!(note(500), Some(Reason::SuccessRate));
    let few = |status| outlier.note(&answer(status), &servers[1].1, None, &servers[1..], at);
    (0..9).for_each(|_| assert_eq!(few(500), None));
}

#[test]
fn a_share_of_the_servers_stays() {
    let (outlier, at) = (outlier(|it| it.consecutive_failures = 1), begin());
    for (count, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (9, 4)] {
        let servers = servers(count);
        for (_, server) in &servers {
            outlier.note(&answer(500), server, None, &servers, at);
        }
        let out = servers.iter().filter(|(_, server)| server.conduct.is_ejected()).count();
        assert_eq!(out, most, "of {count}");
    }
}

#[test]
fn one_request_tries_and_a_success_lets_in() {
    let (outlier, servers, at) = (outlier(|it| it.consecutive_failures = 1), servers(2), begin());
    let server = &servers[0].1;
    outlier.note(&answer(500), server, None, &servers, at);
    assert!(matches!(Conduct::enter(server), Entry::Closed));
    end_time(server);
    assert!(server.is_up());
    let trying = probe(server);
    assert!(!server.is_up());
    assert!(matches!(Conduct::enter(server), Entry::Closed));
    // Given up without an answer: the next one tries.
    drop(trying);
    let trying = probe(server);
    assert_eq!(outlier.note(&answer(204), server, Some(trying), &servers, at), None);
    assert!(server.is_up() && server.is_well());
    assert!(matches!(Conduct::enter(server), Entry::Open));
}

#[test]
fn each_failed_try_doubles_the_time() {
    let (outlier, servers, at) = (outlier(|it| it.consecutive_failures = 1), servers(2), begin());
    let server = &servers[0].1;
    let until = |span| now(at + span);
    outlier.note(&answer(500), server, None, &servers, at);
    assert_eq!(server.conduct.until(), until(SECOND));
    for expected in [2, 4, 8, 16, 32, 60, 60] {
        end_time(server);
        let trying = Some(probe(server));
        assert_eq!(outlier.note(&answer(500), server, trying, &servers, at), Some(Reason::Probe));
        assert_eq!(server.conduct.until(), until(SECOND * expected));
    }
    // Let in, and failing again soon: as long as before. After a minute without failures it is forgotten.
    for (later, expected) in [(SECOND, 60), (SECOND * 62, 1)] {
        end_time(server);
        outlier.note(&answer(200), server, Some(probe(server)), &servers, at);
        outlier.note(&answer(500), server, None, &servers, at + later);
        assert_eq!(server.conduct.until(), now(at + later + SECOND * expected));
    }
}

#[test]
fn times_vary_at_random() {
    let outlier = outlier(|it| (it.consecutive_failures, it.jitter) = (1, 50));
    let at = begin();
    let times: HashSet<u64> = (0..20)
        .map(|_| {
            let servers = servers(2);
            outlier.note(&answer(500), &servers[0].1, None, &servers, at);
            let time = servers[0].1.conduct.until() - now(at);
            assert!((1_000_000_000..=1_500_000_001).contains(&time), "{time}");
            time
        })
        .collect();
    assert!(times.len() > 10);
}

#[test]
fn whoever_asks_for_a_rest_gets_it_if_wanted() {
    let at = begin();
    let plain = outlier(|_| {});
    let all = servers(2);
    (0..20).for_each(|_| {
        assert_eq!(plain.note(&please_wait("7"), &all[0].1, None, &all, at), None);
    });
    let heeding = outlier(|it| it.too_many_requests = true);
    let note = |response: &Response| heeding.note(response, &all[0].1, None, &all, at);
    (0..4).for_each(|_| assert_eq!(note(&answer(429)), None));
    assert_eq!(note(&answer(429)), Some(Reason::Consecutive));
    let all = servers(2);
    let note = |response: &Response| heeding.note(response, &all[0].1, None, &all, at);
    assert_eq!(note(&please_wait("7")), Some(Reason::TooManyRequests));
    assert_eq!(all[0].1.conduct.until(), now(at + SECOND * 7));
    let all = servers(2);
    heeding.note(&please_wait("86400"), &all[0].1, None, &all, at);
    assert_eq!(all[0].1.conduct.until(), now(at + SECOND * 60));
}

#[test]
fn with_too_few_left_ejections_are_not_heeded() {
    let (outlier, servers, at) = (outlier(|it| it.consecutive_failures = 1), servers(4), begin());
    for (_, server) in &servers[..2] {
        outlier.note(&answer(500), server, None, &servers, at);
    }
    assert!(!outlier.panics(&servers));
    servers[3].1.set_up(false);
    assert!(outlier.panics(&servers));
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let error = |change: fn(&mut Ejection)| {
        let mut settings = Ejection::default();
        change(&mut settings);
        Outlier::new(&settings).unwrap_err()
    };
    assert!(error(|it| it.max_percent = 101).starts_with("ejection.maxPercent: 101"));
    assert!(error(|it| it.jitter = -1).contains("jitter"));
    assert!(error(|it| it.consecutive_failures = -1).contains("consecutiveFailures"));
    assert!(error(|it| it.base_time = units::Duration::default()).contains("baseTime"));
}
