//! All cases of this server, and the router that brings events of media and engines to them.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use link::id::CaseId;
use sfu::SfuEvent;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::case_actor::{CaseEvent, CaseHandle, case_number};
use super::engine_link::LinkEvent;
use super::metrics::Counters;

/// Events that one case must be told and has no room for. Policy: newest dropped, counted: who takes nothing for so long is broken.
const WAITING_MAX: usize = 1_024;
/// How soon a full case is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// At the end of a server what still waits is tried so often.
const LAST_RETRIES: u32 = 100;

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
        let mut post = Post::new(counters);
        while let Some(event) = post.next(&self, events.recv()).await {
            let Some(case) = self.of_sfu_event(&event) else {
                debug!(?event, "an event of no known case");
                continue;
            };
            let may_drop = matches!(event, SfuEvent::Data { .. } | SfuEvent::Stats { .. } | SfuEvent::Voice { .. });
            post.deliver(case, CaseEvent::Sfu(event), may_drop);
        }
        post.finish(&self).await;
    }

    /// Brings events of engines to their cases until the link is closed. `told`: by case, who also hears of comings and
    /// goings, as far as they listen.
    pub async fn route_link(
        self,
        mut events: mpsc::Receiver<LinkEvent>,
        told: BTreeMap<CaseId, mpsc::Sender<EnginePresence>>,
        counters: Arc<Counters>,
    ) {
        let mut post = Post::new(counters);
        while let Some(event) = post.next(&self, events.recv()).await {
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
                | LinkEvent::Ink { case, .. }
                | LinkEvent::KeyframeWanted { case, .. } => case,
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
                    | LinkEvent::KeyframeWanted { .. }
            );
            post.deliver(case, CaseEvent::Engine(event), may_drop);
        }
        post.finish(&self).await;
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

/// Brings events to cases without ever waiting for one of them: a case that takes nothing holds up no other. What may be dropped is,
/// newest first, and counted; the rest waits here, in order.
#[derive(Debug)]
struct Post {
    waiting: BTreeMap<CaseId, VecDeque<CaseEvent>>,
    counters: Arc<Counters>,
}

impl Post {
    fn new(counters: Arc<Counters>) -> Self {
        Post { waiting: BTreeMap::new(), counters }
    }

    /// What comes next; meanwhile what waits is tried again. Cancel-safe where `coming` is.
    async fn next<T>(&mut self, all: &Directory, coming: impl Future<Output = Option<T>>) -> Option<T> {
        let mut coming = pin!(coming);
        loop {
            self.retry(all);
            if self.waiting.is_empty() {
                return coming.await;
            }
            if let Ok(event) = timeout(RETRY, &mut coming).await {
                return event;
            }
        }
    }

    fn deliver(&mut self, case: &CaseHandle, event: CaseEvent, may_drop: bool) {
        let waiting = self.waiting.get_mut(&case.id);
        let event = match waiting {
            // Nothing passes what waits.
            Some(_) if may_drop => return self.counters.case_events_dropped.add(1),
            Some(_) => event,
            None => match case.events.try_send(event) {
                Err(TrySendError::Full(_)) if may_drop => return self.counters.case_events_dropped.add(1),
                Err(TrySendError::Full(event)) => event,
                _ => return,
            },
        };
        let waiting = self.waiting.entry(case.id.clone()).or_default();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(event);
            return;
        }
        self.counters.case_events_dropped.add(1);
        if self.counters.case_events_dropped.value().is_power_of_two() {
            warn!(case = %case.id, "a case takes no events any more");
        }
    }

    fn retry(&mut self, all: &Directory) {
        self.waiting.retain(|id, waiting| {
            let Some(case) = all.case(id) else { return false };
            while let Some(event) = waiting.pop_front() {
                match case.events.try_send(event) {
                    Err(TrySendError::Full(event)) => {
                        waiting.push_front(event);
                        return true;
                    }
                    Err(TrySendError::Closed(_)) => return false,
                    Ok(()) => {}
                }
            }
            false
        });
    }

    /// Nothing comes any more.
    async fn finish(mut self, all: &Directory) {
        for _ in 0..LAST_RETRIES {
            self.retry(all);
            if self.waiting.is_empty() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::watch;

    use super::*;
    use crate::authorize::Phase;

    fn case(name: &str, room: usize) -> (CaseHandle, mpsc::Receiver<CaseEvent>) {
        let (events, heard) = mpsc::channel(room);
        let handle = CaseHandle {
            id: CaseId::parse(name).expect("an id"),
            authors: Arc::default(),
            inputs: mpsc::channel(1).0,
            events,
            phase: watch::channel(Phase::Live).1,
            figures: Arc::new(Mutex::default()),
        };
        (handle, heard)
    }

    fn down(case: &str, n: usize) -> LinkEvent {
        LinkEvent::Down { case: CaseId::parse(case).expect("an id"), reason: n.to_string() }
    }

    fn reason(event: Option<CaseEvent>) -> String {
        match event {
            Some(CaseEvent::Engine(LinkEvent::Down { reason, .. })) => reason,
            other => format!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_case_that_takes_nothing_holds_up_no_other_and_loses_nothing_it_must_be_told() {
        let ((halted, mut its), (other, mut others)) = (case("halted", 2), case("other", 2));
        let (send, events) = mpsc::channel(4);
        let counters = Arc::<Counters>::default();
        let routing = tokio::spawn(Directory::new(vec![halted, other]).route_link(events, BTreeMap::new(), counters.clone()));
        for n in 0..10 {
            send.send(down("halted", n)).await.expect("taken");
        }
        send.send(LinkEvent::Health { case: CaseId::parse("halted").expect("an id"), health: Default::default() })
            .await
            .expect("taken");
        for n in 0..10 {
            send.send(down("other", n)).await.expect("taken");
            assert_eq!(reason(others.recv().await), n.to_string());
        }
        for n in 0..10 {
            assert_eq!(reason(its.recv().await), n.to_string(), "in order");
        }
        assert_eq!(counters.case_events_dropped.value(), 1, "its figures alone");
        drop(send);
        routing.await.expect("ends with what it is told by");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_broken_case_is_bounded() {
        let (halted, _its) = case("halted", 2);
        let (send, events) = mpsc::channel(4);
        let counters = Arc::<Counters>::default();
        let routing = tokio::spawn(Directory::new(vec![halted]).route_link(events, BTreeMap::new(), counters.clone()));
        for n in 0..WAITING_MAX + 2 + 7 {
            send.send(down("halted", n)).await.expect("taken");
        }
        drop(send);
        routing.await.expect("ends all the same");
        assert_eq!(counters.case_events_dropped.value(), 7);
    }
}
