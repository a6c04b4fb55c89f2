//! Templates of default rules: whatever they make is bounded.

use std::collections::BTreeMap;

use portcullis_config::template::{Template, Value};

/// Takes a template.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(template) = Template::parse(text) else { return };
    let labels = [("a.b", "c"), ("com.docker.compose.service", "shop")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let data = BTreeMap::from([
        ("Name", Value::Text("shop-1".to_owned())),
        ("ContainerName", Value::Text("shop_1".to_owned())),
        ("Labels", Value::Map(labels)),
    ]);
    if let Ok(rendered) = template.render(&data) {
        assert!(rendered.len() <= 64 * 1024, "{} bytes", rendered.len());
    }
}
