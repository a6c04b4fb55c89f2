//! Strategies: which of several choices a request gets. They know numbers only, so that servers and services share them.

pub mod ewma;
pub mod hrw;
pub mod least_request;
pub mod least_time;
pub mod maglev;
pub mod p2c;
pub mod wrr;
