//! A start that cannot be: one sentence, what is wrong and what to do, and nothing left running.

use signaling::edge::server;

use crate::page::{config, provider, server as running};

async fn said(config: &signaling::edge::cli::Demo) -> String {
    provider();
    let fault = server::start(config).await.expect_err("cannot start");
    format!("{fault:#}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_is_named_with_what_to_do() {
    let (home, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = running(home.path()).await;
    let port: u16 = first.ready.base_url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let mut second = config(other.path());
    second.https_port = port;
    let text = said(&second).await;
    assert!(text.contains(&port.to_string()) && text.contains("--https-port"), "{text}");
    second.https_port = 0;
    second.media_port = first.ready.media_port;
    let text = said(&second).await;
    assert!(text.contains(&first.ready.media_port.to_string()) && text.contains("media port"), "{text}");
    // Nothing was left behind: the same data directory starts.
    second.media_port = 0;
    crate::page::start(&second).await.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_in_use_missing_pages_and_a_missing_engine_are_said() {
    let home = tempfile::tempdir().expect("a folder");
    let first = running(home.path()).await;
    let text = said(&config(home.path())).await;
    assert!(text.contains("in use by another shirube"), "{text}");
    first.stop().await;

    let mut no_pages = config(home.path());
    no_pages.web_root = Some(home.path().join("nowhere"));
    let text = said(&no_pages).await;
    assert!(text.contains("--web-root"), "{text}");

    let mut no_engine = config(home.path());
    no_engine.no_engine = false;
    no_engine.engine = Some(home.path().join("no-engine"));
    let text = said(&no_engine).await;
    assert!(text.contains("--engine"), "{text}");

    let mut no_samples = config(home.path());
    no_samples.shared = Some(home.path().join("nowhere"));
    let text = said(&no_samples).await;
    assert!(text.contains("--shared"), "{text}");

    let mut not_a_folder = config(home.path());
    not_a_folder.data = home.path().join("web/index.html");
    let text = said(&not_a_folder).await;
    assert!(text.contains("--data"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_configuration_is_wrong_ends_the_start_with_its_own_sentence() {
    let home = tempfile::tempdir().expect("a folder");
    let (text, exe) = (home.path().join("engine.txt"), home.path().join("engine"));
    std::fs::write(&text, "#!/bin/sh\necho 'The clip field.mp4 is not there: give its path.' >&2\nexit 2\n").expect("written");
    // Not by this process: a file that it has open for writing, be it in a child that another test begins just now, cannot be run.
    let installed = std::process::Command::new("install").args(["-m", "700"]).arg(&text).arg(&exe).status();
    assert!(installed.is_ok_and(|done| done.success()), "install is there");
    let mut demo = config(home.path());
    demo.no_engine = false;
    demo.engine = Some(exe);
    assert_eq!(said(&demo).await, "The clip field.mp4 is not there: give its path.");
    demo.no_engine = true;
    crate::page::start(&demo).await.stop().await;
}

/// As somebody at a console meets it.
#[test]
fn a_data_directory_that_is_open_to_others_ends_the_program_with_code_2_and_what_to_do() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().expect("a folder");
    let demo = config(home.path());
    std::fs::create_dir(&demo.data).expect("made");
    std::fs::set_permissions(&demo.data, std::fs::Permissions::from_mode(0o755)).expect("set");
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_shirube"))
        .args(["demo", "--no-engine", "--https-port", "0", "--media-port", "0", "--data"])
        .arg(&demo.data)
        .arg("--web-root")
        .arg(demo.web_root.as_ref().expect("given"))
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let last = said.lines().last().expect("a sentence");
    assert!(last.contains("chmod 700") && last.ends_with("[data.open-to-others]"), "{last}");
    assert_eq!(std::fs::read_dir(&demo.data).expect("read").count(), 0, "nothing was made");
}
