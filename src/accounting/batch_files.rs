//! The files of a batch: CSV, JSON Lines and the manifest that says what they must be.
//!
//! The same charges give the same bytes. A change of form is a new [`FORMAT`], and the old one stays readable here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::billing::{Money, Payer};
use crate::storage::charge_batches::{Batch, BatchedCharge};

/// The form in which batches are written now.
pub const FORMAT: i32 = 1;

/// One charge as both files say it.
#[derive(Serialize)]
struct Line<'a> {
    batch: i64,
    charge: String,
    leg: String,
    conference: String,
    account: String,
    user_number: &'a str,
    component: &'static str,
    part: u32,
    payer: &'static str,
    payer_line: Option<&'a str>,
    tariff: Option<&'a str>,
    tariff_version: Option<u32>,
    prefix: Option<&'a str>,
    started_at: String,
    seconds: i64,
    billed_seconds: i64,
    net: String,
    vat_percent: String,
    vat: String,
    gross: String,
    currency: &'a str,
    revision: u32,
    reverses: Option<String>,
    rated_at: String,
}

impl<'a> Line<'a> {
    fn of(batch: i64, row: &'a BatchedCharge) -> Self {
        let charge = &row.charge;
        let (payer, payer_line) = match &charge.payer {
            Payer::Convener => ("convener", None),
            Payer::Caller { line } => ("caller", line.as_deref()),
        };
        let rate = charge.rate.as_ref();
        Self {
            batch,
            charge: charge.id.to_string(),
            leg: charge.leg.to_string(),
            conference: charge.conference.to_string(),
            account: charge.account.to_string(),
            user_number: &row.user_number,
            component: charge.component.word(),
            part: charge.part,
            payer,
            payer_line,
            tariff: rate.map(|rate| rate.tariff.as_str()),
            tariff_version: rate.map(|rate| rate.version),
            prefix: rate.map(|rate| rate.prefix.as_str()),
            started_at: charge.started_at.to_string(),
            seconds: charge.seconds,
            billed_seconds: charge.billed_seconds,
            net: exact(i128::from(charge.net.0)),
            vat_percent: charge.vat_percent.to_string(),
            vat: exact(i128::from(charge.vat.0)),
            gross: exact(i128::from(charge.gross.0)),
            currency: charge.currency.code(),
            revision: charge.revision,
            reverses: charge.reverses.map(|id| id.to_string()),
            rated_at: row.rated_at.to_string(),
        }
    }
}

/// An amount with all four decimals.
fn exact(parts: i128) -> String {
    let sign = if parts < 0 { "-" } else { "" };
    let parts = parts.unsigned_abs();
    format!("{sign}{}.{:04}", parts / 10_000, parts % 10_000)
}

/// The sums of a batch in one currency; amounts with four decimals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// The currency's code.
    pub currency: String,
    /// How many charges.
    pub charges: u64,
    /// Without VAT.
    pub net: String,
    /// VAT.
    pub vat: String,
    /// Together.
    pub gross: String,
}

/// One of a batch's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileSum {
    /// Its name in the folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// What the billing system checks a batch against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The batch's number: 1 for the first, and none is left out.
    pub batch: i64,
    /// The form of the files.
    pub format: i32,
    /// When the batch was made.
    pub created_at: String,
    /// How many charges it holds: lines of either file, the CSV's header aside.
    pub charges: u64,
    /// The sums, by currency.
    pub sums: Vec<Sums>,
    /// CSV, then JSON Lines.
    pub files: Vec<FileSum>,
}

/// Writes and counts, and knows the SHA-256 of what went through.
struct Sealed {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Sealed {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(File::create(path)?), hash: Sha256::new(), bytes: 0 })
    }

    /// On the disk, with its digest.
    fn close(mut self) -> io::Result<([u8; 32], u64)> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok((self.hash.finalize().into(), self.bytes))
    }
}

/// A batch's files under names that nobody takes for whole; they go away with this value unless they are put in place.
pub(super) struct Staged {
    /// Temporary and final names, the manifest last.
    names: Vec<(PathBuf, PathBuf)>,
    folder: PathBuf,
    /// The digest of the CSV file.
    pub(super) csv: [u8; 32],
    /// The digest of the JSON Lines file.
    pub(super) jsonl: [u8; 32],
    /// The manifest.
    pub(super) manifest: Manifest,
}

