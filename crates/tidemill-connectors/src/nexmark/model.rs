//! What each event is, as a function of its number: the generator of Flink's Nexmark repository, without its
//! sequence of random numbers.

use arrow_schema::{DataType, Field as ArrowField, Fields, TimeUnit};
use tidemill_serialization::TimestampMs;

use super::columns::Kinds;
use super::text;
use crate::error::ConnectorError;
use crate::random::{Field, lower_below, upper_below};

/// What an event is about.
///
/// ```
/// use tidemill_connectors::{NexmarkColumns, NexmarkKind};
///
/// // What `WHERE event_type = 2` asks for.
/// assert_eq!(NexmarkKind::of_event_type(2), Some(NexmarkKind::Bid));
/// let bids = NexmarkColumns::bounded(1_000_000).only(NexmarkKind::Bid);
/// # let _ = bids;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NexmarkKind {
    /// Somebody registers.
    Person,
    /// Something is for sale.
    Auction,
    /// An offer.
    Bid,
}

impl NexmarkKind {
    /// The kind that the column `event_type` means by a number.
    pub fn of_event_type(number: i32) -> Option<Self> {
        [Self::Person, Self::Auction, Self::Bid].into_iter().find(|kind| kind.event_type() == number)
    }

    /// The number in the column `event_type`: 0, 1 or 2.
    pub fn event_type(self) -> i32 {
        match self {
            Self::Person => 0,
            Self::Auction => 1,
            Self::Bid => 2,
        }
    }
}

/// How many events there are of each kind, and what they are like. The defaults are those of Nexmark.
///
/// ```
/// use tidemill_connectors::{NexmarkColumns, NexmarkSettings};
///
/// let settings = NexmarkSettings { events_per_second: 1_000, bid_bytes: 200, ..NexmarkSettings::default() };
/// let source = NexmarkColumns::bounded(1_000_000).settings(settings)?;
/// # let _ = source;
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NexmarkSettings {
    /// Of so many events in turn … (`person.proportion`)
    pub persons: u32,
    /// … and so many … (`auction.proportion`)
    pub auctions: u32,
    /// … and so many, each round has persons, auctions and bids (`bid.proportion`).
    pub bids: u32,
    /// How many bytes a person has on average (`person.avg-size`).
    pub person_bytes: u32,
    /// How many bytes an auction has on average (`auction.avg-size`).
    pub auction_bytes: u32,
    /// How many bytes a bid has on average, apart from channel and URL (`bid.avg-size`).
    pub bid_bytes: u32,
    /// One of so many bids is for another than the hot auction (`bid.hot-ratio.auctions`).
    pub hot_auctions: u32,
    /// One of so many bids is by another than the hot bidder (`bid.hot-ratio.bidders`).
    pub hot_bidders: u32,
    /// One of so many auctions is by another than the hot seller (`auction.hot-ratio.sellers`).
    pub hot_sellers: u32,
    /// How many persons, the youngest, sell and bid.
    pub active_people: u32,
    /// How many auctions, the youngest, are bid for.
    pub in_flight_auctions: u32,
    /// Events in a second of event time (`first-event.rate`).
    pub events_per_second: u32,
    /// When the first event happens.
    pub base_time: TimestampMs,
    /// Other seeds give other events.
    pub seed: u64,
}

/// 2026-01-01T00:00:00Z.
const BASE_TIME: TimestampMs = TimestampMs(1_767_225_600_000);

impl Default for NexmarkSettings {
    fn default() -> Self {
        Self {
            persons: 1,
            auctions: 3,
            bids: 46,
            person_bytes: 200,
            auction_bytes: 500,
            bid_bytes: 100,
            hot_auctions: 2,
            hot_bidders: 4,
            hot_sellers: 4,
            active_people: 1000,
            in_flight_auctions: 100,
            events_per_second: 10_000,
            base_time: BASE_TIME,
            seed: 0,
        }
    }
}

