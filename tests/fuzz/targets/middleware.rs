//! Settings of middlewares: whatever they are, there is a step or a defect.

use portcullis_config::Name;
use portcullis_config::tree::text::{Format, parse};
use portcullis_middlewares::{Build, Defect, Step, kind};

/// Who has no other middlewares.
struct Alone(Name);

impl Build for Alone {
    fn name(&self) -> &Name {
        &self.0
    }

    fn middleware(&mut self, name: &str) -> Result<Vec<Step>, Defect> {
        Err(format!("there is no middleware `{name}`").into())
    }
}

/// Takes a kind in the first line and its settings as YAML in the others.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((name, settings)) = text.split_once('\n') else { return };
    // A file is no business of a fuzzer.
    if settings.contains("File") || settings.contains("file") {
        return;
    }
    let Some(kind) = kind(name) else { return };
    let Ok(tree) = parse(settings, Format::Yaml, "fuzz") else { return };
    let _ = (kind.compile)(&tree, &mut Alone(Name::qualify("it", "fuzz")));
    let _ = ((kind.show)(&tree), (kind.keeps_steps)(&tree));
}