impl Staged {
    /// Writes a batch's files into `folder`, and forces them to the disk.
    ///
    /// # Errors
    /// When the folder is not there, cannot be written to, or the disk is full; nothing is left then.
    pub(super) fn write(folder: &Path, batch: &Batch, rows: &[BatchedCharge]) -> io::Result<Self> {
        let final_name = |kind: &str| format!("sklic-charges-{:08}.{kind}", batch.number);
        let temporary = |kind: &str| folder.join(format!(".{}.{}.part", final_name(kind), std::process::id()));
        let names = ["csv", "jsonl", "manifest.json"].map(|kind| (temporary(kind), folder.join(final_name(kind))));
        let mut staged = Self {
            names: names.to_vec(),
            folder: folder.to_owned(),
            csv: [0; 32],
            jsonl: [0; 32],
            manifest: Manifest {
                batch: batch.number,
                format: batch.format,
                created_at: batch.created_at.to_string(),
                charges: rows.len() as u64,
                sums: sums(rows),
                files: Vec::new(),
            },
        };
        let [csv, jsonl, manifest] = names.map(|(temporary, _)| temporary);
        let mut writer = csv::WriterBuilder::new().from_writer(Sealed::create(&csv)?);
        let mut lines = Sealed::create(&jsonl)?;
        for row in rows {
            let line = Line::of(batch.number, row);
            writer.serialize(&line).map_err(io::Error::other)?;
            serde_json::to_writer(&mut lines, &line)?;
            lines.write_all(b"\n")?;
        }
        let closed = [("csv", writer.into_inner().map_err(|error| error.into_error())?.close()?), ("jsonl", lines.close()?)];
        (staged.csv, staged.jsonl) = (closed[0].1.0, closed[1].1.0);
        staged.manifest.files =
            closed.iter().map(|(kind, (digest, bytes))| FileSum { name: final_name(kind), bytes: *bytes, sha256: hex(digest) }).collect();
        let mut file = Sealed::create(&manifest)?;
        serde_json::to_writer_pretty(&mut file, &staged.manifest)?;
        file.write_all(b"\n")?;
        file.close()?;
        Ok(staged)
    }

    /// Gives the files their names, the manifest last: where a manifest lies, its batch is whole.
    ///
    /// # Errors
    /// When the folder does not take them.
    pub(super) fn place(&self) -> io::Result<()> {
        let renamed = self.names.iter().try_for_each(|(temporary, name)| std::fs::rename(temporary, name));
        if renamed.is_err()
            && let [csv, jsonl, manifest] = self.names.as_slice()
            && !manifest.1.exists()
        {
            for (_, name) in [csv, jsonl] {
                let _ = std::fs::remove_file(name);
            }
        }
        renamed?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for (temporary, _) in &self.names {
            // What was put in place is not there any more.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Takes away what exports that were killed have left in the folder under temporary names.
///
/// # Errors
/// When the folder is not there or cannot be read.
pub(super) fn clean(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".sklic-charges-") && name.ends_with(".part") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sums(rows: &[BatchedCharge]) -> Vec<Sums> {
    let mut by_currency: BTreeMap<&str, (u64, [i128; 3])> = BTreeMap::new();
    for row in rows {
        let (count, amounts) = by_currency.entry(row.charge.currency.code()).or_default();
        *count += 1;
        let of_row: [Money; 3] = [row.charge.net, row.charge.vat, row.charge.gross];
        for (sum, amount) in amounts.iter_mut().zip(of_row) {
            *sum += i128::from(amount.0);
        }
    }
    let sums = |(currency, (charges, [net, vat, gross])): (&str, (u64, [i128; 3]))| Sums {
        currency: currency.to_owned(),
        charges,
        net: exact(net),
        vat: exact(vat),
        gross: exact(gross),
    };
    by_currency.into_iter().map(sums).collect()
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_four_decimals() {
        for (parts, text) in [(0, "0.0000"), (1, "0.0001"), (-1, "-0.0001"), (12_345, "1.2345"), (-30_000, "-3.0000")] {
            assert_eq!(exact(parts), text);
        }
    }
}
