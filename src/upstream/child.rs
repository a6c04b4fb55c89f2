//! `Child`: a service within a composite one.

use std::sync::Arc;

use super::balancer::Reports;
use super::service::Service;

/// A service within a composite one.
#[derive(Debug)]
pub struct Child {
    /// Its name as the user wrote it.
    pub name: Arc<str>,
    /// Its share, above 0.
    pub weight: f64,
    /// The service.
    pub service: Arc<Service>,
}

/// Children for requests to choose from, and whether their health is watched.
#[derive(Debug)]
pub struct Children {
    children: Vec<Child>,
    watched: Reports,
}

impl Children {
    /// Leaves out those with a weight of 0 or less. With [`Reports::Health`] children that are down are passed over, for
    /// which all of them must report.
    pub fn new(
        all: Vec<(String, Option<i64>, Arc<Service>)>,
        watched: Reports,
    ) -> Result<Self, String> {
        let mut children = Vec::new();
        for (name, weight, service) in all {
            if watched == Reports::Health {
                must_report(&name, &service)?;
            }
            let weight = weight.unwrap_or(1);
            if weight > 0 {
                children.push(Child { name: name.into(), weight: weight as f64, service });
            }
        }
        Ok(Self { children, watched })
    }

    /// The children.
    pub fn all(&self) -> &[Child] {
        &self.children
    }

    /// The child at `index`, unless it is known to be down.
    pub fn usable(&self, index: usize) -> Option<&Child> {
        let child = self.children.get(index)?;
        (self.watched == Reports::Nothing || child.service.is_up()).then_some(child)
    }

    /// Whether a child can answer, as far as is watched.
    pub fn is_up(&self) -> bool {
        (0..self.children.len()).any(|index| self.usable(index).is_some())
    }

    /// Whether health is watched, and so told.
    pub fn watched(&self) -> Reports {
        self.watched
    }
}

/// Refuses a child that does not tell of its health.
pub fn must_report(name: &str, service: &Service) -> Result<(), String> {
    match service.reports() {
        Reports::Health => Ok(()),
        Reports::Nothing => Err(format!(
            "service `{name}` does not report its health; it needs a healthCheck of its own"
        )),
    }
}
