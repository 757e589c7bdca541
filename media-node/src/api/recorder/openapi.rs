//! This API's part of the description in `OpenAPI`: all interfaces with their parameters and answers, in the order of the
//! contract. The routes are made of the same table.

// What the macros make of these types is public.
#![allow(unreachable_pub)]

use super::wire;
use utoipa::OpenApi;
use utoipa::openapi::path::{OperationBuilder, Parameter as Described, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, SchemaFormat};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, HttpMethod, ObjectBuilder, PathItem, Ref, RefOr, Required, ResponseBuilder, Schema, Type,
};

/// Name of the scheme of tokens: the other APIs have another.
const TOKEN: &str = "recorder_token";

/// One interface.
pub(super) struct Interface {
    pub(super) name: &'static str,
    summary: &'static str,
    access: Access,
    parameters: &'static [Parameter],
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Anybody,
    Token,
}

struct Parameter {
    name: &'static str,
    kind: Kind,
    required: bool,
    about: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Int,
}

/// What a success tells besides `err_code` and `err_msg`.
enum Answer {
    Nothing,
    Version,
    Fields(&'static [(&'static str, Kind)]),
    /// A page of what has this schema; and whether its numbers are texts, and whether it has `storage_addr`.
    List(&'static str, Kind, bool),
}

const fn text(name: &'static str, required: bool, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Text,
        required,
        about,
    }
}

const fn int(name: &'static str, required: bool, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Int,
        required,
        about,
    }
}

const CUR: Parameter = int("cur", false, "Which page, from 1");
const PER: Parameter = int("per", false, "Most rows of a page, 10 if missing, at most 1000");
const PAGE: &[Parameter] = &[CUR, PER];
const WIDTH: Parameter = int("width", false, "Pixels, 100 to 4096; 850 if missing");
const HEIGHT: Parameter = int("height", false, "Pixels, 100 to 4096; 550 if missing");
const TRANSMIT: (&str, Kind) = ("transmit", Kind::Text);

const fn interface(
    name: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answer: Answer,
) -> Interface {
    Interface {
        name,
        summary,
        access: Access::Token,
        parameters,
        answer,
    }
}

const COURSE: [Parameter; 6] = [
    int("camera_id", true, "Its channel"),
    int("subject_id", true, "Of a subject"),
    int("teacher_id", true, "Of a teacher"),
    int("week_id", true, "0 Sunday to 6 Saturday"),
    int(
        "elapse_sec",
        true,
        "Its length; it ends on the same day, at 23:59:59 at the latest",
    ),
    text("start_time", true, "HH:MM:SS"),
];
const MOD_COURSE: [Parameter; 7] = {
    let [a, b, c, d, e, f] = COURSE;
    [int("course_id", true, "Of the course"), a, b, c, d, e, f]
};
const SAVED_COURSE: Answer = Answer::Fields(&[("course_id", Kind::Int), ("camera_id", Kind::Int), TRANSMIT]);

