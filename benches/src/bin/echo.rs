//! The echo of the mentor's voice in the operating room, as Chromium takes it out of the room's microphone: recordings with both
//! talking at once, fed as a microphone while the page plays the far speaker. See `benches/README.md`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use benches::browser::Browser;
use benches::echo::{Judged, RATE_HZ, judge};
use benches::machine;
use benches::product::House;
use serde_json::{Value, json};

const USAGE: &str = "\
echo — what Chromium's canceller leaves of an echo, and of the one who speaks over it

  cargo run --release -p benches --bin echo -- [options]

  --seconds N     of each run (default 39: the recording three times)
  --leads LIST    only the page's canceller, the echo so many ms after it is played, such as 150,200,250,300
  --shared DIR    sample recordings (default: shared/data beside the project)
";

/// From the far speaker's word to its echo in the recording: 60.6 ms.
const ECHO_DELAY: usize = RATE_HZ * 606 / 10_000;
/// The page plays so much before the echo is in the microphone, ms: longer than the buffers of a peer connection that plays it.
const LEADS_MS: [u32; 2] = [150, 300];
const NAME: &str = "or_doubletalk_ja_near_en_far";

fn main() -> Result<()> {
    let mut seconds = 39usize;
    let mut leads: Option<Vec<u32>> = None;
    let mut shared = None;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        use lexopt::prelude::*;
        match arg {
            Long("seconds") => seconds = args.value()?.parse()?,
            Long("leads") => {
                let text = args.value()?.to_string_lossy().into_owned();
                let read = text.split(',').map(str::parse).collect::<Result<_, _>>();
                leads = Some(read.context("--leads takes milliseconds: 150,300")?);
            }
            Long("shared") => shared = Some(PathBuf::from(args.value()?)),
            Long("help") | Short('h') => {
                print!("{USAGE}");
                return Ok(());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let house = House::find()?;
    let folder = shared.or_else(|| house.shared()).context("there are no recordings: name them by --shared")?.join("audio");
    // Chromium takes no path that goes up.
    let folder = folder.canonicalize().with_context(|| format!("there are no recordings in {}", folder.display()))?;
    let file = |part: &str| folder.join(format!("{NAME}_{part}.wav"));
    let (far, near) = (wave(&file("far_reference"))?, wave(&file("near_clean"))?);
    let mut browser = Browser::start(&house.root, "echo.mjs")?;
    let out = tempfile::tempdir()?;
    let mut results = Vec::new();
    // With the far speaker a track of a peer connection, as in a case. Chromium's other way listens to the machine's loudspeaker as
    // a whole; a headless one has none, so there nothing is to be heard: it is run beside to show that.
    for (canceller, disable) in [("of the page", "ChromeWideEchoCancellation"), ("of the machine", "")] {
        let opened: Value =
            browser.ask(&json!({ "what": "open", "far": file("far_reference"), "mic": file("mic_mix"), "disable": disable }))?;
        browser.versions.chromium = opened["chromium"].as_str().unwrap_or_default().to_owned();
        let all =
            vec![(true, false, LEADS_MS[0]), (true, false, LEADS_MS[1]), (true, true, LEADS_MS[0]), (false, false, LEADS_MS[0])];
        // Leads that are asked for are run with the canceller that hears them, and nothing else.
        let runs = leads.as_ref().map_or(all, |leads| leads.iter().map(|lead| (true, false, *lead)).collect());
        if leads.is_some() && disable.is_empty() {
            continue;
        }
        for (cancel, noise, lead) in runs {
            let ask = json!({
                "what": "run", "play": "peer", "cancel": cancel, "noise": noise, "leadMs": lead, "seconds": seconds, "folder": out.path(),
            });
            let _: Value = browser.ask(&ask)?;
            let heard = |name: &str| samples(&std::fs::read(out.path().join(name))?);
            let (raw, clean) = (heard("raw.pcm")?, heard("clean.pcm")?);
            ensure!(raw.iter().any(|v| v.abs() > 0.01), "the microphone was silent: Chromium did not take the recording for it");
            let judged = judge(&far, &near, &raw, &clean, ECHO_DELAY).context("the recording is too short to be judged")?;
            tell(canceller, cancel, noise, lead, &judged);
            results.push(
                json!({ "canceller": canceller, "on": cancel, "noise_suppression": noise, "lead_ms": lead, "judged": judged }),
            );
        }
        let _: Value = browser.ask(&json!({ "what": "close" }))?;
    }
    let versions = json!({ "chromium": browser.versions.chromium, "node": browser.versions.node });
    println!("\n{}", json!({ "what": "echo", "runs": results, "machine": machine::describe(), "versions": versions }));
    Ok(())
}

fn tell(canceller: &str, on: bool, noise: bool, lead: u32, j: &Judged) {
    println!(
        "canceller {canceller:14} {}{}, echo {lead} ms after it is played: echo less by {:.1} dB (all that is heard {:.1}), under the near \
         speaker {:.1}; near speaker less by {:.1} dB alone, {:.1} while both speak; of who is not there {:.1} dB is found, echo left {:.1}",
        if on { "on" } else { "off" },
        if noise { ", noise suppression too" } else { "" },
        j.erle_db,
        j.erle_level_db,
        j.erle_both_db,
        j.near_lost_db,
        j.near_lost_both_db,
        j.far.nothing,
        j.far.far_after,
    );
}

/// 16 bit, one channel, 48 kHz, as the recordings are.
fn wave(path: &Path) -> Result<Vec<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let rate = bytes.get(24..28).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    ensure!(bytes.starts_with(b"RIFF") && rate == Some(RATE_HZ as u32), "{} is no wave file of 48 kHz", path.display());
    let mut at = 12;
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if head.starts_with(b"data") {
            return samples(bytes.get(at + 8..(at + 8 + length).min(bytes.len())).unwrap_or_default());
        }
        at += 8 + length.next_multiple_of(2);
    }
    anyhow::bail!("{} has no sound in it", path.display())
}

fn samples(bytes: &[u8]) -> Result<Vec<f32>> {
    Ok(bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect())
}
