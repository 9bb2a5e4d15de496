//! Records as two releases of a program have them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidemill_serialization::{Data, Decimal, Generic, Record, RoutingHash};

use crate::foreign::{Octets, OldOctets, Shape};
use crate::shapes::Tree;

/// Those of the first release.
pub mod old {
    use super::*;

    /// A flat record.
    #[derive(Record, Clone, Debug, Default)]
    pub struct Order {
        /// Becomes wider, another name and optional.
        pub price: f32,
        /// Is removed.
        pub note: String,
        /// Becomes wider and the first.
        pub article: i32,
    }

    /// A key.
    #[derive(Record, RoutingHash, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Place {
        /// Becomes the last.
        pub city: String,
        /// Becomes wider.
        pub zip: u32,
    }

    /// A recursive record.
    #[derive(Record, Clone, Debug, Default)]
    pub struct Node {
        /// Changes its place with the others.
        pub next: Option<Box<Node>>,
        /// Is removed, whatever it is.
        pub gone: Tree,
        /// Becomes wider.
        pub many: Vec<Node>,
        /// A number.
        pub number: u16,
    }

    /// An enum.
    #[derive(Record, Clone, Debug)]
    pub enum Change {
        /// Moves to another position.
        Put(Order, u8),
        /// Gets another name.
        Remove {
            /// Of what.
            place: Place,
        },
        /// Has all that is made of others.
        All {
            /// Values by key.
            map: HashMap<Place, Order>,
            /// Keys.
            set: BTreeSet<Place>,
            /// A fixed number.
            array: [Order; 2],
            /// A decimal number.
            decimal: Decimal<4, 2>,
            /// With a serializer of its own.
            address: OldOctets,
            /// With the generic one.
            shape: Generic<Shape>,
        },
    }
}

/// A flat record.
#[derive(Record, Clone, Debug, Default)]
pub struct Order {
    /// Was the last.
    pub article: i64,
    /// Is new.
    #[record(default = "EUR".to_owned())]
    pub currency: String,
    /// Had another name.
    #[record(alias = "price")]
    pub amount: Option<f64>,
}

/// A key.
#[derive(Record, RoutingHash, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Was behind.
    pub zip: i64,
    /// Is new.
    #[record(default = "DE".to_owned())]
    pub country: String,
    /// Was in front.
    pub city: String,
}

/// A recursive record.
#[derive(Record, Clone, Debug, Default)]
pub struct Node {
    /// Was the last.
    pub number: u32,
    /// Was behind the next field.
    pub many: Vec<Node>,
    /// Was the first.
    pub next: Option<Box<Node>>,
}

/// An enum.
#[derive(Record, Clone, Debug)]
pub enum Change {
    /// Is new.
    Nothing,
    /// Had another name.
    #[record(alias = "Remove")]
    Forget {
        /// Of what.
        place: Place,
    },
    /// Has all that is made of others.
    All {
        /// A fixed number.
        array: [Order; 2],
        /// Values by key.
        map: BTreeMap<Place, Order>,
        /// Keys.
        set: BTreeSet<Place>,
        /// A decimal number.
        decimal: Decimal<14, 2>,
        /// With a serializer of its own.
        address: Octets,
        /// With the generic one.
        shape: Generic<Shape>,
        /// Is new.
        #[record(default)]
        more: Vec<Change>,
    },
    /// Was the first.
    Put(Order, u32),
}

/// What is done for each of the pairs of types above.
pub trait ForEach {
    /// What comes out.
    type Result;

    /// For one pair.
    fn run<Old: Data, New: Data>(self) -> Self::Result;
}

/// How many pairs there are.
pub const PAIRS: u8 = 8;

/// Does something for the pair of types that a byte chooses.
pub fn for_pair<F: ForEach>(choice: u8, run: F) -> F::Result {
    match choice % PAIRS {
        0 => run.run::<old::Order, Order>(),
        1 => run.run::<Vec<old::Order>, Vec<Order>>(),
        2 => run.run::<old::Node, Node>(),
        3 => run.run::<old::Change, Change>(),
        4 => run.run::<(u32, String, f32), (u64, Option<String>, f64)>(),
        5 => run.run::<HashMap<old::Place, old::Node>, BTreeMap<Place, Node>>(),
        6 => run.run::<Option<[Vec<u8>; 2]>, Option<[Vec<i16>; 2]>>(),
        _ => run.run::<Tree, Tree>(),
    }
}
