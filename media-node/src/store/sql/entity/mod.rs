//! The tables as SeaORM sees them. What the columns mean is said here, how they are made in `migration`.

// What the macros make of these types is public.
#![allow(unreachable_pub)]

pub(super) mod account_revision;
pub(super) mod camera_fact;
pub(super) mod course;
pub(super) mod credential;
pub(super) mod gateway;
pub(super) mod gather;
pub(super) mod grade;
pub(super) mod object_trash;
pub(super) mod recorded_camera;
pub(super) mod recording;
pub(super) mod resource_id;
pub(super) mod retention;
pub(super) mod running_recording;
pub(super) mod school;
pub(super) mod segment;
pub(super) mod segment_format;
pub(super) mod subject;
pub(super) mod teacher;
pub(super) mod token;
pub(super) mod user;
