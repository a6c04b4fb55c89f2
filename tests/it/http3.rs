//! HTTP/3 as clients meet it.

mod ending;
mod floods;
mod requests;
mod terms;
mod upgrades;
