//! The data directory: one folder, readable by its owner only, held by one server at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
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
    /// Takes the folder, and makes it where it is missing. One that is there already is taken as it is or not at all: its owner
    /// and mode are somebody's decision. Errors are sentences for whoever started the server, with a code at their end.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        match fs::metadata(path) {
            Ok(known) if !known.is_dir() => bail!("{name} is no folder: choose another with --data [data.not-a-folder]"),
            Ok(known) => {
                // Nobody but its owner is to write there: not even the root user, whose files the owner could not read.
                let own = fs::metadata("/proc/self").map(|own| own.uid());
                if own.is_ok_and(|own| own != known.uid()) {
                    let uid = known.uid();
                    bail!(
                        "the data directory {name} belongs to another user (number {uid}): start as that user, or choose another with --data [data.other-owner]"
                    );
                }
                let mode = known.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    bail!(
                        "the data directory {name} is open to other users (mode {mode:03o}), and will hold keys: close it with `chmod 700 {name}`, or choose another with --data [data.open-to-others]"
                    );
                }
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
                made.map_err(|fault| refused(path, fault))?;
            }
            Err(fault) => return Err(refused(path, fault)),
        }
        let lock_path = path.join("lock");
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false)).open(&lock_path);
        let lock = lock.map_err(|fault| refused(path, fault))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => {
                bail!(
                    "the data directory {name} is in use by another shirube: end that one, or choose another with --data [data.in-use]"
                )
            }
            Err(fs::TryLockError::Error(fault)) => Err(refused(path, fault)),
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
    write().map_err(|fault| {
        let _ = fs::remove_file(&beside);
        refused(path.parent().unwrap_or(path), fault)
    })
}

/// What is wrong with the folder, and what to do.
fn refused(folder: &Path, fault: io::Error) -> anyhow::Error {
    let name = folder.display();
    let sentence = match fault.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "the data directory {name} cannot be written by this user: give it to the user (chown), or choose another with --data [data.no-permission]"
        ),
        io::ErrorKind::ReadOnlyFilesystem => format!(
            "the data directory {name} lies on a file system that is read-only: mount it for writing, or choose another with --data [data.read-only]"
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("the disk of the data directory {name} is full: make room, or choose another with --data [store.full]")
        }
        _ => format!("the data directory {name} cannot be used: choose another with --data [data.unusable]"),
    };
    anyhow::Error::new(fault).context(sentence)
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

    fn said(path: &Path) -> String {
        format!("{:#}", DataDir::open(path).expect_err("is refused"))
    }

    #[test]
    fn a_folder_that_others_can_read_is_refused_and_left_as_it_is() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("data");
        DirBuilder::new().mode(0o700).create(&path).expect("made");
        for mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            let text = said(&path);
            assert!(text.contains("chmod 700") && text.contains("[data.open-to-others]"), "{text}");
            assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, mode);
            assert_eq!(fs::read_dir(&path).expect("read").count(), 0, "nothing was made");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("set");
        DataDir::open(&path).expect("opens");
    }

    #[test]
    fn a_file_and_a_place_that_cannot_be_written_are_said() {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join("file");
        fs::write(&file, "").expect("written");
        assert!(said(&file).contains("[data.not-a-folder]"));
        assert!(said(&file.join("below")).contains("--data"));
        // The kernel lets nobody make folders there, the root user neither.
        let text = said(Path::new("/sys/shirube"));
        assert!(text.contains("[data.no-permission]") || text.contains("[data.read-only]"), "{text}");
    }

    /// Only the root user can give a folder away.
    #[test]
    fn a_folder_of_another_user_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("data");
        DirBuilder::new().mode(0o700).create(&path).expect("made");
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            let text = said(&path);
            assert!(text.contains("65534") && text.contains("[data.other-owner]"), "{text}");
            assert_eq!(fs::read_dir(&path).expect("read").count(), 0, "nothing was made");
        }
    }

    #[test]
    fn each_fault_of_a_disk_has_its_sentence() {
        for (kind, code) in [
            (io::ErrorKind::ReadOnlyFilesystem, "[data.read-only]"),
            (io::ErrorKind::StorageFull, "[store.full]"),
            (io::ErrorKind::QuotaExceeded, "[store.full]"),
            (io::ErrorKind::PermissionDenied, "[data.no-permission]"),
            (io::ErrorKind::Other, "[data.unusable]"),
        ] {
            let text = refused(Path::new("/data"), kind.into()).to_string();
            assert!(text.ends_with(code) && text.contains("--data"), "{text}");
        }
    }

    #[test]
    fn key_and_certificate_stay_the_same_over_a_restart() {
        let home = tempfile::tempdir().expect("a folder");
        let data = DataDir::open(&home.path().join("data")).expect("opens");
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
            let mode = fs::metadata(home.path().join("data").join(name)).expect("is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_key_is_said_and_never_replaced_silently() {
        let home = tempfile::tempdir().expect("a folder");
        let data = DataDir::open(&home.path().join("data")).expect("opens");
        fs::write(home.path().join("data/token.key"), b"nonsense").expect("written");
        let said = data.keys().expect_err("damaged").to_string();
        assert!(said.contains("damaged"), "{said}");
    }
}
