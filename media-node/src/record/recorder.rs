//! One camera: follows its stream from session to session, and says what is to be written.

use super::cutter::{Cut, Cutter};
use super::note::Note;
use super::segment_file::Facts;
use super::states::States;
use super::wanted::{Label, Wanted};
use super::writer::{self, Desk, Step, Steps, Writing};
use crate::hub::{Event, Hub, Stream, Subscriber};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use weir_proto::media::{AccessUnit, Timestamp, Tracks};
use weir_recording::SegmentKey;
use weir_recording::timeline::{Noted, Timeline};

/// A stream on demand is waited for this long, and asked for again.
const ASK: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How often changed wishes and silent streams are looked at.
const TICK: Duration = Duration::from_millis(500);
/// Without media for this long, what there is of a segment is finished.
const SILENCE: Duration = Duration::from_secs(10);
/// Keyframes that recordings may overlap by.
const MOST_OVERLAP: usize = 100;
/// A session may begin so much before the one before it ended, as what a burst brings is timed roughly.
const MOST_BACK_MS: i64 = 5_000;
/// Cuts that wait for the writer before the stream is left waiting.
const MOST_PENDING: usize = 8;

/// Records one camera as long as it is wanted.
pub(super) struct Recorder {
    hub: Arc<Hub>,
    states: Arc<States>,
    segment: Duration,
    wanted: watch::Receiver<Wanted>,
    steps: Steps,
    is_lost: Arc<AtomicBool>,
    recordings: Recordings,
    sequence: u32,
}

impl Recorder {
    /// Runs until `stop`, and until everything is written.
    pub(super) async fn run(
        hub: Arc<Hub>,
        desk: Desk,
        segment: Duration,
        wanted: watch::Receiver<Wanted>,
        stop: CancellationToken,
    ) {
        let uid = wanted.borrow().camera_uid.clone();
        let states = desk.states.clone();
        states.change(&uid, |state| state.wanted = true);
        let Writing {
            steps,
            task: writing,
            is_lost,
        } = writer::start(desk, uid.clone());
        let mut recorder = Self {
            hub,
            states: states.clone(),
            segment,
            wanted,
            steps,
            is_lost,
            recordings: Recordings::default(),
            sequence: 0,
        };
        while let Some(Some(stream)) = stop.run_until_cancelled(recorder.stream()).await {
            recorder.session(&stream, &stop).await;
            // A session's end may be a moment's; recordings go on in the next session, over a gap, unless
            // what is recorded has to be cut there.
            if recorder.is_leaving() {
                break;
            }
        }
        let closing = recorder.recordings.close_all();
        recorder.note(closing).await;
        drop(recorder);
        if let Err(error) = writing.await {
            warn!(%error, "the end of a recording was not written");
        }
        states.change(&uid, |state| {
            state.wanted = false;
            state.writing_since_ms = None;
        });
    }

    fn is_leaving(&self) -> bool {
        self.wanted.borrow().leaving
    }

