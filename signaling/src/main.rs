//! `shirube`, the server. Exit codes: 0 it ended as asked; 1 the audit does not verify; 2 it could not start, and said why.

use std::io::{IsTerminal, Read, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context;
use signaling::claims::TokenId;
use signaling::edge::cli::{self, Demo, Task};
use signaling::edge::clock::{Timeline, check_system_clock};
use signaling::edge::data_dir::database_of;
use signaling::edge::server::{self, Links, Ready};
use signaling::edge::store::{Withdrawal, links_of_file, revoke_file, verify_file};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// What a person in the case would feel. The reader of offers warns of every line that it does not know; that is nobody's concern.
const LOG_FILTER: &str = "info,webrtc_sdp=error";

/// The ends that let people finish first. A second one does not.
const GENTLE: [&str; 2] = ["SIGTERM", "SIGINT"];

fn main() -> ExitCode {
    let task = match cli::parse(std::env::args_os()) {
        Ok(task) => task,
        Err(fault) => return sentence(&fault.into()),
    };
    // Before anything can ask rustls: with two providers in the build it would not choose by itself.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return sentence(&anyhow::anyhow!("the cryptography of TLS was set up twice: this is a fault of the program"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => return sentence(&anyhow::Error::new(fault).context("the program cannot start its threads")),
    };
    let done = runtime.block_on(async {
        match task {
            Task::Help => {
                print!("{}", cli::USAGE);
                Ok(ExitCode::SUCCESS)
            }
            Task::Version => {
                println!("{}", signaling::SOFTWARE);
                Ok(ExitCode::SUCCESS)
            }
            Task::Demo(config) => demo(&config).await,
            Task::AuditVerify { data } => audit_verify(&data).await,
            Task::Links { data } => links(&data).await,
            Task::Revoke { data, link } => revoke(&data, link).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    done.unwrap_or_else(|fault| sentence(&fault))
}

async fn demo(config: &Demo) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_env("SHIRUBE_LOG").unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .init();
    let mut ends = ends(config.json)?;
    let running = tokio::select! {
        started = server::start(config) => started?,
        // A start that is called off leaves nothing: every part ends with its handle.
        Some(why) = ends.recv() => {
            info!(why, "called off");
            return Ok(ExitCode::SUCCESS);
        }
    };
    // Nobody may be reading; the server runs all the same.
    let _ = if config.json { say_json(&running.ready) } else { say_to_people(&running.ready) };
    let why = ends.recv().await.unwrap_or("nothing to wait for");
    if GENTLE.contains(&why) {
        info!(why, seconds = config.drain.as_secs(), "those who are in a case go on for a while; the same again ends at once");
        tokio::select! {
            () = running.drain(config.drain) => {}
            Some(again) = ends.recv() => info!(why = again, "at once"),
        }
    }
    info!(why, "stopping");
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Signals, and with `--json` the end of the input.
fn ends(json: bool) -> anyhow::Result<mpsc::Receiver<&'static str>> {
    let (told, ends) = mpsc::channel(4);
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be heard")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be heard")?;
    let by_signal = told.clone();
    tokio::spawn(async move {
        loop {
            let why = tokio::select! {
                _ = terminate.recv() => GENTLE[0],
                _ = interrupt.recv() => GENTLE[1],
            };
            let _ = by_signal.try_send(why);
        }
    });
    if json {
        // A thread of its own: reading a terminal cannot be called off.
        std::thread::spawn(move || {
            let mut input = std::io::stdin().lock();
            let mut bytes = [0; 4096];
            while matches!(input.read(&mut bytes), Ok(n) if n > 0) {}
            let _ = told.blocking_send("end of input");
        });
    }
    Ok(ends)
}

fn say_json(ready: &Ready) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(ready)?)?;
    out.flush()
}

