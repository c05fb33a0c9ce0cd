//! The data directory: one folder, readable by its owner only, held by one server at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::keys::Keys;

/// Life of the demo's own certificate. Browsers take no longer one, even when told to trust it.
const CERTIFICATE_DAYS: i64 = 397;

/// Holds the folder, and a lock on it until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Where a data directory keeps its database.
pub fn database_of(data: &Path) -> PathBuf {
    data.join("shirube.sqlite")
}

/// A certificate chain and its key, PEM.
#[derive(Debug)]
pub struct Certificate {
    pub chain_pem: String,
    pub key_pem: String,
}

impl DataDir {
    /// Makes the folder where it is missing, and takes it. Errors are sentences for whoever started the server.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
            format!("the data directory {} cannot be made: choose another with --data, or change its owner", path.display())
        })?;
        let mode = fs::metadata(path).map(|m| m.permissions().mode() & 0o777).unwrap_or(0);
        if mode & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(|| {
                format!("the data directory {} is readable by others and cannot be closed to them", path.display())
            })?;
        }
        let lock_path = path.join("lock");
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false)).open(&lock_path).with_context(|| {
            format!("the data directory {} cannot be written: choose another with --data, or change its owner", path.display())
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => bail!(
                "the data directory {} is in use by another shirube: end that one, or choose another with --data",
                path.display()
            ),
            Err(fs::TryLockError::Error(e)) => {
                Err(e).with_context(|| format!("the data directory {} cannot be locked", path.display()))
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        database_of(&self.path)
    }

    /// Where the sockets of the link to the engine stand.
    pub fn link(&self) -> PathBuf {
        self.path.join("link")
    }

    /// The key that signs tokens; made at the first start, so that a restart signs nobody out.
    pub fn keys(&self) -> anyhow::Result<Keys> {
        let path = self.path.join("token.key");
        let pkcs8 = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let bytes = Keys::generate()?;
                write_private(&path, &bytes)?;
                bytes
            }
            Err(e) => return Err(e).with_context(|| format!("{} cannot be read", path.display())),
        };
        Keys::from_pkcs8(&pkcs8).with_context(|| {
            format!("{} is damaged: restore it, or remove it, which makes all earlier links invalid", path.display())
        })
    }

    /// The certificate of HTTPS: the one that is there, else a self-signed one for this machine's names and addresses.
    /// Made anew when it has expired or an address of the machine is not in it.
    pub fn certificate(&self, addresses: &[IpAddr], now_unix_s: u64) -> anyhow::Result<Certificate> {
        let names = names(addresses);
        let (chain, key, note) = (self.path.join("tls.crt"), self.path.join("tls.key"), self.path.join("tls.names"));
        let fresh_until = |text: &str| text.lines().next().and_then(|line| line.parse::<u64>().ok());
        let covers = |text: &str| names.iter().all(|name| text.lines().skip(1).any(|line| line == name));
        match fs::read_to_string(&note) {
            // No note: the certificate is the hospital's own, and stays.
            Err(_) if chain.exists() && key.exists() => return read_certificate(&chain, &key),
            Ok(text) if fresh_until(&text).is_some_and(|until| now_unix_s < until) && covers(&text) && key.exists() => {
                return read_certificate(&chain, &key);
            }
            _ => {}
        }
        let now = OffsetDateTime::from_unix_timestamp(i64::try_from(now_unix_s)?)?;
        let until = now + Duration::days(CERTIFICATE_DAYS);
        let made = self_signed(&names, now - Duration::days(1), until).context("the certificate cannot be made")?;
        write_private(&key, made.key_pem.as_bytes())?;
        write_private(&chain, made.chain_pem.as_bytes())?;
        let fresh = until - Duration::days(30);
        write_private(&note, format!("{}\n{}\n", fresh.unix_timestamp(), names.join("\n")).as_bytes())?;
        Ok(made)
    }
}

fn names(addresses: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    names.extend(addresses.iter().map(ToString::to_string).filter(|name| name != "127.0.0.1" && name != "::1"));
    names
}

fn self_signed(names: &[String], from: OffsetDateTime, until: OffsetDateTime) -> Result<Certificate, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Shirube demo");
    params.not_before = from;
    params.not_after = until;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Certificate { chain_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn read_certificate(chain: &Path, key: &Path) -> anyhow::Result<Certificate> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    Ok(Certificate { chain_pem: read(chain)?, key_pem: read(key)? })
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Whole or not at all: written beside, synced, then moved into place.
fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_owners_alone_and_one_servers_at_a_time() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("data");
        let held = DataDir::open(&path).expect("opens");
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o700);
        let second = DataDir::open(&path).expect_err("is held").to_string();
        assert!(second.contains("in use by another shirube"), "{second}");
        drop(held);
        DataDir::open(&path).expect("opens again");
    }

    #[test]
    fn key_and_certificate_stay_the_same_over_a_restart() {
        let home = tempfile::tempdir().expect("a folder");
        let data = DataDir::open(home.path()).expect("opens");
        let address = [IpAddr::from([192, 0, 2, 7])];
        let first = data.certificate(&address, 1_790_000_000).expect("made");
        assert_eq!(first.chain_pem, data.certificate(&address, 1_790_000_100).expect("read").chain_pem);
        // A new address of the machine needs a new certificate, and so does age.
        let moved = data.certificate(&[IpAddr::from([192, 0, 2, 8])], 1_790_000_100).expect("made");
        assert_ne!(first.chain_pem, moved.chain_pem);
        let later = data.certificate(&[IpAddr::from([192, 0, 2, 8])], 1_790_000_000 + 380 * 86_400).expect("made");
        assert_ne!(moved.chain_pem, later.chain_pem);
        for name in ["token.key", "tls.key"] {
            let _ = data.keys().expect("made");
            let mode = fs::metadata(home.path().join(name)).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_key_is_said_and_never_replaced_silently() {
        let home = tempfile::tempdir().expect("a folder");
        let data = DataDir::open(home.path()).expect("opens");
        fs::write(home.path().join("token.key"), b"nonsense").expect("written");
        let said = data.keys().expect_err("damaged").to_string();
        assert!(said.contains("damaged"), "{said}");
    }
}
