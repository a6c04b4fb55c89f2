//! `Weighted`: shares connections out among services by their weights.

use std::sync::Arc;

use super::server::Server;
use super::service::{Service, Tried};
use crate::upstream::balance::wrr::Wrr;

/// Shares connections out among services by their weights.
#[derive(Debug)]
pub struct Weighted {
    children: Vec<Child>,
    turns: Arc<Wrr>,
    is_checked: bool,
}

/// A child with a weight above 0.
#[derive(Clone, Debug)]
pub struct Child {
    /// As its parent names it.
    pub name: Box<str>,
    /// Its share.
    pub weight: f64,
    /// The service.
    pub service: Arc<Service>,
}

/// Whether a parent wants to know the health of its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Each of them must have a health check.
    Children,
    /// It does not.
    Nothing,
}

impl Weighted {
    /// Shares out among `children`. `previous` is the same service in the snapshot before: its position lives on.
    pub fn new(
        children: Vec<Child>,
        watch: Watch,
        previous: Option<&Self>,
    ) -> Result<Self, String> {
        if watch == Watch::Children
            && let Some(child) = children.iter().find(|child| !child.service.is_checked())
        {
            return Err(format!(
                "healthCheck: the child `{}` has no health check of its own",
                child.name
            ));
        }
        let weights: Vec<f64> = children.iter().map(|child| child.weight).collect();
        let turns = match previous {
            None => Arc::new(Wrr::new(&weights)),
            Some(previous) if same(&children, &previous.children) => Arc::clone(&previous.turns),
            Some(previous) => {
                let before =
                    |child: &Child| previous.children.iter().position(|it| it.name == child.name);
                let earlier: Vec<_> = children.iter().map(before).collect();
                Arc::new(Wrr::after(&previous.turns, &weights, &earlier))
            }
        };
        Ok(Self { children, turns, is_checked: watch == Watch::Children })
    }

    /// Whether a child has a server that is up and was not tried.
    pub fn has(&self, tried: &Tried) -> bool {
        self.children.iter().any(|child| child.service.has(tried))
    }

    /// A server of the child whose turn it is. A child without a usable server is passed over.
    pub fn pick(&self, tried: &Tried) -> Option<Arc<Server>> {
        let has = |index: usize| self.children.get(index).is_some_and(|it| it.service.has(tried));
        let child = self.turns.pick(has).and_then(|index| self.children.get(index))?;
        child.service.pick(tried)
    }

    /// Whether it tells of its health.
    pub fn is_checked(&self) -> bool {
        self.is_checked
    }
}

fn same(children: &[Child], previous: &[Child]) -> bool {
    let key = |child: &Child| (child.name.clone(), child.weight.to_bits());
    children.iter().map(key).eq(previous.iter().map(key))
}
