//! The texts of events.

use std::sync::OnceLock;

use crate::random::{Field, Stream, lower_below, upper_below};

const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] =
    ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];

/// Where half of the bids are made.
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
/// Where the others are made.
const CHANNELS: u32 = 10_000;

fn push_one(list: &[&str], at: u32, out: &mut Vec<u8>) {
    if let Some(text) = list.get(at as usize) {
        out.extend_from_slice(text.as_bytes());
    }
}

pub(super) fn name(random: u64, out: &mut Vec<u8>) {
    push_one(&FIRST_NAMES, upper_below(random, FIRST_NAMES.len() as u32), out);
    out.push(b' ');
    push_one(&LAST_NAMES, lower_below(random, LAST_NAMES.len() as u32), out);
}

pub(super) fn city(random: u64, out: &mut Vec<u8>) {
    push_one(&CITIES, upper_below(random, CITIES.len() as u32), out);
}

pub(super) fn state(random: u64, out: &mut Vec<u8>) {
    push_one(&STATES, upper_below(random, STATES.len() as u32), out);
}

/// Four groups of four digits.
pub(super) fn credit_card(random: u64, out: &mut Vec<u8>) {
    for group in 0..4 {
        if group > 0 {
            out.push(b' ');
        }
        // 16 random bits make a number below ten thousand.
        let number = (((random >> (16 * group)) & 0xffff) * 10_000) >> 16;
        for power in [1000, 100, 10, 1] {
            out.push(b'0' + (number / power % 10) as u8);
        }
    }
}

/// What a random number below 13 × 26 stands for: one time in 13 something special (0), else a letter.
const LETTERS: [u8; 338] = {
    let mut letters = [0; 338];
    let mut at = 26;
    while at < 338 {
        letters[at] = b'a' + (at % 26) as u8;
        at += 1;
    }
    letters
};

/// Three or more letters, less than `most`; one of 13 is `special` instead. Blanks at the ends are left out.
pub(super) fn words(stream: &mut Stream, most: u32, special: u8, out: &mut Vec<u8>) {
    let length = 3 + upper_below(stream.draw(), most - 3);
    let from = out.len();
    let mut random = 0;
    for at in 0..length {
        if at % 4 == 0 {
            random = stream.draw();
        }
        let letter = LETTERS[(((random & 0xffff) * 338) >> 16) as usize];
        random >>= 16;
        out.push(if letter == 0 { special } else { letter });
    }
    while out.len() > from && out.last() == Some(&b' ') {
        out.pop();
    }
    let blanks = out[from..].iter().take_while(|byte| **byte == b' ').count();
    out.drain(from..from + blanks);
}

/// Letters that fill an event up from `size` to about `average` bytes.
pub(super) fn extra(stream: &mut Stream, size: u32, average: u32, out: &mut Vec<u8>) {
    let Some(missing) = average.checked_sub(size) else { return };
    // A fifth more or less.
    let delta = (missing + 2) / 5;
    let length = missing - delta + upper_below(stream.draw(), 2 * delta);
    let end = out.len() + length as usize;
    while out.len() < end {
        out.extend_from_slice(&eight_letters(stream.draw()));
    }
    out.truncate(end);
}

/// Eight letters, each of a byte of a random number: `byte × 26 / 256` in four lanes of 16 bits at a time.
#[inline]
fn eight_letters(random: u64) -> [u8; 8] {
    const LANES: u64 = 0x00ff_00ff_00ff_00ff;
    let even = (((random & LANES) * 26) >> 8) & LANES;
    let odd = ((((random >> 8) & LANES) * 26) >> 8) & LANES;
    ((even | (odd << 8)) + 0x6161_6161_6161_6161).to_le_bytes()
}

/// All channels and their pages, one text after the other.
struct Pages {
    text: Vec<u8>,
    /// Where each channel ends, and where its page does.
    ends: Vec<(u32, u32)>,
}

