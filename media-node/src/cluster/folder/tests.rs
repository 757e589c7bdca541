use super::*;
use std::time::Duration;
use tempfile::TempDir;
use weir_crds::{Camera, CameraStatus};

fn camera(name: &str, url: &str) -> String {
    format!(
        "apiVersion: weir.video/v1alpha1\nkind: Camera\nmetadata: {{name: {name}}}\nspec:\n  source: {{rtsp: {{url: \"{url}\"}}}}\n"
    )
}

struct Fixture {
    dir: TempDir,
    world: World,
    folder: Folder,
    stop: CancellationToken,
}

impl Fixture {
    async fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        let (world, folder) = Folder::open(dir.path().to_owned()).await.expect("it opens");
        assert!(world.ready().await);
        let stop = CancellationToken::new();
        tokio::spawn(folder.clone().run(stop.clone()));
        Self {
            dir,
            world,
            folder,
            stop,
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("a file");
    }

    fn urls(&self) -> Vec<String> {
        let mut all: Vec<String> = self.world.cameras.state().iter().map(|c| url(c)).collect();
        all.sort();
        all
    }

    /// Waits until the cameras have these names and URLs.
    async fn until(&self, want: &[&str]) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let mut news = self.world.news();
        while self.urls() != want {
            let changed = tokio::time::timeout_at(deadline, news.changed()).await;
            assert!(changed.is_ok(), "wanted {want:?}, have {:?}", self.urls());
        }
    }

    async fn until_problems(&self, want: usize) -> Arc<[Problem]> {
        let mut problems = self.folder.problems();
        let found = problems.wait_for(|p| p.len() == want);
        let found = tokio::time::timeout(Duration::from_secs(10), found).await;
        found.expect("in time").expect("the folder lives").clone()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn url(camera: &Camera) -> String {
    let weir_crds::Source::Rtsp(rtsp) = &camera.spec.source else {
        return "not rtsp".to_owned();
    };
    format!(
        "{} {}",
        camera.metadata.name.as_deref().unwrap_or_default(),
        rtsp.url
    )
}

#[tokio::test]
async fn files_are_followed_as_they_come_change_and_go() {
    let f = Fixture::new(&[
        ("a.yaml", &camera("a", "rtsp://one/")),
        ("notes.txt", "no manifest"),
    ])
    .await;
    assert_eq!(f.urls(), ["a rtsp://one/"], "read when it opens");

    f.write("b.yml", &camera("b", "rtsp://two/"));
    f.until(&["a rtsp://one/", "b rtsp://two/"]).await;

    f.write("a.yaml", &camera("a", "rtsp://three/"));
    f.until(&["a rtsp://three/", "b rtsp://two/"]).await;
    let a = f
        .world
        .cameras
        .find(|c| c.metadata.name.as_deref() == Some("a"))
        .expect("a");
    assert_eq!(a.metadata.generation, Some(2));

    // An editor that writes beside and renames.
    f.write(".a.yaml.swp", "half a file");
    f.write("a.tmp", &camera("a", "rtsp://four/"));
    std::fs::rename(f.dir.path().join("a.tmp"), f.dir.path().join("a.yaml")).expect("renamed");
    f.until(&["a rtsp://four/", "b rtsp://two/"]).await;

    std::fs::remove_file(f.dir.path().join("b.yml")).expect("removed");
    f.until(&["a rtsp://four/"]).await;
    assert!(f.folder.problems().borrow().is_empty());
}

#[tokio::test]
async fn several_documents_in_a_file() {
    let both = format!(
        "{}---\n{}",
        camera("a", "rtsp://one/"),
        camera("b", "rtsp://two/")
    );
    let f = Fixture::new(&[("all.yaml", &both)]).await;
    assert_eq!(f.urls(), ["a rtsp://one/", "b rtsp://two/"]);
    f.write("all.yaml", &camera("b", "rtsp://two/"));
    f.until(&["b rtsp://two/"]).await;
}

#[tokio::test]
async fn a_folder_mounted_from_a_config_map() {
    // As the kubelet lays it out: a.yaml -> ..data/a.yaml, ..data -> ..2026_1, replaced by rename.
    let dir = tempfile::tempdir().expect("a folder");
    let version = |n: u32, text: &str| {
        let name = format!("..2026_{n}");
        std::fs::create_dir(dir.path().join(&name)).expect("a folder");
        std::fs::write(dir.path().join(&name).join("a.yaml"), text).expect("a file");
        std::os::unix::fs::symlink(&name, dir.path().join("..data_tmp")).expect("a link");
        std::fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).expect("renamed");
    };
    version(1, &camera("a", "rtsp://one/"));
    std::os::unix::fs::symlink("..data/a.yaml", dir.path().join("a.yaml")).expect("a link");
    let (world, folder) = Folder::open(dir.path().to_owned()).await.expect("it opens");
    let f = Fixture {
        world,
        stop: CancellationToken::new(),
        folder: folder.clone(),
        dir: tempfile::tempdir().expect("unused"),
    };
    tokio::spawn(folder.run(f.stop.clone()));
    assert_eq!(f.urls(), ["a rtsp://one/"]);
    version(2, &camera("a", "rtsp://two/"));
    f.until(&["a rtsp://two/"]).await;
}

