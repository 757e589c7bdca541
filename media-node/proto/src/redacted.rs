//! Values that must not appear in logs.

use std::fmt;

/// Holds a secret; prints `[redacted]` in its place. Comparing is left out on purpose: secrets are
/// compared in constant time, by who knows how.
#[derive(Clone, Default)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself, for the one place that must have it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Redacted;

    #[test]
    fn prints_nothing_of_the_secret() {
        let secret = Redacted::new("canary");
        assert_eq!(format!("{secret} {secret:?}"), "[redacted] [redacted]");
    }
}
