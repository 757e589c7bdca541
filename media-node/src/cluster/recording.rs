//! Which cameras are to be recorded now, by the schedules: a node decides it for its own cameras alone, so that it goes on
//! while nobody else is there.

use super::resource::{Kind, ResourceWriter, Target, World};
use crate::record::{Label, Recorders, Wanted};
use crate::store::sql::Keeping;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use weir_crds::jiff::Timestamp;
use weir_crds::{Camera, Evaluated, RecordSchedule, RecordScheduleStatus};
use weir_proto::media::StreamPath;

/// The schedules are looked at this often at least: the clock may be set.
const LOOK: Duration = Duration::from_secs(10);
/// ... and this often at most.
const GATHER: Duration = Duration::from_millis(100);

type Looked = (Arc<RecordSchedule>, Evaluated);

/// What a node decides with.
pub struct Scheduling {
    pub world: World,
    pub recorders: Recorders,
    /// This node's name, as `status.node` has it.
    pub me: String,
    /// All Cameras are ours, and the statuses of schedules are ours to write: nobody else does.
    pub standalone: Option<Arc<dyn ResourceWriter>>,
}

impl Scheduling {
    /// Goes on until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.world.ready()).await != Some(true) {
            return;
        }
        let mut news = self.world.news();
        let mut said = HashMap::new();
        loop {
            let looked = self.look();
            let next = looked.iter().filter_map(|(_, at)| at.changes).min();
            self.say(&looked, &mut said).await;
            let now = Timestamp::now();
            let wait = next.map_or(LOOK, |at| {
                Duration::try_from(at.duration_since(now))
                    .unwrap_or_default()
                    .min(LOOK)
            });
            let until = Instant::now() + wait.max(GATHER);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = news.changed() => {
                    if changed.is_err() {
                        // The world stays as it is; time goes on.
                        sleep_until(until).await;
                    } else {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                () = sleep_until(until) => {}
            }
        }
    }

    /// Looks at all schedules, and has the cameras that they choose recorded.
    fn look(&self) -> Vec<Looked> {
        let now = Timestamp::now();
        let zone = self
            .world
            .pool()
            .map(|pool| pool.spec.time_zone.clone())
            .unwrap_or_default();
        let cameras: Vec<Arc<Camera>> = self.world.cameras.state();
        let mut schedules: Vec<Arc<RecordSchedule>> = self.world.schedules.state();
        schedules.retain(|s| s.metadata.deletion_timestamp.is_none());
        schedules.sort_by(|a, b| a.metadata.uid.cmp(&b.metadata.uid));
        let looked: Vec<Looked> = schedules
            .into_iter()
            .map(|schedule| {
                let evaluated = schedule.evaluate(cameras.iter().map(|c| &**c), &zone, now);
                (schedule, evaluated)
            })
            .collect();
        self.recorders.set(self.wanted(&cameras, &looked));
        looked
    }

    fn wanted(&self, cameras: &[Arc<Camera>], looked: &[Looked]) -> Vec<Wanted> {
        let mut first: HashMap<String, &Arc<Camera>> = HashMap::new();
        for camera in cameras {
            let path = camera.canonical_path();
            match first.get(&path) {
                Some(other) if !camera.goes_before(other) => {}
                _ => {
                    first.insert(path, camera);
                }
            }
        }
        let active: Vec<&Arc<RecordSchedule>> = looked
            .iter()
            .filter(|(_, at)| at.active)
            .map(|(schedule, _)| schedule)
            .collect();
        let wanted = first.into_values().filter_map(|camera| {
            let is_mine = self.standalone.is_some() || camera.node() == Some(self.me.as_str());
            if camera.metadata.deletion_timestamp.is_some() || !camera.spec.enabled {
                return None;
            }
            let labels: Vec<Label> = active
                .iter()
                .filter(|s| s.chooses(camera))
                .map(|s| label(s))
                .collect();
            if labels.is_empty() {
                return None;
            }
            let path: StreamPath = super::job_of::path_of(camera).ok()?;
            Some(Wanted {
                camera_uid: camera.metadata.uid.clone()?,
                camera: camera.metadata.name.clone()?,
                path,
                epoch: camera.status.as_ref().and_then(|s| s.epoch).unwrap_or(0),
                on_demand: camera.is_on_demand(),
                leaving: !is_mine,
                labels,
            })
        });
        wanted.collect()
    }

    /// Where no operator does it, the schedules' statuses are written here.
    async fn say(&self, looked: &[Looked], said: &mut HashMap<Target, RecordScheduleStatus>) {
        let Some(writer) = &self.standalone else { return };
        let mut now_said = HashMap::new();
        for (schedule, evaluated) in looked {
            let target = Target::of(Kind::RecordSchedule, &**schedule);
            let (before, status) = (said.remove(&target), &evaluated.status);
            if before.as_ref() == Some(status) {
                now_said.insert(target, status.clone());
                continue;
            }
            if let Some(error) = &evaluated.refused {
                warn!(schedule = %target, error, "a schedule is not followed");
            }
            let Ok(value) = serde_json::to_value(status) else {
                continue;
            };
            match writer.apply_status(&target, None, &value).await {
                Ok(_) => {
                    now_said.insert(target, status.clone());
                }
                Err(error) => debug!(schedule = %target, error = error.chain(), "a status is not written"),
            }
        }
        *said = now_said;
    }
}

fn label(schedule: &RecordSchedule) -> Label {
    Label {
        schedule_uid: schedule.metadata.uid.clone().unwrap_or_default(),
        schedule: schedule.metadata.name.clone().unwrap_or_default(),
        length: Some(schedule.spec.recording_length.get()).filter(|length| !length.is_zero()),
        overlap: schedule.spec.overlap,
        snapshots: schedule
            .spec
            .snapshot_interval
            .as_ref()
            .map(weir_crds::field::Duration::get),
    }
}

/// How long the footage of cameras is kept, by their uids, as schedules say: of those that choose a camera the one that keeps
/// longest counts.
pub fn keepings(world: &World) -> HashMap<String, Keeping> {
    let schedules = world.schedules.state();
    let cameras = world.cameras.state();
    let of_camera = |camera: &Arc<Camera>| {
        let chosen: Vec<Keeping> = schedules
            .iter()
            .filter(|s| s.chooses(camera))
            .map(|s| keeping(s))
            .collect();
        // None, which is for ever, is longer than any.
        let longest = |of: fn(&Keeping) -> Option<i64>| {
            let all: Option<Vec<i64>> = chosen.iter().map(of).collect();
            all.and_then(|all| all.into_iter().max())
        };
        let uid = camera.metadata.uid.clone().filter(|_| !chosen.is_empty())?;
        let keeping = Keeping {
            age_ms: longest(|k| k.age_ms),
            bytes: longest(|k| k.bytes),
        };
        Some((uid, keeping))
    };
    cameras.iter().filter_map(of_camera).collect()
}

fn keeping(schedule: &RecordSchedule) -> Keeping {
    let retention = schedule.spec.retention.as_ref();
    let age = retention.and_then(|r| r.age.as_ref());
    let size = retention.and_then(|r| r.size.as_ref());
    Keeping {
        age_ms: age.map(|age| i64::try_from(age.get().as_millis()).unwrap_or(i64::MAX)),
        bytes: size.map(|size| i64::try_from(size.bytes()).unwrap_or(i64::MAX)),
    }
}
