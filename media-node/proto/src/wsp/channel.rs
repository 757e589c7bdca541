//! Channel ids: what leads from a data socket to its control socket.

use std::fmt;

/// Bits of the number within a gateway.
const NUMBER_BITS: u32 = 37;

/// Names a control socket, in a whole pool:
///
/// ```text
///  63          53 52                37 36                              0
/// |      0       |      gateway       |             number              |
/// ```
///
/// On the wire it is a decimal number. It stays below 2^53, so that a script that takes it for a
/// number loses nothing. Make the number unguessable: whoever knows it can join.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelId(u64);

impl ChannelId {
    /// Of `number` only the low 37 bits count.
    pub const fn new(gateway: u16, number: u64) -> Self {
        Self((gateway as u64) << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1))
    }

    /// `None` for what no [`Self::new`] made: anything but digits, leading zeros, and more bits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        let value = text.parse::<u64>().ok().filter(|_| digits)?;
        (value >> (NUMBER_BITS + u16::BITS) == 0).then_some(Self(value))
    }

    /// Where the control socket is.
    pub const fn gateway(self) -> u16 {
        (self.0 >> NUMBER_BITS) as u16
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not the number: it is a secret of the two sockets.
impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelId")
            .field("gateway", &self.gateway())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::ChannelId;

    #[test]
    fn ids_are_decimal_and_lead_to_their_gateway() {
        for (gateway, number) in [(0, 0), (0, 1), (7, 0x1f_ffff_ffff), (u16::MAX, u64::MAX)] {
            let id = ChannelId::new(gateway, number);
            assert_eq!(id.gateway(), gateway);
            let text = id.to_string();
            assert_eq!(ChannelId::parse(&text), Some(id), "{text}");
            assert!(text.parse::<u64>().unwrap() < 1 << 53, "{text}");
        }
        assert_eq!(ChannelId::new(0, 5).to_string(), "5");
        assert_ne!(ChannelId::new(1, 5), ChannelId::new(2, 5));
    }

    #[test]
    fn other_spellings_are_none() {
        for text in [
            "",
            "-1",
            "+1",
            "01",
            "1 ",
            "0x1",
            "a",
            "9007199254740992",
            "18446744073709551616",
        ] {
            assert_eq!(ChannelId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_do_not_print_whole() {
        let text = format!("{:?}", ChannelId::new(3, 123_456));
        assert!(text.contains('3') && !text.contains("123456"), "{text}");
    }
}
