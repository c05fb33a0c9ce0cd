//! All cases of this server, and the router that brings events of media and engines to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use link::id::CaseId;
use sfu::SfuEvent;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{debug, warn};

use super::case_actor::{CaseEvent, CaseHandle, case_number};
use super::engine_link::LinkEvent;
use super::metrics::Counters;

/// The cases, each at a place that never changes.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    by_id: Arc<BTreeMap<CaseId, usize>>,
    handles: Arc<Vec<CaseHandle>>,
}

impl Directory {
    /// `handles`: in the order of the numbers under which they were started, from 0.
    pub fn new(handles: Vec<CaseHandle>) -> Self {
        let by_id = handles.iter().enumerate().map(|(i, handle)| (handle.id.clone(), i)).collect();
        Directory { by_id: Arc::new(by_id), handles: Arc::new(handles) }
    }

    pub fn case(&self, id: &CaseId) -> Option<&CaseHandle> {
        self.handles.get(*self.by_id.get(id)?)
    }

    pub fn all(&self) -> impl Iterator<Item = &CaseHandle> {
        self.handles.iter()
    }

    fn numbered(&self, number: u32) -> Option<&CaseHandle> {
        self.handles.get(number as usize)
    }

    fn of_sfu_event(&self, event: &SfuEvent) -> Option<&CaseHandle> {
        match event {
            SfuEvent::Closed { case, .. }
            | SfuEvent::KeyframeWanted { case, .. }
            | SfuEvent::Watchers { case, .. }
            | SfuEvent::Published { case, .. }
            | SfuEvent::Voice { case, .. } => self.case(case),
            SfuEvent::Connected { peer }
            | SfuEvent::Returned { peer }
            | SfuEvent::Silent { peer, .. }
            | SfuEvent::ChannelOpen { peer, .. }
            | SfuEvent::Data { peer, .. }
            | SfuEvent::VoiceSlot { peer, .. }
            | SfuEvent::Shown { peer, .. }
            | SfuEvent::Stats { peer, .. } => self.numbered(case_number(*peer)),
            _ => None,
        }
    }

    /// Brings events of the media thread to their cases until it stops.
    pub async fn route_sfu(self, mut events: sfu::Events, counters: Arc<Counters>) {
        while let Some(event) = events.recv().await {
            let Some(case) = self.of_sfu_event(&event) else {
                debug!(?event, "an event of no known case");
                continue;
            };
            let may_drop = matches!(event, SfuEvent::Data { .. } | SfuEvent::Stats { .. } | SfuEvent::Voice { .. });
            deliver(case, CaseEvent::Sfu(event), may_drop, &counters).await;
        }
    }

    /// Brings events of engines to their cases until the link is closed. `told`: by case, who also hears of comings and
    /// goings, as far as they listen.
    pub async fn route_link(
        self,
        mut events: mpsc::Receiver<LinkEvent>,
        told: BTreeMap<CaseId, mpsc::Sender<EnginePresence>>,
        counters: Arc<Counters>,
    ) {
        while let Some(event) = events.recv().await {
            let case = match &event {
                LinkEvent::Up { case, .. } => {
                    tell(&told, case, EnginePresence::Up);
                    case
                }
                LinkEvent::Down { case, .. } => {
                    tell(&told, case, EnginePresence::Down);
                    case
                }
                LinkEvent::Frame { case, .. }
                | LinkEvent::Health { case, .. }
                | LinkEvent::Feeds { case, .. }
                | LinkEvent::Vitals { case, .. }
                | LinkEvent::Xform { case, .. }
                | LinkEvent::Still { case, .. }
                | LinkEvent::Rebased { case, .. }
                | LinkEvent::Ink { case, .. } => case,
                LinkEvent::Refused { code, message } => {
                    warn!(code, message, "an engine was refused");
                    continue;
                }
            };
            let Some(case) = self.case(case) else {
                warn!(%case, "an engine of no known case");
                continue;
            };
            let may_drop = matches!(
                event,
                LinkEvent::Frame { .. }
                    | LinkEvent::Health { .. }
                    | LinkEvent::Vitals { .. }
                    | LinkEvent::Xform { .. }
                    | LinkEvent::Still { .. }
            );
            deliver(case, CaseEvent::Engine(event), may_drop, &counters).await;
        }
    }
}

/// What whoever keeps a case's engine wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnginePresence {
    Up,
    Down,
}

fn tell(told: &BTreeMap<CaseId, mpsc::Sender<EnginePresence>>, case: &CaseId, presence: EnginePresence) {
    if let Some(keeper) = told.get(case) {
        let _ = keeper.try_send(presence);
    }
}

/// Policy: what may be dropped is dropped, newest first, and counted; the rest waits.
async fn deliver(case: &CaseHandle, event: CaseEvent, may_drop: bool, counters: &Counters) {
    match case.events.try_send(event) {
        Err(TrySendError::Full(_)) if may_drop => counters.case_events_dropped.add(1),
        Err(TrySendError::Full(event)) => drop(case.events.send(event).await),
        _ => {}
    }
}
