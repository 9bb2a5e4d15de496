//! Addresses: of web pages as `java.net.URL` takes them apart, and of computers.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::types::Int64Type;

use crate::functions::kernel::{Argument, FunctionContext, Mismatch, Resolved};
use crate::functions::support::{Want, primitives, strings, targets};
use crate::types::TypeRoot;

type Arguments<'a> = &'a [Argument<'a>];

/// The protocols that Java has a handler of; a URL of another one is none for it.
const PROTOCOLS: [&str; 5] = ["http", "https", "ftp", "file", "jrt"];

/// The parts of a URL.
#[derive(Debug, Default, PartialEq, Eq)]
struct Url<'a> {
    protocol: Cow<'a, str>,
    authority: Option<&'a str>,
    user_info: Option<&'a str>,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    reference: Option<&'a str>,
}

impl<'a> Url<'a> {
    /// Takes `text` apart; `None` when it is no URL.
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_matches(|c: char| c <= ' ');
        let text = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("url:") => text.get(4..)?,
            _ => text,
        };
        let colon = text
            .find([':', '/', '#'])
            .filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(':')))?;
        let (protocol, rest) = (text.get(..colon)?, text.get(colon + 1..)?);
        let protocol = if protocol.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(protocol.to_ascii_lowercase())
        } else {
            Cow::Borrowed(protocol)
        };
        if !PROTOCOLS.contains(&&*protocol) {
            return None;
        }
        let (rest, reference) = match rest.split_once('#') {
            Some((rest, reference)) => (rest, Some(reference)),
            None => (rest, None),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let mut url = Url { protocol, query, reference, ..Url::default() };
        let mut path = rest;
        // Four slashes start a name of a Windows share, which has no host for Java.
        if !rest.starts_with("////")
            && let Some(behind) = rest.strip_prefix("//")
        {
            let end = behind.find('/').unwrap_or(behind.len());
            url.set_authority(behind.get(..end)?)?;
            path = behind.get(end..)?;
        }
        url.path = path;
        Some(url)
    }

    fn set_authority(&mut self, authority: &'a str) -> Option<()> {
        self.authority = Some(authority);
        let host = match authority.split_once('@') {
            // More than one `@` is no user and host, so neither is known.
            Some((_, host)) if host.contains('@') => return Some(()),
            Some((user_info, host)) => {
                self.user_info = Some(user_info);
                host
            }
            None => authority,
        };
        let port = if host.starts_with('[') {
            let end = host.find(']').filter(|end| *end > 2)?;
            host.get(1..end)?.parse::<std::net::Ipv6Addr>().ok()?;
            self.host = host.get(..=end)?;
            match host.get(end + 1..)? {
                "" => "",
                rest => rest.strip_prefix(':')?,
            }
        } else {
            let (host, port) = host.split_once(':').unwrap_or((host, ""));
            self.host = host;
            port
        };
        // A port may be left out behind the colon, but is a number otherwise.
        let is_port = port.is_empty() || port.parse::<i32>().is_ok_and(|port| port >= -1);
        is_port.then_some(())
    }

    fn file(&self, out: &mut String) {
        out.push_str(self.path);
        if let Some(query) = self.query {
            out.push('?');
            out.push_str(query);
        }
    }
}

/// Writes a part of a URL; whether there is one.
fn write_part(url: &Url<'_>, part: &str, out: &mut String) -> bool {
    let found = match part {
        "HOST" => Some(url.host),
        "PATH" => Some(url.path),
        "QUERY" => url.query,
        "REF" => url.reference,
        "PROTOCOL" => Some(&*url.protocol),
        "AUTHORITY" => url.authority,
        "USERINFO" => url.user_info,
        "FILE" => {
            url.file(out);
            return true;
        }
        _ => None,
    };
    out.push_str(found.unwrap_or_default());
    found.is_some()
}

/// The value of the first parameter called `key`.
fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    if key.contains('&') {
        // Such a key may reach over parameters: wherever one starts, it can start.
        let starts = std::iter::once(0).chain(query.match_indices('&').map(|(at, _)| at + 1));
        let rest = starts.filter_map(|at| query.get(at..)?.strip_prefix(key)?.strip_prefix('=')).next()?;
        return Some(rest.split('&').next().unwrap_or_default());
    }
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