    /// The camera's stream, once it runs; none when nothing new is to begin.
    async fn stream(&mut self) -> Option<Arc<Stream>> {
        loop {
            let (path, on_demand, leaving) = {
                let wanted = self.wanted.borrow_and_update();
                (wanted.path.clone(), wanted.on_demand, wanted.leaving)
            };
            if leaving {
                return None;
            }
            let found = async {
                if !on_demand {
                    return Some(self.hub.arrival(&path).await);
                }
                let found = self.hub.find(&path, ASK).await;
                if found.is_none() {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                found
            };
            tokio::select! {
                found = found => if let Some(stream) = found {
                    return Some(stream);
                },
                changed = self.wanted.changed() => if changed.is_err() {
                    return None;
                },
                () = tokio::time::sleep(SILENCE) => {
                    // Nothing has come for a while: recordings end where their media does.
                    let closing = self.recordings.close_all();
                    self.note(closing).await;
                }
            }
        }
    }

    /// Records one session of the stream, until it ends or is no longer wanted.
    async fn session(&mut self, stream: &Arc<Stream>, stop: &CancellationToken) {
        let mut session = Session::new(stream, self);
        let mut subscriber = stream.read();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                event = subscriber.next() => {
                    heard = Instant::now();
                    let goes_on = session.take_all(event, &mut subscriber, &mut self.recordings);
                    self.write(&mut session).await;
                    if !goes_on {
                        return;
                    }
                }
                () = stop.cancelled() => {
                    session.finish();
                    self.write(&mut session).await;
                    return;
                }
                _ = tick.tick() => {
                    if heard.elapsed() >= SILENCE {
                        session.finish();
                    }
                    let labels = self.wanted.borrow().labels.clone();
                    let (closing, cut) = self.recordings.keep(&labels, session.now_ms());
                    if cut || self.is_lost.swap(false, Ordering::Relaxed) {
                        session.cutter.cut_soon();
                    }
                    self.note(closing).await;
                    self.write(&mut session).await;
                    if self.wanted.borrow().path != *stream.path() {
                        session.finish();
                        self.write(&mut session).await;
                        return;
                    }
                }
            }
        }
    }

    /// Hands what was cut to the writer.
    async fn write(&mut self, session: &mut Session) {
        for (cut, known) in std::mem::take(&mut session.settled) {
            self.write_one(session, cut, known).await;
        }
        if std::mem::take(&mut session.stepped) {
            session.last_ms = i64::MIN;
            // Times on both sides don't compare: what would span the step lasts for as long as the clock was set by, or begins
            // after it ends. What comes is another recording.
            let closing = self.recordings.close_all();
            self.note(closing).await;
        }
        for cut in std::mem::take(&mut session.cuts) {
            self.write_one(session, cut, None).await;
        }
    }

    /// Hands one cut to the writer; `known` is when it was, where that is no longer the timeline's to say.
    async fn write_one(&mut self, session: &mut Session, cut: Cut, known: Option<i64>) {
        match cut {
            Cut::Opened { tracks, start } => {
                let Some(start_ms) = known.or_else(|| session.timeline.wall_ms(start)) else {
                    return;
                };
                let start_ms = session.begins(start_ms);
                self.sequence = self.sequence.wrapping_add(1);
                let (key, facts) = {
                    let wanted = self.wanted.borrow();
                    let key = SegmentKey {
                        camera_uid: wanted.camera_uid.clone(),
                        start_ms,
                        epoch: wanted.epoch.max(0) as u64,
                        session: session.id,
                        sequence: self.sequence,
                    };
                    let facts = Facts {
                        camera: wanted.camera.clone(),
                        path: wanted.path.to_string(),
                    };
                    (key, facts)
                };
                let labels = self.wanted.borrow().labels.clone();
                let uid = key.camera_uid.clone();
                let notes = self
                    .recordings
                    .segment_begins(&uid, &labels, start_ms, &session.keyframes());
                self.note(notes).await;
                self.send(Step::Open { key, facts, tracks }).await;
            }
            Cut::Fragment(bytes) => self.send(Step::Append(bytes)).await,
            Cut::Closed { end } => {
                let end_ms = known.or_else(|| session.timeline.wall_ms(end));
                let end_ms = end_ms.unwrap_or(session.last_ms);
                let end_ms = session.ends(end_ms);
                self.send(Step::Close { end_ms }).await;
                let notes = self.recordings.segment_ended(end_ms);
                self.note(notes).await;
            }
        }
    }

    async fn note(&self, notes: Vec<Note>) {
        for note in notes {
            self.send(Step::Note(note)).await;
        }
    }

    async fn send(&self, step: Step) {
        if self.steps.send(step).await.is_err() {
            let uid = self.wanted.borrow().camera_uid.clone();
            self.states.change(&uid, |state| {
                state.trouble = Some(super::states::Trouble {
                    message: "nothing can be written any more: restart the node".to_owned(),
                });
            });
        }
    }
}

/// One session of a stream.
struct Session {
    id: u64,
    cutter: Cutter,
    timeline: Timeline,
    /// What was cut and is not with the writer yet: until all that is at hand has been seen, it is not known when it was.
    cuts: Vec<Cut>,
    /// What was cut before our clock was set, and when it was by the clock as it went then.
    settled: Vec<(Cut, Option<i64>)>,
    /// The timeline from before that, while the segment in hand goes on by it: up to the next keyframe.
    former: Option<Timeline>,
    /// All that was before is settled.
    stepped: bool,
    keyframes: VecDeque<Timestamp>,
    main_track: u8,
    last: Option<Timestamp>,
    /// Where the last segment ended: the next doesn't begin earlier.
    last_ms: i64,
}

