//! Vital signs as they come: HL7 v2 over MLLP from a patient monitor or gateway, or the MDIB of an SDC device that a gateway writes
//! to a file. One drawing and one stream of data, whatever the protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use super::vitals::Pane;
use super::vitals_data::Said;
use super::{Prepared, Source, SourceInfo};
use crate::picture::{Geometry, Picture, PicturePool};
use crate::refusal::Refusal;
use crate::timing::pace::Period;
use crate::vitals::hl7::{self, Answer};
use crate::vitals::live::Shared;
use crate::vitals::mllp::{self, Mllp};
use crate::vitals::monitor::Monitor;
use crate::vitals::report::Alarm;
use crate::vitals::sdc;
use crate::vitals::waves::Kind;

/// Devices and gateways that may be connected at once. Policy: a further one is closed.
const CONNECTIONS_MAX: usize = 8;
/// How often a listener or a silent connection looks whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(200);
const WRITE_MAX: Duration = Duration::from_secs(2);
const SDC_BYTES_MAX: u64 = 16 << 20;
/// How long before its time a picture is begun: drawing takes a millisecond or two, and what a device says meanwhile waits for the next.
const DRAWN_AHEAD: Duration = Duration::from_millis(6);
/// Pictures between two looks at an SDC file: a second.
const SDC_EVERY: u64 = 25;

pub struct PreparedLive {
    live: Shared,
    alarms: bool,
    believed: bool,
    file: Option<Arc<Mutex<SdcFile>>>,
    /// Keeps listening while it is there.
    _listening: Option<Arc<()>>,
}

impl std::fmt::Debug for PreparedLive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PreparedLive")
    }
}

impl PreparedLive {
    /// Listens at once, so that an address that is taken is a configuration error.
    pub fn hl7(listen: SocketAddr, alarms: bool, believed: bool) -> Result<Self, Refusal> {
        let cannot = |e: std::io::Error| {
            Refusal::new(
                "feed.hl7.listen",
                format!("HL7 cannot be received at {listen} ({e}); give an address of this machine and a free port."),
            )
        };
        let listener = TcpListener::bind(listen).map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let live = Shared::default();
        let listening = Arc::new(());
        let (weak, shared) = (Arc::downgrade(&listening), live.clone());
        std::thread::Builder::new().name("hl7".into()).spawn(move || accept(&listener, &shared, &weak)).map_err(cannot)?;
        Ok(PreparedLive { live, alarms, believed, file: None, _listening: Some(listening) })
    }

    pub fn sdc(path: &Path, alarms: bool) -> Result<Self, Refusal> {
        if !path.is_file() {
            let message = format!("The SDC file {} is not there; start the gateway or correct the path.", path.display());
            return Err(Refusal::new("feed.file.missing", message));
        }
        let mut file = SdcFile { path: path.to_owned(), read_at: None, looked: None };
        let live = Shared::default();
        let report = file.look().map_err(|e| {
            Refusal::new("feed.sdc.malformed", format!("The SDC file {} cannot be read: {e}; check the gateway.", path.display()))
        })?;
        let mut now = live.lock().unwrap_or_else(PoisonError::into_inner);
        report.into_iter().for_each(|r| now.handle(r));
        drop(now);
        Ok(PreparedLive { live, alarms, believed: false, file: Some(Arc::new(Mutex::new(file))), _listening: None })
    }
}

impl Prepared for PreparedLive {
    fn info(&self) -> SourceInfo {
        SourceInfo { native: None, period: Period::HZ_25 }
    }

    fn lead(&self) -> Option<Duration> {
        Some(DRAWN_AHEAD)
    }

    fn is_by_arrival(&self) -> bool {
        !self.believed
    }

    fn fit(&self, size: Geometry) -> Result<Box<dyn Source>, Refusal> {
        Ok(Box::new(Live {
            live: self.live.clone(),
            alarms: self.alarms,
            believed: self.believed,
            file: self.file.clone(),
            size,
            pane: None,
            pool: PicturePool::new(size),
            logged: None,
        }))
    }
}

struct Live {
    live: Shared,
    alarms: bool,
    believed: bool,
    file: Option<Arc<Mutex<SdcFile>>>,
    size: Geometry,
    /// What is drawn, and the rows it was made for.
    pane: Option<(Pane, Vec<(Kind, bool)>)>,
    pool: PicturePool,
    logged: Option<String>,
}