pub(super) fn parse_url(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text, Want::Text], &[Want::Text], "(STRING, STRING[, STRING])")?;
    let has_key = types.len() == 3;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        let (text, part) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let key = has_key.then(|| inputs.get(2)?.text()).transpose()?;
        strings(inputs, |row, out| {
            let (Some(text), Some(part)) = (text.get(row), part.get(row)) else { return Ok(false) };
            let Some(url) = Url::parse(text) else { return Ok(false) };
            let Some(keys) = &key else { return Ok(write_part(&url, part, out)) };
            let found = match (keys.get(row), part, url.query) {
                (Some(key), "QUERY", Some(query)) => parameter(query, key),
                _ => None,
            };
            out.push_str(found.unwrap_or_default());
            Ok(found.is_some())
        })
    }))
}

pub(super) fn url_encode(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or('0');
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(super::alter::mapped(types, TypeRoot::STRING.nullable(), move |text, out| {
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                    out.push(char::from(byte))
                }
                b' ' => out.push('+'),
                _ => out.extend(['%', digit(byte >> 4), digit(byte)]),
            }
        }
    }))
}

pub(super) fn url_decode(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), |inputs| {
        let text = inputs.get(0)?.text()?;
        let mut codes = Vec::new();
        strings(inputs, |row, out| {
            Ok(text.get(row).is_some_and(|text| decode(text, &mut codes, out).is_some()))
        })
    }))
}

fn decode(text: &str, codes: &mut Vec<u8>, out: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some(at) = rest.find(['+', '%']) {
        out.push_str(rest.get(..at)?);
        rest = rest.get(at..)?;
        if let Some(behind) = rest.strip_prefix('+') {
            out.push(' ');
            rest = behind;
            continue;
        }
        codes.clear();
        while let Some(behind) = rest.strip_prefix('%') {
            let digits = behind.get(..2)?;
            codes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = behind.get(2..)?;
        }
        out.push_str(&String::from_utf8_lossy(codes));
    }
    out.push_str(rest);
    Some(())
}

pub(super) fn inet_aton(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let types = targets(arguments, &[Want::Text], &[], "(STRING)")?;
    Ok(Resolved::new(types, TypeRoot::BigInt.nullable(), |inputs| {
        let text = inputs.get(0)?.text()?;
        Ok(Arc::new(primitives::<Int64Type>(inputs, |row| Ok(text.get(row).and_then(address_number)))?))
    }))
}

/// The number of an address of one to four numbers; the last one stands for what the others leave.
fn address_number(text: &str) -> Option<i64> {
    let mut parts = [0i64; 4];
    let mut count = 0;
    for part in text.split('.') {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Zeros in front are no matter, however many.
        let number = part.bytes().try_fold(0i64, |number, byte| {
            let number = number * 10 + i64::from(byte - b'0');
            (number <= 255).then_some(number)
        })?;
        *parts.get_mut(count)? = number;
        count += 1;
    }
    let [a, b, c, d] = parts;
    match count {
        1 => Some(a),
        2 => Some(a << 24 | b),
        3 => Some(a << 24 | b << 16 | c),
        _ => Some(a << 24 | b << 16 | c << 8 | d),
    }
}

