//! The layout of the program, changed for everybody while it runs, and vital signs on their way to pages.

use annotation::id::{Epoch, FeedId};
use annotation::time::CaptureTime;
use bytes::Bytes;
use link::vitals::Vitals;
use prost::Message;
use sfu::Channel;
use tracing::{debug, info};

use super::Actor;
use super::limit::SETTINGS;
use crate::authorize::Action;
use crate::texts::Code;
use crate::wire::{Vit, server_message};

/// Layouts that are told to pages, and the longest name.
const LAYOUTS_MAX: usize = 32;
const NAME_CHARS: usize = 40;
/// Numbers, waves and alarms of one message; an engine that says more is cut.
const NUMBERS_MAX: usize = 64;
const WAVES_MAX: usize = 16;
const SAMPLES_MAX: usize = 4_096;
const ALARMS_MAX: usize = 16;
const TEXT_CHARS: usize = 60;

/// How a program treats time.
const TIMINGS: [&str; 2] = ["aligned", "now"];

/// An engine's word, or nothing where it says what nobody knows.
fn known_timing(said: &str) -> String {
    TIMINGS.iter().find(|known| **known == said).map(|&known| known.to_owned()).unwrap_or_default()
}

/// What the engine can show, and shows.
#[derive(Debug, Default)]
pub(super) struct ProgramLayout {
    pub(super) names: Vec<String>,
    pub(super) now: String,
    /// Somebody's choice: an engine that is started anew is given it again.
    chosen: Option<String>,
    /// aligned | now, as the engine says; and the room's choice.
    pub(super) timing: String,
    chosen_timing: Option<&'static str>,
}

impl Actor {
    /// A press for everybody.
    pub(super) fn handle_set_layout(&mut self, epoch: Epoch, layout: &str, at: CaptureTime) {
        if let Err(denied) = self.case.may(epoch, &Action::SetLayout, at) {
            self.refuse(epoch, &Action::SetLayout, denied);
            return;
        }
        if !self.layout.names.iter().any(|name| name == layout) {
            debug!(page = epoch.0, "a layout that the engine does not have");
            return;
        }
        if self.sets_too_often(epoch, at) {
            return;
        }
        info!(case = %self.case.id(), page = epoch.0, layout, "another layout");
        self.audit_page(epoch, "set-layout", "ok");
        self.layout.chosen = Some(layout.to_owned());
        if !self.around.link.set_layout(self.case.id(), layout) {
            debug!(page = epoch.0, "no engine took the layout; it is given to the next");
        }
    }

    /// The room's press: does the program wait for its insets?
    pub(super) fn handle_set_timing(&mut self, epoch: Epoch, timing: &str, at: CaptureTime) {
        if let Err(denied) = self.case.may(epoch, &Action::SetTiming, at) {
            self.refuse(epoch, &Action::SetTiming, denied);
            return;
        }
        let Some(&timing) = TIMINGS.iter().find(|known| **known == timing) else {
            debug!(page = epoch.0, "a timing that nobody knows");
            return;
        };
        if self.sets_too_often(epoch, at) {
            return;
        }
        info!(case = %self.case.id(), page = epoch.0, timing, "another timing");
        self.audit_page(epoch, if timing == "now" { "set-timing-now" } else { "set-timing-aligned" }, "ok");
        self.layout.chosen_timing = Some(timing);
        if !self.around.link.set_timing(self.case.id(), timing) {
            debug!(page = epoch.0, "no engine took the timing; it is given to the next");
        }
    }

    /// Then it is told so, and nothing is written.
    pub(super) fn sets_too_often(&mut self, epoch: Epoch, at: CaptureTime) -> bool {
        let left = self.pages.get_mut(&epoch).is_some_and(|page| page.settings.take(SETTINGS, at));
        if !left {
            self.tell(epoch, server_message::Body::Refused(Code::RequestTooOften.refused(false)));
        }
        !left
    }

    /// An engine came up.
    pub(super) fn take_layouts(&mut self, names: &[String], now: &str, timing: &str) {
        let short = |name: &&String| name.chars().count() <= NAME_CHARS;
        self.layout.names = names.iter().filter(short).take(LAYOUTS_MAX).cloned().collect();
        self.layout.now = now.chars().take(NAME_CHARS).collect();
        if let Some(chosen) = self.layout.chosen.clone().filter(|c| self.layout.names.contains(c) && *c != self.layout.now) {
            let _ = self.around.link.set_layout(self.case.id(), &chosen);
        }
        self.layout.timing = known_timing(timing);
        if let Some(chosen) = self.layout.chosen_timing.filter(|c| *c != self.layout.timing) {
            let _ = self.around.link.set_timing(self.case.id(), chosen);
        }
    }

    /// The engine's word: only it knows what it shows.
    pub(super) fn handle_layout(&mut self, now: &str, timing: &str) {
        let before = (self.layout.now.clone(), self.layout.timing.clone());
        if !now.is_empty() {
            self.layout.now = now.chars().take(NAME_CHARS).collect();
        }
        self.layout.timing = known_timing(timing);
        if before != (self.layout.now.clone(), self.layout.timing.clone()) {
            self.tell_state();
        }
    }

    /// To every page that has a channel for them and may see their feed: what is lost is soon said again.
    pub(super) fn handle_vitals(&mut self, mut vitals: Vitals) {
        let Ok(feed) = FeedId::parse(&vitals.feed) else { return };
        vitals.numerics.truncate(NUMBERS_MAX);
        vitals.waves.truncate(WAVES_MAX);
        vitals.waves.iter_mut().for_each(|w| w.samples.truncate(SAMPLES_MAX));
        vitals.alarms.truncate(ALARMS_MAX);
        vitals.alarms.iter_mut().for_each(|a| a.text = a.text.chars().take(TEXT_CHARS).collect());
        let packet = Vit { version: crate::SIGNAL_VERSION, vitals: Some(vitals), ..Default::default() };
        let packet = Bytes::from(packet.encode_to_vec());
        let who = self.case.watchers_of(&feed, self.now()).filter_map(|epoch| self.pages.get(&epoch));
        for page in who.filter(|page| page.vit_open) {
            if let Some(peer) = page.peer {
                let _ = self.around.sfu.send_data(peer, Channel::Vit, packet.clone());
            }
        }
    }
}