impl NexmarkSettings {
    pub(super) fn validate(&self) -> Result<(), ConnectorError> {
        let least_one = [
            (self.persons, "the proportion of persons"),
            (self.auctions, "the proportion of auctions"),
            (self.hot_auctions, "the ratio of hot auctions"),
            (self.hot_bidders, "the ratio of hot bidders"),
            (self.hot_sellers, "the ratio of hot sellers"),
            (self.active_people, "the number of active people"),
            (self.events_per_second, "the number of events in a second"),
        ];
        let most = [
            (self.persons, 1 << 20, "the proportion of persons"),
            (self.auctions, 1 << 20, "the proportion of auctions"),
            (self.bids, 1 << 20, "the proportion of bids"),
            (self.person_bytes, 1 << 20, "the size of persons"),
            (self.auction_bytes, 1 << 20, "the size of auctions"),
            (self.bid_bytes, 1 << 20, "the size of bids"),
            (self.active_people, 1 << 30, "the number of active people"),
            (self.in_flight_auctions, 1 << 30, "the number of auctions in flight"),
        ];
        let zero =
            least_one.iter().find(|(value, _)| *value == 0).map(|(_, what)| format!("{what} must not be 0"));
        let large = most.iter().find(|(value, most, _)| value > most);
        let large = large.map(|(value, most, what)| format!("{what} is {value}, but may be {most} at most"));
        match zero.or(large) {
            Some(problem) => Err(ConnectorError::InvalidOption(format!("Nexmark: {problem}"))),
            None => Ok(()),
        }
    }

    pub(super) fn round(&self) -> u64 {
        u64::from(self.persons) + u64::from(self.auctions) + u64::from(self.bids)
    }
}

/// A field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    Id,
    Name,
    Email,
    CreditCard,
    City,
    State,
    DateTime,
    Extra,
    ItemName,
    Description,
    InitialBid,
    Reserve,
    Expires,
    Seller,
    Category,
    Auction,
    Bidder,
    Price,
    Channel,
    Url,
}

use Leaf::{
    Auction, Bidder, Category, Channel, City, CreditCard, DateTime, Description, Email, Expires, Extra, Id,
    InitialBid, ItemName, Name, Price, Reserve, Seller, State, Url,
};

const PERSON: [(&str, Leaf); 8] = [
    ("id", Id),
    ("name", Name),
    ("emailAddress", Email),
    ("creditCard", CreditCard),
    ("city", City),
    ("state", State),
    ("dateTime", DateTime),
    ("extra", Extra),
];

const AUCTION: [(&str, Leaf); 10] = [
    ("id", Id),
    ("itemName", ItemName),
    ("description", Description),
    ("initialBid", InitialBid),
    ("reserve", Reserve),
    ("dateTime", DateTime),
    ("expires", Expires),
    ("seller", Seller),
    ("category", Category),
    ("extra", Extra),
];

const BID: [(&str, Leaf); 7] = [
    ("auction", Auction),
    ("bidder", Bidder),
    ("price", Price),
    ("channel", Channel),
    ("url", Url),
    ("dateTime", DateTime),
    ("extra", Extra),
];

impl NexmarkKind {
    /// The column of the events of this kind.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Auction => "auction",
            Self::Bid => "bid",
        }
    }

    pub(super) fn leaves(self) -> &'static [(&'static str, Leaf)] {
        match self {
            Self::Person => &PERSON,
            Self::Auction => &AUCTION,
            Self::Bid => &BID,
        }
    }

    pub(super) fn fields(self) -> Fields {
        self.leaves().iter().map(|(name, leaf)| ArrowField::new(*name, leaf.data_type(), true)).collect()
    }
}

impl Leaf {
    pub(super) fn data_type(self) -> DataType {
        match self {
            DateTime | Expires => DataType::Timestamp(TimeUnit::Millisecond, None),
            Name | Email | CreditCard | City | State | Extra | ItemName | Description | Channel | Url => {
                DataType::Utf8
            }
            Id | InitialBid | Reserve | Seller | Category | Auction | Bidder | Price => DataType::Int64,
        }
    }
}

/// Events of one kind with numbers one after the other, all of one round, in rows one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) kind: NexmarkKind,
    pub(super) row: usize,
    pub(super) event: u64,
    pub(super) length: usize,
    /// The last person and auction that there are when the first of them happens, counted from 0.
    last_person: u64,
    last_auction: u64,
}

impl Run {
    #[inline]
    pub(super) fn events(&self) -> std::ops::Range<u64> {
        self.event..self.event + self.length as u64
    }
}

