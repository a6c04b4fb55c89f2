//! What is to be ordered now, and when to look again: decided from what is wanted and held, without asking anybody.

use std::collections::HashSet;

use super::Wanted;
use super::names::Names;

/// What a decision is made from. Times are seconds since 1970.
pub(super) struct View<'a> {
    /// What routers and the default store want of this resolver.
    pub(super) wanted: &'a [Wanted],
    /// The certificates that this resolver obtained.
    pub(super) held: &'a [Holding<'a>],
    /// Whether any valid certificate, also a user's, is for a name.
    pub(super) covered: &'a dyn Fn(&str) -> bool,
    /// The sets of names whose orders run.
    pub(super) running: &'a [Names],
    /// Until when nothing is ordered for a set of names, by its key.
    pub(super) paused: &'a dyn Fn(&str) -> Option<i64>,
    pub(super) now: i64,
}

/// One certificate that the resolver obtained.
pub(super) struct Holding<'a> {
    pub(super) names: &'a Names,
    pub(super) expires: i64,
    /// When it is to be renewed.
    pub(super) due: i64,
}

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What to order; with the index of the certificate that is replaced.
    pub(super) orders: Vec<(Names, Option<usize>)>,
    /// What is to be ordered later, since it failed or is paused.
    pub(super) later: Vec<Names>,
    /// The certificates that routers need, by index.
    pub(super) in_use: Vec<usize>,
    /// When to look again; `i64::MAX` = when something changes.
    pub(super) next: i64,
}

impl Plan {
    /// Decides.
    pub(super) fn new(view: &View<'_>) -> Self {
        let mut plan = Self { next: i64::MAX, ..Self::default() };
        let mut taken: HashSet<String> =
            view.running.iter().flat_map(Names::iter).map(str::to_owned).collect();
        plan.renew(view);
        for wanted in view.wanted {
            let is_needed = |name: &&str| !is_taken(&taken, name) && !(view.covered)(name);
            let needed = if wanted.whole {
                whole(wanted, view)
            } else {
                Names::new(wanted.names.iter().filter(is_needed))
            };
            let Some(needed) = needed else { continue };
            taken.extend(needed.iter().map(str::to_owned));
            plan.order(view, needed, None);
        }
        plan
    }

    fn renew(&mut self, view: &View<'_>) {
        let used = Used::of(view.wanted);
        for (index, holding) in view.held.iter().enumerate() {
            if !holding.names.iter().any(|name| used.contains(name)) {
                continue;
            }
            self.in_use.push(index);
            // What is expired is ordered anew with what is missing.
            if holding.expires <= view.now {
                continue;
            }
            // When it expires unrenewed, its names are missing.
            self.next = self.next.min(holding.expires);
            if holding.due > view.now {
                self.next = self.next.min(holding.due);
            } else if !is_running(view, holding.names) {
                self.order(view, holding.names.clone(), Some(index));
            }
        }
    }

    fn order(&mut self, view: &View<'_>, names: Names, replaces: Option<usize>) {
        match (view.paused)(&names.key()).filter(|until| *until > view.now) {
            Some(until) => {
                self.next = self.next.min(until);
                self.later.push(names);
            }
            None => self.orders.push((names, replaces)),
        }
    }
}

/// Whether an order for `name`, or for the wildcard over it, runs or is planned.
fn is_taken(taken: &HashSet<String>, name: &str) -> bool {
    let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
    taken.contains(name) || wildcard.is_some_and(|wildcard| taken.contains(&wildcard))
}

fn is_running(view: &View<'_>, names: &Names) -> bool {
    let key = names.key();
    view.running.iter().any(|running| running.key() == key)
}

/// A default certificate is found by its names, so it is ordered with all of them or not at all.
fn whole(wanted: &Wanted, view: &View<'_>) -> Option<Names> {
    let key = wanted.names.key();
    let held = view.held.iter().any(|it| it.expires > view.now && it.names.key() == key);
    (!held && !is_running(view, &wanted.names)).then(|| wanted.names.clone())
}

/// The names that are wanted, to tell which certificates are needed.
struct Used<'a> {
    names: HashSet<&'a str>,
    parents: HashSet<&'a str>,
}

impl<'a> Used<'a> {
    fn of(wanted: &'a [Wanted]) -> Self {
        let names: HashSet<&str> = wanted.iter().flat_map(|it| it.names.iter()).collect();
        let parents = names.iter().filter_map(|name| Some(name.split_once('.')?.1)).collect();
        Self { names, parents }
    }

