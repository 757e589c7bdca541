//! Channels: `list_camera`, `add_camera`, `mod_camera`, `del_camera`, `get_camera_status`, `start_camera`, `stop_camera`. They
//! are Cameras.

use super::super::{Api, owned_secret};
use super::calendar::Calendar;
use super::origin::Origin;
use super::paging::{Form, Paging};
use super::parameters::Parameters;
use super::scene::{Channel, Scene};
use super::source::{self, Change, Credentials, Mode};
use super::wire::{self, Code, Delivery, Fault, command};
use super::{courses, storage};
use crate::cluster::resource::{Kind, SecretData, Target, WriteError};
use crate::store::sql::Named;
use crate::store::sql::recorder::{API, CameraFact, DeviceFlags};
use axum::response::Response;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::sleep;
use weir_crds::Camera;

/// Tries to write while others write the same object.
const ATTEMPTS: u32 = 8;
/// Secrets read at once for a list.
const READS: usize = 8;

pub(super) async fn list(api: &Api, parameters: &Parameters, origin: &Origin) -> Result<Response, Fault> {
    let paging = Paging::of(parameters, Form::Texts);
    let scene = Scene::load(api).await?;
    let mut channels = scene.channels;
    channels.reverse();
    let (channels, total) = paging.of_all(channels);
    let database = &api.recorder.database;
    let school_ids = channels
        .iter()
        .filter_map(|c| Some(c.gather.as_ref()?.row.school_id));
    let schools = database.schools_of(school_ids).await?;
    let schools: HashMap<_, _> = schools.into_iter().map(|row| (row.id, row.name)).collect();
    let grades = database
        .grades_of(channels.iter().map(|c| c.fact.grade_id))
        .await?;
    let grades: HashMap<_, _> = grades
        .into_iter()
        .map(|row| (row.id, (row.kind, row.name)))
        .collect();
    let pictured: Vec<_> = channels
        .iter()
        .filter(|channel| channel.fact.image_key.is_some())
        .map(|channel| Named {
            uid: channel.uid().to_owned(),
            name: String::new(),
        })
        .collect();
    let images = if pictured.is_empty() {
        HashMap::new()
    } else {
        database.resource_ids(API, "image", &pictured).await?
    };
    let calendar = Calendar::of(api);
    let rows = futures::stream::iter(channels)
        .map(async |channel| {
            let secret = secret_of(api, &channel.camera).await?;
            let shown = source::shown(&channel.camera.spec.source, &channel.fact, secret.as_ref());
            let status = channel.status();
            let gather = channel.gather.as_ref().map(|gather| gather.row.clone());
            let (grade_type, grade_name) = grades.get(&channel.fact.grade_id).cloned().unwrap_or_default();
            let school_id = gather.as_ref().map_or(0, |gather| gather.school_id);
            let image = storage::live_path(channel.id, &channel.fact);
            let fact = channel.fact;
            Ok::<_, Fault>(wire::Camera {
                camera_id: channel.id,
                camera_name: name_of(&channel.camera),
                image_id: image.as_ref().and(images.get(&fact.uid)).copied().unwrap_or(0),
                image_fdfs: image.unwrap_or_default(),
                gather_id: gather.as_ref().map_or(0, |gather| gather.id),
                name_set: gather.map(|gather| gather.title).unwrap_or_default(),
                school_id,
                school_name: schools.get(&school_id).cloned().unwrap_or_default(),
                grade_id: fact.grade_id,
                grade_type,
                grade_name,
                stream_prop: shown.mode as i64,
                stream_url: shown.url,
                stream_mp4: shown.mp4,
                device_ip: shown.host,
                device_user: shown.user,
                device_pass: shown.password,
                device_cmd_port: shown.port,
                device_mirror: fact.device_mirror.into(),
                device_osd: fact.device_osd.into(),
                device_twice: fact.device_twice.into(),
                device_show: fact.device_show.into(),
                status,
                clicks: fact.clicks,
                created: calendar.text(fact.created),
                updated: calendar.text(fact.updated),
            })
        })
        .buffered(READS)
        .try_collect()
        .await?;
    let mut list = paging.list(total, rows);
    list.storage_addr = Some(storage::address(api, origin));
    Ok(wire::ok(list))
}

/// For people.
pub(super) fn name_of(camera: &Camera) -> String {
    let name = camera.spec.display_name.clone();
    name.or_else(|| camera.metadata.name.clone()).unwrap_or_default()
}