impl Session {
    fn new(stream: &Stream, recorder: &Recorder) -> Self {
        Self::of(stream.provenance().session, &stream.tracks(), recorder.segment)
    }

    fn of(id: u64, tracks: &Tracks, segment: Duration) -> Self {
        Self {
            id,
            cutter: Cutter::new(tracks, segment),
            timeline: Timeline::default(),
            cuts: Vec::new(),
            settled: Vec::new(),
            former: None,
            stepped: false,
            keyframes: VecDeque::new(),
            main_track: weir_proto::fmp4::main_track(tracks),
            last: None,
            last_ms: i64::MIN,
        }
    }

    /// Takes an event and all that is at hand behind it. False when the session is over.
    fn take_all(&mut self, event: Event, subscriber: &mut Subscriber, recordings: &mut Recordings) -> bool {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            match event {
                Event::Tracks(tracks) => {
                    self.main_track = weir_proto::fmp4::main_track(&tracks);
                    if self.former.is_some() {
                        self.settle();
                    }
                    self.cutter.set_tracks(&tracks, &mut self.cuts);
                }
                Event::Unit(au) => self.unit(&au, wall_micros(), recordings),
                Event::Skipped(units) => {
                    warn!(
                        units,
                        "the disk is slower than the stream: access units are missing"
                    );
                    metrics::counter!("weir_record_missed_units_total").increment(units);
                    self.finish();
                }
                Event::Ended => {
                    self.finish();
                    return false;
                }
            }
            // The writer gets some before all of a long cache is taken.
            if self.cuts.len() < MOST_PENDING || self.last_ms == i64::MIN {
                next = subscriber.try_next();
            }
        }
        true
    }

    fn unit(&mut self, au: &AccessUnit, wall_micros: i64, recordings: &mut Recordings) {
        if au.track == self.main_track {
            if self.timeline.note(au.dts, wall_micros) == Noted::Stepped {
                info!("the clock was set: a new segment begins with the next keyframe");
                self.step();
            }
            if self.former.is_some() && self.cutter.cuts_at(au) {
                self.settle();
            }
            if au.keyframe {
                let at = self.timeline.wall_ms(au.pts);
                if at.is_some_and(|at| recordings.is_one_due(at)) {
                    self.cutter.cut_soon();
                }
                if self.keyframes.len() > MOST_OVERLAP {
                    self.keyframes.pop_front();
                }
                self.keyframes.push_back(au.pts);
            }
            self.last = Some(au.pts);
        }
        self.cutter.push(au, &mut self.cuts);
    }

    /// Our clock was set. Nothing is left out: the segment in hand goes on by the clock that it began with, up to the next
    /// keyframe.
    fn step(&mut self) {
        // Set once more before that keyframe, it still goes by the first.
        self.former.get_or_insert_with(|| self.timeline.former());
        self.hold();
        self.cutter.cut_soon();
        self.keyframes.clear();
        if !self.cutter.is_open() {
            self.settle();
        }
    }

    /// What was cut so far was by the former clock.
    fn hold(&mut self) {
        let Some(former) = &self.former else { return };
        for cut in std::mem::take(&mut self.cuts) {
            let at = match &cut {
                Cut::Opened { start, .. } => former.wall_ms(*start),
                Cut::Closed { end } => former.wall_ms(*end),
                Cut::Fragment(_) => None,
            };
            self.settled.push((cut, at));
        }
    }

    /// What was before our clock was set keeps its times, and what comes may lie before it.
    fn settle(&mut self) {
        self.cutter.finish(&mut self.cuts);
        self.hold();
        self.former = None;
        self.stepped = true;
    }

    fn finish(&mut self) {
        if self.former.is_some() {
            self.settle();
        } else {
            self.cutter.finish(&mut self.cuts);
        }
    }

    /// Segments of a session follow each other in wall time too.
    fn begins(&mut self, start_ms: i64) -> i64 {
        // A machine that has just begun at 1970 gets pictures from before that; keys have no sign.
        self.last_ms = start_ms.max(0).max(self.last_ms);
        self.last_ms
    }

    fn ends(&mut self, end_ms: i64) -> i64 {
        self.begins(end_ms)
    }

    /// When the latest keyframes were, the latest last.
    fn keyframes(&self) -> Vec<i64> {
        self.keyframes
            .iter()
            .filter_map(|at| self.timeline.wall_ms(*at))
            .collect()
    }

    /// How far the session has come.
    fn now_ms(&self) -> Option<i64> {
        self.timeline.wall_ms(self.last?)
    }
}

