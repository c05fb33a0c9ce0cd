//! TCP in: TLS or plain, HTTP/1.1, with bounds for slow and for many clients. (`axum::serve` has no time-out for headers.)
//! HTTP/2 is not offered: a page loads few files, and browsers open WebSockets on HTTP/1.1 anyway.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::data_dir::Certificate;
use super::http::Caller;
use super::metrics::Counters;
use super::progress::Progress;

/// Connections at once. A page holds 2 to 7; 48 pages and as many players fit. Policy: the newest is closed.
const CONNECTIONS_MAX: usize = 1024;
/// From one address: a hospital behind one address opens ~20 pages × 7.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Of both, those that have shown no token of ours yet: they cannot keep the others out.
const STRANGERS_MAX: usize = 512;
const STRANGERS_PER_ADDRESS_MAX: usize = 96;
const TLS_WITHIN: Duration = Duration::from_secs(5);
/// For the head of a request, and so also between requests of a kept connection.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// Longest head of a request: cookies of several tokens fit.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// TLS 1.2 and 1.3.
pub fn tls(certificate: &Certificate) -> anyhow::Result<TlsAcceptor> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
    let chain = chain.context("tls.crt in the data directory holds no certificate")?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes());
    let key = key.context("tls.key in the data directory holds no key")?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("tls.crt and tls.key in the data directory do not belong together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Opens a TCP port; 0 takes a free one. The error is a sentence with the port in it.
pub async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|fault| {
        let port = address.port();
        match fault.kind() {
            io::ErrorKind::AddrInUse => {
                anyhow::anyhow!("TCP port {port} is already in use: end the program that uses it, or choose another with {flag}")
            }
            io::ErrorKind::PermissionDenied => {
                anyhow::anyhow!("TCP port {port} is not allowed to this user: choose one above 1023 with {flag}")
            }
            io::ErrorKind::AddrNotAvailable => {
                anyhow::anyhow!("{} is no address of this machine: choose another with --bind", address.ip())
            }
            _ => anyhow::Error::new(fault).context(format!("TCP port {port} cannot be opened: choose another with {flag}")),
        }
    })
}

/// Serves until `stopping` rises, then drops every connection. `tls`: without it, plain HTTP.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    counters: Arc<Counters>,
    mut stopping: watch::Receiver<bool>,
) {
    let places = Places::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(fault) => {
                // Out of file handles, mostly: breathe, and go on.
                warn!(%fault, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        counters.connections.add(1);
        let Some(place) = places.take(address.ip()) else {
            counters.connections_refused.add(1);
            continue;
        };
        let (tls, router) = (tls.clone(), router.clone());
        let caller = Caller { address, place: Arc::new(place) };
        connections.spawn(async move {
            if let Err(fault) = connection(stream, caller, tls, router).await {
                debug!(%fault, "a connection ended");
            }
        });
    }
}

async fn connection(stream: TcpStream, caller: Caller, tls: Option<TlsAcceptor>, router: Router) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = Progress::new(stream);
    match tls {
        Some(tls) => {
            let stream = tokio::time::timeout(TLS_WITHIN, tls.accept(stream)).await.context("no TLS in time")??;
            talk(stream, caller, router).await
        }
        None => talk(stream, caller, router).await,
    }
}

async fn talk<S>(stream: S, caller: Caller, router: Router) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        router.clone().oneshot(request)
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await?;
    Ok(())
}

/// Who holds how many connections.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    all: Share,
    of: HashMap<IpAddr, Share>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Share {
    connections: usize,
    /// Of them, those without a token.
    strangers: usize,
}

/// One connection's place. Given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    of: IpAddr,
    known: AtomicBool,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let of = holder(address);
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (held.all, held.of.get(&of).copied().unwrap_or_default());
        // A proxy on this machine speaks for many.
        let crowd =
            !of.is_loopback() && (own.connections >= CONNECTIONS_PER_ADDRESS_MAX || own.strangers >= STRANGERS_PER_ADDRESS_MAX);
        if crowd || all.connections >= CONNECTIONS_MAX || all.strangers >= STRANGERS_MAX {
            return None;
        }
        held.change(of, |share| {
            share.connections += 1;
            share.strangers += 1;
        });
        Some(Place { places: self.clone(), of, known: AtomicBool::new(false) })
    }
}

impl Held {
    fn change(&mut self, of: IpAddr, change: impl Fn(&mut Share)) {
        change(&mut self.all);
        let own = self.of.entry(of).or_default();
        change(own);
        if own.connections == 0 {
            self.of.remove(&of);
        }
    }
}

impl Place {
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Its other end has shown a token of ours.
    pub fn become_known(&self) {
        if !self.known.swap(true, Ordering::Relaxed) {
            let mut held = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.change(self.of, |share| share.strangers -= 1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stranger = usize::from(!self.is_known());
        let mut held = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.change(self.of, |share| {
            share.connections -= 1;
            share.strangers -= stranger;
        });
    }
}

/// Whose share it is. One household or hospital has a whole /64 of IPv6, and may use another address for each connection.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(places: &Places, address: IpAddr) -> Vec<Place> {
        std::iter::from_fn(|| places.take(address)).collect()
    }

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let places = Places::default();
        let crowd = IpAddr::from([192, 0, 2, 1]);
        let mut held = fill(&places, crowd);
        assert_eq!(held.len(), STRANGERS_PER_ADDRESS_MAX);
        assert!(places.take(IpAddr::from([192, 0, 2, 2])).is_some(), "another address has its own share");
        held.pop();
        assert!(places.take(crowd).is_some());
    }

    #[test]
    fn those_who_have_shown_a_token_take_no_strangers_place() {
        let places = Places::default();
        let hospital = IpAddr::from([192, 0, 2, 1]);
        let mut held = Vec::new();
        while let Some(place) = places.take(hospital) {
            place.become_known();
            place.become_known();
            held.push(place);
        }
        assert_eq!(held.len(), CONNECTIONS_PER_ADDRESS_MAX);
        drop(held);
        let left = places.0.lock().expect("whole");
        assert_eq!((left.all.connections, left.all.strangers, left.of.len()), (0, 0, 0));
    }

    #[test]
    fn strangers_from_everywhere_leave_room_for_those_who_are_known() {
        let places = Places::default();
        let known = places.take(IpAddr::from([192, 0, 2, 1])).expect("a place");
        known.become_known();
        let crowds: Vec<_> = (0..20).map(|n| fill(&places, IpAddr::from([198, 51, 100, n]))).collect();
        assert_eq!(crowds.iter().map(Vec::len).sum::<usize>(), STRANGERS_MAX);
        assert!(places.0.lock().expect("whole").all.connections < CONNECTIONS_MAX);
    }

    #[test]
    fn addresses_of_one_64_share() {
        let places = Places::default();
        let v6 = |text: &str| text.parse::<IpAddr>().expect("an address");
        let held = fill(&places, v6("2001:db8:0:1::1"));
        assert_eq!(held.len(), STRANGERS_PER_ADDRESS_MAX);
        assert!(places.take(v6("2001:db8:0:1:ffff::2")).is_none());
        assert!(places.take(v6("2001:db8:0:2::1")).is_some());
        // A socket that takes both kinds shows IPv4 in IPv6's clothes.
        assert_eq!(holder(v6("::ffff:192.0.2.1")), IpAddr::from([192, 0, 2, 1]));
    }
}
