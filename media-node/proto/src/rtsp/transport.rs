//! The `Transport` header (RFC 2326 section 12.39).
//!
//! A client lists one or more transports, separated by commas; each is a profile and parameters:
//!
//! ```text
//! RTP/AVP/TCP;unicast;interleaved=0-1
//! RTP/AVP;unicast;client_port=50000-50001;mode="RECORD"
//! RTP/AVP;multicast
//! ```

/// The first thing wrong with a `Transport` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is what clients of the documented server see in the status line.
    #[error("malformed trannsport")]
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    /// Interleaved with the messages on their connection.
    Tcp,
    UdpUnicast,
    UdpMulticast,
}

/// One transport that a client offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// As sent, without the alternatives beside it.
    pub text: String,
    pub lower: Lower,
    /// Channels for RTP and RTCP.
    pub interleaved: Option<(u8, u8)>,
    /// The client's ports for RTP and RTCP.
    pub client_port: Option<(u16, u16)>,
    /// The server's ports for RTP and RTCP; of meaning in a response only.
    pub server_port: Option<(u16, u16)>,
    /// `mode=record`, also as `"RECORD"` or `receive`: the client sends.
    pub record: bool,
}

impl Transport {
    /// Every alternative of the header that can be understood, in the client's order.
    ///
    /// # Errors
    /// If there is none.
    pub fn parse_all(header: &str) -> Result<Vec<Self>, Error> {
        let all: Vec<_> = header
            .split(',')
            .take(16)
            .filter_map(|text| Self::parse(text).ok())
            .collect();
        if all.is_empty() {
            Err(Error::Malformed)
        } else {
            Ok(all)
        }
    }

    /// # Errors
    /// If the profile is not RTP/AVP, if nothing follows it, if TCP is asked for by multicast, or
    /// if a channel or port is no number.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (profile, parameters) = text.split_once(';').ok_or(Error::Malformed)?;
        let tcp = match profile.trim().to_ascii_uppercase().as_str() {
            "RTP/AVP/TCP" => true,
            "RTP/AVP" | "RTP/AVP/UDP" => false,
            _ => return Err(Error::Malformed),
        };
        let mut transport = Self {
            text: text.to_owned(),
            lower: if tcp { Lower::Tcp } else { Lower::UdpMulticast },
            interleaved: None,
            client_port: None,
            server_port: None,
            record: false,
        };
        for parameter in parameters.split(';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "unicast" if !tcp => transport.lower = Lower::UdpUnicast,
                "multicast" if tcp => return Err(Error::Malformed),
                "interleaved" => transport.interleaved = Some(range(value)?),
                "client_port" => transport.client_port = Some(range(value)?),
                "server_port" => transport.server_port = Some(range(value)?),
                "mode" => {
                    let mode = value.trim().trim_matches('"').to_ascii_lowercase();
                    transport.record = matches!(mode.as_str(), "record" | "receive");
                }
                _ => {}
            }
        }
        Ok(transport)
    }
}

/// `a-b`, or `a` alone with `a + 1` meant as the second.
fn range<T: std::str::FromStr + TryFrom<u32> + Copy + Into<u32>>(text: &str) -> Result<(T, T), Error> {
    let number = |text: &str| text.trim().parse::<T>().map_err(|_| Error::Malformed);
    if let Some((first, second)) = text.split_once('-') {
        return Ok((number(first)?, number(second)?));
    }
    let first = number(text)?;
    Ok((
        first,
        T::try_from(first.into() + 1).map_err(|_| Error::Malformed)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_of_real_clients() {
        let tcp = Transport::parse("RTP/AVP/TCP;unicast;interleaved=0-1").unwrap();
        assert_eq!(
            (tcp.lower, tcp.interleaved, tcp.record),
            (Lower::Tcp, Some((0, 1)), false)
        );
        let publish = Transport::parse("RTP/AVP/TCP;unicast;interleaved=2-3;mode=record").unwrap();
        assert_eq!((publish.interleaved, publish.record), (Some((2, 3)), true));
        let udp = Transport::parse("RTP/AVP/UDP;unicast;client_port=50000-50001").unwrap();
        assert_eq!(
            (udp.lower, udp.client_port),
            (Lower::UdpUnicast, Some((50_000, 50_001)))
        );
        let vlc = Transport::parse("RTP/AVP;unicast;client_port=6970-6971").unwrap();
        assert_eq!(vlc.lower, Lower::UdpUnicast);
        assert_eq!(
            Transport::parse("rtp/avp;multicast").unwrap().lower,
            Lower::UdpMulticast
        );
        assert_eq!(
            Transport::parse("RTP/AVP;client_port=4000").unwrap().client_port,
            Some((4000, 4001))
        );
        for mode in ["mode=\"RECORD\"", "mode=receive", "MODE=Record"] {
            assert!(
                Transport::parse(&format!("RTP/AVP/TCP;unicast;{mode}"))
                    .unwrap()
                    .record
            );
        }
        assert!(
            !Transport::parse("RTP/AVP/TCP;unicast;mode=\"PLAY\"")
                .unwrap()
                .record
        );
    }

    #[test]
    fn alternatives_keep_their_order_and_text() {
        let all = Transport::parse_all(
            "RAW/RAW/UDP;unicast, RTP/AVP;unicast;client_port=2-3,RTP/AVP/TCP;unicast;interleaved=0-1",
        )
        .unwrap();
        let texts: Vec<_> = all.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "RTP/AVP;unicast;client_port=2-3",
                "RTP/AVP/TCP;unicast;interleaved=0-1"
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_malformed() {
        for text in [
            "",
            "RTP/AVP/TCP",
            "RTP/AVP",
            "RTP/SAVP;unicast",
            "RTP/AVP/TCP;multicast",
            "RTP/AVP/TCP;interleaved=256-257",
            "RTP/AVP/TCP;interleaved=255",
            "RTP/AVP/TCP;interleaved=a-b",
            "RTP/AVP;unicast;client_port=65535",
            "RTP/AVP;unicast;client_port=70000-70001",
            "RTP/AVP;unicast;client_port=-1",
            ",,,",
        ] {
            assert_eq!(Transport::parse_all(text), Err(Error::Malformed), "{text}");
        }
    }
}
