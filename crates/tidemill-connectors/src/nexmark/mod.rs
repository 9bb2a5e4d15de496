//! The events of the Nexmark benchmark: an auction house with persons, auctions and bids.

mod columns;
mod model;
mod text;

use nexmark::EventGenerator;
use nexmark::config::NexmarkConfig;
use nexmark::event::Event;
use tidemill_core::{Batch, TypedBatch};
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{OperatorContext, OperatorError};
use tidemill_serialization::{Record, TimestampMs};

use crate::error::ConnectorError;
use crate::generator::numbers::{Deal, NumberEnumerator, NumberReader, Numbered, UNBOUNDED};
use crate::rate::check_rate;

pub use columns::NexmarkColumns;
pub use model::{NexmarkKind, NexmarkSettings};

/// Somebody who sells or bids.
///
/// ```
/// use tidemill_connectors::Person;
/// use tidemill_serialization::ArrowRecord;
///
/// assert_eq!(Person::schema().field(0).name(), "id");
/// ```
#[derive(Record, Clone, Debug, PartialEq, Eq)]
#[record(arrow)]
pub struct Person {
    /// Who.
    pub id: u64,
    /// The full name.
    pub name: String,
    /// The address for mail.
    pub email_address: String,
    /// A number of 16 digits.
    pub credit_card: String,
    /// The city.
    pub city: String,
    /// The state.
    pub state: String,
    /// When the person registered.
    pub date_time: TimestampMs,
    /// Fills the event up to its size.
    pub extra: String,
}

/// Something that is for sale.
///
/// ```
/// use tidemill_connectors::Auction;
/// use tidemill_serialization::ArrowRecord;
///
/// assert!(Auction::schema().field_with_name("initial_bid").is_ok());
/// ```
#[derive(Record, Clone, Debug, PartialEq, Eq)]
#[record(arrow)]
pub struct Auction {
    /// Which.
    pub id: u64,
    /// What is sold.
    pub item_name: String,
    /// What it is like.
    pub description: String,
    /// The first price, in cents.
    pub initial_bid: u64,
    /// The least price at which it is sold, in cents.
    pub reserve: u64,
    /// When the auction begins.
    pub date_time: TimestampMs,
    /// When it ends.
    pub expires: TimestampMs,
    /// The person who sells.
    pub seller: u64,
    /// What kind of thing it is.
    pub category: u64,
    /// Fills the event up to its size.
    pub extra: String,
}

/// An offer.
///
/// ```
/// use tidemill_connectors::Bid;
/// use tidemill_serialization::ArrowRecord;
///
/// assert!(Bid::schema().field_with_name("price").is_ok());
/// ```
#[derive(Record, Clone, Debug, PartialEq, Eq)]
#[record(arrow)]
pub struct Bid {
    /// For which auction.
    pub auction: u64,
    /// The person who offers.
    pub bidder: u64,
    /// How much, in cents.
    pub price: u64,
    /// Where the bid was made.
    pub channel: String,
    /// The page on which it was made.
    pub url: String,
    /// When it was made.
    pub date_time: TimestampMs,
    /// Fills the event up to its size.
    pub extra: String,
}

/// One event.
///
/// ```
/// use tidemill_connectors::{Bid, NexmarkEvent};
///
/// /// What query 2 of Nexmark looks at.
/// fn bid(event: NexmarkEvent) -> Option<Bid> {
///     match event {
///         NexmarkEvent::Bid(bid) if bid.auction % 123 == 0 => Some(bid),
///         _ => None,
///     }
/// }
/// ```
#[derive(Record, Clone, Debug, PartialEq, Eq)]
pub enum NexmarkEvent {
    /// Somebody registers: 1 of 50 events.
    Person(Person),
    /// Something is for sale: 3 of 50 events.
    Auction(Auction),
    /// An offer: 46 of 50 events.
    Bid(Bid),
}

impl NexmarkEvent {
    /// When it happened.
    pub fn date_time(&self) -> TimestampMs {
        match self {
            NexmarkEvent::Person(person) => person.date_time,
            NexmarkEvent::Auction(auction) => auction.date_time,
            NexmarkEvent::Bid(bid) => bid.date_time,
        }
    }
}

