//! Middlewares: settings to steps, one instance for each router, kept while router and settings stay equal.

use std::sync::Arc;

use portcullis_config::Name;
use portcullis_config::problem::{Kind, Problem};
use portcullis_middlewares::{Build, Defect, NOT_SERVED, Step};

use super::Compiling;

/// A middleware that is being compiled for one router.
struct Building<'b, 'a> {
    compiling: &'b mut Compiling<'a>,
    owner: &'b Arc<str>,
    name: Name,
    /// The middlewares that named each other on the way here.
    path: Vec<Name>,
}

impl Build for Building<'_, '_> {
    fn name(&self) -> &Name {
        &self.name
    }

    fn owner(&self) -> &str {
        self.owner
    }

    fn middleware(&mut self, name: &str) -> Result<Vec<Step>, Defect> {
        let name = Name::qualify(name, self.name.provider());
        self.compiling.steps_below(self.owner, &name, &self.path)
    }
}

impl Compiling<'_> {
    /// Compiles every middleware once for nobody, so that the report tells of those that no router uses.
    pub(super) fn check_middlewares(&mut self) {
        let owner: Arc<str> = Arc::from("");
        let names: Vec<Name> = self.configuration.middlewares.keys().cloned().collect();
        for name in names {
            if self.broken(Kind::HttpMiddleware, name.as_str()).is_some() {
                continue;
            }
            if let Err(defect) = self.steps(&owner, &name) {
                self.add(Problem::error(Kind::HttpMiddleware, name.as_str(), defect.to_string()));
            }
        }
    }

    /// The steps of middleware `name` for `owner`, a router or a service.
    pub(super) fn steps(&mut self, owner: &Arc<str>, name: &Name) -> Result<Vec<Step>, Defect> {
        self.steps_below(owner, name, &[])
    }

    fn steps_below(
        &mut self,
        owner: &Arc<str>,
        name: &Name,
        path: &[Name],
    ) -> Result<Vec<Step>, Defect> {
        if path.contains(name) {
            return Err(Defect(format!(
                "middleware `{name}` names itself, directly or through others"
            )));
        }
        if let Some(error) = self.broken(Kind::HttpMiddleware, name.as_str()) {
            return Err(Defect(format!("middleware `{name}` is broken: {error}")));
        }
        let Some(config) = self.configuration.middlewares.get(name) else {
            return Err(Defect(format!("middleware `{name}` does not exist")));
        };
        let key = (Arc::clone(owner), name.clone());
        let Some(kind) = portcullis_middlewares::kind(&config.kind) else {
            return Err(unknown_kind(name, &config.kind));
        };
        let keeps = (kind.keeps_steps)(&config.settings);
        if keeps
            && let Some((old, steps)) = self.old.steps.get(&key)
            && old == config
        {
            let steps = steps.clone();
            self.kept.steps.insert(key, (Arc::clone(config), steps.clone()));
            return Ok(steps);
        }
        let mut path = path.to_vec();
        path.push(name.clone());
        let mut building = Building { compiling: self, owner, name: name.clone(), path };
        let steps = (kind.compile)(&config.settings, &mut building)
            .map_err(|defect| Defect(format!("middleware `{name}`: {defect}")))?;
        if keeps {
            self.kept.steps.insert(key, (Arc::clone(config), steps.clone()));
        }
        Ok(steps)
    }
}

fn unknown_kind(name: &Name, kind: &str) -> Defect {
    if NOT_SERVED.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Defect(format!("middleware `{name}`: kind `{kind}` is not served by this release"));
    }
    Defect(format!("middleware `{name}`: there is no kind `{kind}`"))
}
