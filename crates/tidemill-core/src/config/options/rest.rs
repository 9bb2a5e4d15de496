//! The REST interface of a running job.

use super::checks::{not_empty, port, port_ranges};
use crate::config::ConfigOption;
use crate::config::option::declare_options;

declare_options! {
    /// Whether a running job can be reached through Flink's REST interface, which `tidemill list`, `savepoint`, `stop`, `cancel`,
    /// `checkpoint` and `rescale` use.
    REST_ENABLED: bool = ConfigOption::new("tidemill.rest.enabled").default("true");

    /// The port of the REST interface where `rest.bind-port` is not set; `0` for any that is free.
    REST_PORT: u32 = ConfigOption::new("rest.port").deprecated(&["web.port"]).check(port);

    /// The ports that the REST interface may have, of which it takes the first that is free: numbers and ranges, as in
    /// `50100-50200,50300`; `0` for any that is free. Where neither this nor `rest.port` is set, a job that finds none of them free
    /// runs without the interface, with a warning; otherwise it does not start.
    REST_BIND_PORT: String = ConfigOption::new("rest.bind-port")
        .default("8081-8180")
        .deprecated(&["web.port", "jobmanager.web.port"])
        .fallback(&["rest.port"])
        .check(port_ranges);

    /// The address of this machine that the REST interface listens on. Whoever reaches it can read about the job and stop it: only this
    /// machine by default.
    REST_BIND_ADDRESS: String = ConfigOption::new("rest.bind-address")
        .default("localhost")
        .deprecated(&["jobmanager.web.address"])
        .check(not_empty);

    /// The address by which clients reach the REST interface, where that is not the one it listens on: the name of the machine, for
    /// example. Requests for it are answered, and the commands of this machine use it.
    REST_ADDRESS: String = ConfigOption::new("rest.address").check(not_empty);
}

/// Reads port ranges as `rest.bind-port` has them: first and last of each, in order.
///
/// ```
/// use tidemill_core::config::options::port_range_list;
///
/// assert_eq!(port_range_list("50100-50200, 50300"), Ok(vec![(50100, 50200), (50300, 50300)]));
/// assert!(port_range_list("9000-8000").is_err() && port_range_list("70000").is_err());
/// ```
///
/// # Errors
/// What is wrong with the text, in words.
pub fn port_range_list(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let one = |text: &str| {
        let text = text.trim();
        text.parse::<u16>()
            .map_err(|_| format!("'{text}' is no port: expected a whole number from 0 to 65535"))
    };
    text.split(',')
        .map(|part| match part.split_once('-') {
            None => one(part).map(|port| (port, port)),
            Some((first, last)) => match (one(first)?, one(last)?) {
                (0, _) => Err("0, for any free port, stands alone".to_owned()),
                (first, last) if first > last => {
                    Err(format!("the range {first}-{last} ends before it begins"))
                }
                range => Ok(range),
            },
        })
        .collect()
}
