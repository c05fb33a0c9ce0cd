//! `shirube-engine`: the room's compositor, started by the server. Exit codes: 0 stopped or checked, 1 failed while running,
//! 2 wrong configuration, of which the last line on stderr says what is wrong and what to do.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use annotation::id::FeedId;
use link::id::CaseId;
use pipeline::config::Config;
use pipeline::display::child;
use pipeline::engine::{self, Dial};
use pipeline::mask::command::Ask;
use pipeline::memory::{Kept, keep_off_disks, settle};
use pipeline::output::link::Way;
use pipeline::output::refused::report_refusal;
use pipeline::output::remote::{Remote, RemoteConfig};
use pipeline::refusal::Refusal;

const USAGE: &str = "use: shirube-engine --control SOCKET --media SOCKET --case ID | --server wss://HOST[:PORT] --token TOKEN|--token-file FILE [--ca FILE] [--no-whip] --case ID [--config FILE | --demo [--shared FOLDER]] [--time-code] [--check]; shirube-engine calibrate --config FILE --feed ID [--against ID] [--seconds N]";

/// How long a light is watched.
const CALIBRATE_S: u64 = 20;

#[derive(Debug, Default)]
struct Arguments {
    control: Option<PathBuf>,
    media: Option<PathBuf>,
    server: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    no_whip: bool,
    case: Option<String>,
    config: Option<PathBuf>,
    demo: bool,
    shared: Option<PathBuf>,
    time_code: bool,
    check: bool,
    calibrate: bool,
    feed: Option<String>,
    against: Option<String>,
    seconds: Option<u64>,
}

/// stderr, whose other end may be gone: a server that died leaves a closed pipe, and the engine outlives it. What cannot be
/// written is let go; the logger would report its own failure by a panic.
struct BestEffort;

impl Write for BestEffort {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = std::io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn say(sentence: &str) {
    let _ = writeln!(BestEffort, "{sentence}");
}

fn main() -> ExitCode {
    settle();
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_writer(|| BestEffort).with_ansi(false).with_env_filter(filter).init();

    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == child::WORD).is_some() {
        return child::run(&words.collect::<Vec<_>>());
    }
    if words.next_if(|word| word == "mask").is_some() {
        return match Ask::parse(words).and_then(|ask| ask.run()) {
            Ok(draft) => {
                let _ = std::io::stdout().write_all(draft.as_bytes());
                ExitCode::SUCCESS
            }
            Err(refusal) => refused(&refusal, None),
        };
    }
    if words.peek().is_some_and(|word| matches!(word.as_str(), "--help" | "-h" | "help")) {
        say(&format!("{USAGE}."));
        return ExitCode::SUCCESS;
    }
    let arguments = match parse(words) {
        Ok(arguments) => arguments,
        Err(refusal) => return refused(&refusal, None),
    };
    match start(&arguments) {
        Ok(code) => code,
        Err(refusal) => refused(&refusal, arguments.control.as_deref().filter(|_| !arguments.check)),
    }
}

fn start(arguments: &Arguments) -> Result<ExitCode, Refusal> {
    let config = configuration(arguments)?;
    if arguments.calibrate {
        return calibrate(arguments, config);
    }
    let (dial, remote) = match arguments.check {
        true => (None, None),
        false => dial(arguments)?,
    };
    let prepared = engine::prepare(config)?;
    let Some(dial) = dial else {
        if let Some(fault) = prepared.fault() {
            return Err(fault.clone());
        }
        tracing::info!("the configuration is good");
        return Ok(ExitCode::SUCCESS);
    };
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(e) => {
            say(&format!("Signals cannot be handled ({e})."));
            return Ok(ExitCode::FAILURE);
        }
    };
    match keep_off_disks() {
        Kept::Locked => tracing::info!("memory is locked: pictures stay off the disk"),
        Kept::Swappable => {
            tracing::warn!("memory cannot be locked: allow it (LimitMEMLOCK=infinity), or encrypt this host's swap")
        }
    }
    let end = prepared.run(dial, stop);
    drop(remote);
    match end {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(end) => {
            say(&format!("The engine ends: {end}."));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Says on stdout how much later a feed shows the same light, and the line for its configuration.
fn calibrate(arguments: &Arguments, config: Config) -> Result<ExitCode, Refusal> {
    let id = |text: &str| FeedId::parse(text).map_err(|e| usage(&e.to_string()));
    let feed = id(arguments.feed.as_deref().ok_or_else(|| usage("calibrate needs --feed"))?)?;
    let against = arguments.against.as_deref().map(id).transpose()?;
    let watched = Duration::from_secs(arguments.seconds.unwrap_or(CALIBRATE_S).clamp(2, 600));
    let prepared = engine::prepare(config)?;
    say(&format!("Switch a light that both feeds see on and off, at irregular times, for {} s.", watched.as_secs()));
    let found = pipeline::calibrate::calibrate(prepared, &feed, against.as_ref(), watched)?;
    let _ = writeln!(std::io::stdout(), "{}", found.text());
    Ok(ExitCode::SUCCESS)
}

/// A socket that becomes readable on SIGTERM or SIGINT.
fn stop_on_signals() -> std::io::Result<UnixStream> {
    let (stop, trigger) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, trigger.try_clone()?)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, trigger)?;
    Ok(stop)
}