/// Identifiers begin here, so that queries find something in small streams too.
const FIRST_PERSON: u64 = 1000;
const FIRST_AUCTION: u64 = 1000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u32 = 5;
/// So many persons and auctions may be referred to before they are made.
const LEAD: u64 = 10;
/// One of so many persons or auctions is hot for as long as the next of them are made.
const HOT_SPAN: u64 = 100;

/// The pseudo-random numbers of all fields. What a field is made from must stay at its place: events would
/// change.
#[derive(Clone, Copy, Debug)]
struct Random {
    name: Field,
    email: Field,
    card: Field,
    city: Field,
    state: Field,
    person_extra: Field,
    item: Field,
    description: Field,
    initial: Field,
    reserve: Field,
    expires: Field,
    seller: Field,
    category: Field,
    auction_extra: Field,
    auction: Field,
    bidder: Field,
    price: Field,
    channel: Field,
    bid_extra: Field,
}

/// Makes events.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) settings: NexmarkSettings,
    random: Random,
}

impl Model {
    pub(super) fn new(settings: &NexmarkSettings) -> Self {
        let field = |number| Field::new(settings.seed, number);
        let random = Random {
            name: field(0),
            email: field(1),
            card: field(2),
            city: field(3),
            state: field(4),
            person_extra: field(5),
            item: field(6),
            description: field(7),
            initial: field(8),
            reserve: field(9),
            expires: field(10),
            seller: field(11),
            category: field(12),
            auction_extra: field(13),
            auction: field(14),
            bidder: field(15),
            price: field(16),
            channel: field(17),
            bid_extra: field(18),
        };
        Self { settings: settings.clone(), random }
    }

    /// Cuts events into runs: those of some kinds, which follow each other in their rows.
    /// Says how many rows that makes.
    pub(super) fn runs(&self, first: u64, events: u64, kinds: Kinds, runs: &mut Vec<Run>) -> usize {
        let settings = &self.settings;
        let (persons, auctions) = (u64::from(settings.persons), u64::from(settings.auctions));
        let total = settings.round();
        let parts = [
            (NexmarkKind::Person, 0, persons),
            (NexmarkKind::Auction, persons, persons + auctions),
            (NexmarkKind::Bid, persons + auctions, total),
        ];
        runs.clear();
        let end = first.saturating_add(events);
        let mut row = 0;
        let mut round = first / total;
        while round.saturating_mul(total) < end {
            let start = round * total;
            for (kind, from, to) in parts {
                let (from, to) = ((start + from).max(first), (start + to).min(end));
                if from >= to || !kinds.has(kind) {
                    continue;
                }
                let offset = from - start;
                let length = usize::try_from(to - from).unwrap_or(usize::MAX);
                runs.push(Run {
                    kind,
                    row,
                    event: from,
                    length,
                    last_person: round * persons + offset.min(persons - 1),
                    // Before the first auction of a round, the last is that of the round before; nobody asks
                    // for it there.
                    last_auction: round * auctions + offset.saturating_sub(persons).min(auctions - 1),
                });
                row += length;
            }
            round += 1;
        }
        row
    }

    /// When an event happens.
    pub(super) fn timestamp(&self, event: u64) -> i64 {
        let rate = u64::from(self.settings.events_per_second);
        let millis = (event / rate).saturating_mul(1000).saturating_add(event % rate * 1000 / rate);
        self.settings.base_time.0.saturating_add_unsigned(millis)
    }

    /// Appends when the events of a run happen.
    pub(super) fn timestamps(&self, run: &Run, out: &mut Vec<i64>) {
        let rate = u64::from(self.settings.events_per_second);
        let mut millis = self.timestamp(run.event);
        let (step, part) = (1000 / rate, 1000 % rate);
        // What is left of a millisecond, in parts of which it has `rate`.
        let mut left = run.event % rate * 1000 % rate;
        out.extend((0..run.length).map(|_| {
            let this = millis;
            left += part;
            let carry = u64::from(left >= rate);
            left -= carry * rate;
            millis = millis.saturating_add_unsigned(step + carry);
            this
        }));
    }

