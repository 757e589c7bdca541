//! The cloud recorder API's JSON, spelt as documented. Whether a number comes as text depends on the endpoint, as in the
//! documents' examples.

#![expect(clippy::struct_field_names, reason = "names are the documents'")]

use super::super::error;
use crate::cluster::resource::WriteError;
use crate::store::sql;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What a call is answered when it is not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// The interface says so.
    Said(Code),
    /// A course is in the way: `HH:MM:SS ~ HH:MM:SS`.
    Overlap(String),
    /// What is needed to answer is away.
    Unavailable,
}

/// The documented codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    NoUnionId = 1001,
    UnknownUnionId = 1002,
    NoAdministrator = 1003,
    NoToken = 1004,
    BadToken = 1006,
    ExpiredToken = 1007,
    NoName = 1008,
    NoAddress = 1009,
    NoId = 1010,
    BadTime = 1011,
    CrossesDays = 1013,
}

const OVERLAP: u16 = 1012;

impl Code {
    const fn text(self) -> &'static str {
        match self {
            Self::NoUnionId => "无效的 unionid",
            Self::UnknownUnionId => "没有找到 unionid 指定的帐号",
            Self::NoAdministrator => "unionid 对应的帐号没有接口访问权限",
            Self::NoToken => "没有凭证，请确认参数",
            Self::BadToken => "解析 token 失败",
            Self::ExpiredToken => "凭证已过期，请重新获取",
            Self::NoName => "没有名称，请确认参数",
            Self::NoAddress => "没有地址，请确认参数",
            Self::NoId => "没有编号，请确认参数",
            Self::BadTime => "输入日期格式不正确",
            Self::CrossesDays => "不支持跨天任务",
        }
    }
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Self::Said(code)
    }
}

impl From<sql::Error> for Fault {
    fn from(error: sql::Error) -> Self {
        tracing::warn!(error = %error.chain(), "the database failed a call of the cloud recorder's API");
        Self::Unavailable
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        tracing::warn!(error = %error.chain(), "resources failed a call of the cloud recorder's API");
        Self::Unavailable
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Said(code) => reply(&Refusal {
                err_code: code as u16,
                err_msg: code.text().to_owned(),
            }),
            Self::Overlap(window) => reply(&Refusal {
                err_code: OVERLAP,
                err_msg: format!("输入时间与已有时间发生重叠，重叠区间：{window}"),
            }),
            Self::Unavailable => error::recorder_unavailable(reply(&refusal(
                503,
                "the database or the resources can't be reached",
            ))),
        }
    }
}

/// Of a call that is not one of this API's.
pub(super) fn refusal(err_code: u16, err_msg: &str) -> Refusal {
    Refusal {
        err_code,
        err_msg: err_msg.to_owned(),
    }
}

/// What is true now and may not be so in a moment.
pub(super) fn reply(value: &impl Serialize) -> Response {
    // Texts and numbers alone, which are always written.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (headers, body).into_response()
}

/// A success, with what it tells.
pub(super) fn ok(told: impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Success<T> {
        err_code: u16,
        err_msg: &'static str,
        #[serde(flatten)]
        told: T,
    }
    reply(&Success {
        err_code: 0,
        err_msg: "OK",
        told,
    })
}

/// A success that tells nothing else.
pub(super) fn done() -> Response {
    ok(Nothing {})
}

#[derive(Serialize)]
struct Nothing {}

/// Every answer but a success.
#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Refusal)]
pub(super) struct Refusal {
    err_code: u16,
    /// For people.
    err_msg: String,
}

/// A number in the form that its endpoint has.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Number {
    Plain(i64),
    Text(String),
}

/// A page of a list.
#[derive(Serialize)]
pub(super) struct List<T> {
    pub(super) total_num: u64,
    pub(super) max_page: u64,
    pub(super) cur_page: Number,
    pub(super) per_page: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage_addr: Option<String>,
    pub(super) data: Vec<T>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Version)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    #[serde(rename = "API")]
    pub(super) api: &'static str,
    pub(super) name: String,
    pub(super) version: &'static str,
    pub(super) server: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::School)]
pub(super) struct School {
    pub(super) school_id: String,
    pub(super) name: String,
    pub(super) addr: String,
    pub(super) phone: String,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Subject)]
pub(super) struct Subject {
    pub(super) subject_id: String,
    pub(super) subject_name: String,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Grade)]
pub(super) struct Grade {
    pub(super) grade_id: String,
    pub(super) grade_type: String,
    pub(super) grade_name: String,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Teacher)]
