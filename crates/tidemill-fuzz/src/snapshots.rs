//! Snapshots of serializers, and values that stand behind them.

use tidemill_serialization::{
    Compatibility, Data, Input, Schema, SerializationError, SerializerSnapshot, pack, unpack,
};

use crate::evolved::{ForEach, PAIRS, for_pair};
use crate::{choice, meter};

/// What comparing may take for each byte of a stored schema: each of its structs may become each of the program's, as a key
/// and otherwise.
pub(crate) const COMPARING: usize = 4096;

struct Compare<'a>(&'a Schema);

impl ForEach for Compare<'_> {
    type Result = ();

    fn run<Old: Data, New: Data>(self) {
        for declared in [Schema::of::<Old>(), Schema::of::<New>()] {
            for compatibility in [declared.read_from(self.0), declared.read_keys_from(self.0)] {
                match compatibility {
                    Compatibility::AsIs => assert_eq!(self.0.to_string(), declared.to_string()),
                    Compatibility::AfterMigration(migration) => drop(format!("{migration:?}")),
                    Compatibility::Incompatible(why) => {
                        assert!(!why.0.is_empty(), "there is a reason");
                        drop(why.to_string());
                    }
                }
            }
        }
    }
}

/// Reads snapshots of serializers and compares them with each of the program's.
pub fn snapshots(bytes: &[u8]) {
    let Ok(snapshot) = meter::within(256, bytes.len(), || SerializerSnapshot::decode(bytes)) else { return };
    assert_eq!(snapshot.encode(), bytes, "there is one way to write a snapshot");
    meter::within(COMPARING, bytes.len(), || {
        drop((snapshot.schema.describe(), snapshot.schema.to_string(), snapshot.schema.generic_types()));
    });
    for which in 0..PAIRS {
        meter::within(COMPARING, bytes.len(), || for_pair(which, Compare(&snapshot.schema)));
    }
}

struct Unpack<'a>(&'a [u8]);

impl ForEach for Unpack<'_> {
    type Result = ();

    fn run<Old: Data, New: Data>(self) {
        match meter::within(COMPARING, self.0.len(), || unpack::<New>(self.0)) {
            Ok(value) => {
                let bytes = pack(&value);
                let again = unpack::<New>(&bytes).expect("what was written can be read");
                assert_eq!(pack(&again), bytes);
            }
            Err(SerializationError::Incompatible { .. } | SerializationError::Value { .. }) => {}
            Err(other) => panic!("an error of something else: {other}"),
        }
        // In the first release, a value of its own comes back as it is.
        let mut input = Input::new(self.0);
        if let Ok(stored) = SerializerSnapshot::decode_from(&mut input)
            && stored == SerializerSnapshot::of::<Old>()
        {
            assert_eq!(
                unpack::<Old>(self.0).is_ok(),
                crate::shapes::decoded::<Old>(rest(&input, self.0)).is_ok()
            );
        }
    }
}

fn rest<'a>(input: &Input<'_>, bytes: &'a [u8]) -> &'a [u8] {
    &bytes[bytes.len() - input.remaining()..]
}

/// Reads values behind the snapshot of any serializer.
pub fn packed(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    for_pair(which, Unpack(bytes));
}