pub(super) fn inet_ntoa(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    use std::fmt::Write;
    let types = targets(arguments, &[Want::Integer], &[], "(INT)")?;
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), |inputs| {
        let numbers = inputs.get(0)?.primitive::<Int64Type>()?;
        strings(inputs, |row, out| {
            let address = numbers.get(row).and_then(|number| u32::try_from(number).ok());
            Ok(address
                .is_some_and(|address| write!(out, "{}", std::net::Ipv4Addr::from_bits(address)).is_ok()))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use crate::functions::support::testing::{Given, number, text};

    fn part(url: &str, part: &str) -> Option<String> {
        text(FUNCTIONS, "PARSE_URL", &[url.into(), part.into()])
    }

    #[test]
    fn parts_of_urls() {
        let url = "http://user:pw@facebook.com:8080/path1/p.php?k1=v1&k2=v2#Ref1";
        assert_eq!(part(url, "HOST").as_deref(), Some("facebook.com"));
        assert_eq!(part(url, "AUTHORITY").as_deref(), Some("user:pw@facebook.com:8080"));
        assert_eq!(part(url, "USERINFO").as_deref(), Some("user:pw"));
        assert_eq!(part(url, "FILE").as_deref(), Some("/path1/p.php?k1=v1&k2=v2"));
        assert_eq!(part(url, "PATH").as_deref(), Some("/path1/p.php"));
        assert_eq!(part(url, "QUERY").as_deref(), Some("k1=v1&k2=v2"));
        assert_eq!(part(url, "REF").as_deref(), Some("Ref1"));
        assert_eq!(part(url, "PROTOCOL").as_deref(), Some("http"));
        assert_eq!(part(url, "host"), None);
        assert_eq!(part("nope", "HOST"), None);
        assert_eq!(part("foo://a.b/c", "HOST"), None);
        assert_eq!(part("http://facebook.com", "PATH").as_deref(), Some(""));
        assert_eq!(part("http://facebook.com", "QUERY"), None);
        assert_eq!(part("http://facebook.com", "USERINFO"), None);
    }

    #[test]
    fn strange_urls() {
        assert_eq!(part("  HTTP://A.b/c ", "PROTOCOL").as_deref(), Some("http"));
        assert_eq!(part("http://a/b/../c/./d", "PATH").as_deref(), Some("/b/../c/./d"));
        assert_eq!(part("http:////a/b", "PATH").as_deref(), Some("////a/b"));
        assert_eq!(part("http://", "AUTHORITY").as_deref(), Some(""));
        assert_eq!(part("http://a:-2/", "HOST"), None);
        assert_eq!(part("http://a#x?y", "QUERY"), None);
        assert_eq!(part("url:http://x/y", "HOST").as_deref(), Some("x"));
        assert_eq!(part("http://a:x/b", "HOST"), None);
        assert_eq!(part("http://a:/b", "HOST").as_deref(), Some("a"));
        assert_eq!(part("http://[::1]:80/b", "HOST").as_deref(), Some("[::1]"));
        assert_eq!(part("http://[::z]/b", "HOST"), None);
        assert_eq!(part("http://a@b@c/d", "HOST").as_deref(), Some(""));
        assert_eq!(part("file:///etc/x", "PATH").as_deref(), Some("/etc/x"));
        assert_eq!(part("http:a/b", "PATH").as_deref(), Some("a/b"));
        assert_eq!(part("http://a?x=/y", "QUERY").as_deref(), Some("x=/y"));
        assert_eq!(part("", "HOST"), None);
    }

    #[test]
    fn parameters() {
        let parameter =
            |url: &str, key: &str| text(FUNCTIONS, "PARSE_URL", &[url.into(), "QUERY".into(), key.into()]);
        assert_eq!(parameter("http://f.com/p?k1=v1&k2=v2#R", "k2").as_deref(), Some("v2"));
        assert_eq!(parameter("http://f.com/p?k1=v1&k2=v2#R", "k3"), None);
        assert_eq!(parameter("http://f.com/p?xk=1&k=", "k").as_deref(), Some(""));
        assert_eq!(parameter("http://f.com/p?a&b=1", "a&b").as_deref(), Some("1"));
        assert_eq!(parameter("http://f.com/p", "k"), None);
        let path = text(FUNCTIONS, "PARSE_URL", &["http://f.com/p?k=v".into(), "PATH".into(), "k".into()]);
        assert_eq!(path, None);
    }

    #[test]
    fn forms() {
        assert_eq!(text(FUNCTIONS, "URL_ENCODE", &["a b/é*~".into()]).as_deref(), Some("a+b%2F%C3%A9*%7E"));
        let decoded = |form: &str| text(FUNCTIONS, "URL_DECODE", &[form.into()]);
        assert_eq!(decoded("a+b%2F%C3%A9").as_deref(), Some("a b/é"));
        assert_eq!(decoded("%zz"), None);
        assert_eq!(decoded("a%4"), None);
        assert_eq!(decoded("%é"), None);
        assert_eq!(decoded("%C3").as_deref(), Some("\u{FFFD}"));
        assert_eq!(text(FUNCTIONS, "URL_DECODE", &[Given::from(None::<&str>)]), None);
    }

    #[test]
    fn addresses() {
        let aton = |address: &str| number(FUNCTIONS, "INET_ATON", &[address.into()]);
        assert_eq!(aton("127.0.0.1"), Some(2_130_706_433));
        assert_eq!(aton("127.1"), Some(2_130_706_433));
        assert_eq!(aton("255.255.255.255"), Some(4_294_967_295));
        for address in ["", "1..2", "256.1.1.1", "1.2.3.4.5", "a.b", "+1.2.3.4"] {
            assert_eq!(aton(address), None, "{address}");
        }
        let ntoa = |number: i64| text(FUNCTIONS, "INET_NTOA", &[number.into()]);
        assert_eq!(ntoa(2_130_706_433).as_deref(), Some("127.0.0.1"));
        assert_eq!(ntoa(-1), None);
        assert_eq!(ntoa(1 << 32), None);
    }
}
