//! State of Avro values: what one program wrote is read by the next.

use tidemill_serialization::avro::logical::AvroUuid;
use tidemill_serialization::avro::{Avro, AvroRecord};
use tidemill_serialization::{Compatibility, Data, Input, SerializerSnapshot};

mod stored {
    use super::*;

    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    pub(super) struct Trip {
        pub(super) miles: i32,
        pub(super) driver: String,
        pub(super) paid: bool,
    }
}

/// What becomes of state of `A` in a program with `B`.
fn read<A: Data, B: Data>() -> Compatibility {
    // Through bytes, as it is stored.
    let stored = SerializerSnapshot::decode(&SerializerSnapshot::of::<A>().encode()).unwrap();
    SerializerSnapshot::of::<B>().read_from(&stored)
}

fn trip() -> Avro<stored::Trip> {
    Avro(stored::Trip { miles: 3, driver: "Ann".into(), paid: true })
}

#[test]
fn equal_schemas_are_read_as_they_are() {
    assert!(matches!(read::<Avro<stored::Trip>, Avro<stored::Trip>>(), Compatibility::AsIs));

    // Other defaults, documentation and aliases change no byte.
    mod program {
        use super::*;

        /// A trip.
        #[derive(AvroRecord, Clone)]
        #[avro(alias = "Ride")]
        pub(super) struct Trip {
            #[avro(default = 1)]
            pub(super) miles: i32,
            pub(super) driver: String,
            pub(super) paid: bool,
        }
    }
    assert!(matches!(read::<Avro<stored::Trip>, Avro<program::Trip>>(), Compatibility::AsIs));
    let _ = |trip: program::Trip| (trip.miles, trip.driver, trip.paid);
}

#[test]
fn what_avro_can_resolve_is_migrated() {
    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    #[avro(alias = "Trip")]
    struct Ride {
        #[avro(alias = "miles")]
        distance: f64,
        #[avro(default = "Rome".to_owned())]
        city: String,
        driver: Option<String>,
    }
    let Compatibility::AfterMigration(migration) = read::<Vec<Avro<stored::Trip>>, Vec<Avro<Ride>>>() else {
        panic!("it was to be migrated");
    };
    let mut bytes = Vec::new();
    vec![trip(), trip()].encode(&mut bytes);
    let mut migrated = Vec::new();
    migration.value(&mut Input::new(&bytes), &mut migrated).unwrap();
    let ride = Avro(Ride { distance: 3.0, city: "Rome".into(), driver: Some("Ann".into()) });
    assert_eq!(Vec::<Avro<Ride>>::decode(&mut Input::new(&migrated)).unwrap(), [ride.clone(), ride]);

    // Damaged state is an error, wherever it is cut.
    for end in 0..bytes.len() {
        assert!(migration.value(&mut Input::new(&bytes[..end]), &mut Vec::new()).is_err());
    }
}

#[test]
fn what_avro_cannot_resolve_keeps_the_job_from_starting() {
    #[derive(AvroRecord, Clone)]
    struct Trip {
        #[allow(dead_code)]
        miles: String,
        #[allow(dead_code)]
        fare: f64,
    }
    let Compatibility::Incompatible(why) = read::<Avro<stored::Trip>, Avro<Trip>>() else {
        panic!("it was to be refused");
    };
    let why = why.to_string();
    for words in [
        "Trip.miles was int and is now string",
        "keep the type",
        "Trip.fare was not there",
        "give it a default",
    ] {
        assert!(why.contains(words), "no {words:?} in: {why}");
    }
}

#[test]
fn another_serializer_is_incompatible() {
    assert!(matches!(read::<Avro<stored::Trip>, String>(), Compatibility::Incompatible(_)));
    assert!(matches!(read::<String, Avro<stored::Trip>>(), Compatibility::Incompatible(_)));
}

/// A snapshot whose schema is damaged is an error, not a panic.
#[test]
fn damaged_schemas_are_refused() {
    let bytes = SerializerSnapshot::of::<Avro<stored::Trip>>().encode();
    let program = SerializerSnapshot::of::<Avro<stored::Trip>>();
    let mut refused = 0;
    for i in 0..bytes.len() {
        for flip in [1, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[i] ^= flip;
            if let Ok(stored) = SerializerSnapshot::decode(&damaged) {
                refused += i32::from(matches!(program.read_from(&stored), Compatibility::Incompatible(_)));
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

/// The bytes may be none of what they now mean.
#[test]
fn another_meaning_is_looked_at() {
    mod program {
        use super::*;

        #[derive(AvroRecord, Clone, Debug, PartialEq)]
        pub(super) struct Trip {
            pub(super) miles: i32,
            pub(super) driver: AvroUuid,
            pub(super) paid: bool,
        }
    }
    let Compatibility::AfterMigration(migration) = read::<Avro<stored::Trip>, Avro<program::Trip>>() else {
        panic!("it was to be migrated");
    };
    let migrated = |driver: &str| {
        let (mut bytes, mut out) = (Vec::new(), Vec::new());
        Avro(stored::Trip { miles: 3, driver: driver.into(), paid: true }).encode(&mut bytes);
        migration.value(&mut Input::new(&bytes), &mut out).map(|()| out)
    };
    let id = "00000000-0000-0000-0000-000000000007";
    let trip = Avro::<program::Trip>::decode(&mut Input::new(&migrated(id).unwrap())).unwrap();
    assert_eq!(trip.driver.to_string(), id);
    assert!((trip.miles, trip.paid) == (3, true));
    let error = migrated("Ann").unwrap_err().to_string();
    assert!(error.contains("Trip.driver") && error.contains("uuid"), "{error}");
}