    /// Appends the values of a field that is a number or a time.
    pub(super) fn numbers(&self, leaf: Leaf, run: &Run, out: &mut Vec<i64>) {
        match (leaf, run.kind) {
            (DateTime, _) => self.timestamps(run, out),
            (Id, NexmarkKind::Person) => {
                extend(out, run, |event| FIRST_PERSON + run.last_person + event - run.event)
            }
            (Id, _) => extend(out, run, |event| FIRST_AUCTION + run.last_auction + event - run.event),
            (InitialBid, _) => extend(out, run, |event| price(self.random.initial.at(event))),
            (Reserve, _) => extend(out, run, |event| {
                price(self.random.initial.at(event)) + price(self.random.reserve.at(event))
            }),
            (Expires, _) => out.extend(run.events().map(|event| self.expires(event))),
            (Seller, _) => {
                let hot = run.last_person / HOT_SPAN * HOT_SPAN;
                self.people(run, self.random.seller, self.settings.hot_sellers, hot, out);
            }
            (Bidder, _) => {
                // The second of the span, so that hot bidders and hot sellers are not the same.
                let hot = run.last_person / HOT_SPAN * HOT_SPAN + 1;
                self.people(run, self.random.bidder, self.settings.hot_bidders, hot, out);
            }
            (Category, _) => extend(out, run, |event| {
                FIRST_CATEGORY + u64::from(upper_below(self.random.category.at(event), CATEGORIES))
            }),
            (Auction, _) => self.auctions(run, out),
            (Price, _) => extend(out, run, |event| price(self.random.price.at(event))),
            // Texts.
            _ => out.resize(out.len() + run.length, 0),
        }
    }

    fn auctions(&self, run: &Run, out: &mut Vec<i64>) {
        let last = run.last_auction;
        let hot = FIRST_AUCTION + last / HOT_SPAN * HOT_SPAN;
        let least = last.saturating_sub(u64::from(self.settings.in_flight_auctions));
        self.hot_or(
            run,
            self.random.auction,
            self.settings.hot_auctions,
            hot,
            FIRST_AUCTION + least,
            last - least + 1,
            out,
        );
    }

    /// Somebody hot, or one of those that are active or will soon be.
    fn people(&self, run: &Run, field: Field, ratio: u32, hot: u64, out: &mut Vec<i64>) {
        let people = run.last_person + 1;
        let active = people.min(u64::from(self.settings.active_people));
        self.hot_or(run, field, ratio, FIRST_PERSON + hot, FIRST_PERSON + people - active, active, out);
    }

    /// `hot`, or for one of `ratio` events one of `count` from `least` on and a few more.
    #[allow(clippy::too_many_arguments)] // All of it is what one formula is made of.
    fn hot_or(
        &self,
        run: &Run,
        field: Field,
        ratio: u32,
        hot: u64,
        least: u64,
        count: u64,
        out: &mut Vec<i64>,
    ) {
        let bound = u32::try_from(count + LEAD).unwrap_or(u32::MAX);
        extend(out, run, |event| {
            let random = field.at(event);
            let cold = least + u64::from(upper_below(random, bound));
            if lower_below(random, ratio) > 0 { hot } else { cold }
        });
    }

    /// After about as long as it takes until all that are in flight have ended.
    fn expires(&self, event: u64) -> i64 {
        let settings = &self.settings;
        let ahead = u64::from(settings.in_flight_auctions) * settings.round() / u64::from(settings.auctions);
        let now = self.timestamp(event);
        let horizon = self.timestamp(event.saturating_add(ahead)).saturating_sub(now).max(0).cast_unsigned();
        let random = self.random.expires.at(event);
        let length = (u128::from(random) * u128::from(horizon.saturating_mul(2).max(1))) >> 64;
        now.saturating_add(1).saturating_add_unsigned(u64::try_from(length).unwrap_or(0))
    }

