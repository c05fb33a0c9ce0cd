//! What was measured on, and how busy it was. Linux: everything is read from /proc.

use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Clock ticks of /proc a second: USER_HZ, 100 on every architecture we run on.
const TICKS_PER_S: f64 = 100.0;

#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    pub kernel: String,
    /// Load average of the last minute, before the first run.
    pub load_1min: f64,
}

pub fn describe() -> Machine {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu =
        info.lines().find_map(|l| l.strip_prefix("model name")).map_or("unknown", |l| l.trim_start_matches([':', ' ', '\t']));
    Machine {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu: cpu.to_owned(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        load_1min: load_1min(),
    }
}

pub fn load_1min() -> f64 {
    fs::read_to_string("/proc/loadavg").ok().and_then(|l| l.split(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
}

/// CPU seconds of one process so far, user and system, with its children that ended.
pub fn cpu_s(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; fields are counted behind it. 14 to 17: utime, stime, cutime, cstime.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks: f64 = fields.get(11..15)?.iter().filter_map(|f| f.parse::<f64>().ok()).sum();
    Some(ticks / TICKS_PER_S)
}

/// CPU seconds that the machine was busy since start, all cores.
fn busy_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal ...; guest time is within user.
    let idle = fields.get(3)? + fields.get(4)?;
    Some((fields.iter().take(8).sum::<f64>() - idle) / TICKS_PER_S)
}

/// CPU of some processes over a span of time.
#[derive(Debug)]
pub struct Meter {
    since: Instant,
    busy: Option<f64>,
    processes: Vec<(u32, Option<f64>)>,
}

/// In cores: 1.0 is one core all the time. `None`: the process was not there all the time.
#[derive(Debug, Clone, Default)]
pub struct Used {
    pub span: Duration,
    pub machine: Option<f64>,
    pub processes: Vec<Option<f64>>,
}

impl Meter {
    pub fn start(pids: &[u32]) -> Self {
        Meter { since: Instant::now(), busy: busy_s(), processes: pids.iter().map(|&pid| (pid, cpu_s(pid))).collect() }
    }

    pub fn stop(&self) -> Used {
        let span = self.since.elapsed();
        let share = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / span.as_secs_f64());
        Used {
            span,
            machine: share(self.busy, busy_s()),
            processes: self.processes.iter().map(|&(pid, before)| share(before, cpu_s(pid))).collect(),
        }
    }
}
