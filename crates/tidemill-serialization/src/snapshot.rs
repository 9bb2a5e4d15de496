//! [`SerializerSnapshot`]: what is stored beside whatever is kept, so that next year's program can read it.

use crate::compatibility::Compatibility;
use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::schema::Schema;

/// The version of the format of values and of snapshots, which the table of the [crate](crate#the-format) shows.
const VERSION: u8 = 1;

/// What a serializer writes: the version of the format and the schema of the values.
///
/// ```
/// use tidemill_serialization::{Compatibility, Data, Input, Record, SerializerSnapshot};
///
/// mod last_year {
///     #[derive(tidemill_serialization::Record, Clone)]
///     pub struct Order {
///         pub price: f32,
///         pub customer: String,
///     }
/// }
///
/// #[derive(Record, Clone, Debug, PartialEq)]
/// struct Order {
///     #[record(alias = "customer")]
///     client: String,
///     price: f64,
///     #[record(default = 1)]
///     pieces: u32,
/// }
///
/// // Last year.
/// let mut bytes = Vec::new();
/// last_year::Order { price: 2.5, customer: "Ann".into() }.encode(&mut bytes);
/// let stored = SerializerSnapshot::of::<last_year::Order>().encode();
///
/// // This year.
/// let stored = SerializerSnapshot::decode(&stored)?;
/// let Compatibility::AfterMigration(migration) = SerializerSnapshot::of::<Order>().read_from(&stored) else { panic!() };
/// let mut migrated = Vec::new();
/// migration.value(&mut Input::new(&bytes), &mut migrated)?;
/// let order = Order::decode(&mut Input::new(&migrated))?;
/// assert_eq!(order, Order { client: "Ann".into(), price: 2.5, pieces: 1 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SerializerSnapshot {
    /// What the values are.
    pub schema: Schema,
}

impl SerializerSnapshot {
    /// The snapshot of the serializer of `T`.
    ///
    /// ```
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// assert_eq!(SerializerSnapshot::of::<Vec<u32>>().schema.to_string(), "Vec<u32>");
    /// ```
    pub fn of<T: Data>() -> Self {
        Self { schema: Schema::of::<T>() }
    }

    /// Appends the snapshot, with its version.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input, SerializerSnapshot};
    ///
    /// let mut bytes = Vec::new();
    /// SerializerSnapshot::of::<u16>().encode_into(&mut bytes);
    /// 258u16.encode(&mut bytes);
    /// let mut input = Input::new(&bytes);
    /// assert_eq!(SerializerSnapshot::decode_from(&mut input)?, SerializerSnapshot::of::<u16>());
    /// assert_eq!(u16::decode(&mut input)?, 258);
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        self.schema.encode(out);
    }

    /// The snapshot as bytes, with its version.
    ///
    /// ```
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// let snapshot = SerializerSnapshot::of::<(u32, String)>();
    /// assert_eq!(SerializerSnapshot::decode(&snapshot.encode())?, snapshot);
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// ```
    /// use tidemill_serialization::SerializerSnapshot;
    ///
    /// let mut bytes = SerializerSnapshot::of::<u32>().encode();
    /// assert!(SerializerSnapshot::decode(&bytes).is_ok());
    /// bytes.push(0);
    /// assert!(SerializerSnapshot::decode(&bytes).is_err(), "something follows");
    /// ```
    ///
    /// # Errors
    /// When the bytes are not exactly one snapshot, or of a version that this release does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Input::new(bytes);
        let snapshot = Self::decode_from(&mut input)?;
        input.finish("serializer snapshot")?;
        Ok(snapshot)
    }

    /// Reads what [`encode_into`](Self::encode_into) appended.
    ///
    /// ```
    /// use tidemill_serialization::{Input, SerializerSnapshot};
    ///
    /// let mut bytes = SerializerSnapshot::of::<u32>().encode();
    /// bytes.push(7);
    /// let mut input = Input::new(&bytes);
    /// SerializerSnapshot::decode_from(&mut input)?;
    /// assert_eq!(input.remaining(), 1);
    /// # Ok::<(), tidemill_serialization::DecodeError>(())
    /// ```
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_from(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let [version] = input.array("serializer snapshot")?;
        if version != VERSION {
            let detail = format!("it has version {version}, this release reads version {VERSION}");
            return Err(DecodeError::invalid("serializer snapshot", detail));
        }
        let schema = Schema::decode(input)?;
        schema.check()?;
        Ok(Self { schema })
    }

    /// Compares what values were written with, `stored`, to what the program writes, `self`; see
    /// [`Schema::read_from`].
    ///
    /// ```
    /// use tidemill_serialization::{Compatibility, SerializerSnapshot};
    ///
    /// let (stored, declared) = (SerializerSnapshot::of::<u32>(), SerializerSnapshot::of::<u64>());
    /// assert!(matches!(declared.read_from(&stored), Compatibility::AfterMigration(_)));
    /// assert!(matches!(stored.read_from(&declared), Compatibility::Incompatible(_)), "it would lose digits");
    /// ```
    pub fn read_from(&self, stored: &Self) -> Compatibility {
        self.schema.read_from(&stored.schema)
    }
}
