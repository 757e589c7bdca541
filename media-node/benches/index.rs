//! How long the index takes to answer, with as many rows as there is room for:
//!
//!     cargo bench -p media-node --bench index -- sqlite:/tmp/index.sqlite 1000 7
//!     cargo bench -p media-node --bench index -- postgres://postgres@127.0.0.1/index 1000 7
//!
//! The database, cameras, days. Segments have a minute, and come as they do in life: those of all cameras, minute by minute. What is
//! there already is not made again. Prints milliseconds.

use anyhow::{Context, Result, ensure};
use media_node::store::sql::{Database, Location};
use std::hint::black_box;
use std::time::Instant;
use weir_recording::SegmentFacts;
use weir_recording::facts::TrackFacts;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Tuesday, 2026-01-06.
const BEGIN_MS: i64 = 1_767_657_600_000;
const ASKED: u32 = 2_000;
/// As many as a player is given at once.
const MOST: u64 = 10_081;

#[tokio::main]
async fn main() -> Result<()> {
    // Cargo says `--bench` first.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [place, cameras, days] = words.as_slice() else {
        println!("index: DATABASE CAMERAS DAYS");
        return Ok(());
    };
    let (cameras, days): (i64, i64) = (cameras.parse()?, days.parse()?);
    ensure!(cameras > 0 && days > 1, "at least a camera and two days");
    let database = Database::open(&Location::parse(place)?).await?;
    fill(&database, cameras, days).await?;

    let begun = Instant::now();
    let found = database.recorded_cameras().await?.len();
    ensure!(found as i64 == cameras, "{found} cameras are listed");
    println!("list of {found} cameras: {:.1}", ms(begun));
    for (what, length_ms) in [("hour", 60 * MINUTE_MS), ("day", DAY_MS)] {
        let mut taken = Vec::new();
        for _ in 0..ASKED {
            let camera = uid(i64::from(rand::random::<u32>()) % cameras);
            let last = days * DAY_MS - length_ms;
            let from_ms = BEGIN_MS + i64::from(rand::random::<u32>()) * 1_000 % last;
            let begun = Instant::now();
            let rows = black_box(
                database
                    .segments(&camera, from_ms, from_ms + length_ms, MOST)
                    .await?,
            );
            taken.push(ms(begun));
            ensure!(rows.len() as i64 >= length_ms / MINUTE_MS, "{} rows", rows.len());
        }
        tell(&format!("a random {what} of a random camera"), taken);
    }
    let mut taken = Vec::new();
    for camera in 0..cameras.min(100) {
        let begun = Instant::now();
        let stored = database.stored(&uid(camera)).await?;
        taken.push(ms(begun));
        ensure!(stored.segments == days * 24 * 60, "{} segments", stored.segments);
    }
    tell("how much there is of a camera", taken);
    Ok(())
}

async fn fill(database: &Database, cameras: i64, days: i64) -> Result<()> {
    let begun = Instant::now();
    let there = database.stored(&uid(cameras - 1)).await?.segments;
    for minute in there..days * 24 * 60 {
        let rows: Vec<SegmentFacts> = (0..cameras).map(|camera| segment(camera, minute)).collect();
        database.put_segments(&rows).await.context("put")?;
    }
    println!(
        "{} rows are there, {} of them made in {:.0} s",
        cameras * days * 24 * 60,
        cameras * (days * 24 * 60 - there),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn uid(camera: i64) -> String {
    format!("542e8548-b88f-797f-f262-{camera:012x}")
}

/// What a node says of a segment with H.264 and AAC.
fn segment(camera: i64, minute: i64) -> SegmentFacts {
    // Cameras are not in step.
    let start_ms = BEGIN_MS + minute * MINUTE_MS + camera * 7_919 % MINUTE_MS;
    let track = |codec: &str, clock_rate, width, height| TrackFacts {
        codec: codec.to_owned(),
        clock_rate,
        width,
        height,
    };
    SegmentFacts {
        camera_uid: uid(camera),
        camera: format!("camera-{camera}"),
        path: format!("hall/camera-{camera}"),
        start_ms,
        end_ms: start_ms + MINUTE_MS,
        epoch: 0,
        session: 11_511_135_796_310_406_484,
        sequence: minute as u32,
        bytes: 16_027_519,
        init_bytes: 1_103,
        table_offset: 16_003_733,
        frames: 1_500,
        keyframes: 30,
        tracks: vec![track("H264", 90_000, 1_280, 720), track("AAC", 48_000, 0, 0)],
    }
}

fn ms(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1_000.0
}

fn tell(what: &str, mut taken: Vec<f64>) {
    taken.sort_by(f64::total_cmp);
    let at = |share: usize| taken[(taken.len() * share / 100).min(taken.len() - 1)];
    println!(
        "{what}: p50 {:.2}, p99 {:.2}, longest {:.2}",
        at(50),
        at(99),
        at(100)
    );
}
