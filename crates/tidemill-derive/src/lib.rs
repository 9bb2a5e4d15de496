//! The derive macros of `tidemill-serialization`, which re-exports and documents them.

mod arrow;
mod attributes;
mod avro;
mod describe;
mod native;
mod record;
mod routing_hash;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct or enum a record: something that can cross an edge and live in state (`Element` and `Data`).
///
/// Fields are written in the order of declaration, enums begin with the position of the variant. What is stored carries its
/// schema, so a later release may reorder, add, remove, rename and widen fields, and add variants; see
/// `Schema::read_from` for the rules.
///
/// ```
/// use tidemill_serialization::Record;
///
/// #[derive(Record, Clone)]
/// enum Shape<T> {
///     Empty,
///     Circle { radius: T },
///     Polygon(Vec<(T, T)>),
/// }
/// ```
///
/// Attributes of the struct or enum:
/// - `#[record(alias = "OldName")]`: a name that the type had before.
/// - `#[record(native)]`: also implements `Native`: a compile error unless all parts of it are native as well, so that the
///   generic fallback writes none of it.
/// - `#[record(arrow)]`: also implements `ArrowRecord`, for structs with named fields.
/// - `#[record(crate = "path")]`: where `tidemill_serialization` is found, when it is neither a dependency
///   itself nor re-exported by `tidemill`.
///
/// Attributes of a field:
/// - `#[record(alias = "old_name")]`: a name that it had before; on variants, too.
/// - `#[record(default = value)]`: what it is in records that were stored without it, and in rows without its column;
///   `#[record(default)]` for the default of its type. In records that were stored without it that is also taken where nothing
///   is said and there is one. In a generic type this is found for a field of a type parameter only where the type itself says
///   that the parameter has one (`struct Event<T: Default>`): write `#[record(default)]` or that.
/// - `#[record(with = Serializer)]`: a `CustomSerializer` for a type that is no record.
/// - `#[record(generic)]`: written by the generic fallback, for types that `serde` can serialize.
/// - `#[record(rename = "column")]`, with `#[record(arrow)]`: the name of its column, when it is not the field's. Columns are
///   found by that name, then by the aliases.
///
/// The parameters of a generic type need to be records where a field of them is written as one; of a field with `with` or
/// `generic`, the serializer needs to know the type:
///
/// ```
/// use tidemill_serialization::{CustomSerializer, Data, DecodeError, Input, Record};
///
/// #[derive(Clone)]
/// struct Foreign(u8); // no record
///
/// struct OneByte;
///
/// impl CustomSerializer<Foreign> for OneByte {
///     const NAME: &'static str = "one-byte";
///     fn encode(value: &Foreign, out: &mut Vec<u8>) {
///         out.push(value.0);
///     }
///     fn decode(input: &mut Input<'_>) -> Result<Foreign, DecodeError> {
///         u8::decode(input).map(Foreign)
///     }
/// }
///
/// #[derive(Record, Clone)]
/// struct Envelope<T> {
///     id: u64,
///     #[record(with = OneByte)]
///     payload: T,
/// }
///
/// fn send<T: Data>(_: T) {}
/// send(Envelope { id: 7, payload: Foreign(1) });
/// ```
///
/// # What is refused
///
/// A field whose type is no record itself:
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// struct Position {
///     index: usize, // its width differs between platforms
/// }
/// ```
///
/// Unions, and types that borrow:
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone, Copy)]
/// union Word { int: u32, float: f32 }
/// ```
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// struct Borrowed<'a> { text: &'a str }
/// ```
///
/// Attributes that would have no effect:
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// struct Flight {
///     #[record(rename = "tail_number")] // only means something with #[record(arrow)]
///     tailnum: String,
/// }
/// ```
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// #[record(arrow)]
/// struct Pair(i32, i32); // columns need names
/// ```
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// struct Order {
///     #[record(default = 1, default = 2)] // which?
///     pieces: u32,
/// }
/// ```
///
/// An alias that is another field's name:
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// struct Flight {
///     tailnum: String,
///     #[record(alias = "tailnum")] // would never be looked at
///     carrier: String,
/// }
/// ```
///
/// A generic type in a record that is to be native, and a record in it of which that is not known:
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::{Generic, Record};
/// #[derive(Record, Clone)]
/// #[record(native)]
/// struct Texts { texts: Vec<Option<Generic<String>>> }
/// ```
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// struct Inner { text: String } // lacks #[record(native)]
///
/// #[derive(Record, Clone)]
/// #[record(native)]
/// struct Outer { inner: Box<Inner> }
/// ```
///
/// And with `#[record(arrow)]` a field that is no column, or a second one of the same name:
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// #[record(arrow)]
/// struct Path { points: Vec<i32> }
/// ```
///
/// ```compile_fail
/// # use tidemill_serialization::Record;
/// #[derive(Record, Clone)]
/// #[record(arrow)]
/// struct Position {
///     x: i32,
///     #[record(rename = "x")]
///     y: i32,
/// }
/// ```
#[proc_macro_derive(Record, attributes(record))]
pub fn record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    record::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Gives a struct or enum a routing hash, so that it can be a key.
///
/// A struct is hashed as the tuple of its fields, an enum as its variant's position followed by the fields; the
/// hash decides where restored state lives, so reordering them moves keys.
///
/// ```
/// use tidemill_serialization::{Key, Record, RoutingHash};
///
/// #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
/// struct Route {
///     origin: String,
///     destination: String,
/// }
///
/// let route = Route { origin: "JFK".into(), destination: "LAX".into() };
/// assert_eq!(route.routing_hash(), ("JFK", "LAX").routing_hash());
/// ```
///
/// Floating-point fields are refused: NaN does not equal itself.
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::RoutingHash;
/// #[derive(RoutingHash)]
/// struct Position { latitude: f64 }
/// ```
///
/// The attributes are those of `Record`; what has no effect without it is refused.
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::RoutingHash;
/// #[derive(RoutingHash)]
/// #[record(native)] // derive `Record`, too
/// struct Position(i32);
/// ```
#[proc_macro_derive(RoutingHash, attributes(record))]
pub fn routing_hash(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    routing_hash::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Gives a struct or enum an Avro schema (`AvroType`), so that it can be read and written as Avro, and cross edges and live in
/// state as `Avro<T>`.
///
/// ```
/// use tidemill_serialization::avro::{AvroRecord, schema_of};
///
/// /// A trip of a taxi.
/// #[derive(AvroRecord)]
/// #[avro(namespace = "city")]
/// struct Trip {
///     #[avro(alias = "miles")]
///     distance: f64,
///     #[avro(default = 1)]
///     passengers: i32,
///     payment: Option<Payment>,
/// }
///
/// #[derive(AvroRecord)]
/// enum Payment {
///     Cash,
///     Card,
///     #[avro(default)]
///     Other,
/// }
///
/// assert_eq!(
///     schema_of::<Trip>()?.canonical_form(),
///     r#"{"name":"city.Trip","type":"record","fields":[{"name":"distance","type":"double"},{"name":"passengers","type":"int"},{"name":"payment","type":["null",{"name":"city.Payment","type":"enum","symbols":["Cash","Card","Other"]}]}]}"#,
/// );
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// A type without a namespace is in that of the record which it is a field of. Attributes of the struct or enum: `name`, `namespace`, `alias` (may be repeated) and `crate = "path"`. Of a field:
/// `name`, `alias`, and `default` or `default = value`, which is what it is where data were written without it; an `Option`
/// is null there if nothing is said. Of a variant of an enum without fields: `name`, and `default`, which stands for symbols
/// that are not known. Of other variants that become records: `name` and `alias`. What stands in comments becomes the
/// `doc` of the schema.
///
/// What has no schema is refused:
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::avro::AvroRecord;
/// #[derive(AvroRecord)]
/// struct Trip { id: u64 } // Avro has no such number
/// ```
///
/// ```compile_fail
/// # use tidemill_serialization::avro::AvroRecord;
/// #[derive(AvroRecord)]
/// struct Pair<T> { first: T, second: T } // which name would it have?
/// ```
#[proc_macro_derive(AvroRecord, attributes(avro))]
pub fn avro_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    avro::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
