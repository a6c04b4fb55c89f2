//! How the wanted certificates of a resolver stand, for the board.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::super::Wanted;
use super::super::board::{Standing, State};
use super::super::names::Names;
use super::super::plan::Plan;
use super::Rounds;

impl Rounds {
    /// Writes down how every wanted certificate stands.
    pub(super) fn report(&self, wanted: &[Wanted], plan: &Plan, now: i64) {
        let users = Users::of(wanted);
        let mut standings: Vec<Standing> = Vec::new();
        for index in &plan.in_use {
            let Some(held) = self.held.get(*index) else { continue };
            let holding = self.holding(held);
            let mut standing = self.standing(holding.names, &users, State::Valid, now);
            standing.renewal = Some(holding.due);
            standing.expires = Some(holding.expires);
            standings.push(standing);
        }
        let missing = plan.orders.iter().map(|(names, _)| names).chain(&plan.later);
        let mut known: HashSet<String> = plan
            .in_use
            .iter()
            .filter_map(|it| Some(self.held.get(*it)?.entry.names.key()))
            .collect();
        for names in missing.chain(&self.ordering) {
            if known.insert(names.key()) {
                standings.push(self.standing(names, &users, State::Waiting, now));
            }
        }
        self.board.write(&self.office.name, standings);
    }

    fn standing(&self, names: &Names, users: &Users<'_>, state: State, now: i64) -> Standing {
        let key = names.key();
        let trouble = self.troubles.get(&key);
        let failures = trouble.map_or(0, |trouble| trouble.failures);
        let is_running = self.ordering.iter().any(|running| running.key() == key);
        let state = match state {
            State::Valid if is_running => State::Renewing,
            _ if is_running => State::Ordering,
            _ if failures > 0 || (self.unusable.is_some() && state != State::Valid) => {
                State::Failing
            }
            other => other,
        };
        let left = trouble.map(|it| it.until.saturating_duration_since(Instant::now()).as_secs());
        Standing {
            resolver: Arc::clone(&self.office.name),
            names: names.iter().map(str::to_owned).collect(),
            state,
            renewal: None,
            expires: None,
            failures,
            error: trouble.map(|it| it.reason.clone()).or_else(|| self.unusable.clone()),
            next_attempt: left.map(|seconds| now + seconds as i64),
            used_by: users.of_certificate(names),
        }
    }
}

/// Who wants which name.
struct Users<'a> {
    by_name: HashMap<&'a str, Vec<&'a str>>,
    by_parent: HashMap<&'a str, Vec<&'a str>>,
}

impl<'a> Users<'a> {
    fn of(wanted: &'a [Wanted]) -> Self {
        let mut users = Self { by_name: HashMap::new(), by_parent: HashMap::new() };
        for wish in wanted {
            for name in wish.names.iter() {
                users.by_name.entry(name).or_default().push(&wish.by);
                if let Some((_, parent)) = name.split_once('.') {
                    users.by_parent.entry(parent).or_default().push(&wish.by);
                }
            }
        }
        users
    }

    fn of_certificate(&self, names: &Names) -> Vec<String> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        for name in names.iter() {
            found.extend(self.by_name.get(name).into_iter().flatten().copied());
            let below = name.strip_prefix("*.").and_then(|parent| self.by_parent.get(parent));
            found.extend(below.into_iter().flatten().copied());
        }
        found.into_iter().map(str::to_owned).collect()
    }
}