fn say_to_people(ready: &Ready) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let port = ready.base_url.rsplit(':').next().unwrap_or_default();
    let elsewhere: Vec<String> = ready.addresses.iter().map(|address| base_url(*address, port)).collect();
    let first = elsewhere.first().map(String::as_str);
    writeln!(out, "\nShirube — 訓練症例 / rehearsal case: {}\n", ready.case)?;
    say_links(&mut out, &ready.links, &ready.base_url, first)?;
    for more in &ready.more {
        writeln!(out, "── {}\n", more.case)?;
        say_links(&mut out, &more.links, &ready.base_url, first)?;
    }
    if ready.pids.engine.is_none() {
        say_engine(&mut out, ready, first.unwrap_or(&ready.base_url))?;
    }
    if let Some((_, others)) = elsewhere.split_first() {
        writeln!(out, "  各リンクの2行目は、同じネットワークの別のPCやタブレットで開くためのものです。")?;
        writeln!(out, "  The second line of each link is for another PC or tablet on the same network.")?;
        for other in others {
            writeln!(out, "  この機器の別のアドレス / also at   {other}")?;
        }
        writeln!(out)?;
    }
    if let Some(plain) = &ready.http_url {
        writeln!(out, "  この機器のみ / this machine only   {plain}")?;
    }
    writeln!(out, "  映像・音声 / pictures and voice     UDP {}\n", ready.media_port)?;
    writeln!(out, "  証明書は自己署名です。初回のみブラウザの警告を確認して進んでください。リンクは12時間有効です。")?;
    writeln!(out, "  The certificate is self-signed: pass the browser's warning once. The links are good for 12 hours.")?;
    writeln!(out, "  終了は Ctrl-C(接続中の人を待ちます。もう一度押すとすぐに終了します)")?;
    writeln!(out, "  Ctrl-C ends it, and waits a while for those who are in a case; Ctrl-C again ends it at once.\n")?;
    out.flush()
}

fn base_url(address: IpAddr, port: &str) -> String {
    let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    format!("https://{host}:{port}")
}

/// `elsewhere`: the same server as another machine reaches it.
fn say_links(out: &mut impl Write, links: &Links, here: &str, elsewhere: Option<&str>) -> std::io::Result<()> {
    for (role, link) in [
        ("手術室 / operating room", &links.room),
        ("指導側医師 / mentor", &links.mentor),
        ("戦略デスク / strategy desk", &links.desk),
        ("システムベンダ / system vendor", &links.vendor),
    ] {
        writeln!(out, "  {role}\n    {link}")?;
        if let Some(elsewhere) = elsewhere {
            writeln!(out, "    {}", link.replacen(here, elsewhere, 1))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// How the engine in the operating room dials this server, which started none itself.
fn say_engine(out: &mut impl Write, ready: &Ready, here: &str) -> std::io::Result<()> {
    let server = here.replacen("https://", "wss://", 1);
    writeln!(out, "  手術室のエンジン / the engine in the operating room")?;
    writeln!(
        out,
        "    shirube-engine --server {server} --case {} --token-file FILE --ca tls.crt --config room.toml",
        ready.case
    )?;
    writeln!(out, "    FILE(他の利用者に読めないこと / that nobody else can read):")?;
    writeln!(out, "    {}\n", ready.tokens.engine)
}

async fn audit_verify(data: &std::path::Path) -> anyhow::Result<ExitCode> {
    match verify_file(&database_of(data)).await? {
        Ok(report) => {
            println!("{} rows, whole. Last hash: {}", report.rows, report.last);
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            eprintln!("{fault}. Keep the data directory as it is, and tell the administrator.");
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn links(data: &std::path::Path) -> anyhow::Result<ExitCode> {
    let now = Timeline::start().now().to_unix().as_secs();
    for link in links_of_file(&database_of(data)).await? {
        let left = link.expires_unix_s.saturating_sub(i64::try_from(now)?);
        let state = match (link.withdrawn, left > 0, link.used) {
            (true, ..) => "withdrawn",
            (_, false, _) => "expired",
            (.., true) => "used",
            (.., false) => "not used",
        };
        let minutes = left.max(0) / 60;
        println!("{}  {:<16} {:<14} {:>3} h {:02} min  {state}", link.id, link.case, link.role, minutes / 60, minutes % 60);
    }
    Ok(ExitCode::SUCCESS)
}

async fn revoke(data: &std::path::Path, link: TokenId) -> anyhow::Result<ExitCode> {
    check_system_clock()?;
    let said = match revoke_file(&database_of(data), link, Timeline::start().now()).await? {
        Withdrawal::Done => "is withdrawn; a running server ends its connections within two seconds",
        Withdrawal::Again => "was withdrawn before",
        Withdrawal::Unknown => anyhow::bail!("there is no link {link} here: `shirube links` lists them, or correct --data"),
    };
    println!("The link {link} {said}.");
    Ok(ExitCode::SUCCESS)
}

/// The whole chain of causes, once, on one line.
fn sentence(fault: &anyhow::Error) -> ExitCode {
    eprintln!("{fault:#}");
    ExitCode::from(2)
}
