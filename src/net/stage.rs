//! `Stage`: how far the gateway is in its life, for what only one process may do at a time.

use tokio::sync::watch;

/// How far the gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It reads what it needs; another process may still serve.
    Prepares,
    /// It serves, and no other process does in its place.
    Serves,
    /// Another process serves; what runs here may finish.
    HandedOver,
    /// It ends, and nobody follows.
    Ends,
}

/// Sets the stage.
#[derive(Debug)]
pub struct Stages(watch::Sender<Stage>);

/// Tells the stage.
#[derive(Clone, Debug)]
pub struct Staged(watch::Receiver<Stage>);

impl Stages {
    /// The gateway prepares.
    pub fn new() -> Self {
        Self(watch::Sender::new(Stage::Prepares))
    }

    /// The gateway has come to `stage`.
    pub fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }

    /// For whoever has to know.
    pub fn staged(&self) -> Staged {
        Staged(self.0.subscribe())
    }
}

impl Default for Stages {
    fn default() -> Self {
        Self::new()
    }
}

impl Staged {
    /// The stage now.
    pub fn now(&self) -> Stage {
        *self.0.borrow()
    }

    /// Waits for the next stage; for ever after the last one.
    pub async fn changed(&mut self) -> Stage {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        *self.0.borrow_and_update()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_stage_is_told() {
        let stages = Stages::new();
        let mut staged = stages.staged();
        assert_eq!(staged.now(), Stage::Prepares);
        stages.enter(Stage::Serves);
        assert_eq!(staged.changed().await, Stage::Serves);
        stages.enter(Stage::HandedOver);
        assert_eq!((staged.now(), stages.staged().now()), (Stage::HandedOver, Stage::HandedOver));
    }
}