fn configuration(arguments: &Arguments) -> Result<Config, Refusal> {
    match (&arguments.config, arguments.demo) {
        (Some(path), false) => {
            let mut config = Config::load(path)?;
            if arguments.time_code {
                config.time_code = true;
                config.program.layout = "measuring".into();
            }
            Ok(config)
        }
        (None, true) => Ok(Config::demo(arguments.shared.as_deref(), arguments.time_code)),
        _ => Err(usage("give either --config FILE or --demo")),
    }
}

/// Where the link dials, and who carries it to a server that is elsewhere.
fn dial(arguments: &Arguments) -> Result<(Option<Dial>, Option<Remote>), Refusal> {
    let case = arguments.case.as_deref().ok_or_else(|| usage("--case is needed"))?;
    let case = CaseId::parse(case).map_err(|e| usage(&e.to_string()))?;
    if let Some(server) = &arguments.server {
        let token = match (&arguments.token, &arguments.token_file) {
            (Some(token), None) => token.clone(),
            (None, Some(file)) => std::fs::read_to_string(file)
                .map_err(|e| usage(&format!("the token's file {} cannot be read ({e})", file.display())))?,
            _ => return Err(usage("--server needs either --token or --token-file")),
        };
        let config = RemoteConfig::new(server, token.trim(), case.clone(), arguments.ca.as_deref())?;
        let config = if arguments.no_whip { config.by_tcp_alone() } else { config };
        let remote = Remote::start(&config).map_err(|e| usage(&format!("no folder for sockets can be made ({e})")))?;
        let dial = Dial { control: remote.path("control"), media: remote.path("media"), case, way: remote.way() };
        return Ok((Some(dial), Some(remote)));
    }
    match (&arguments.control, &arguments.media) {
        (Some(control), Some(media)) => {
            Ok((Some(Dial { control: control.clone(), media: media.clone(), case, way: Way::Local }), None))
        }
        _ => Err(usage("--control and --media, or --server, are needed")),
    }
}

fn usage(what: &str) -> Refusal {
    Refusal::new("engine.arguments", format!("Wrong arguments: {what}; {USAGE}."))
}

fn refused(refusal: &Refusal, control: Option<&std::path::Path>) -> ExitCode {
    if let Some(control) = control {
        report_refusal(control, refusal);
    }
    tracing::error!(code = refusal.code, "refused");
    say(&refusal.to_string());
    ExitCode::from(2)
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, Refusal> {
    let mut a = Arguments::default();
    let mut words = words.by_ref().peekable();
    a.calibrate = words.next_if(|word| word == "calibrate").is_some();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| usage(&format!("{word} needs a value")));
        match word.as_str() {
            "--control" => a.control = Some(value()?.into()),
            "--media" => a.media = Some(value()?.into()),
            "--server" => a.server = Some(value()?),
            "--token" => a.token = Some(value()?),
            "--token-file" => a.token_file = Some(value()?.into()),
            "--no-whip" => a.no_whip = true,
            "--ca" => a.ca = Some(value()?.into()),
            "--case" => a.case = Some(value()?),
            "--config" => a.config = Some(value()?.into()),
            "--shared" => a.shared = Some(value()?.into()),
            "--feed" => a.feed = Some(value()?),
            "--against" => a.against = Some(value()?),
            "--seconds" => a.seconds = Some(value()?.parse().map_err(|_| usage("--seconds needs a number"))?),
            "--demo" => a.demo = true,
            "--time-code" => a.time_code = true,
            "--check" => a.check = true,
            _ => return Err(usage(&format!("{word} is not known"))),
        }
    }
    Ok(a)
}