/// All of them.
pub(super) const INTERFACES: [Interface; 32] = [
    Interface {
        name: "version",
        summary: "Says who answers",
        access: Access::Anybody,
        parameters: &[],
        answer: Answer::Version,
    },
    Interface {
        name: "access_token",
        summary: "Exchanges a credential for a token that is good for two hours",
        access: Access::Anybody,
        parameters: &[text("unionid", true, "The credential of an administrator")],
        answer: Answer::Fields(&[("token", Kind::Text), ("expires", Kind::Int)]),
    },
    interface(
        "list_school",
        "Lists schools, the newest first",
        PAGE,
        Answer::List("School", Kind::Int, false),
    ),
    interface(
        "add_school",
        "Adds a school",
        &[
            text("name", true, ""),
            text("addr", true, ""),
            text("phone", false, ""),
        ],
        Answer::Fields(&[("school_id", Kind::Int)]),
    ),
    interface(
        "mod_school",
        "Changes a school",
        &[
            int("school_id", true, ""),
            text("name", true, ""),
            text("addr", true, ""),
            text("phone", false, ""),
        ],
        Answer::Nothing,
    ),
    interface(
        "del_school",
        "Deletes schools",
        &[text("school_id", true, "Numbers joined by commas")],
        Answer::Nothing,
    ),
    interface(
        "list_subject",
        "Lists subjects, the newest first",
        PAGE,
        Answer::List("Subject", Kind::Int, false),
    ),
    interface(
        "add_subject",
        "Adds a subject",
        &[text("subject_name", true, "")],
        Answer::Fields(&[("subject_id", Kind::Int)]),
    ),
    interface(
        "mod_subject",
        "Renames a subject",
        &[int("subject_id", true, ""), text("subject_name", true, "")],
        Answer::Nothing,
    ),
    interface(
        "del_subject",
        "Deletes subjects",
        &[text("subject_id", true, "Numbers joined by commas")],
        Answer::Nothing,
    ),
    interface(
        "list_grade",
        "Lists grades, the newest first",
        PAGE,
        Answer::List("Grade", Kind::Int, false),
    ),
    interface(
        "list_teacher",
        "Lists teachers, the newest first",
        PAGE,
        Answer::List("Teacher", Kind::Text, false),
    ),
    interface(
        "add_teacher",
        "Adds a teacher",
        &[
            text("teacher_name", true, ""),
            text("sex_name", true, "男 or 女"),
            text("title_name", true, ""),
            int("title_id", true, "0 to 4"),
            text("detail_info", false, "At most 2000 characters"),
        ],
        Answer::Fields(&[("teacher_id", Kind::Int)]),
    ),
    interface(
        "mod_teacher",
        "Changes a teacher; one of the three names has to be there",
        &[
            int("teacher_id", true, ""),
            text("teacher_name", false, ""),
            text("sex_name", false, ""),
            text("title_name", false, ""),
            int("title_id", false, "0 to 4"),
            text("detail_info", false, ""),
        ],
        Answer::Nothing,
    ),
    interface(
        "del_teacher",
        "Deletes teachers",
        &[text("teacher_id", true, "Numbers joined by commas")],
        Answer::Nothing,
    ),
    interface(
        "list_gather",
        "Lists gathers, the newest first",
        PAGE,
        Answer::List("Gather", Kind::Text, false),
    ),
    interface(
        "mod_gather",
        "Changes a gather's settings",
        &[
            int("gather_id", true, ""),
            int("school_id", false, "0: none"),
            text("name_set", false, "At most 80 characters"),
            int("main_rate", false, "Kbit/s, 1 to 9999"),
            int("sub_rate", false, "Kbit/s, 1 to 9999"),
            int("auto_dvr", false, "0 or 1"),
            int("auto_fds", false, "0 or 1"),
            int(
                "auto_fdfs",
                false,
                "The same under the documents' other name, which counts if both come",
            ),
            int("slice_val", false, "Minutes, 0 to 30; 0: recordings are not cut"),
            int(
                "inter_val",
                false,
                "Groups of pictures that are recorded twice at a cut, 0 to 3",
            ),
            int("snap_val", false, "Minutes between snapshots, 1 to 10"),
        ],
        Answer::Nothing,
    ),
    interface(
        "list_camera",
        "Lists channels, the newest first",
        PAGE,
        Answer::List("Camera", Kind::Text, true),
    ),
    interface(
        "add_camera",
        "Adds a channel that plays a file or relays a stream, and starts it",
        &[
            text("camera_name", true, ""),
            int("gather_id", true, ""),
            int("grade_id", true, ""),
            int("stream_prop", true, "1 file, 2 relay"),
            text(
                "stream_url",
                false,
                "For a relay: rtsp:// or rtmp://, with credentials if it wants some",
            ),
            text(
                "stream_mp4",
                false,
                "For a file: its path below the gather's media folder",
            ),
        ],
        Answer::Fields(&[("camera_id", Kind::Int), TRANSMIT]),
    ),
    interface(
        "mod_camera",
        "Changes a channel",
        &[
            int("camera_id", true, ""),
            text("camera_name", true, ""),
            int("grade_id", false, ""),
            int("stream_prop", false, "0 device, 1 file, 2 relay"),
            text("stream_url", false, ""),
            text("stream_mp4", false, ""),
            text("device_ip", false, ""),
            text("device_user", false, ""),
            text("device_pass", false, "In base64"),
            int("device_cmd_port", false, ""),
            int("device_mirror", false, "0 or 1"),
            int("device_osd", false, "0 or 1"),
            int("device_twice", false, "0 or 1"),
            int("device_show", false, "0 or 1"),
        ],
        Answer::Fields(&[TRANSMIT]),
    ),
    interface(
        "del_camera",
        "Deletes channels with their courses, snapshots and records",
        &[text("camera_id", true, "Numbers joined by commas")],
        Answer::Nothing,
    ),
    interface(
        "get_camera_status",
        "Tells whether a channel is online",
        &[int("camera_id", true, "")],
        Answer::Fields(&[
            ("camera_id", Kind::Int),
            ("status", Kind::Int),
            ("dev_err_code", Kind::Int),
            ("dev_err_msg", Kind::Text),
        ]),
    ),
    interface(
        "start_camera",
        "Starts a channel",
        &[int("camera_id", true, "")],
        Answer::Fields(&[TRANSMIT]),
    ),
    interface(
        "stop_camera",
        "Stops a channel",
        &[int("camera_id", true, "")],
        Answer::Fields(&[TRANSMIT]),
    ),
    interface(
        "list_record",
        "Lists records, the newest first",
        PAGE,
        Answer::List("Record", Kind::Text, true),
    ),
    interface(
        "del_record",
        "Deletes records with their video and snapshot",
        &[text("record_id", true, "Numbers joined by commas")],
        Answer::Nothing,
    ),
    interface(
        "list_course",
        "Lists the courses of a channel, the oldest first",
        &[int("camera_id", true, ""), CUR, PER],
        Answer::List("Course", Kind::Text, false),
    ),
    interface(
        "add_course",
        "Adds a weekly course to a channel",
        &COURSE,
        SAVED_COURSE,
    ),
    interface("mod_course", "Replaces a course", &MOD_COURSE, SAVED_COURSE),
    interface(
        "del_course",
        "Deletes courses",
        &[text("course_id", true, "Numbers joined by commas")],
        Answer::Fields(&[TRANSMIT]),
    ),
    interface(
        "play_camera",
        "Gives the address of a page that plays a channel",
        &[int("camera_id", true, ""), WIDTH, HEIGHT],
        Answer::Fields(&[("play_url", Kind::Text)]),
    ),
    interface(
        "play_record",
        "Gives the address of a page that plays a record",
        &[int("record_id", true, ""), WIDTH, HEIGHT],
        Answer::Fields(&[("play_url", Kind::Text)]),
    ),
];