impl Source for Live {
    fn picture(&mut self, k: u64) -> Result<Arc<Picture>, String> {
        let t_s = Period::HZ_25.at(k).as_secs_f64();
        let report = match &self.file {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).look_at(k)?,
            None => None,
        };
        let (rows, alarm) = {
            let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.turn(t_s);
            report.into_iter().for_each(|r| live.handle(r));
            (live.rows(), live.alarm().cloned())
        };
        self.log(alarm);
        let made_for: Vec<(Kind, bool)> = rows.iter().map(|w| (w.kind, w.tape.is_some())).collect();
        if self.pane.as_ref().is_none_or(|(_, rows)| *rows != made_for) {
            let monitor = Monitor::live(self.size, rows, self.live.clone(), self.alarms);
            self.pane = Some((Pane::new(monitor, self.size, 0), made_for));
        }
        let Some((pane, _)) = &mut self.pane else { return Err("Nothing can be drawn.".into()) };
        pane.draw(t_s);
        Ok(self.pool.draw(|out| pane.show(out)))
    }

    fn vitals(&mut self) -> Vec<Said> {
        let reports = self.live.lock().unwrap_or_else(PoisonError::into_inner).take();
        let said = reports.into_iter().map(|r| Said::of_report(r, self.believed, self.alarms));
        said.filter(|s| !s.is_empty()).collect()
    }
}

impl Live {
    /// Alarms are logged by their priority; their words may name anything.
    fn log(&mut self, alarm: Option<Alarm>) {
        let now = alarm.filter(|_| self.alarms);
        if now.as_ref().map(|a| &a.id) != self.logged.as_ref() {
            match &now {
                Some(alarm) => tracing::info!(priority = ?alarm.priority, "an alarm of a device, reference only"),
                None => tracing::info!("no alarm of a device any more"),
            }
            self.logged = now.map(|a| a.id);
        }
    }
}

/// A file that somebody else writes anew.
#[derive(Debug)]
struct SdcFile {
    path: PathBuf,
    read_at: Option<SystemTime>,
    /// Picture at which it was looked at last: two drawings share the file.
    looked: Option<u64>,
}

impl SdcFile {
    fn look_at(&mut self, k: u64) -> Result<Option<crate::vitals::report::Report>, String> {
        if self.looked.is_some_and(|at| k < at + SDC_EVERY) {
            return Ok(None);
        }
        self.looked = Some(k);
        self.look().map_err(|e| format!("The SDC file cannot be read ({e}); check the gateway."))
    }

    /// A report, if the file is another one than last time.
    fn look(&mut self) -> Result<Option<crate::vitals::report::Report>, String> {
        let meta = std::fs::metadata(&self.path).map_err(|e| e.kind().to_string())?;
        let written = meta.modified().map_err(|e| e.kind().to_string())?;
        if meta.len() > SDC_BYTES_MAX {
            return Err("it is too large".into());
        }
        if self.read_at == Some(written) {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&self.path).map_err(|e| e.kind().to_string())?;
        let report = sdc::read(&text).map_err(|e| e.to_string())?;
        self.read_at = Some(written);
        Ok(Some(report))
    }
}

/// Accepts until nobody draws any more.
fn accept(listener: &TcpListener, live: &Shared, listening: &Weak<()>) {
    let connected = Arc::new(AtomicUsize::new(0));
    while listening.upgrade().is_some() {
        match listener.accept() {
            Ok((stream, _)) if connected.load(Ordering::Acquire) >= CONNECTIONS_MAX => {
                tracing::warn!("too many devices send HL7; one is closed");
                drop(stream);
            }
            Ok((stream, _)) => {
                connected.fetch_add(1, Ordering::AcqRel);
                let (live, listening, done) = (live.clone(), listening.clone(), connected.clone());
                let body = move || {
                    if let Err(e) = converse(stream, &live, &listening) {
                        tracing::debug!(why = %e, "a device that sends HL7 is gone");
                    }
                    done.fetch_sub(1, Ordering::AcqRel);
                };
                if std::thread::Builder::new().name("hl7-device".into()).spawn(body).is_err() {
                    connected.fetch_sub(1, Ordering::AcqRel);
                }
            }
            Err(_) => std::thread::sleep(LOOK_AROUND / 10),
        }
    }
}

/// One device: every message is answered, in order.
fn converse(mut stream: TcpStream, live: &Shared, listening: &Weak<()>) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(LOOK_AROUND))?;
    stream.set_write_timeout(Some(WRITE_MAX))?;
    stream.set_nodelay(true)?;
    tracing::info!("a device sends HL7");
    let mut mllp = Mllp::default();
    let mut bytes = [0u8; 16 * 1024];
    while listening.upgrade().is_some() {
        let n = match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => continue,
            Err(e) => return Err(e),
        };
        let mut answers = Vec::new();
        mllp.push(&bytes[..n], |message| {
            let outcome = hl7::handle(message);
            if outcome.answer != Answer::Accept {
                tracing::warn!(answer = ?outcome.answer, skipped = outcome.report.skipped, "an HL7 message was not wholly understood");
            }
            if !outcome.report.is_empty() {
                live.lock().unwrap_or_else(PoisonError::into_inner).handle(outcome.report);
            }
            answers.extend(mllp::framed(&outcome.ack));
        });
        stream.write_all(&answers)?;
    }
    Ok(())
}