/// What the channel's credentials are. One Secret that can't be read hides no channel.
async fn secret_of(api: &Api, camera: &Camera) -> Result<Option<SecretData>, Fault> {
    let Some(credentials) = &camera.spec.credentials else {
        return Ok(None);
    };
    let namespace = camera.metadata.namespace.as_deref().unwrap_or_default();
    match api.secrets.read(namespace, &credentials.secret_name).await {
        Ok(data) => Ok(data),
        Err(WriteError::Refused(why)) => {
            tracing::warn!(
                namespace,
                secret = credentials.secret_name,
                error = why,
                "the Secret of a channel can't be read"
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn add(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Added {
        camera_id: i64,
        transmit: String,
    }
    let gather_id = parameters.id("gather_id")?;
    let grade_id = parameters.id("grade_id")?;
    let gathers = super::gathers::known(api).await?;
    let gather = gathers
        .into_iter()
        .find(|gather| gather.row.id == gather_id)
        .ok_or(Code::NoId)?;
    let mode = parameters
        .int("stream_prop")
        .and_then(Mode::of)
        .filter(|mode| *mode != Mode::Device);
    let mode = mode.ok_or(Code::NoId)?;
    let mut fact = new_fact(grade_id);
    let (url, mp4) = (
        parameters.address("stream_url")?,
        parameters.address("stream_mp4")?,
    );
    if (mode == Mode::File && mp4.is_none()) || (mode == Mode::Relay && url.is_none()) {
        return Err(Code::NoName.into());
    }
    let name = source::display_name(parameters)?;
    // Both are kept, also what is not valid for the mode.
    let relayed = url
        .as_deref()
        .map(|url| source::relay(url, &mut fact))
        .transpose()?;
    let played = mp4
        .as_deref()
        .map(|mp4| source::file(mp4, &mut fact))
        .transpose()?;
    let change = if mode == Mode::File { played } else { relayed };
    let change = change.ok_or(Code::NoName)?;
    let (camera_id, target) = create(api, &name, &gather.row.node, &change).await?;
    fact.uid.clone_from(&target.uid);
    api.recorder.database.save_camera_fact(&fact).await?;
    tracing::info!(camera = %target, camera_id, "a channel was added");
    Ok(wire::ok(Added {
        camera_id,
        transmit: gather.delivery().transmit(command::ADD_CAMERA),
    }))
}

fn new_fact(grade_id: i64) -> CameraFact {
    let flags = DeviceFlags::default();
    CameraFact {
        uid: String::new(),
        grade_id,
        stream_prop: None,
        stream_url: String::new(),
        stream_mp4: String::new(),
        device_ip: String::new(),
        device_user: String::new(),
        device_port: 0,
        device_mirror: flags.mirror,
        device_osd: flags.osd,
        device_twice: flags.twice,
        device_show: flags.show,
        clicks: 0,
        image_key: None,
        image_taken: 0,
        image_tried: 0,
        former_image_key: None,
        former_image_taken: 0,
        created: 0,
        updated: 0,
    }
}

/// Makes the Camera, and its Secret if it needs one.
async fn create(api: &Api, name: &str, node: &str, change: &Change) -> Result<(i64, Target), Fault> {
    let database = &api.recorder.database;
    for _ in 0..ATTEMPTS {
        let id = database.reserve_resource_id(API, "camera").await?;
        let object = format!("camera-{id}");
        let secret = matches!(change.credentials, Credentials::New(_)).then(|| new_secret(&object));
        let mut spec = json!({
            "path": format!("live/live{id}"),
            "displayName": name,
            "enabled": true,
            "connect": "Always",
            "source": change.source,
            "node": node,
        });
        if let Some(secret) = &secret {
            spec["credentials"] = json!({"secretName": secret});
        }
        let manifest = json!({
            "apiVersion": Kind::Camera.api_version(),
            "kind": Kind::Camera.as_str(),
            "metadata": {"name": object, "labels": owned_secret::labels()},
            "spec": spec,
        });
        let target = match api.specs.create(&manifest).await {
            Ok(target) => target,
            // Somebody has made an object of this name by hand.
            Err(WriteError::Conflict) => continue,
            Err(error) => return Err(unusable(error)),
        };
        // The Secret needs its owner's uid, so it comes second.
        if let (Some(secret), Credentials::New(data)) = (&secret, &change.credentials) {
            owned_secret::make(&*api.specs, &target, secret, data.reveal()).await?;
            owned_secret::until_readable(&*api.secrets, &target.namespace, secret).await?;
        }
        let named = Named {
            uid: target.uid.clone(),
            name: object,
        };
        let ids = database.resource_ids(API, "camera", &[named]).await?;
        return Ok((ids.get(&target.uid).copied().unwrap_or(id), target));
    }
    Err(Fault::Unavailable)
}

/// An address that resources don't take is none.
fn unusable(error: WriteError) -> Fault {
    match error {
        WriteError::Refused(why) => {
            tracing::info!(error = why, "a channel is refused");
            Code::NoName.into()
        }
        other => other.into(),
    }
}

/// A name for a Secret that no other has, and by which gateways know that it was made by an API call.
fn new_secret(object: &str) -> String {
    let hash = hex::encode(Sha256::digest(object));
    format!(
        "camera-{}-{}",
        &hash[..20],
        hex::encode(rand::random::<[u8; 4]>())
    )
}

pub(super) async fn change(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Changed {
        transmit: String,
    }
    let id = parameters.id("camera_id")?;
    let name = source::display_name(parameters)?;
    let scene = Scene::load(api).await?;
    let channel = scene.named(id)?;
    let asked = match parameters.text("stream_prop", super::parameters::TEXT) {
        None => None,
        Some(_) => Some(
            parameters
                .int("stream_prop")
                .and_then(Mode::of)
                .ok_or(Code::NoId)?,
        ),
    };
    let mut fact = channel.fact.clone();
    if let Some(grade_id) = parameters.int("grade_id") {
        fact.grade_id = grade_id;
    }
    let change = wanted_source(api, channel, parameters, asked, &mut fact).await?;
    let target = channel.target();
    let mut spec = json!({"displayName": name});
    let mut secret = None;
    if let Some(change) = &change {
        spec["source"] = change.patch();
        match &change.credentials {
            Credentials::Kept => {}
            Credentials::None => spec["credentials"] = Value::Null,
            Credentials::New(data) => {
                let made = new_secret(&target.name);
                owned_secret::make(&*api.specs, &target, &made, data.reveal()).await?;
                spec["credentials"] = json!({"secretName": made});
                secret = Some(made);
            }
        }
    }
    let patched = patch(api, &target, &json!({"spec": spec})).await;
    let former = channel
        .camera
        .spec
        .credentials
        .as_ref()
        .map(|former| former.secret_name.clone());
    match patched {
        Ok(()) => {}
        Err(error) => {
            if let Some(made) = &secret {
                owned_secret::drop(&*api.specs, &target.namespace, made).await;
            }
            return Err(match error {
                WriteError::Gone => Code::NoId.into(),
                error => unusable(error),
            });
        }
    }
    if let Some(made) = &secret {
        owned_secret::until_readable(&*api.secrets, &target.namespace, made).await?;
    }
    let is_kept = change
        .as_ref()
        .is_none_or(|change| matches!(change.credentials, Credentials::Kept));
    if let Some(former) = former.filter(|_| !is_kept) {
        owned_secret::drop(&*api.specs, &target.namespace, &former).await;
    }
    api.recorder.database.save_camera_fact(&fact).await?;
    tracing::info!(camera = %target, camera_id = id, "a channel was changed");
    Ok(wire::ok(Changed {
        transmit: channel.delivery().transmit(command::MOD_CAMERA),
    }))
}

/// The source that a channel is to have; none if it stays.
async fn wanted_source(
    api: &Api,
    channel: &Channel,
    parameters: &Parameters,
    asked: Option<Mode>,
    fact: &mut CameraFact,
) -> Result<Option<Change>, Fault> {
    let current = &channel.camera.spec.source;
    let before = source::mode(current, fact);
    let mode = asked.unwrap_or(before);
    let (url, mp4) = (
        parameters.address("stream_url")?,
        parameters.address("stream_mp4")?,
    );
    // All that is told is looked at and kept, whatever the mode.
    let relayed = url.as_deref().map(|url| source::relay(url, fact)).transpose()?;
    let played = mp4.as_deref().map(|mp4| source::file(mp4, fact)).transpose()?;
    let is_device_told = source::device_facts(parameters, fact);
    fact.stream_prop = Some(mode as i64);
    let is_other = mode != before;
    Ok(match mode {
        Mode::Relay if relayed.is_some() => relayed,
        Mode::Relay if is_other => {
            let kept = fact.stream_url.clone();
            Some(if kept.is_empty() {
                source::nowhere()
            } else {
                source::relay(&kept, fact)?
            })
        }
        Mode::File if played.is_some() => played,
        Mode::File if is_other => {
            let kept = fact.stream_mp4.clone();
            Some(if kept.is_empty() {
                source::nowhere()
            } else {
                source::file(&kept, fact)?
            })
        }
        Mode::Device if is_device_told || is_other => {
            let secret = secret_of(api, &channel.camera).await?;
            if fact.device_ip.is_empty() {
                // Of a device that was made by another way, its address is known there alone.
                fact.device_ip = source::shown(current, fact, None).host;
            }
            Some(source::device(parameters, current, secret.as_ref(), fact))
        }
        Mode::Relay | Mode::File | Mode::Device => None,
    })
}

/// Changes a Camera, however often others write it meanwhile.
async fn patch(api: &Api, target: &Target, patch: &Value) -> Result<(), WriteError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let cameras = api.specs.cameras().await?;
        let camera = cameras
            .iter()
            .find(|camera| camera.metadata.uid.as_ref() == Some(&target.uid));
        let camera = camera.ok_or(WriteError::Gone)?;
        let version = camera.metadata.resource_version.as_deref().unwrap_or_default();
        match api.specs.change(target, version, patch).await {
            Err(WriteError::Conflict) if attempts < ATTEMPTS => {
                sleep(Duration::from_millis(10 << attempts.min(5))).await;
            }
            outcome => return outcome,
        }
    }
}

/// Each goes with its courses, snapshots and records; a record that is being made is thrown away.
pub(super) async fn delete(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    let ids = parameters.ids("camera_id")?;
    let scene = Scene::load(api).await?;
    let database = &api.recorder.database;
    for channel in ids.iter().filter_map(|id| scene.channel(*id)) {
        let target = channel.target();
        courses::delete_of(api, channel).await?;
        api.specs
            .delete(Kind::Camera, &target.namespace, &target.name)
            .await?;
        if let Some(credentials) = &channel.camera.spec.credentials {
            owned_secret::drop(&*api.specs, &target.namespace, &credentials.secret_name).await;
        }
        database.delete_recordings_of(channel.uid()).await?;
        database.delete_camera_fact(channel.uid()).await?;
        for kind in ["camera", "image"] {
            database.close_resource_id(API, kind, channel.uid()).await?;
        }
        // Last, for what is stored from here on is thrown away by who stores it.
        api.recorder.footage.forget_camera(channel.uid()).await?;
        tracing::info!(camera = %target, camera_id = channel.id, "a channel was deleted");
    }
    Ok(wire::done())
}

pub(super) async fn status(api: &Api, parameters: &Parameters) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Told {
        camera_id: i64,
        status: i64,
        dev_err_code: i64,
        dev_err_msg: String,
    }
    let id = parameters.id("camera_id")?;
    let scene = Scene::load(api).await?;
    let channel = scene.named(id)?;
    let (dev_err_code, dev_err_msg) = channel.failure();
    Ok(wire::ok(Told {
        camera_id: id,
        status: channel.status(),
        dev_err_code,
        dev_err_msg,
    }))
}

/// Starts or stops it; one that is so already stays as it is.
pub(super) async fn switch(api: &Api, parameters: &Parameters, on: bool) -> Result<Response, Fault> {
    #[derive(Serialize)]
    struct Switched {
        transmit: String,
    }
    let id = parameters.id("camera_id")?;
    let scene = Scene::load(api).await?;
    let channel = scene.named(id)?;
    if channel.camera.spec.enabled != on {
        let target = channel.target();
        patch(api, &target, &json!({"spec": {"enabled": on}})).await?;
        api.recorder.database.touch_camera(channel.uid()).await?;
        tracing::info!(camera = %target, camera_id = id, on, "a channel was switched");
    }
    let command = if on { command::START } else { command::STOP };
    Ok(wire::ok(Switched {
        transmit: channel.delivery().transmit(command),
    }))
}

/// The first of several results that is no success.
pub(super) fn first_failure(all: impl IntoIterator<Item = Delivery>) -> Delivery {
    let mut all = all.into_iter();
    all.find(|delivery| *delivery != Delivery::Done)
        .unwrap_or(Delivery::Done)
}