#[tokio::test]
async fn a_bad_document_is_reported_and_its_last_good_version_stays() {
    let f = Fixture::new(&[
        ("a.yaml", &camera("a", "rtsp://one/")),
        ("b.yaml", &camera("b", "rtsp://two/")),
    ])
    .await;
    f.write(
        "a.yaml",
        &format!("# mine\n---\n{}", camera("a", "http://wrong/")),
    );
    let problems = f.until_problems(1).await;
    let problem = &problems[0];
    assert_eq!(
        (problem.file.as_str(), problem.document, problem.line),
        ("a.yaml", 1, 3)
    );
    assert_eq!(problem.object.as_deref(), Some("Camera default/a"));
    assert_eq!(problem.error.field, "spec.source.rtsp.url");
    assert!(
        problem.error.message.contains("write rtsp://"),
        "{}",
        problem.error
    );

    // Others go on.
    f.write("b.yaml", &camera("b", "rtsp://three/"));
    f.until(&["a rtsp://one/", "b rtsp://three/"]).await;
    // Not even YAML: still the last good one.
    f.write("a.yaml", "kind: [");
    f.until_problems(1).await;
    f.write("b.yaml", &camera("b", "rtsp://four/"));
    f.until(&["a rtsp://one/", "b rtsp://four/"]).await;
    // Mended.
    f.write("a.yaml", &camera("a", "rtsp://five/"));
    f.until(&["a rtsp://five/", "b rtsp://four/"]).await;
    f.until_problems(0).await;
    // Bad, then removed.
    f.write("a.yaml", "kind: [");
    f.until_problems(1).await;
    std::fs::remove_file(f.dir.path().join("a.yaml")).expect("removed");
    f.until(&["b rtsp://four/"]).await;
}

#[tokio::test]
async fn of_two_files_with_one_object_the_first_counts() {
    let f = Fixture::new(&[
        ("1.yaml", &camera("a", "rtsp://one/")),
        ("2.yaml", &camera("a", "rtsp://two/")),
    ])
    .await;
    assert_eq!(f.urls(), ["a rtsp://one/"]);
    let problems = f.until_problems(1).await;
    assert!(
        problems[0].error.message.contains("1.yaml"),
        "{}",
        problems[0].error
    );
    std::fs::remove_file(f.dir.path().join("1.yaml")).expect("removed");
    f.until(&["a rtsp://two/"]).await;
    f.until_problems(0).await;
}

#[tokio::test]
async fn files_that_cant_be_read_are_problems() {
    let f = Fixture::new(&[("a.yaml", &camera("a", "rtsp://one/"))]).await;
    std::fs::write(f.dir.path().join("a.yaml"), [0xff, 0xfe, 0x00]).expect("a file");
    let problems = f.until_problems(1).await;
    assert!(
        problems[0].error.message.contains("UTF-8"),
        "{}",
        problems[0].error
    );
    assert_eq!(f.urls(), ["a rtsp://one/"]);
    let large = std::fs::File::create(f.dir.path().join("b.yaml")).expect("a file");
    large.set_len(5 << 20).expect("a large file");
    f.until_problems(2).await;
}

#[tokio::test]
async fn secrets_are_read_and_their_rotation_is_told() {
    let secret = |password: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{username: u, password: {password}}}\n"
        )
    };
    let f = Fixture::new(&[("s.yaml", &secret("one"))]).await;
    let password = async || {
        let data = f
            .folder
            .read("default", "s")
            .await
            .expect("readable")
            .expect("there");
        String::from_utf8(data["password"].reveal().clone()).expect("text")
    };
    assert_eq!(password().await, "one");
    assert!(
        f.folder
            .read("default", "other")
            .await
            .expect("readable")
            .is_none()
    );
    let mut changes = f.folder.changes().expect("it tells");
    f.write("s.yaml", &secret("two"));
    tokio::time::timeout(Duration::from_secs(10), changes.changed())
        .await
        .expect("in time")
        .expect("the folder lives");
    assert_eq!(password().await, "two");
}

