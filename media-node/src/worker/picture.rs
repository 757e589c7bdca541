//! Pictures: from a keyframe to a JPEG, and from a JPEG to a smaller one.

use super::{Error, Workers};
use bytes::Bytes;

/// Largest box, in pixels each way.
const MOST: u16 = 1920;
/// Pixels of a picture that is decoded: a little more than 8K has.
const MOST_PIXELS: &str = "36000000";
/// Bytes that it may ask for in one piece.
const MOST_ALLOCATED: &str = "268435456";
/// From 2, the best, to 31.
const QUALITY: &str = "4";

/// A box that a picture is to fit in. It keeps its proportions, and is not made larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fit {
    width: u16,
    height: u16,
}

impl Fit {
    /// Of 1 to 1920 pixels each way; none otherwise.
    pub fn new(width: u16, height: u16) -> Option<Self> {
        let fits = |n| (1..=MOST).contains(&n);
        (fits(width) && fits(height)).then_some(Self { width, height })
    }

    /// Only the width or the height counts if only one is given.
    pub fn of(width: Option<u16>, height: Option<u16>) -> Option<Self> {
        Self::new(width.unwrap_or(MOST), height.unwrap_or(MOST))
    }
}

impl Workers {
    /// The first picture of a fragmented MP4 that holds one video track and begins with a keyframe, as a JPEG.
    pub async fn snapshot(&self, mp4: Bytes, fit: Option<Fit>) -> Result<Bytes, Error> {
        self.picture("mp4", mp4, fit).await
    }

    /// A JPEG that fits the box, from one that may be larger.
    pub async fn resize(&self, jpeg: Bytes, fit: Fit) -> Result<Bytes, Error> {
        self.picture("jpeg_pipe", jpeg, Some(fit)).await
    }

    async fn picture(&self, format: &str, input: Bytes, fit: Option<Fit>) -> Result<Bytes, Error> {
        let size = fit.map_or_else(
            || "w=iw:h=ih".to_owned(),
            |Fit { width, height }| {
                format!("w='min(iw,{width})':h='min(ih,{height})':force_original_aspect_ratio=decrease")
            },
        );
        // JPEG has the full range of luminance, cameras mostly not.
        let filter = format!("scale={size}:out_range=full,format=yuvj420p");
        let arguments = [
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "error",
            "-max_alloc",
            MOST_ALLOCATED,
            "-filter_threads",
            "1",
            // What is read: only this container, and from nowhere but the pipe, whatever it says in it.
            "-threads",
            "1",
            "-protocol_whitelist",
            "pipe",
            "-max_pixels",
            MOST_PIXELS,
            "-f",
            format,
            "-i",
            "pipe:0",
            // What is written.
            "-map",
            "0:v:0",
            "-frames:v",
            "1",
            "-vf",
            &filter,
            "-c:v",
            "mjpeg",
            "-threads",
            "1",
            "-q:v",
            QUALITY,
            "-f",
            "image2pipe",
            "pipe:1",
        ];
        self.run(&arguments, input).await
    }
}
