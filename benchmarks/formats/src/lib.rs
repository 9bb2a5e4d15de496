//! The records of the comparison, and how to make many different ones.

use serde::{Deserialize, Serialize};
use tidemill_serialization::avro::{Avro, AvroRecord, AvroType};
use tidemill_serialization::{Data, Generic, Record};

/// Makes numbers that look random and are the same in every run.
pub struct Numbers(u64);

impl Numbers {
    /// Starts anew.
    pub fn new() -> Self {
        Self(7)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    /// A number of a size as counts and ids have them: small ones are more frequent.
    pub fn skewed(&mut self) -> i64 {
        let bits = 1 + self.next() % 40;
        (self.next() % (1 << bits)) as i64
    }

    fn text(&mut self, shortest: u64, longest: u64) -> String {
        let length = shortest + self.next() % (longest - shortest + 1);
        (0..length).map(|_| char::from(b'a' + (self.next() % 26) as u8)).collect()
    }

    fn amount(&mut self) -> f64 {
        (self.next() % 1_000_000) as f64 / 100.0
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! formats {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Record, AvroRecord, Serialize, Deserialize, bincode::Encode, bincode::Decode,
            rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Debug, PartialEq,
        )]
        #[allow(missing_docs)]
        pub struct $name { $(pub $field: $ty),* }
    };
}

formats! {
    /// A small event: a customer, a time, an amount.
    Order { customer: String, time: i64, amount: f64 }
}

formats! {
    /// One position of a [`Cart`].
    Item { article: String, pieces: u32, price: f64, options: Option<String> }
}

formats! {
    /// A record with records in it.
    Cart { id: i64, customer: String, items: Vec<Item>, paid: bool, note: Option<String> }
}

formats! {
    /// Thirty fields of many types, as a table of measurements has them.
    Wide {
        id: i64, at: i64, device: String, site: String, kind: i8, status: u16, count: u32, errors: i32, total: i64, version: i16,
        a: f64, b: f64, c: f64, d: f64, e: f64, f: f32, g: f32, h: f32,
        on: bool, ok: bool, alarm: bool, level: i8,
        maybe_a: Option<i64>, maybe_b: Option<f64>, maybe_c: Option<String>, maybe_d: Option<i32>,
        first: i64, last: i64, tag: String, checksum: u32,
    }
}

/// An order event as a tuple.
pub type OrderTuple = (String, i64, f64);

/// Records that are compared.
pub trait Sample: Data + AvroType + Serialize + PartialEq {
    /// The next record.
    fn make(numbers: &mut Numbers) -> Self;
}

impl Sample for Order {
    fn make(numbers: &mut Numbers) -> Self {
        let time = 1_357_000_000_000 + numbers.next() as i64 % 1_000_000_000;
        Order { customer: numbers.text(6, 14), time, amount: numbers.amount() }
    }
}

impl Sample for Item {
    fn make(numbers: &mut Numbers) -> Self {
        Item {
            article: numbers.text(8, 12),
            pieces: 1 + numbers.next() as u32 % 9,
            price: numbers.amount(),
            options: (numbers.next() % 3 == 0).then(|| numbers.text(3, 20)),
        }
    }
}

impl Sample for Cart {
    fn make(numbers: &mut Numbers) -> Self {
        Cart {
            id: numbers.skewed(),
            customer: numbers.text(6, 14),
            items: (0..1 + numbers.next() % 5).map(|_| Item::make(numbers)).collect(),
            paid: numbers.next() % 2 == 0,
            note: (numbers.next() % 4 == 0).then(|| numbers.text(10, 60)),
        }
    }
}

impl Sample for Wide {
    fn make(n: &mut Numbers) -> Self {
        Wide {
            id: n.skewed(),
            at: 1_357_000_000_000 + n.next() as i64 % 1_000_000_000,
            device: n.text(8, 16),
            site: n.text(3, 6),
            kind: n.next() as i8 % 10,
            status: n.next() as u16 % 600,
            count: n.skewed() as u32 % 100_000,
            errors: n.next() as i32 % 5,
            total: n.skewed(),
            version: n.next() as i16 % 40,
            a: n.amount(),
            b: n.amount(),
            c: n.amount(),
            d: n.amount(),
            e: n.amount(),
            f: n.amount() as f32,
            g: n.amount() as f32,
            h: n.amount() as f32,
            on: n.next() % 2 == 0,
            ok: n.next() % 9 != 0,
            alarm: n.next() % 50 == 0,
            level: n.next() as i8,
            maybe_a: (n.next() % 2 == 0).then(|| n.skewed()),
            maybe_b: (n.next() % 2 == 0).then(|| n.amount()),
            maybe_c: (n.next() % 2 == 0).then(|| n.text(2, 10)),
            maybe_d: (n.next() % 2 == 0).then(|| n.next() as i32 % 1000),
            first: 1_357_000_000_000 + n.next() as i64 % 1_000_000_000,
            last: 1_357_000_000_000 + n.next() as i64 % 1_000_000_000,
            tag: n.text(1, 8),
            checksum: n.next() as u32,
        }
    }
}

/// Many records.
pub fn samples<T: Sample>(count: usize) -> Vec<T> {
    let mut numbers = Numbers::new();
    (0..count).map(|_| T::make(&mut numbers)).collect()
}

/// Records that the generic fallback writes.
pub fn generic<T: Sample>(records: &[T]) -> Vec<Generic<T>> {
    records.iter().cloned().map(Generic::new).collect()
}

/// Records that Avro writes.
pub fn avro<T: Sample>(records: &[T]) -> Vec<Avro<T>> {
    records.iter().cloned().map(Avro).collect()
}
