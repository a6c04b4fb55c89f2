//! The mesh: one proxy per node that carries calls between workloads over mutual TLS.

pub mod policy;