    fn contains(&self, pattern: &str) -> bool {
        let parent = pattern.strip_prefix("*.");
        self.names.contains(pattern) || parent.is_some_and(|it| self.parents.contains(it))
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::covers;
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        let names = Names::new(names).unwrap();
        Wanted { resolver: "le".into(), names, by: "r@file".into(), whole: false }
    }

    fn names(names: &[&str]) -> Names {
        Names::new(names).unwrap()
    }

    fn decide(
        wanted: &[Wanted],
        held: &[(Names, i64, i64)],
        running: &[Names],
        paused: &str,
    ) -> Plan {
        let now = 1000;
        let held: Vec<_> = held
            .iter()
            .map(|(names, due, expires)| Holding { names, due: *due, expires: *expires })
            .collect();
        let covered = |name: &str| {
            let valid = |it: &&Holding<'_>| it.expires > now;
            name == "user.test"
                || held.iter().filter(valid).any(|it| it.names.iter().any(|own| covers(own, name)))
        };
        let pause = |key: &str| (key == paused).then_some(1500);
        let view = View { wanted, held: &held, covered: &covered, running, paused: &pause, now };
        Plan::new(&view)
    }

    #[test]
    fn what_is_missing_is_ordered_once() {
        let all = [
            wanted(&["a.test", "b.test"]),
            wanted(&["b.test", "a.test"]),
            wanted(&["b.test", "c.test"]),
        ];
        let plan = decide(&all, &[], &[], "");
        assert_eq!(plan.orders, [(names(&["a.test", "b.test"]), None), (names(&["c.test"]), None)]);
    }

    #[test]
    fn what_somebody_covers_is_not_ordered() {
        let held = [(names(&["*.wild.test"]), 2000, 3000)];
        let all =
            [wanted(&["user.test"]), wanted(&["x.wild.test"]), wanted(&["user.test", "a.test"])];
        let plan = decide(&all, &held, &[], "");
        assert_eq!(plan.orders, [(names(&["a.test"]), None)]);
        assert_eq!(plan.next, 2000);
    }

    #[test]
    fn what_is_due_is_renewed_with_its_own_names_if_somebody_wants_it() {
        let held = [
            (names(&["a.test", "b.test"]), 900, 3000),
            (names(&["gone.test"]), 900, 3000),
            (names(&["*.wild.test"]), 900, 3000),
        ];
        let plan = decide(&[wanted(&["a.test"]), wanted(&["x.wild.test"])], &held, &[], "");
        assert_eq!(
            plan.orders,
            [(names(&["a.test", "b.test"]), Some(0)), (names(&["*.wild.test"]), Some(2))]
        );
        assert_eq!(plan.in_use, [0, 2]);
    }

    #[test]
    fn an_expired_certificate_is_ordered_anew_once() {
        let held = [(names(&["a.test"]), 500, 900)];
        let plan = decide(&[wanted(&["a.test"])], &held, &[], "");
        assert_eq!(plan.orders, [(names(&["a.test"]), None)]);
    }

    #[test]
    fn what_runs_is_not_ordered_again() {
        let held = [(names(&["a.test"]), 900, 3000)];
        let all = [wanted(&["a.test"]), wanted(&["b.test", "c.test"])];
        let plan = decide(&all, &held, &[names(&["a.test"]), names(&["c.test", "b.test"])], "");
        assert!(plan.orders.is_empty(), "{plan:?}");
    }

    #[test]
    fn what_failed_waits() {
        let plan = decide(
            &[wanted(&["b.test", "a.test"]), wanted(&["c.test"])],
            &[],
            &[],
            "a.test,b.test",
        );
        assert_eq!(plan.orders, [(names(&["c.test"]), None)]);
        assert_eq!((plan.later, plan.next), (vec![names(&["b.test", "a.test"])], 1500));
    }

    #[test]
    fn a_default_certificate_is_ordered_whole() {
        let mut default = wanted(&["user.test", "a.test"]);
        default.whole = true;
        let plan = decide(&[default.clone()], &[], &[], "");
        assert_eq!(plan.orders, [(names(&["user.test", "a.test"]), None)]);
        let held = [(names(&["a.test", "user.test"]), 2000, 3000)];
        assert!(decide(&[default], &held, &[], "").orders.is_empty());
    }
}
