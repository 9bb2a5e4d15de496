//! Which changes of rows flow.

use std::fmt;

/// Which changes flow, besides inserts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) update: bool,
    pub(crate) delete: bool,
    /// Whether updates say the old row too.
    pub(crate) before: bool,
    /// Whether rows that are taken away may say their key only.
    pub(crate) partial: bool,
}

impl Changes {
    pub(crate) const INSERT: Changes =
        Changes { update: false, delete: false, before: false, partial: false };
    pub(crate) const ALL: Changes = Changes { update: true, delete: true, before: true, partial: false };

    pub(crate) fn is_insert_only(self) -> bool {
        self == Changes::INSERT
    }

    /// Whether a change is for the row with the same upsert key, and does not say which one that is otherwise.
    pub(crate) fn is_by_key(self) -> bool {
        (self.update && !self.before) || self.partial
    }

    pub(crate) fn or(self, other: Changes) -> Changes {
        Changes {
            update: self.update || other.update,
            delete: self.delete || other.delete,
            before: self.before || other.before,
            partial: self.partial || other.partial,
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[I")?;
        f.write_str(match (self.update, self.before) {
            (false, _) => "",
            (true, false) => ",UA",
            (true, true) => ",UB,UA",
        })?;
        f.write_str(match (self.delete, self.partial) {
            (false, _) => "]",
            (true, false) => ",D]",
            (true, true) => ",PD]",
        })
    }
}
