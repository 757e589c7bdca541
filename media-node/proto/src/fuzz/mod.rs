//! Bodies of the fuzz targets: here, so that stable builds keep them compiling and the tests replay
//! their corpora, `fuzz/corpus/<name>/`. Each takes any bytes; it may reject them, but neither panic
//! nor contradict itself.

mod codec;
mod flv;
mod mp4;

/// A target and its body.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of the target, and of the folder of its corpus.
    pub name: &'static str,
    pub body: fn(&[u8]),
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    Target {
        name: "aac_config",
        body: codec::aac_config,
    },
    Target {
        name: "annexb",
        body: codec::annexb,
    },
    Target {
        name: "flv",
        body: flv::flv,
    },
    Target {
        name: "h264_sps",
        body: codec::h264_sps,
    },
    Target {
        name: "h265_sps",
        body: codec::h265_sps,
    },
    Target {
        name: "mp4_index",
        body: mp4::mp4_index,
    },
];