pub(super) struct Teacher {
    pub(super) teacher_id: String,
    pub(super) teacher_name: String,
    pub(super) sex_name: String,
    pub(super) title_name: String,
    pub(super) title_id: i64,
    pub(super) detail_info: String,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Gather)]
pub(super) struct Gather {
    pub(super) gather_id: i64,
    pub(super) school_id: i64,
    pub(super) mac_addr: String,
    pub(super) ip_addr: String,
    pub(super) name_pc: String,
    pub(super) name_set: String,
    pub(super) os_name: String,
    /// Kbit/s.
    pub(super) main_rate: i64,
    /// Kbit/s.
    pub(super) sub_rate: i64,
    pub(super) auto_dvr: i64,
    pub(super) auto_fds: i64,
    /// The same under the documents' other name.
    pub(super) auto_fdfs: i64,
    /// Minutes; 0: recordings are not cut.
    pub(super) slice_val: i64,
    pub(super) inter_val: i64,
    /// Minutes.
    pub(super) snap_val: i64,
    /// 0 offline, 1 online.
    pub(super) status: i64,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Camera)]
pub(super) struct Camera {
    pub(super) camera_id: i64,
    pub(super) camera_name: String,
    pub(super) image_id: i64,
    /// What follows `storage_addr`; empty without a snapshot.
    pub(super) image_fdfs: String,
    pub(super) gather_id: i64,
    pub(super) name_set: String,
    pub(super) school_id: i64,
    pub(super) school_name: String,
    pub(super) grade_id: i64,
    pub(super) grade_type: String,
    pub(super) grade_name: String,
    /// 0 device, 1 MP4 file, 2 relay.
    pub(super) stream_prop: i64,
    pub(super) stream_url: String,
    pub(super) stream_mp4: String,
    pub(super) device_ip: String,
    pub(super) device_user: String,
    /// In base64.
    pub(super) device_pass: String,
    pub(super) device_cmd_port: i64,
    pub(super) device_mirror: i64,
    pub(super) device_osd: i64,
    pub(super) device_twice: i64,
    pub(super) device_show: i64,
    /// -1 not known since its node came up, 0 offline, 1 online.
    pub(super) status: i64,
    pub(super) clicks: i64,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Record)]
pub(super) struct Record {
    pub(super) record_id: i64,
    pub(super) gather_id: i64,
    pub(super) camera_id: i64,
    pub(super) camera_name: String,
    pub(super) grade_id: i64,
    pub(super) grade_type: String,
    pub(super) grade_name: String,
    pub(super) subject_id: i64,
    pub(super) subject_name: String,
    pub(super) teacher_id: i64,
    pub(super) teacher_name: String,
    pub(super) title_name: String,
    /// What follows `storage_addr`.
    pub(super) file_fdfs: String,
    /// What follows `storage_addr`; empty without a snapshot.
    pub(super) image_fdfs: String,
    /// Bytes.
    pub(super) file_size: String,
    /// Seconds.
    pub(super) duration: String,
    pub(super) disptime: String,
    pub(super) clicks: i64,
    pub(super) created: String,
    pub(super) updated: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = recorder::Course)]
pub(super) struct Course {
    pub(super) course_id: i64,
    pub(super) camera_id: i64,
    pub(super) subject_id: i64,
    pub(super) teacher_id: i64,
    /// Always 2: weekly.
    pub(super) repeat_id: i64,
    /// 0 Sunday to 6 Saturday.
    pub(super) week_id: i64,
    pub(super) elapse_sec: i64,
    /// Only the time of day counts.
    pub(super) start_time: String,
    pub(super) end_time: String,
    pub(super) created: String,
    pub(super) updated: String,
}

/// How a command fared on its way to a gather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Done,
    /// The pod runs, and is not ready yet.
    NotRegistered,
    Offline,
    UnknownGather,
}

impl Delivery {
    /// JSON in a text, as documented.
    pub(super) fn transmit(self, command: u8) -> String {
        let (err_code, err_msg) = match self {
            Self::Done => (0, "ok"),
            Self::NotRegistered => (10001, "没有建立连接。"),
            Self::Offline => (10002, "没有在线的采集端。"),
            Self::UnknownGather => (10007, "没有找到采集端的MAC地址"),
        };
        format!("{{\"err_code\":{err_code},\"err_cmd\":{command},\"err_msg\":\"{err_msg}\"}}")
    }
}

/// Numbers of the commands in `transmit`.
pub(super) mod command {
    pub(in super::super) const ADD_CAMERA: u8 = 3;
    pub(in super::super) const MOD_CAMERA: u8 = 4;
    pub(in super::super) const COURSE: u8 = 7;
    pub(in super::super) const START: u8 = 13;
    pub(in super::super) const STOP: u8 = 14;
}
