//! The lines of the cloud recorder contract (`docs/ref/contracts/cloud-recorder.tsv`), each as a function of its id that checks
//! what the contract says of it: in the query and in the path, at one entry and at the other.
//!
//! A line is checked in a [`Place`], which has two entry points: in standalone both are the same process, in a cluster they
//! are two gateways. `tests/loopback_recorder.rs` makes a test of each line, `tests/e2e_recorder.rs` runs them all in one
//! namespace.

pub mod cameras;
pub mod courses;
pub mod gathers;
pub mod pages;
pub mod place;
pub mod records;
pub mod registers;
pub mod system;

use anyhow::Result;
use futures::future::LocalBoxFuture;

pub use place::Place;

/// A line of the contract.
#[derive(Clone, Copy)]
pub struct Line {
    /// As in the contract.
    pub id: &'static str,
    /// The function's name, which is the id's.
    pub name: &'static str,
    /// Checks it.
    pub check: for<'a> fn(&'a Place) -> LocalBoxFuture<'a, Result<()>>,
}

/// Calls the macro `$with` with all lines: id, module and function.
#[macro_export]
macro_rules! recorder_lines {
    ($with:ident) => {
        $with! {
            "recorder.version" system::recorder_version,
            "recorder.access_token" system::recorder_access_token,
            "recorder.list_school" registers::recorder_list_school,
            "recorder.add_school" registers::recorder_add_school,
            "recorder.mod_school" registers::recorder_mod_school,
            "recorder.del_school" registers::recorder_del_school,
            "recorder.list_subject" registers::recorder_list_subject,
            "recorder.add_subject" registers::recorder_add_subject,
            "recorder.mod_subject" registers::recorder_mod_subject,
            "recorder.del_subject" registers::recorder_del_subject,
            "recorder.list_grade" registers::recorder_list_grade,
            "recorder.list_teacher" registers::recorder_list_teacher,
            "recorder.add_teacher" registers::recorder_add_teacher,
            "recorder.mod_teacher" registers::recorder_mod_teacher,
            "recorder.del_teacher" registers::recorder_del_teacher,
            "recorder.list_gather" gathers::recorder_list_gather,
            "recorder.mod_gather" gathers::recorder_mod_gather,
            "recorder.list_camera" cameras::recorder_list_camera,
            "recorder.add_camera" cameras::recorder_add_camera,
            "recorder.mod_camera" cameras::recorder_mod_camera,
            "recorder.del_camera" cameras::recorder_del_camera,
            "recorder.get_camera_status" cameras::recorder_get_camera_status,
            "recorder.start_camera" cameras::recorder_start_camera,
            "recorder.stop_camera" cameras::recorder_stop_camera,
            "recorder.list_record" records::recorder_list_record,
            "recorder.del_record" records::recorder_del_record,
            "recorder.list_course" courses::recorder_list_course,
            "recorder.add_course" courses::recorder_add_course,
            "recorder.mod_course" courses::recorder_mod_course,
            "recorder.del_course" courses::recorder_del_course,
            "recorder.play_camera" pages::recorder_play_camera,
            "recorder.play_record" pages::recorder_play_record,
        }
    };
}

macro_rules! table {
    ($($id:literal $module:ident::$name:ident),* $(,)?) => {
        /// All lines.
        pub const LINES: &[Line] = &[$(Line {
            id: $id,
            name: stringify!($name),
            check: |place| Box::pin($module::$name(place)),
        }),*];
    };
}

recorder_lines!(table);
