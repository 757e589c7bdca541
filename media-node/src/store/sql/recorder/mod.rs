//! Queries of the cloud recorder's API, and of the recorder that tells it what it has recorded.
//!
//! | file | holds |
//! |---|---|
//! | `registers` | schools, subjects, grades, teachers |
//! | `gathers` | nodes and their settings |
//! | `cameras`, `courses` | facts about Cameras and `RecordSchedule`s that no node acts on |
//! | `recordings` | what was recorded |
//! | `running` | what is being recorded |
//! | `removal` | recordings that go, with the footage that no other one has |

mod cameras;
mod courses;
mod gathers;
mod recordings;
mod registers;
mod removal;
mod running;

pub use super::entity::camera_fact::Model as CameraFact;
pub use super::entity::course::Model as CourseFact;
pub use super::entity::gather::Model as Gather;
pub use super::entity::grade::Model as Grade;
pub use super::entity::recording::Model as Recording;
pub use super::entity::school::Model as School;
pub use super::entity::subject::Model as Subject;
pub use super::entity::teacher::Model as Teacher;
pub use cameras::DeviceFlags;
pub use courses::CourseFacts;
pub use gathers::{GatherChange, GatherSettings, Registration};
pub use recordings::{NewRecording, UNKNOWN_SUBJECT, UNKNOWN_TEACHER};
pub use registers::{NewTeacher, TeacherChange};
pub use running::Running;

/// The API whose numbers these are.
pub const API: &str = "recorder";

/// Some rows, and how many there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub total: u64,
}

/// Which rows: so many after so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub skip: u64,
    pub take: u64,
}
