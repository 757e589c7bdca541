//! Kubernetes Events about what the operator did. They are sent aside from the work that they tell of, in a queue with a
//! bound; what is the same as ten minutes ago is not sent again, and one object does not get many in a row.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::sync::mpsc;

use crate::apply::request;

/// Events that wait to be sent.
const QUEUE: usize = 512;
/// For how long the same is not said again.
const SAME: Duration = Duration::from_mins(10);
/// Events that an object may get in a row, and the time after which it may get one more.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(30);
/// Longest note that Kubernetes takes, in bytes.
const NOTE_MAX: usize = 1024;

/// Something to tell about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The object.
    pub about: ObjectReference,
    /// Whether something is wrong.
    pub warning: bool,
    /// What happened, as a CamelCase word.
    pub reason: String,
    /// What the operator was doing, as a CamelCase word.
    pub action: &'static str,
    /// What happened, for people.
    pub text: String,
}

/// The way for events to the API server.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Note>);

impl Events {
    /// Sends events in a task of its own, which ends when the last clone of the result does.
    pub fn start(client: Client, controller: &'static str, instance: String) -> Self {
        let (sender, mut notes) = mpsc::channel::<Note>(QUEUE);
        tokio::spawn(async move {
            let mut filter = Filter::default();
            while let Some(note) = notes.recv().await {
                if !filter.passes(&note, Instant::now()) {
                    metrics::counter!(crate::metrics::EVENTS, "result" => "suppressed").increment(1);
                    continue;
                }
                let event = event(&note, controller, &instance, Timestamp::now());
                let api: Api<Event> = Api::namespaced(
                    client.clone(),
                    note.about.namespace.as_deref().unwrap_or("default"),
                );
                let sent = request(
                    || "send an event".into(),
                    api.create(&PostParams::default(), &event),
                )
                .await;
                let result = if sent.is_ok() { "sent" } else { "failed" };
                metrics::counter!(crate::metrics::EVENTS, "result" => result).increment(1);
                if let Err(error) = sent {
                    tracing::debug!(error = %error.chain(), reason = %note.reason, "event was not sent");
                }
            }
        });
        Self(sender)
    }

    /// Tells it, if there is room in the queue.
    pub fn tell(&self, note: Note) {
        if self.0.try_send(note).is_err() {
            metrics::counter!(crate::metrics::EVENTS, "result" => "dropped").increment(1);
        }
    }
}

fn event(note: &Note, controller: &str, instance: &str, now: Timestamp) -> Event {
    let name = note.about.name.as_deref().unwrap_or(controller);
    Event {
        action: Some(note.action.into()),
        event_time: Some(MicroTime(now)),
        metadata: ObjectMeta {
            // 253 is the most that a name may have; the number has 16 digits.
            name: Some(format!(
                "{}.{:016x}",
                &name[..name.len().min(230)],
                now.as_nanosecond()
            )),
            namespace: note.about.namespace.clone(),
            ..ObjectMeta::default()
        },
        note: Some(cut(&note.text, NOTE_MAX).into()),
        reason: Some(note.reason.clone()),
        regarding: Some(note.about.clone()),
        reporting_controller: Some(controller.into()),
        reporting_instance: Some(instance.into()),
        type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
        ..Event::default()
    }
}

/// At most so many bytes of the text, whole characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What has been told of late.
#[derive(Debug, Default)]
struct Filter {
    said: HashMap<(String, String, String), Instant>,
    /// Events that an object has left, and since when they are counted.
    left: HashMap<String, (u32, Instant)>,
}

impl Filter {
    fn passes(&mut self, note: &Note, now: Instant) -> bool {
        self.said
            .retain(|_, at| now.saturating_duration_since(*at) < SAME);
        self.left
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < REFILL * BURST);
        let uid = note.about.uid.clone().unwrap_or_default();
        let key = (uid.clone(), note.reason.clone(), note.text.clone());
        if self.said.contains_key(&key) {
            return false;
        }
        let (left, since) = self.left.entry(uid).or_insert((BURST, now));
        let refilled = (now.saturating_duration_since(*since).as_secs() / REFILL.as_secs()) as u32;
        if refilled > 0 {
            *left = (*left + refilled).min(BURST);
            *since = now;
        }
        if *left == 0 {
            return false;
        }
        *left -= 1;
        self.said.insert(key, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Note {
        Note {
            about: ObjectReference {
                uid: Some("u".into()),
                name: Some("front".into()),
                ..ObjectReference::default()
            },
            warning: false,
            reason: "Moved".into(),
            action: "Place",
            text: text.into(),
        }
    }

    #[test]
    fn the_same_is_said_once_in_ten_minutes() {
        let mut filter = Filter::default();
        let start = Instant::now();
        assert!(filter.passes(&note("a"), start));
        assert!(!filter.passes(&note("a"), start + Duration::from_secs(599)));
        assert!(filter.passes(&note("a"), start + Duration::from_secs(601)));
    }

    #[test]
    fn one_object_gets_ten_in_a_row_and_then_one_each_half_minute() {
        let mut filter = Filter::default();
        let start = Instant::now();
        let passed = (0..50)
            .filter(|i| filter.passes(&note(&i.to_string()), start))
            .count();
        assert_eq!(passed, 10);
        assert!(!filter.passes(&note("later"), start + Duration::from_secs(29)));
        assert!(filter.passes(&note("later"), start + Duration::from_secs(31)));
        assert!(!filter.passes(&note("too much"), start + Duration::from_secs(32)));
        let other = Note {
            about: ObjectReference {
                uid: Some("v".into()),
                ..note("").about
            },
            ..note("x")
        };
        assert!(filter.passes(&other, start));
    }

    #[test]
    fn events_are_what_the_api_takes() {
        let long = "ä".repeat(1000);
        let event = event(
            &note(&long),
            "weir-operator",
            "pod-1",
            Timestamp::from_second(1).expect("in range"),
        );
        assert!(
            event
                .note
                .as_ref()
                .is_some_and(|n| n.len() <= NOTE_MAX && n.starts_with("ää"))
        );
        assert_eq!(event.metadata.name.as_deref(), Some("front.000000003b9aca00"));
        assert_eq!(event.type_.as_deref(), Some("Normal"));
    }
}
