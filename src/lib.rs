//! Portcullis: a function from configuration to a snapshot, and a loop that serves requests through the newest
//! snapshot.
//!
//! ```text
//! providers ──whole configurations──▶ merge ─▶ compile ─▶ Snapshot (immutable) ─▶ Live
//!                                                  │                                │ load, once a request
//!                                                  ▼                                ▼
//!                                       Report: problems per object     worker 0 … n-1, one per core:
//!                                                                       accept → TLS → serve → route → chain → service → server
//! ```
//!
//! Layers, from the ground: `net`, `h1` and `observe`; `tls`; `upstream`; `http`, `tcp` and `udp`; `snapshot`; `reload`,
//! `api` and `mesh`; `entrypoint` and `worker`; `gateway`; `install` and `cli`. A module imports its own and lower layers only.

pub mod api;
pub mod cli;
pub(crate) mod demo;
pub mod entrypoint;
pub mod gateway;
pub mod h1;
pub mod http;
pub mod install;
pub mod mesh;
pub mod net;
pub mod observe;
pub mod reload;
pub mod snapshot;
pub mod tcp;
pub mod tls;
pub mod udp;
pub mod upstream;
pub mod worker;
