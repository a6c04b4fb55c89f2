//! Who may be issued what: a node gets itself, and the accounts that it was granted and that are placed on it.

use super::audit::Refused;
use super::pattern::Pattern;
use crate::tls::spiffe::Id;

/// Where accounts run, as far as anybody but the node itself knows.
pub trait Placement: Send + Sync + 'static {
    /// Whether `id` runs on `node`.
    fn placed(&self, id: &Id, node: &str) -> Placed;
}

/// Whether an account runs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It does.
    Here,
    /// It runs on others only.
    Elsewhere,
    /// Nobody but the node knows; then what it was granted decides alone.
    Unknown,
}

/// No source of placement: what was granted decides alone.
#[derive(Clone, Copy, Debug)]
pub struct Anywhere;

impl Placement for Anywhere {
    fn placed(&self, _: &Id, _: &str) -> Placed {
        Placed::Unknown
    }
}

/// Whether `node`, which was granted `allow`, may be issued `id`.
pub(super) fn check(
    node: &str,
    allow: &[Pattern],
    id: &Id,
    placement: &dyn Placement,
) -> Result<(), Refused> {
    // A node may be an edge as well: both names are its own.
    if id.system_name("node") == Some(node) || id.system_name("edge") == Some(node) {
        return Ok(());
    }
    if !allow.iter().any(|pattern| pattern.matches(id)) {
        return Err(Refused::NotGranted(id.to_string()));
    }
    match placement.placed(id, node) {
        Placed::Here | Placed::Unknown => Ok(()),
        Placed::Elsewhere => Err(Refused::NotPlaced(id.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Placed);

    impl Placement for Fixed {
        fn placed(&self, _: &Id, _: &str) -> Placed {
            self.0
        }
    }

    fn may(node: &str, allow: &str, id: &str, placed: Placed) -> Result<(), &'static str> {
        let allow = [Pattern::parse(allow).unwrap()];
        let id = Id::parse(id).unwrap();
        check(node, &allow, &id, &Fixed(placed)).map_err(|refused| refused.reason())
    }

    #[test]
    fn a_node_gets_itself_and_what_it_was_granted_and_runs() {
        let cart = "spiffe://td/ns/shop/sa/cart";
        assert_eq!(may("n1", "ns/shop/sa/*", cart, Placed::Here), Ok(()));
        assert_eq!(may("n1", "ns/shop/sa/*", cart, Placed::Unknown), Ok(()));
        assert_eq!(may("n1", "ns/shop/sa/*", cart, Placed::Elsewhere), Err("not_placed"));
        assert_eq!(may("n1", "ns/web/sa/*", cart, Placed::Here), Err("not_granted"));
        let system = |account: &str| {
            let id = format!("spiffe://td/ns/portcullis-system/sa/{account}");
            may("n1", "ns/*/sa/*", &id, Placed::Here)
        };
        assert_eq!((system("node.n1"), system("edge.n1")), (Ok(()), Ok(())));
        for other in ["node.n2", "edge.n2", "control.n1", "n1"] {
            assert_eq!(system(other), Err("not_granted"), "{other}");
        }
    }
}
