//! How a program that runs a job ends when it fails.

use std::fmt;

/// What the `main` of a job returns.
///
/// ```
/// fn main() -> tidemill::Result<()> {
///     let seats: u32 = "180".parse()?;
///     assert_eq!(seats, 180);
///     Ok(())
/// }
/// ```
pub type Result<T> = std::result::Result<T, Failure>;

/// Any error, shown as people should read it: Rust prints what `main` returns by its `Debug` form, so that form is the
/// message, without quotes or braces.
///
/// ```
/// use tidemill::Failure;
///
/// let failure = Failure::from("no such airport");
/// assert_eq!(format!("{failure:?}"), "no such airport", "without quotes");
/// ```
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut said = self.0.to_string();
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            // Many messages contain that of their cause already, or of the cause of that.
            if !said.contains(&text) {
                write!(f, "\n  caused by: {text}")?;
                said.push_str(&text);
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Link(&'static str, #[source] Option<Box<Link>>);

    #[test]
    fn nothing_is_said_twice() {
        let chain = |texts: &[&'static str]| {
            texts.iter().rev().fold(None, |next, text| Some(Box::new(Link(text, next)))).unwrap()
        };
        let shown = |texts: &[&'static str]| Failure::from(chain(texts)).to_string();
        assert_eq!(shown(&["no: disk full", "disk full"]), "no: disk full");
        assert_eq!(shown(&["no: disk full", "write", "disk full"]), "no: disk full\n  caused by: write");
        assert_eq!(shown(&["no", "why", "why", "no"]), "no\n  caused by: why");
    }
}
