//! TCP in: TLS or plain, HTTP/1.1, with bounds for slow and for many clients. (`axum::serve` has no time-out for headers.)
//! HTTP/2 is not offered: a page loads few files, and browsers open WebSockets on HTTP/1.1 anyway.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
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
use super::http::PeerAddress;
use super::metrics::Counters;

/// Connections at once. A page holds 2 to 7; 48 pages and as many players fit. Policy: the newest is closed.
const CONNECTIONS_MAX: usize = 1024;
/// From one address: a hospital behind one address opens ~20 pages × 7.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
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
        connections.spawn(async move {
            let _place = place;
            if let Err(fault) = connection(stream, address, tls, router).await {
                debug!(%fault, "a connection ended");
            }
        });
    }
}

async fn connection(stream: TcpStream, address: SocketAddr, tls: Option<TlsAcceptor>, router: Router) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        Some(tls) => {
            let stream = tokio::time::timeout(TLS_WITHIN, tls.accept(stream)).await.context("no TLS in time")??;
            talk(stream, address, router).await
        }
        None => talk(stream, address, router).await,
    }
}

async fn talk<S>(stream: S, address: SocketAddr, router: Router) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(address));
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
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

#[derive(Debug)]
struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.values().sum::<usize>() >= CONNECTIONS_MAX {
            return None;
        }
        let own = held.entry(address).or_default();
        if *own >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *own += 1;
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_every_place_and_places_come_back() {
        let places = Places::default();
        let crowd = IpAddr::from([192, 0, 2, 1]);
        let mut held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX).map_while(|_| places.take(crowd)).collect();
        assert_eq!(held.len(), CONNECTIONS_PER_ADDRESS_MAX);
        assert!(places.take(crowd).is_none());
        let other = places.take(IpAddr::from([192, 0, 2, 2]));
        assert!(other.is_some());
        held.pop();
        assert!(places.take(crowd).is_some());
    }
}
