//! The house rules that a compiler does not know: who may name a clock, a socket, str0m, GStreamer; how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest source file, lines, tests included.
const LINES_MAX: usize = 600;

#[test]
fn only_edges_name_a_clock_a_socket_or_a_thread() {
    let words = ["Instant::now", "SystemTime::now", "UdpSocket", "TcpListener", "thread::spawn", "tokio::spawn", "env::var"];
    // The pipeline is edge throughout, except these rooms.
    let pure_pipeline = ["timing/", "health.rs", "tracker/", "program/", "vitals/"];
    for (path, text) in sources("rs") {
        let edge = ["/edge/", "/tests/", "/benches/"].iter().any(|f| path.contains(f))
            || path.ends_with("main.rs")
            || path.starts_with("benches/");
        // Unit tests in a file of their own are tests all the same.
        let edge = edge || path.ends_with("/tests.rs") || path.ends_with("_tests.rs");
        let pipeline = path.starts_with("media-engine/pipeline/")
            && !pure_pipeline.iter().any(|p| path.starts_with(&format!("media-engine/pipeline/src/{p}")));
        if edge || pipeline || path.ends_with("build.rs") || path.contains("/examples/") {
            continue;
        }
        for (n, line) in code_lines(&text) {
            for word in words {
                assert!(!line.contains(word), "{path}:{n} names {word} outside an edge");
            }
        }
    }
}

#[test]
fn arrows_point_one_way() {
    let rules: [(&str, &[&str]); 3] = [
        ("str0m", &["media-engine/sfu/", "benches/"]),
        ("gstreamer", &["media-engine/pipeline/", "benches/"]),
        ("pipeline::", &["media-engine/pipeline/", "benches/"]),
    ];
    for (path, text) in sources("rs") {
        for (word, homes) in rules {
            if homes.iter().any(|h| path.starts_with(h)) {
                continue;
            }
            for (n, line) in code_lines(&text) {
                assert!(!line.contains(&format!("use {word}")), "{path}:{n} uses {word}");
            }
        }
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for ext in ["rs", "ts", "tsx", "mjs"] {
        for (path, text) in sources(ext) {
            let lines = text.lines().count();
            assert!(lines <= LINES_MAX, "{path} has {lines} lines");
        }
    }
}

#[test]
fn nothing_names_a_path_of_somebodys_machine() {
    let words = [["/ro", "ot/"].concat(), ["/home", "/"].concat()];
    for ext in ["rs", "ts", "tsx", "mjs", "md", "toml", "sh", "proto"] {
        for (path, text) in sources(ext) {
            for word in &words {
                assert!(!text.contains(word.as_str()), "{path} names {word}");
            }
        }
    }
}

/// Tracked and new files with this ending: (path from the root, text).
fn sources(ext: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", &format!("*.{ext}")])
        .current_dir(&root)
        .output()
        .expect("git is there");
    let paths: Vec<PathBuf> = String::from_utf8_lossy(&listed.stdout).lines().map(PathBuf::from).collect();
    assert!(!paths.is_empty(), "no .{ext} files: is this a checkout?");
    paths
        .into_iter()
        .filter_map(|p| fs::read_to_string(root.join(&p)).ok().map(|text| (p.to_string_lossy().into_owned(), text)))
        .collect()
}

/// Numbered lines outside comments and above the unit tests.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|l| !l.starts_with("#[cfg(test)]"))
        .enumerate()
        .map(|(i, l)| (i + 1, l))
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
}