    /// Appends the value of a field that is text.
    pub(super) fn text(&self, leaf: Leaf, kind: NexmarkKind, event: u64, out: &mut Vec<u8>) {
        let random = &self.random;
        match (leaf, kind) {
            (Name, _) => text::name(random.name.at(event), out),
            (Email, _) => {
                let mut stream = random.email.stream(event);
                text::words(&mut stream, 7, b' ', out);
                out.push(b'@');
                text::words(&mut stream, 5, b' ', out);
                out.extend_from_slice(b".com");
            }
            (CreditCard, _) => text::credit_card(random.card.at(event), out),
            (City, _) => text::city(random.city.at(event), out),
            (State, _) => text::state(random.state.at(event), out),
            (ItemName, _) => text::words(&mut random.item.stream(event), 20, b' ', out),
            (Description, _) => text::words(&mut random.description.stream(event), 100, b' ', out),
            (Channel, _) => text::channel(random.channel.at(event), out),
            (Url, _) => text::url(random.channel.at(event), out),
            (Extra, NexmarkKind::Bid) => {
                text::extra(&mut random.bid_extra.stream(event), 32, self.settings.bid_bytes, out);
            }
            (Extra, NexmarkKind::Auction) => {
                let size = 48 + self.length(&[ItemName, Description], kind, event, out);
                text::extra(&mut random.auction_extra.stream(event), size, self.settings.auction_bytes, out);
            }
            (Extra, NexmarkKind::Person) => {
                let size = 8 + self.length(&[Name, Email, CreditCard, City, State], kind, event, out);
                text::extra(&mut random.person_extra.stream(event), size, self.settings.person_bytes, out);
            }
            // Numbers and times.
            _ => {}
        }
    }

    /// How long texts are together, by the room behind what `out` has.
    fn length(&self, leaves: &[Leaf], kind: NexmarkKind, event: u64, out: &mut Vec<u8>) -> u32 {
        let before = out.len();
        leaves.iter().for_each(|leaf| self.text(*leaf, kind, event, out));
        let length = out.len() - before;
        out.truncate(before);
        u32::try_from(length).unwrap_or(u32::MAX)
    }
}

#[inline]
fn extend(out: &mut Vec<i64>, run: &Run, value: impl Fn(u64) -> u64) {
    out.extend(run.events().map(|event| value(event).cast_signed()));
}

const PRICE_STEPS: usize = 1024;

/// Powers of ten from 1 to 10^6 in equal steps of their exponents.
static POWERS: [f64; PRICE_STEPS] = {
    let mut powers = [1.0; PRICE_STEPS];
    let mut at = 1;
    while at < PRICE_STEPS {
        powers[at] = powers[at - 1] * exp(PRICE_STEP);
        at += 1;
    }
    powers
};

/// By what the natural exponent grows with a step.
const PRICE_STEP: f64 = 6.0 * std::f64::consts::LN_10 / PRICE_STEPS as f64;

/// The exponential function close to 0. Additions and multiplications are the same on all machines, unlike
/// the functions of their libraries.
#[inline]
const fn exp(x: f64) -> f64 {
    1.0 + x
        * (1.0
            + x * (1.0 / 2.0) * (1.0 + x * (1.0 / 3.0) * (1.0 + x * (1.0 / 4.0) * (1.0 + x * (1.0 / 5.0)))))
}

/// 10^(6 × a random number below 1) × 100, rounded: from 100 to 100 million, each decade as likely as any
/// other.
#[inline]
fn price(random: u64) -> u64 {
    let step = (random >> 54) as usize;
    // The bits below those of the step, as a number below 1.
    let part = ((random >> 2) & ((1 << 52) - 1)).cast_signed() as f64 * (1.0 / (1u64 << 52) as f64);
    let value = POWERS[step] * exp(part * PRICE_STEP) * 100.0;
    ((value + 0.5) as i64).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_powers_of_ten() {
        assert_eq!(price(0), 100);
        assert_eq!(price(u64::MAX), 100_000_000);
        for exponent in 0..1000u64 {
            let random = exponent << 54 | 1 << 53;
            let unit = (exponent as f64 + 0.5) / 1024.0;
            let exact = (10f64.powf(unit * 6.0) * 100.0).round() as u64;
            assert!(price(random).abs_diff(exact) <= 1, "{} for {exact}", price(random));
        }
    }

    #[test]
    fn timestamps_of_a_run_are_those_of_its_events() {
        for rate in [1, 3, 7, 999, 1000, 1001, 10_000, 12_345, u32::MAX] {
            let settings = NexmarkSettings { events_per_second: rate, ..NexmarkSettings::default() };
            let model = Model::new(&settings);
            let mut runs = Vec::new();
            assert_eq!(model.runs(12_341, 1000, Kinds::default(), &mut runs), 1000);
            let mut out = Vec::new();
            runs.iter().for_each(|run| model.timestamps(run, &mut out));
            let each: Vec<i64> = (12_341..13_341).map(|event| model.timestamp(event)).collect();
            assert_eq!(out, each, "{rate}");
        }
    }
}