/// The same for all readers and seeds, as in Nexmark.
fn pages() -> &'static Pages {
    static PAGES: OnceLock<Pages> = OnceLock::new();
    PAGES.get_or_init(|| {
        let (random, with_id) = (Field::new(0x7061_6765, 0), Field::new(0x7061_6765, 1));
        let mut pages = Pages { text: Vec::new(), ends: Vec::new() };
        let count = CHANNELS + HOT_CHANNELS.len() as u32;
        for number in 0..count {
            let hot = number.checked_sub(CHANNELS).and_then(|hot| HOT_CHANNELS.get(hot as usize));
            match hot {
                Some(name) => pages.text.extend_from_slice(name.as_bytes()),
                None => pages.text.extend_from_slice(format!("channel-{number}").as_bytes()),
            }
            let channel_end = pages.text.len() as u32;
            pages.text.extend_from_slice(b"https://www.nexmark.com/");
            let mut stream = random.stream(u64::from(number));
            for _ in 0..3 {
                words(&mut stream, 5, b'_', &mut pages.text);
                pages.text.push(b'/');
            }
            pages.text.extend_from_slice(b"item.htm?query=1");
            if hot.is_none() && upper_below(with_id.at(u64::from(number)), 10) > 0 {
                let id = number.reverse_bits().cast_signed().unsigned_abs();
                pages.text.extend_from_slice(format!("&channel_id={id}").as_bytes());
            }
            pages.ends.push((channel_end, pages.text.len() as u32));
        }
        pages
    })
}

/// Which channel a bid is made in: a hot one for half of them.
fn channel_number(random: u64) -> usize {
    // The lowest bit is not used by what the others are scaled to.
    if random & 1 == 0 {
        (CHANNELS + upper_below(random, HOT_CHANNELS.len() as u32)) as usize
    } else {
        upper_below(random, CHANNELS) as usize
    }
}

fn page(random: u64) -> (&'static [u8], &'static [u8]) {
    let (pages, number) = (pages(), channel_number(random));
    let start = number.checked_sub(1).and_then(|before| pages.ends.get(before)).map_or(0, |(_, end)| *end);
    let (channel_end, url_end) = pages.ends.get(number).copied().unwrap_or((start, start));
    let part = |from: u32, to: u32| pages.text.get(from as usize..to as usize).unwrap_or_default();
    (part(start, channel_end), part(channel_end, url_end))
}

pub(super) fn channel(random: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(page(random).0);
}

pub(super) fn url(random: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(page(random).1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn letters_are_letters() {
        for random in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert!(eight_letters(random).iter().all(u8::is_ascii_lowercase));
        }
        assert_eq!(&eight_letters(0xff00_ff00_ff00_ff00), b"azazazaz");
        let field = Field::new(1, 1);
        for event in 0..2000 {
            let words = text(|out| words(&mut field.stream(event), 20, b' ', out));
            assert!(words.len() < 20 && words.trim() == words, "{words:?}");
        }
    }

    #[test]
    fn pages_belong_to_their_channels() {
        let field = Field::new(3, 3);
        let mut hot = 0;
        for event in 0..2000 {
            let random = field.at(event);
            let (channel, url) = (text(|out| channel(random, out)), text(|out| url(random, out)));
            assert!(
                url.starts_with("https://www.nexmark.com/") && url.contains("/item.htm?query=1"),
                "{url}"
            );
            match channel.strip_prefix("channel-") {
                None => {
                    hot += 1;
                    assert!(HOT_CHANNELS.contains(&channel.as_str()), "{channel}");
                    assert!(!url.contains("channel_id"), "{url}");
                }
                Some(number) => {
                    let number: u32 = number.parse().unwrap();
                    let id = number.reverse_bits().cast_signed().unsigned_abs();
                    if let Some((_, found)) = url.split_once("&channel_id=") {
                        assert_eq!(found, id.to_string());
                    }
                }
            }
        }
        assert!((900..1100).contains(&hot), "{hot}");
    }

    #[test]
    fn extras_fill_up() {
        let field = Field::new(5, 5);
        let lengths: Vec<usize> = (0..10_000)
            .map(|event| text(|out| extra(&mut field.stream(event), 32, 100, out)).len())
            .collect();
        let mean = lengths.iter().sum::<usize>() as f64 / 10_000.0;
        assert!((mean - 68.0).abs() < 1.0, "{mean}");
        assert!(lengths.iter().all(|length| (54..=82).contains(length)));
        assert_eq!(text(|out| extra(&mut field.stream(1), 101, 100, out)), "");
        assert_eq!(text(|out| extra(&mut field.stream(1), 100, 100, out)), "");
    }
}
