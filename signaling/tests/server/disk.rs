//! A disk that is full while a case runs, on a file system of its own. Making one is the root user's alone: elsewhere these
//! tests say that they did not run, and the store's own tests, whose small disk is SQLite's bound, stand for them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use annotation::wire::{FrameRef, InkPacket, LiveStroke, Points, StrokeKey, Tool};
use signaling::edge::server;
use signaling::wire::{client_message as client, server_message as said};

use crate::page::{Page, config, count, host, now, provider, sign_in};

/// A small file system, until dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).expect("made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"]).arg(at).output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(at.to_owned()));
        }
        eprintln!("not run: only the root user can make a small file system");
        None
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).expect("made");
        for size in [4096, 1] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Until the page is told this of the disk.
async fn store_says(page: &mut Page, word: &str) {
    page.until(word, |body| matches!(body, said::Body::State(state) if state.store == word).then_some(())).await;
}

fn live(page: &Page) -> client::Body {
    let key = StrokeKey { author: page.welcome.author, epoch: page.welcome.epoch, number: 77 };
    let frame = FrameRef { feed: "field".into(), capture: now(), program: "program".into(), ..Default::default() };
    let points = Points { x: vec![8000, 10], y: vec![4000, 5], pressure: Default::default() };
    let live = LiveStroke {
        key: Some(key),
        tool: Tool::Pen as i32,
        width: 34,
        frame: Some(frame),
        began: now(),
        points: Some(points),
        ..Default::default()
    };
    client::Body::Ink(InkPacket { version: 1, live: vec![live], case_id: "demo".into(), ..Default::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn sg43_with_a_full_disk_the_case_goes_on_and_what_waited_is_kept_once_when_there_is_room() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(&home.path().join("data")) else { return };
    provider();
    let server = crate::page::start(&config(home.path())).await;
    let (host, tokens) = (host(&server), server.ready.tokens.clone());
    let mut mentor = Page::open(&host, &tokens.mentor, "").await.expect("enters");
    let mut room = Page::open(&host, &tokens.room, "").await.expect("enters");
    store_says(&mut mentor, "").await;
    store_says(&mut room, "").await;

    disk.fill();
    let stroke = mentor.stroke();
    mentor.say_ink(vec![stroke.clone()]).await;
    store_says(&mut mentor, "store.full").await;
    store_says(&mut room, "store.full").await;
    // Points under the pen and the room's clear go on to the others.
    mentor.say(live(&mentor)).await;
    room.until("live points", |body| matches!(body, said::Body::Ink(p) if !p.live.is_empty()).then_some(())).await;
    let clear = room.clear();
    room.say_ink(vec![clear]).await;
    mentor
        .until("the clear", |body| match body {
            said::Body::Ink(p) => {
                assert!(p.acks.is_empty(), "nothing is acknowledged that is not kept");
                (!p.clears.is_empty()).then_some(())
            }
            _ => None,
        })
        .await;
    // The door opens, and a page that comes is told.
    let mut desk = Page::open(&host, &tokens.desk, "").await.expect("enters");
    store_says(&mut desk, "store.full").await;
    let metrics = crate::page::request(&host, "GET", "/metrics", "", "").await;
    assert!(metrics.body.contains("shirube_disk_refusing{code=\"store.full\"} 1"), "{}", metrics.body);

    disk.make_room();
    mentor.acknowledged(1).await.expect("kept by itself");
    room.acknowledged(1).await.expect("kept by itself");
    store_says(&mut desk, "").await;
    // The page repeats what it did not see acknowledged: known.
    mentor.say_ink(vec![stroke]).await;
    mentor.acknowledged(1).await.expect("known");
    assert_eq!(count(home.path(), "SELECT COUNT(*) FROM ops").await, 2);
    server.stop().await;
    let audit = signaling::edge::store::verify_file(&home.path().join("data/shirube.sqlite")).await.expect("reads");
    assert!(audit.is_ok(), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_says_what_to_do_and_leaves_nothing_half_made() {
    let home = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(&home.path().join("data")) else { return };
    provider();
    disk.fill();
    let fault = server::start(&config(home.path())).await.expect_err("cannot start");
    let text = format!("{fault:#}");
    assert!(text.contains("[store.full]") && text.contains("make room"), "{text}");
    disk.make_room();
    let server = crate::page::start(&config(home.path())).await;
    assert_eq!(sign_in(&host(&server), &server.ready.tokens.room).await.status, 200);
    server.stop().await;
}