#[tokio::test]
async fn status_is_seen_by_readers_and_fenced() {
    let f = Fixture::new(&[("a.yaml", &camera("a", "rtsp://one/"))]).await;
    let now = || f.world.cameras.state()[0].clone();
    let target = Target::of(Kind::Camera, &*now());
    let version = now().metadata.resource_version.clone();
    let status = serde_json::json!({"source": "RTSP", "codec": "H264"});
    let next = f
        .folder
        .apply_status(&target, version.as_deref(), &status)
        .await
        .expect("written");
    assert_eq!(now().metadata.resource_version, next);
    let status_now = now().status.clone();
    assert_eq!(
        status_now.and_then(|s: CameraStatus| s.codec).as_deref(),
        Some("H264")
    );
    // What was decided for an older version is refused.
    let late = f.folder.apply_status(&target, version.as_deref(), &status).await;
    assert!(matches!(late, Err(WriteError::Conflict)), "{late:?}");
    // Nor is it taken for an object that has the name of one that is gone.
    let other = Target {
        uid: "other".to_owned(),
        ..target.clone()
    };
    let gone = f.folder.apply_status(&other, None, &status).await;
    assert!(matches!(gone, Err(WriteError::Gone)), "{gone:?}");
    // A changed manifest keeps it.
    f.write("a.yaml", &camera("a", "rtsp://two/"));
    f.until(&["a rtsp://two/"]).await;
    assert_eq!(
        now().status.clone().and_then(|s| s.codec).as_deref(),
        Some("H264")
    );
}

#[tokio::test]
async fn api_calls_change_the_files() {
    let text = format!(
        "# the yard\n{}---\n{}",
        camera("a", "rtsp://one/"),
        camera("b", "rtsp://two/")
    );
    let f = Fixture::new(&[("yard.yaml", &text)]).await;
    let manifest = |name: &str, url: &str| {
        serde_json::json!({"apiVersion": "weir.video/v1alpha1", "kind": "Camera", "metadata": {"name": name},
            "spec": {"source": {"rtsp": {"url": url}}}})
    };
    let patch = |url: &str| serde_json::json!({"spec": {"source": {"rtsp": {"url": url}}}});
    let b = f
        .world
        .cameras
        .find(|c| c.metadata.name.as_deref() == Some("b"))
        .expect("b");
    let (target, version) = (Target::of(Kind::Camera, &*b), b.metadata.resource_version.clone());
    let version = version.expect("a version");
    f.folder
        .change(&target, &version, &patch("rtsp://three/"))
        .await
        .expect("changed");
    // At once, and the other document as it was.
    assert_eq!(f.urls(), ["a rtsp://one/", "b rtsp://three/"]);
    let yard = std::fs::read_to_string(f.dir.path().join("yard.yaml")).expect("readable");
    assert!(
        yard.starts_with(&format!("# the yard\n{}---\n", camera("a", "rtsp://one/"))),
        "{yard}"
    );
    let late = f.folder.change(&target, &version, &patch("rtsp://late/")).await;
    assert!(matches!(late, Err(WriteError::Conflict)), "{late:?}");
    let other = Target {
        uid: "other".to_owned(),
        ..target
    };
    let gone = f.folder.change(&other, &version, &patch("rtsp://late/")).await;
    assert!(matches!(gone, Err(WriteError::Gone)), "{gone:?}");

    let created = f
        .folder
        .create(&manifest("c", "rtsp://four/"))
        .await
        .expect("created");
    let c = f
        .world
        .cameras
        .find(|c| c.metadata.name.as_deref() == Some("c"))
        .expect("c");
    assert_eq!(created, Target::of(Kind::Camera, &*c));
    assert!(f.dir.path().join("camera-c.yaml").is_file());
    let again = f.folder.create(&manifest("c", "rtsp://five/")).await;
    assert!(matches!(again, Err(WriteError::Conflict)), "{again:?}");
    let refused = f
        .folder
        .create(&manifest("d", "http://wrong/"))
        .await
        .expect_err("refused");
    assert!(refused.to_string().contains("spec.source.rtsp.url"), "{refused}");

    assert!(
        f.folder
            .delete(Kind::Camera, "default", "c")
            .await
            .expect("deleted")
    );
    assert!(!f.dir.path().join("camera-c.yaml").exists());
    assert!(
        f.folder
            .delete(Kind::Camera, "default", "a")
            .await
            .expect("deleted")
    );
    assert!(
        !f.folder
            .delete(Kind::Camera, "default", "a")
            .await
            .expect("nothing to delete")
    );
    assert_eq!(f.urls(), ["b rtsp://three/"]);
    // The next look finds nothing new, and nobody's half-written files lie about.
    tokio::time::sleep(3 * scan::PERIOD).await;
    assert_eq!(f.urls(), ["b rtsp://three/"]);
    let left: Vec<_> = std::fs::read_dir(f.dir.path())
        .expect("readable")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1);
}
