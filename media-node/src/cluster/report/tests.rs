use super::*;
use crate::cluster::resource::Kind;
use async_trait::async_trait;
use serde_json::json;

/// Remembers what is written, and fails as it is told.
#[derive(Default)]
pub(in crate::cluster) struct Pad {
    pub(in crate::cluster) statuses: Mutex<Vec<(Target, Option<String>, Value)>>,
    pub(in crate::cluster) notices: Mutex<Vec<(Target, Notice)>>,
    pub(in crate::cluster) failures: Mutex<VecDeque<WriteError>>,
    pub(in crate::cluster) away: Mutex<bool>,
}

impl Pad {
    fn unavailable() -> WriteError {
        WriteError::Unavailable("away".into())
    }
}

#[async_trait]
impl ResourceWriter for Pad {
    async fn apply_status(
        &self,
        target: &Target,
        version: Option<&str>,
        status: &Value,
    ) -> Result<Option<String>, WriteError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if *self.away.lock() {
            return Err(Self::unavailable());
        }
        if let Some(failure) = self.failures.lock().pop_front() {
            return Err(failure);
        }
        let mut all = self.statuses.lock();
        all.push((target.clone(), version.map(str::to_owned), status.clone()));
        Ok(version.map(|v| format!("{v}+{}", all.len())))
    }

    async fn notify(&self, target: &Target, notice: &Notice) -> Result<(), WriteError> {
        self.notices.lock().push((target.clone(), notice.clone()));
        Ok(())
    }
}

fn target(name: &str) -> Target {
    Target {
        kind: Kind::Camera,
        namespace: "default".to_owned(),
        name: name.to_owned(),
        uid: name.to_owned(),
    }
}

struct Fixture {
    pad: Arc<Pad>,
    reports: Reports,
    stop: CancellationToken,
}

impl Fixture {
    fn new() -> Self {
        let pad = Arc::new(Pad::default());
        let stop = CancellationToken::new();
        let (reports, mut tasks) = Reports::start(pad.clone(), stop.clone());
        tasks.detach_all();
        Self { pad, reports, stop }
    }

    fn put(&self, version: &str, codec: &str) {
        self.reports.put(
            &target("a"),
            Some(version.to_owned()),
            json!({"codec": codec}),
            false,
        );
    }

    fn written(&self) -> Vec<(String, String)> {
        let all = self.pad.statuses.lock();
        all.iter()
            .map(|(_, v, s)| {
                (
                    v.clone().unwrap_or_default(),
                    s["codec"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn written_on_change_and_the_last_of_a_second() {
    let f = Fixture::new();
    f.put("1", "one");
    pass(0.1).await;
    for codec in ["two", "three", "four"] {
        f.put("1", codec);
        pass(0.1).await;
    }
    assert_eq!(f.written().len(), 1);
    pass(2.0).await;
    // On the version that the first write made, as the store hasn't seen it yet.
    assert_eq!(f.written(), pairs(&[("1", "one"), ("1+1", "four")]));
    f.put("1+1+2", "four");
    pass(5.0).await;
    assert_eq!(f.written().len(), 2, "nothing new");
}

#[tokio::test(start_paused = true)]
async fn what_flaps_for_long_is_written_rarely() {
    let f = Fixture::new();
    for i in 0..6000 {
        f.put("1", if i % 2 == 0 { "on" } else { "off" });
        pass(0.1).await;
    }
    // Ten minutes: ten a minute.
    assert!((90..=110).contains(&f.written().len()), "{}", f.written().len());
}

#[tokio::test(start_paused = true)]
async fn other_words_wait_a_minute_and_do_not_hold_back_news() {
    let f = Fixture::new();
    f.put("1", "one");
    pass(2.0).await;
    f.reports
        .put(&target("a"), Some("1".to_owned()), json!({"codec": "ONE"}), true);
    pass(30.0).await;
    assert_eq!(f.written().len(), 1);
    f.put("1", "two");
    f.reports
        .put(&target("a"), Some("1".to_owned()), json!({"codec": "TWO"}), true);
    pass(1.0).await;
    assert_eq!(f.written().len(), 2);
    assert_eq!(f.written()[1].1, "TWO");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_with_one_try_at_a_time() {
    let f = Fixture::new();
    *f.pad.away.lock() = true;
    for i in 0..100 {
        f.reports
            .put(&target(&i.to_string()), None, json!({"codec": "old"}), false);
    }
    pass(600.0).await;
    for i in 0..100 {
        f.reports
            .put(&target(&i.to_string()), None, json!({"codec": "new"}), false);
    }
    *f.pad.away.lock() = false;
    pass(15.0).await;
    let written = f.written();
    assert_eq!(written.len(), 100);
    assert!(written.iter().all(|(_, codec)| codec == "new"));
}

#[tokio::test(start_paused = true)]
async fn conflicts_are_tried_again_on_the_newer_version() {
    let f = Fixture::new();
    f.pad.failures.lock().push_back(WriteError::Conflict);
    f.put("1", "one");
    pass(0.1).await;
    f.reports.rebase(&target("a"), Some("2"));
    pass(1.0).await;
    assert_eq!(f.written(), pairs(&[("2", "one")]));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_any_more_is_not_written() {
    let f = Fixture::new();
    f.put("1", "one");
    pass(0.1).await;
    f.put("1", "two");
    f.reports.forget(&target("a"));
    f.pad.failures.lock().push_back(WriteError::Gone);
    f.reports.put(&target("b"), None, json!({}), false);
    pass(60.0).await;
    assert_eq!(f.written(), pairs(&[("1", "one")]));
    assert!(f.reports.0.queue.lock().slots.is_empty());
}

#[tokio::test(start_paused = true)]
async fn events_are_limited_by_object() {
    let f = Fixture::new();
    for i in 0..100 {
        f.reports
            .notice(&target("a"), true, "Disconnected", i.to_string());
    }
    f.reports.notice(&target("b"), false, "Connected", String::new());
    pass(1.0).await;
    assert_eq!(f.pad.notices.lock().len(), 7);
    pass(60.0).await;
    f.reports
        .notice(&target("a"), true, "Disconnected", "later".to_owned());
    pass(1.0).await;
    assert_eq!(f.pad.notices.lock().len(), 8);
}

/// On a clock that runs, as the paused one hides a time that is always just ahead.
#[tokio::test]
async fn a_first_status_is_written_at_once() {
    let f = Fixture::new();
    f.put("1", "one");
    let deadline = Instant::now() + Duration::from_secs(10);
    while f.written().is_empty() {
        assert!(Instant::now() < deadline);
        pass(0.01).await;
    }
}
