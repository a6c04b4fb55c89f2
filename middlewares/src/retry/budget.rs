//! `Budget`: how many requests of a service may be sent again, measured by how many there are, so that repetitions do not
//! become the load that keeps a service down.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration as Span;

use parking_lot::{Mutex, RwLock};
use portcullis_config::Name;
use portcullis_config::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::build::{Defect, is_default};
use crate::metric::{Family, Kind, Metric};
use crate::window::Window;

/// How many requests may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetSettings {
    /// The share of the requests of the last `window` that may be sent again, in percent.
    #[serde(skip_serializing_if = "is_default")]
    pub percent: i64,
    /// How many more may be sent again in each second, so that services with few requests have some, too.
    #[serde(skip_serializing_if = "is_default")]
    pub min_per_second: i64,
    /// The time over which requests and repetitions are compared.
    #[serde(skip_serializing_if = "is_default")]
    pub window: Duration,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { percent: 20, min_per_second: 10, window: Duration::seconds(10) }
    }
}

static EXHAUSTED: Family = Family {
    name: "portcullis_retry_budget_exhausted_total",
    help: "Requests that were not sent again because the budget of their service was used up.",
    kind: Kind::Counter,
};

/// The window consists of so many slots.
const SLOTS: u32 = 10;
const REQUESTS: usize = 0;
const REPETITIONS: usize = 1;

/// The budget of one service.
#[derive(Debug)]
pub(super) struct Budget {
    settings: BudgetSettings,
    begun: Instant,
    counts: Window,
    floor: Mutex<Floor>,
    exhausted: Arc<Metric>,
}

/// Repetitions that are allowed whatever the number of requests: up to those of one second are saved.
#[derive(Debug)]
struct Floor {
    saved: f64,
    /// In nanoseconds since the budget began.
    at: u64,
}

impl Budget {
    fn new(settings: BudgetSettings, middleware: &Name, service: &str) -> Self {
        let window = settings.window.positive().unwrap_or(Span::from_secs(10));
        let labels = [("middleware", middleware.as_str()), ("service", service)];
        Self {
            settings,
            begun: Instant::now(),
            counts: Window::new(SLOTS as usize, window / SLOTS, 2),
            // As if the first moment had passed: the very first failure is no reason to refuse.
            floor: Mutex::new(Floor { saved: 1.0, at: 0 }),
            exhausted: Metric::new(&EXHAUSTED, &labels),
        }
    }

    /// Counts a request that was sent for the first time.
    pub(super) fn deposit(&self) {
        self.counts.add(self.now(), REQUESTS);
    }

    /// Whether a request may be sent again, which is counted.
    pub(super) fn withdraw(&self) -> bool {
        let allowed = self.allows(self.now());
        if !allowed {
            self.exhausted.add();
        }
        allowed
    }

