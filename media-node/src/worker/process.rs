//! One run of ffmpeg. It has no environment, no files, no terminal, little memory and little time.

use super::Error;
use bytes::Bytes;
use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_process};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Of what it complains about, so much is told.
const MOST_COMPLAINT: u64 = 2 << 10;
/// Below all that a node does for viewers: a third of a processor's share. With 10 it is a tenth, and where viewers keep all
/// processors busy there were no pictures any more.
const NICE: i32 = 5;
/// Files that it has open: the pipes, and one library after the other at its start.
const MOST_FILES: u64 = 32;
/// How long the system gets to end one that was killed.
const DEATH: Duration = Duration::from_secs(1);

/// What one run may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// So long it waits for its turn.
    pub patience: Duration,
    /// From the start to the end. Both together are less than a request may take.
    pub deadline: Duration,
    /// Of what it answers.
    pub output_bytes: u64,
    /// Of address space, half of which libraries and stacks take and don't use: 4K is decoded in 384 MiB, 8K in 768.
    pub memory_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(8),
            deadline: Duration::from_secs(20),
            output_bytes: 8 << 20,
            memory_bytes: 768 << 20,
        }
    }
}

/// Feeds `input` to the program and answers with what comes of it.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    input: Bytes,
    limits: &Limits,
) -> Result<Bytes, Error> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A key pressed in the node's terminal is the node's.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::Environment(error.to_string()))?;
    // Nothing of the input has reached it yet, so that it is confined before there is anything to fear.
    if let Err(error) = confine(&child, limits) {
        end(&mut child).await;
        return Err(Error::Environment(format!("it can't be confined: {error}")));
    }
    let Ok(done) = timeout(limits.deadline, converse(&mut child, &input, limits.output_bytes)).await else {
        end(&mut child).await;
        return Err(Error::Late(limits.deadline));
    };
    let (output, complaint, status) = done.map_err(|error| Error::Environment(error.to_string()))?;
    if output.len() as u64 > limits.output_bytes {
        return Err(Error::TooLarge(limits.output_bytes));
    }
    if output.is_empty() || !status.success() {
        return Err(Error::Refused(first_line(&complaint, status)));
    }
    Ok(output.into())
}

/// Limits the process. It is ours and waits for its input, so only one that has died by itself can refuse.
fn confine(child: &Child, limits: &Limits) -> rustix::io::Result<()> {
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let pid = Some(pid.ok_or(rustix::io::Errno::SRCH)?);
    let most = |limit: u64| Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    prlimit(pid, Resource::As, most(limits.memory_bytes))?;
    // Pipes are no files in this sense: nothing can be written to a disk.
    prlimit(pid, Resource::Fsize, most(0))?;
    prlimit(pid, Resource::Core, most(0))?;
    prlimit(pid, Resource::Nofile, most(MOST_FILES))?;
    // Where memory is short all the same, it goes and not the node. A system that hides this file goes without.
    if let Some(id) = child.id() {
        let _ = std::fs::write(format!("/proc/{id}/oom_score_adj"), "1000");
    }
    // Also when the node is gone.
    prlimit(pid, Resource::Cpu, most(limits.deadline.as_secs() + 1))?;
    setpriority_process(pid, NICE)
}

async fn converse(
    child: &mut Child,
    input: &[u8],
    most_output: u64,
) -> std::io::Result<(Vec<u8>, Vec<u8>, ExitStatus)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feeding = async move {
        if let Some(mut stdin) = stdin {
            // It may have seen enough before the end.
            let _ = stdin.write_all(input).await;
        }
    };
    let listening = async move {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            // One more, to know that it is too much.
            stdout.take(most_output + 1).read_to_end(&mut output).await?;
        }
        std::io::Result::Ok(output)
    };
    let hearing = async move {
        let mut complaint = Vec::new();
        if let Some(mut stderr) = stderr {
            (&mut stderr)
                .take(MOST_COMPLAINT)
                .read_to_end(&mut complaint)
                .await?;
            copy(&mut stderr, &mut sink()).await?;
        }
        std::io::Result::Ok(complaint)
    };
    let ((), output, complaint, status) = tokio::join!(feeding, listening, hearing, child.wait());
    Ok((output?, complaint?, status?))
}

async fn end(child: &mut Child) {
    let _ = timeout(DEATH, child.kill()).await;
}

/// What it says first is the cause, as a rule; only what can be printed, and without the address in `[h264 @ 0x55…]`, which
/// would make the same complaint another one each time.
fn first_line(complaint: &[u8], status: ExitStatus) -> String {
    let text = String::from_utf8_lossy(complaint);
    let said = |line: &str| match line.split_once("] ") {
        Some((head, rest)) if head.starts_with('[') => rest.trim().to_owned(),
        _ => line.trim().to_owned(),
    };
    let line = text.lines().map(said).find(|line| !line.is_empty());
    line.map_or_else(
        || format!("it ended with {status}"),
        |line| line.chars().filter(|c| !c.is_control()).take(200).collect(),
    )
}