impl From<Event> for NexmarkEvent {
    fn from(event: Event) -> Self {
        let time = |ms: u64| TimestampMs(i64::try_from(ms).unwrap_or(i64::MAX));
        match event {
            Event::Person(person) => NexmarkEvent::Person(Person {
                id: person.id as u64,
                name: person.name,
                email_address: person.email_address,
                credit_card: person.credit_card,
                city: person.city,
                state: person.state,
                date_time: time(person.date_time),
                extra: person.extra,
            }),
            Event::Auction(auction) => NexmarkEvent::Auction(Auction {
                id: auction.id as u64,
                item_name: auction.item_name,
                description: auction.description,
                initial_bid: auction.initial_bid as u64,
                reserve: auction.reserve as u64,
                date_time: time(auction.date_time),
                expires: time(auction.expires),
                seller: auction.seller as u64,
                category: auction.category as u64,
                extra: auction.extra,
            }),
            Event::Bid(bid) => NexmarkEvent::Bid(Bid {
                auction: bid.auction as u64,
                bidder: bid.bidder as u64,
                price: bid.price as u64,
                channel: bid.channel,
                url: bid.url,
                date_time: time(bid.date_time),
                extra: bid.extra,
            }),
        }
    }
}

/// Generates Nexmark events. They carry their event time as timestamps, in order within each subtask; the same
/// settings give the same events in every run, whatever the parallelism.
///
/// ```
/// use tidemill_connectors::NexmarkSource;
///
/// let source = NexmarkSource::bounded(1_000_000).events_per_second(50_000, false)?;
/// # let _ = source;
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NexmarkSource {
    count: u64,
    events_per_second: u32,
    base_time: TimestampMs,
    paced: bool,
}

/// 2015-07-15T00:00:00Z, with which Nexmark's events begin unless something else is said.
const BASE_TIME: TimestampMs = TimestampMs(1_436_918_400_000);

impl NexmarkSource {
    /// `count` events, as fast as they can be made.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkSource;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(NexmarkSource::bounded(1_000).is_bounded());
    /// ```
    pub fn bounded(count: u64) -> Self {
        Self { count, events_per_second: 10_000, base_time: BASE_TIME, paced: false }
    }

    /// Events for ever, as fast as they can be made.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkSource;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(!NexmarkSource::unbounded().is_bounded());
    /// ```
    pub fn unbounded() -> Self {
        Self::bounded(UNBOUNDED)
    }

    /// How many events there are in a second of event time (default: 10,000). With `paced`, also in a second of real
    /// time, by all subtasks together.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkSource;
    ///
    /// assert!(NexmarkSource::unbounded().events_per_second(1_000, true).is_ok());
    /// assert!(NexmarkSource::unbounded().events_per_second(0, true).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is 0.
    pub fn events_per_second(mut self, events: u32, paced: bool) -> Result<Self, ConnectorError> {
        check_rate(f64::from(events))?;
        self.events_per_second = events;
        self.paced = paced;
        Ok(self)
    }

    /// When the first event happens (default: 2015-07-15).
    ///
    /// ```
    /// use tidemill_connectors::NexmarkSource;
    /// use tidemill_serialization::TimestampMs;
    ///
    /// assert!(NexmarkSource::bounded(1_000).base_time(TimestampMs(0)).is_ok());
    /// assert!(NexmarkSource::bounded(1_000).base_time(TimestampMs(-1)).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is before 1970.
    pub fn base_time(mut self, time: TimestampMs) -> Result<Self, ConnectorError> {
        if time.0 < 0 {
            let message = format!("Nexmark's events cannot begin before 1970, but {time} was asked for");
            return Err(ConnectorError::InvalidOption(message));
        }
        self.base_time = time;
        Ok(self)
    }

    fn generator(&self) -> EventGenerator {
        let rate = usize::try_from(self.events_per_second).unwrap_or(usize::MAX);
        EventGenerator::new(NexmarkConfig {
            base_time: u64::try_from(self.base_time.0).unwrap_or(0),
            first_rate: rate,
            next_rate: rate,
            ..NexmarkConfig::default()
        })
    }
}

#[derive(Clone)]
struct Events {
    generator: Option<EventGenerator>,
    settings: NexmarkSource,
}

impl Numbered for Events {
    fn make(&mut self, first: u64, step: u64, count: usize) -> Result<Option<Batch>, OperatorError> {
        let generator = self.generator.take().unwrap_or_else(|| self.settings.generator());
        let mut generator = generator.with_offset(first).with_step(step);
        let mut batch: TypedBatch<NexmarkEvent> = TypedBatch::with_capacity(count);
        batch.values.extend(generator.by_ref().take(count).map(NexmarkEvent::from));
        batch.timestamps.extend(batch.values.iter().map(|event| event.date_time().0));
        self.generator = Some(generator);
        Ok(Some(Batch::new(batch)))
    }
}

impl Source for NexmarkSource {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        // By turns, so that event time advances alike in all subtasks.
        Ok(NumberEnumerator::create(Deal::Turns, self.count, parallelism, restored))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let rate = self.paced.then_some(f64::from(self.events_per_second));
        let events = Events { generator: None, settings: self.clone() };
        Ok(NumberReader::create(events, Deal::Turns, self.count, rate, context))
    }

    fn is_bounded(&self) -> bool {
        self.count != UNBOUNDED
    }
}
