//! Recordings that are there and cannot be read: beside a good main picture the case goes on without them.

mod server;

use link::frame::{FeedState, FrameIndex};
use server::{CONFIG, Server};

fn state(index: &FrameIndex, feed: &str) -> FeedState {
    index.entries.iter().find(|e| e.feed == feed).map_or(FeedState::Unspecified, |e| e.state())
}

#[test]
fn recordings_that_are_cut_are_lost_with_their_sentence_and_the_other_feeds_go_on() {
    let folder = std::env::temp_dir().join(format!("shirube-cut-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (dicom, header) = (folder.join("cut.dcm"), folder.join("cut.hea"));
    // The head of a DICOM file whose body never arrived; a record that promises a hundred samples and has a few.
    std::fs::write(&dicom, [&[0u8; 128][..], b"DICM", &[2, 0, 0, 0, b'U', b'L', 4, 0, 200, 0]].concat()).expect("written");
    std::fs::write(&header, "cut 1 125 100\ncut.dat 16 200 12 0 0 0 0 II\n").expect("written");
    std::fs::write(folder.join("cut.dat"), [0u8; 20]).expect("written");
    let config = CONFIG
        .replace(r#"{ type = "synthetic-fluoro" }"#, &format!(r#"{{ type = "dicom", path = "{}" }}"#, dicom.display()))
        .replace(r#"{ type = "synthetic-vitals" }"#, &format!(r#"{{ type = "wfdb", path = "{}" }}"#, header.display()));
    let mut server = Server::start_with(&config, |prepared| {
        assert_eq!(prepared.fault().map(|fault| fault.code), Some("feed.dicom.unreadable"), "what --check refuses");
        prepared
    });
    server.accept();
    server.want(true);
    server.until("both sentences", |s| {
        let says = |feed: &str, code: &str| {
            s.health.as_ref().is_some_and(|h| h.feeds.iter().any(|f| f.feed == feed && f.problem.ends_with(code)))
        };
        says("fluoro", "[feed.dicom.unreadable]") && says("vitals", "[feed.wfdb.data-short]")
    });
    let frames = server.frames();
    server.until("pictures in spite of it", |s| s.frames() > frames + 20);
    let all: Vec<&FrameIndex> = server.indexes.values().collect();
    assert!(all.iter().any(|i| state(i, "field") == FeedState::Live));
    assert!(all.iter().all(|i| state(i, "fluoro") == FeedState::Lost && state(i, "vitals") == FeedState::Lost));
    server.stop();
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_main_recording_that_is_cut_ends_the_start() {
    let path = std::env::temp_dir().join(format!("shirube-cut-main-{}.mp4", std::process::id()));
    std::fs::write(&path, b"neither a film nor a picture").expect("written");
    let file = format!(r#"{{ type = "file", path = "{}" }}"#, path.display());
    let config = CONFIG.replace(r#"{ type = "synthetic-field" }"#, &file);
    let config = pipeline::config::Config::parse(&config).expect("good");
    let refusal = pipeline::engine::prepare(config).expect_err("has no main picture");
    assert_eq!(refusal.code, "feed.video.unreadable");
    std::fs::remove_file(&path).expect("removed");
}
