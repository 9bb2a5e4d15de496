//! `MATCH_RECOGNIZE`.

use sqlparser::ast::TableFactor;

use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::plan::Rel;

impl Binder<'_> {
    pub(super) fn match_recognize(&mut self, _: &TableFactor) -> SqlResult<(Rel, Scope)> {
        Err(SqlError::unsupported("MATCH_RECOGNIZE is not supported yet"))
    }
}