    fn allows(&self, now: u64) -> bool {
        // One lock for both: two failures at once must not share what is left for one.
        let mut floor = self.floor.lock();
        let share = self.settings.percent as f64 / 100.0;
        let earned = self.counts.sum(now, REQUESTS) as f64 * share;
        if (self.counts.sum(now, REPETITIONS) + 1) as f64 <= earned {
            self.counts.add(now, REPETITIONS);
            return true;
        }
        let rate = self.settings.min_per_second as f64;
        let passed = now.saturating_sub(floor.at) as f64 / 1e9;
        floor.saved = (floor.saved + passed * rate).min(rate);
        floor.at = floor.at.max(now);
        let allowed = floor.saved >= 1.0;
        if allowed {
            floor.saved -= 1.0;
        }
        allowed
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Every budget of the process: routers that use one middleware share those of their services.
type All = HashMap<(Arc<str>, Arc<str>), Weak<Budget>>;
static ALL: LazyLock<Mutex<All>> = LazyLock::new(Mutex::default);

/// The budgets of one middleware by service.
#[derive(Debug)]
pub(super) struct Budgets {
    settings: BudgetSettings,
    middleware: Name,
    /// As many as the configuration has services behind the middleware; nearly always one.
    known: RwLock<Known>,
}

/// Budgets by service.
type Known = SmallVec<[(Arc<str>, Arc<Budget>); 1]>;

impl Budgets {
    /// The budgets of the middleware that is called so.
    pub(super) fn new(settings: BudgetSettings, middleware: &Name) -> Result<Self, Defect> {
        for (field, value) in
            [("percent", settings.percent), ("minPerSecond", settings.min_per_second)]
        {
            if value < 0 {
                return Err(format!("budget.{field}: {value} is negative").into());
            }
        }
        let window = settings.window.positive();
        if window.is_none_or(|window| window < Span::from_secs(1)) {
            return Err(format!("budget.window: {} is less than 1s", settings.window).into());
        }
        Ok(Self { settings, middleware: middleware.clone(), known: RwLock::default() })
    }

    /// The budget of a service.
    pub(super) fn of(&self, service: Option<Arc<str>>) -> Arc<Budget> {
        let service = service.unwrap_or_default();
        let known = self.known.read();
        if let Some((_, budget)) = known.iter().find(|(name, _)| *name == service) {
            return Arc::clone(budget);
        }
        drop(known);
        let budget = self.shared(&service);
        self.known.write().push((service, Arc::clone(&budget)));
        budget
    }

    fn shared(&self, service: &Arc<str>) -> Arc<Budget> {
        let mut all = ALL.lock();
        if all.len() == all.capacity() {
            all.retain(|_, budget| budget.strong_count() > 0);
        }
        let key = (self.middleware.shared(), Arc::clone(service));
        let known = all.get(&key).and_then(Weak::upgrade);
        known.filter(|budget| budget.settings == self.settings).unwrap_or_else(|| {
            let budget = Arc::new(Budget::new(self.settings, &self.middleware, service));
            all.insert(key, Arc::downgrade(&budget));
            budget
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn budgets(settings: BudgetSettings, name: &str) -> Budgets {
        Budgets::new(settings, &Name::verbatim(name)).unwrap()
    }

    fn budget(name: &str) -> Arc<Budget> {
        budgets(BudgetSettings::default(), name).of(Some("s@file".into()))
    }

    #[test]
    fn a_share_of_the_requests_and_some_more_may_be_sent_again() {
        let budget = budget("share@file");
        (0..1000).for_each(|_| budget.counts.add(0, REQUESTS));
        let allowed = (0..1000).filter(|_| budget.allows(0)).count();
        assert_eq!(allowed, 201);
        let allowed = (0..1000).filter(|_| budget.allows(SECOND)).count();
        assert_eq!(allowed, 10);
        // What nobody used for a long time is not saved.
        let allowed = (0..1000).filter(|_| budget.allows(60 * SECOND)).count();
        assert_eq!(allowed, 10);
    }

    #[test]
    fn over_time_no_more_than_that_is_spent() {
        let budget = budget("time@file");
        let mut repeated = 0;
        for second in 0..60 {
            for step in 0..50 {
                let now = second * SECOND + step * SECOND / 50;
                budget.counts.add(now, REQUESTS);
                repeated += u32::from(budget.allows(now));
            }
        }
        assert!(repeated <= 3000 / 5 + 60 * 10 + 1, "{repeated}");
        assert!(repeated > 1150, "{repeated}");
    }

    #[test]
    fn budgets_are_of_a_middleware_and_a_service() {
        let (one, other) = (budgets(BudgetSettings::default(), "a@file"), budget("a@file"));
        assert!(Arc::ptr_eq(&one.of(Some("s@file".into())), &other));
        assert!(!Arc::ptr_eq(&one.of(Some("t@file".into())), &other));
        assert!(!Arc::ptr_eq(&budget("b@file"), &other));
        let settings = BudgetSettings { percent: 10, ..BudgetSettings::default() };
        let changed = budgets(settings, "a@file").of(Some("s@file".into()));
        assert!(!Arc::ptr_eq(&changed, &other));
    }

    #[test]
    fn without_a_floor_only_the_share_counts() {
        let settings = BudgetSettings { min_per_second: 0, ..BudgetSettings::default() };
        let budget = budgets(settings, "floorless@file").of(None);
        budget.floor.lock().saved = 0.0;
        assert!(!budget.allows(0));
        (0..5).for_each(|_| budget.counts.add(0, REQUESTS));
        assert!(budget.allows(0));
        assert!(!budget.allows(9 * SECOND));
    }
}