fn wall_micros() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as i64
}

/// The recordings that are being made of one camera, by schedule.
#[derive(Default)]
struct Recordings {
    open: HashMap<String, Open>,
    /// Ended, and waiting for the segment in hand to end.
    ended: Vec<Note>,
}

struct Open {
    note: Note,
    length: Option<Duration>,
    overlap: u32,
}

impl Recordings {
    /// Whether the keyframe at that time is where a recording is to be cut.
    fn is_one_due(&self, at_ms: i64) -> bool {
        self.open.values().any(|open| open.is_due(at_ms))
    }

    /// A segment begins: recordings begin with it, and those that are long enough end and begin anew. Answers with what is
    /// to be noted.
    fn segment_begins(&mut self, uid: &str, labels: &[Label], start_ms: i64, keyframes: &[i64]) -> Vec<Note> {
        let mut notes = Vec::new();
        for label in labels {
            let begins = match self.open.get_mut(&label.schedule_uid) {
                None => start_ms,
                // The clock was set back between two sessions.
                Some(open) if start_ms < open.note.end_ms.saturating_sub(MOST_BACK_MS) => {
                    open.note.closed = true;
                    notes.push(open.note.clone());
                    start_ms
                }
                Some(open) if open.is_due(start_ms) => {
                    open.note.end_ms = start_ms;
                    open.note.closed = true;
                    notes.push(open.note.clone());
                    // The keyframe that begins the segment is the last of them.
                    let back = keyframes.len().saturating_sub(1 + open.overlap as usize);
                    let repeated = keyframes.get(back).copied().unwrap_or(start_ms);
                    repeated.clamp(open.note.start_ms + 1, start_ms)
                }
                Some(_) => continue,
            };
            let note = Note {
                camera_uid: uid.to_owned(),
                schedule_uid: label.schedule_uid.clone(),
                start_ms: begins,
                end_ms: begins.max(start_ms),
                closed: false,
            };
            debug!(schedule = label.schedule, start_ms = begins, "a recording begins");
            notes.push(note.clone());
            self.open.insert(
                label.schedule_uid.clone(),
                Open {
                    note,
                    length: label.length,
                    overlap: label.overlap,
                },
            );
        }
        notes
    }

    /// The segment in hand ends: recordings have come so far.
    fn segment_ended(&mut self, end_ms: i64) -> Vec<Note> {
        let mut notes: Vec<Note> = std::mem::take(&mut self.ended);
        for note in &mut notes {
            note.end_ms = note.end_ms.min(end_ms);
        }
        for open in self.open.values_mut() {
            open.note.end_ms = open.note.end_ms.max(end_ms);
            notes.push(open.note.clone());
        }
        notes
    }

    /// Ends the recordings of schedules that want no more, at `now_ms`, and follows changed labels. Answers with what is to
    /// be noted, and whether the segment in hand should end soon, so that it can be stored.
    fn keep(&mut self, labels: &[Label], now_ms: Option<i64>) -> (Vec<Note>, bool) {
        let mut gone = Vec::new();
        self.open.retain(|schedule, open| {
            if let Some(label) = labels.iter().find(|l| l.schedule_uid == *schedule) {
                open.length = label.length;
                open.overlap = label.overlap;
                return true;
            }
            let mut note = open.note.clone();
            note.end_ms = now_ms.unwrap_or(note.end_ms).max(note.end_ms);
            note.closed = true;
            gone.push(note);
            false
        });
        let cut = !gone.is_empty();
        if now_ms.is_none() {
            return (gone, cut);
        }
        // Noted when the segment that they end in has ended.
        self.ended.extend(gone);
        (Vec::new(), cut)
    }

    /// Ends all, where their media ends.
    fn close_all(&mut self) -> Vec<Note> {
        let open = self.open.drain().map(|(_, open)| open.note);
        let all = std::mem::take(&mut self.ended).into_iter().chain(open);
        all.map(|note| Note { closed: true, ..note }).collect()
    }
}

impl Open {
    fn is_due(&self, at_ms: i64) -> bool {
        let Some(length) = self.length else { return false };
        at_ms - self.note.start_ms >= length.as_millis() as i64
    }
}

#[cfg(test)]
mod tests;
