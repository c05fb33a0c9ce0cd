//! The ink that a server has on disk, read by another program than the server, from a copy of its database.

use std::path::Path;
use std::process::Command;

use annotation::wire::{OrderedOp, op};
use anyhow::{Context, Result, ensure};
use prost::Message as _;

/// One act in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub order: u64,
    pub author: u32,
    pub epoch: u32,
    pub seq: u32,
    /// Number of the stroke that it commits.
    pub stroke: Option<u32>,
}

/// All acts of all cases under `data`, by order. A copy is read, so that what a dead server left is not touched.
pub fn read(data: &Path) -> Result<Vec<Kept>> {
    let copy = data.with_extension("copy");
    let _ = std::fs::remove_dir_all(&copy);
    std::fs::create_dir_all(&copy)?;
    let mut database = None;
    for entry in std::fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.contains(".sqlite") && !name.ends_with("-shm") {
            std::fs::copy(entry.path(), copy.join(&name))?;
            if !name.ends_with("-wal") {
                database = Some(copy.join(name));
            }
        }
    }
    let rows = rows(&database.context("there is no database in the data directory")?);
    let _ = std::fs::remove_dir_all(&copy);
    rows?.lines().map(kept).collect()
}

fn rows(database: &Path) -> Result<String> {
    let query = "select hex(bytes) from ops order by case_id, ord";
    let out = Command::new("sqlite3").arg(database).arg(query).output().context("sqlite3 does not start; install it")?;
    ensure!(out.status.success(), "sqlite3: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?)
}

fn kept(hex: &str) -> Result<Kept> {
    let digit = |c: u8| (c as char).to_digit(16).context("no hexadecimal digit");
    let bytes = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| Ok((digit(pair[0])? * 16 + digit(*pair.get(1).context("half a byte")?)?) as u8))
        .collect::<Result<Vec<u8>>>()?;
    let ordered = OrderedOp::decode(bytes.as_slice())?;
    let op = ordered.op.context("an order without an act")?;
    let stroke = match &op.body {
        Some(op::Body::Stroke(stroke)) => stroke.key.as_ref().map(|key| key.number),
        _ => None,
    };
    Ok(Kept { order: ordered.order, author: op.author, epoch: op.epoch, seq: op.seq, stroke })
}

#[cfg(test)]
mod tests {
    use annotation::wire::{Op, StrokeCommit, StrokeKey};

    use super::*;

    #[test]
    fn a_row_gives_its_keys() {
        let key = StrokeKey { author: 2, epoch: 7, number: 5 };
        let body = op::Body::Stroke(StrokeCommit { key: Some(key), ..Default::default() });
        let op = Op { author: 2, epoch: 7, seq: 9, at: 1, body: Some(body) };
        let bytes = OrderedOp { order: 3, received: 1, op: Some(op) }.encode_to_vec();
        let hex: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
        assert_eq!(kept(&hex).expect("a row"), Kept { order: 3, author: 2, epoch: 7, seq: 9, stroke: Some(5) });
        assert!(kept("0G").is_err() && kept("0").is_err());
    }
}
