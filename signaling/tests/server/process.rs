//! The server as a process: how it ends.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use signaling::wire::server_message as said;

use crate::page::{Page, config};

/// Far longer than it takes, far shorter than the drain.
const PATIENCE: Duration = Duration::from_secs(120);

struct Process {
    child: Child,
    /// Its end would end it too.
    _input: ChildStdin,
    host: String,
    room: String,
    mentor: String,
}

impl Process {
    /// On free ports. Who is in a case may go on for ten minutes.
    fn start(home: &Path) -> Process {
        let web = config(home).web_root.expect("made");
        let mut child = Command::new(env!("CARGO_BIN_EXE_shirube"))
            .args(["demo", "--json", "--no-engine", "--https-port", "0", "--media-port", "0", "--http", "0", "--drain", "600"])
            .args(["--bind", "127.0.0.1"])
            .args(["--data".as_ref(), home.join("data").as_os_str()])
            .args(["--web-root".as_ref(), web.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("it says that it is ready");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let text = |pointer: &str| ready.pointer(pointer).and_then(|v| v.as_str()).expect(pointer).to_owned();
        let host = text("/http_url").trim_start_matches("http://").to_owned();
        Process { child, _input: input, host, room: text("/tokens/room"), mentor: text("/tokens/mentor") }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().expect("kill is there").success());
    }

    async fn exit_code(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn told_of_the_restart(page: &mut Page) {
    page.until("told of the restart", |body| match body {
        said::Body::State(state) if state.restarting => Some(()),
        said::Body::Refused(refused) => panic!("not told to go: {refused:?}"),
        _ => None,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sg46_either_signal_lets_who_just_came_in_finish_and_ends_with_the_last_to_go() {
    for signal in ["TERM", "INT"] {
        let home = tempfile::tempdir().expect("a folder");
        let mut process = Process::start(home.path());
        let mut room = Page::open(&process.host, &process.room, "").await.expect("enters");
        // At once: nobody has counted yet who is there.
        process.signal(signal);
        told_of_the_restart(&mut room).await;
        let Err(refused) = Page::open(&process.host, &process.mentor, "").await else { panic!("somebody new came in") };
        assert_eq!((refused.code.as_str(), refused.r#final), ("server.stopping", false), "{signal}");
        assert!(process.child.try_wait().expect("a child").is_none(), "{signal}: it waits for the room");
        room.leave().await;
        assert_eq!(process.exit_code().await, Some(0), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sg46_a_second_signal_ends_at_once_and_tells_the_pages() {
    for (first, second) in [("TERM", "INT"), ("INT", "INT")] {
        let home = tempfile::tempdir().expect("a folder");
        let mut process = Process::start(home.path());
        let mut room = Page::open(&process.host, &process.room, "").await.expect("enters");
        process.signal(first);
        told_of_the_restart(&mut room).await;
        process.signal(second);
        assert_eq!(room.refusal().await.code, "server.stopping");
        assert_eq!(process.exit_code().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sg46_with_nobody_in_a_case_one_signal_is_enough() {
    for signal in ["TERM", "INT"] {
        let home = tempfile::tempdir().expect("a folder");
        let mut process = Process::start(home.path());
        process.signal(signal);
        assert_eq!(process.exit_code().await, Some(0), "{signal}");
    }
}