#[derive(OpenApi)]
#[openapi(components(schemas(
    wire::Refusal,
    wire::Version,
    wire::School,
    wire::Subject,
    wire::Grade,
    wire::Teacher,
    wire::Gather,
    wire::Camera,
    wire::Record,
    wire::Course,
)))]
struct Schemas;

pub(super) fn document() -> utoipa::openapi::OpenApi {
    let mut document = Schemas::openapi();
    let token = ApiKey::Query(ApiKeyValue::with_description(
        "token",
        "The token of `access_token`, two hours good. Parameters may also stand in the path, as \
         `/api/v1/<interface>/<name>/<value>/…`.",
    ));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(TOKEN, SecurityScheme::ApiKey(token));
    for interface in &INTERFACES {
        let item = PathItem::new(HttpMethod::Get, interface.operation());
        document
            .paths
            .paths
            .insert(format!("/api/v1/{}", interface.name), item);
    }
    document
}

impl Interface {
    fn operation(&self) -> OperationBuilder {
        let json = |schema: RefOr<Schema>| ContentBuilder::new().schema(Some(schema)).build();
        let answer = ResponseBuilder::new()
            .description("What was asked for, or a code other than 0")
            .content("application/json", json(self.schema()));
        let away = ResponseBuilder::new()
            .description("The database or the resources can't be reached: try again after `Retry-After`")
            .content("application/json", json(component("Refusal")));
        let mut operation = OperationBuilder::new()
            .operation_id(Some(format!("recorder.{}", self.name)))
            .tag("cloud recorder")
            .summary(Some(self.summary))
            .response("200", answer)
            .response("503", away);
        for parameter in self.parameters {
            operation = operation.parameter(parameter.described());
        }
        if self.access == Access::Token {
            operation = operation.security(SecurityRequirement::new(TOKEN, [] as [&str; 0]));
        }
        operation
    }

