//! The mesh: what a node proxy serves beside the routers of the edge.

pub mod policy;

pub use policy::Policy;
