//! `State`: what calls are judged by, made whole and swapped whole.

use super::catalog::Catalog;
use super::policy::Policies;

/// What calls are judged by.
#[derive(Debug)]
pub struct State {
    /// What runs where.
    pub catalog: Catalog,
    /// Who may reach whom.
    pub policies: Policies,
}