    fn schema(&self) -> RefOr<Schema> {
        let envelope = || {
            ObjectBuilder::new()
                .property("err_code", of(Kind::Int))
                .required("err_code")
                .property("err_msg", of(Kind::Text))
                .required("err_msg")
        };
        let success: RefOr<Schema> = match self.answer {
            Answer::Version => return component("Version"),
            Answer::Nothing => return component("Refusal"),
            Answer::Fields(fields) => {
                let with = |object: ObjectBuilder, (name, kind): &(&'static str, Kind)| {
                    object.property(*name, of(*kind)).required(*name)
                };
                fields.iter().fold(envelope(), with).into()
            }
            Answer::List(row, number, has_address) => {
                let mut list = envelope();
                for (name, kind) in [
                    ("total_num", Kind::Int),
                    ("max_page", Kind::Int),
                    ("cur_page", number),
                    ("per_page", number),
                ] {
                    list = list.property(name, of(kind)).required(name);
                }
                if has_address {
                    list = list
                        .property("storage_addr", of(Kind::Text))
                        .required("storage_addr");
                }
                let rows = ArrayBuilder::new().items(component(row));
                list.property("data", rows).required("data").into()
            }
        };
        AnyOfBuilder::new()
            .item(success)
            .item(component("Refusal"))
            .into()
    }
}

impl Parameter {
    fn described(&self) -> Described {
        let about = (!self.about.is_empty()).then_some(self.about);
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            // What is missing is answered by a code, which is no other status: nothing has to be there.
            .required(if self.required {
                Required::True
            } else {
                Required::False
            })
            .description(about)
            .schema(Some(of(self.kind)))
            .build()
    }
}

fn component(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(format!("recorder.{name}")).into()
}

fn of(kind: Kind) -> RefOr<Schema> {
    let schema = match kind {
        Kind::Text => ObjectBuilder::new().schema_type(Type::String),
        Kind::Int => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))),
    };
    schema.into()
}

#[cfg(test)]
mod tests {
    use super::{Access, INTERFACES, document};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    const CONTRACT: &str = include_str!("../../../../docs/ref/contracts/cloud-recorder.tsv");

    fn rows() -> Vec<Vec<&'static str>> {
        let rows = CONTRACT.lines().skip(1);
        rows.map(|line| line.split('\t').collect()).collect()
    }

    #[test]
    fn every_line_of_the_contract_is_an_interface_and_no_other_is() {
        let of_the_contract: Vec<_> = rows()
            .iter()
            .map(|row| (row[0].to_owned(), row[2].to_owned()))
            .collect();
        let ours: Vec<_> = INTERFACES
            .iter()
            .map(|i| (format!("recorder.{}", i.name), format!("/api/v1/{}", i.name)))
            .collect();
        assert_eq!(ours, of_the_contract);
        for (interface, row) in INTERFACES.iter().zip(rows()) {
            assert_eq!(row[1], "GET");
            assert_eq!(interface.access == Access::Token, row[3] == "token", "{}", row[0]);
        }
    }

    #[test]
    fn what_is_described_is_there_and_is_called_something() {
        let described = serde_json::to_value(document()).unwrap();
        let schemas: BTreeSet<_> = described["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let text = described.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains(name), "{name} is not among {schemas:?}");
        }
        let operation = &described["paths"]["/api/v1/list_school"]["get"];
        assert_eq!(operation["operationId"], "recorder.list_school");
        assert_eq!(operation["security"], json!([{"recorder_token": []}]));
        assert_eq!(
            described["paths"]["/api/v1/version"]["get"]["security"],
            Value::Null
        );
    }
}
