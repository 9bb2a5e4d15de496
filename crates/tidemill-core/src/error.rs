//! How every error of Tidemill is classified. Each crate has one error enum of its own; all of them implement
//! [`Classified`], so that whoever handles one knows whose fault it is and whether a retry helps.

/// Whose fault a failure is.
///
/// ```
/// use tidemill_core::Fault;
///
/// assert_eq!(Fault::External.to_string(), "external");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The job, its configuration or its input: the message says what to change.
    User,
    /// Something outside of the process: a disk, a server, a network.
    External,
    /// Tidemill itself: a bug worth reporting.
    Internal,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::User => "user",
            Fault::External => "external",
            Fault::Internal => "internal",
        })
    }
}

/// An error that knows its stable code, whose fault it is and whether trying again may help.
///
/// ```
/// use tidemill_core::{Classified, Fault};
///
/// #[derive(Debug)]
/// struct DiskFull;
///
/// impl std::fmt::Display for DiskFull {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("the disk is full; make room")
///     }
/// }
///
/// impl std::error::Error for DiskFull {}
///
/// impl Classified for DiskFull {
///     fn code(&self) -> &'static str {
///         "MY-DISK-FULL"
///     }
///     fn fault(&self) -> Fault {
///         Fault::External
///     }
/// }
///
/// assert!(!DiskFull.retryable());
/// ```
pub trait Classified: std::error::Error + Send + Sync + 'static {
    /// A code that never changes once released, such as `TM-CONFIG-UNKNOWN-KEY`.
    fn code(&self) -> &'static str;

    /// Whose fault it is.
    fn fault(&self) -> Fault;

    /// Whether the same action may succeed later without any change.
    fn retryable(&self) -> bool {
        false
    }
}
