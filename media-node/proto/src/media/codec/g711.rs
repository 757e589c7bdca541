//! G.711 audio (ITU-T G.711): one byte a sample, A-law or µ-law.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// PCMA, static RTP payload type 8.
    A,
    /// PCMU, static RTP payload type 0.
    Mu,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    pub law: Law,
    pub channels: u8,
}
