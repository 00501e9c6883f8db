//! Judges that share no code with ours: `tlog_tiles`, `signed_note`, `doubleentry`, `ct-merkle`, and the Python script of
//! an outsider. They see a log only as it is published: a directory in the layout of C2SP tlog-tiles.

use std::path::{Path, PathBuf};

use doubleentry::testing::TestWitness;
use doubleentry::transparency::{KeyName, SignedCheckpoint, Vkey};
use plimsoll::ledger::DataDir;
use plimsoll::ledger::tree::{Hash, TileKind, TilePath, decode_entry_bundle, encode_entry_bundle};
use rusqlite::{Connection, OptionalExtension, params};
use tlog_tiles::HashReader as _;

/// A connection to a database as anyone with the file has it.
#[expect(clippy::disallowed_methods, reason = "an attacker does not ask the engine")]
pub fn database(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

/// What a server with this data directory would publish, whatever state it is in: the bundles from the rows, the hash
/// tiles from `index.db`, the newest checkpoint. Reads the files with plain SQL; none of our reading code has a say.
pub fn publish(data: &DataDir, to: &Path) {
    let ledger = database(&data.ledger());
    let note: Option<String> =
        ledger.query_row("SELECT note FROM checkpoint ORDER BY size DESC", [], |row| row.get(0)).optional().unwrap();
    let mut statement = ledger.prepare("SELECT leaf FROM event ORDER BY position").unwrap();
    let leaves: Vec<Vec<u8>> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    publish_entries(to, &leaves);
    let index = database(&data.index());
    let mut statement = index.prepare("SELECT level, number, hashes FROM tile").unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let path =
            TilePath::new(TileKind::Hashes { level: row.get(0).unwrap() }, row.get::<_, u32>(1).unwrap().into(), 256);
        put(to, &path.to_string(), &row.get::<_, Vec<u8>>(2).unwrap());
    }
    let size: u32 = index.query_row("SELECT position FROM state", [], |row| row.get(0)).unwrap();
    let mut statement = index.prepare("SELECT level, hashes FROM edge").unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (level, hashes): (u8, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
        if let Ok(width @ 1..) = u16::try_from(hashes.len() / 32) {
            let number = u64::from(size) >> (8 * (u32::from(level) + 1));
            put(to, &TilePath::new(TileKind::Hashes { level }, number, width).to_string(), &hashes);
        }
    }
    put(to, "checkpoint", note.unwrap_or_default().as_bytes());
}

/// Writes the entry bundles of a log.
pub fn publish_entries(to: &Path, leaves: &[Vec<u8>]) {
    for (number, chunk) in (0..).zip(leaves.chunks(256)) {
        let path = TilePath::new(TileKind::Entries, number, u16::try_from(chunk.len()).unwrap());
        put(to, &path.to_string(), &encode_entry_bundle(chunk.iter().map(Vec::as_slice)).unwrap());
    }
}

/// Writes the hash tiles over leaves, level by level, each from the definition.
pub fn publish_hashes(to: &Path, leaves: &[Vec<u8>]) {
    let mut hashes: Vec<Hash> = leaves.iter().map(|leaf| Hash::from(tlog_tiles::record_hash(leaf).0)).collect();
    for level in 0.. {
        for (number, tile) in (0..).zip(hashes.chunks(256)) {
            let path = TilePath::new(TileKind::Hashes { level }, number, u16::try_from(tile.len()).unwrap());
            put(to, &path.to_string(), &bytes_of(tile));
        }
        if hashes.len() < 256 {
            return;
        }
        hashes = hashes.as_chunks::<256>().0.iter().map(|tile| plimsoll::ledger::tree::tile_root(tile)).collect();
    }
}

pub fn put(root: &Path, path: &str, content: &[u8]) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

pub fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Size and root of a checkpoint, if `signed_note` and `doubleentry` both accept it as signed by `vkey` for its log.
pub fn checkpoint(note: &[u8], vkey: &str) -> Result<(u64, [u8; 32]), String> {
    let verifier = signed_note::StandardVerifier::new(vkey).map_err(|error| error.to_string())?;
    let origin = signed_note::Verifier::name(&verifier).to_owned();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let opened = signed_note::Note::from_bytes(note).map_err(|error| format!("signed_note: {error}"))?;
    opened.verify(&known).map_err(|error| format!("signed_note: {error}"))?;
    let text = tlog_tiles::Checkpoint::from_bytes(opened.text()).map_err(|error| format!("tlog_tiles: {error}"))?;
    let other = SignedCheckpoint::parse(note).map_err(|error| format!("doubleentry: {error}"))?;
    let key: Vkey = vkey.parse().map_err(|error| format!("doubleentry: {error}"))?;
    other.verify(&[key]).map_err(|error| format!("doubleentry: {error}"))?;
    let head = other.checkpoint().head();
    assert_eq!((text.size(), text.hash().0), (head.size, *head.root.as_bytes()), "the judges read different things");
    if text.origin() != origin {
        return Err(format!("of {}, not of {origin}", text.origin()));
    }
    Ok((head.size, *head.root.as_bytes()))
}

/// Reads tiles where `tlog_tiles` looks for Go's paths: `tile/8/<level>/<n>`.
struct Tiles<'a>(&'a Path);

impl tlog_tiles::TileReader for Tiles<'_> {
    fn height(&self) -> u8 {
        8
    }
    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &tlog_tiles::Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            std::fs::read(self.0.join(&path))
                .map_err(|error| tlog_tiles::Error::InvalidInput(format!("{path}: {error}")))
        };
        tiles.iter().map(read).collect()
    }
    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// The whole log by `tlog_tiles` and `ct-merkle`: the root from the tiles and every entry against its tile by the one,
/// the root over the entries by the other. (The first alone does not hold every tile to the one above it.) Returns the
/// entries.
pub fn whole_log(dir: &Path, vkey: &str) -> Result<Vec<Vec<u8>>, String> {
    let note = std::fs::read(dir.join("checkpoint")).map_err(|error| error.to_string())?;
    let (size, root) = checkpoint(&note, vkey)?;
    let mut entries = Vec::new();
    for number in 0..size.div_ceil(256) {
        let width = u16::try_from((size - number * 256).min(256)).unwrap();
        let path = TilePath::new(TileKind::Entries, number, width).to_string();
        let bundle = std::fs::read(dir.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        let bundle = decode_entry_bundle(&bundle).map_err(|error| format!("{path}: {error}"))?;
        if bundle.len() != usize::from(width) {
            return Err(format!("{path}: {} entries", bundle.len()));
        }
        entries.extend(bundle.into_iter().map(<[u8]>::to_vec));
    }
    if size == 0 {
        return if root == tlog_tiles::EMPTY_HASH.0 { Ok(entries) } else { Err("root of nothing".to_owned()) };
    }
    // It panics on some bad input instead of saying so.
    let judged = std::panic::catch_unwind(|| {
        let tiles = Tiles(dir);
        let reader = tlog_tiles::TileHashReader::new(size, tlog_tiles::Hash(root), &tiles);
        for (first, chunk) in (0_u64..).step_by(4096).zip(entries.chunks(4096)) {
            let positions = first..first + chunk.len() as u64;
            let indexes: Vec<u64> = positions.map(|n| tlog_tiles::stored_hash_index(0, n)).collect();
            let hashes = reader.read_hashes(&indexes).map_err(|error| format!("from {first}: {error}"))?;
            for (n, (entry, hash)) in (first..).zip(chunk.iter().zip(hashes)) {
                if tlog_tiles::record_hash(entry) != hash {
                    return Err(format!("entry {n} is not in the tree"));
                }
            }
        }
        Ok(())
    });
    judged.map_err(|_panic| "it panicked".to_owned())??;
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, &[u8]>::new();
    entries.iter().for_each(|entry| tree.push(entry));
    if tree.root().as_bytes()[..] != root {
        return Err("ct-merkle: another root".to_owned());
    }
    Ok(entries)
}

/// Runs the outsider's script: its exit status and what it says.
pub fn python(args: &[&str]) -> (i32, String) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tools/verify_log.py");
    let done = assert_cmd::Command::new("python3").arg("-B").arg(script).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(!said.contains("Traceback"), "{said}");
    (done.status.code().unwrap(), said)
}

/// The script on a published log.
pub fn python_log(dir: &Path, vkey: &str) -> (i32, String) {
    python(&["--vkey", vkey, dir.to_str().unwrap()])
}

/// A witness by the C2SP protocol that is not ours.
pub struct Witness(TestWitness);

impl Witness {
    pub fn new(vkey: &str) -> Self {
        Self(TestWitness::new("witness.example/w1", [9; 32]).unwrap().log(vkey.parse().unwrap()))
    }

    pub fn vkey(&self) -> String {
        self.0.vkey().to_string()
    }

    /// The size it remembers.
    pub fn size(&self, origin: &str) -> u64 {
        self.0.head(&KeyName::new(origin).unwrap()).map_or(0, |head| head.size)
    }

    /// `add-checkpoint`: status and body.
    pub fn add(&mut self, old: u64, proof: &[Hash], note: &str) -> (u16, String) {
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&format!("{hash}\n"));
        }
        let reply = self.0.post(format!("{body}\n{note}").as_bytes());
        (reply.status, String::from_utf8(reply.body).unwrap())
    }
}

/// Inclusion by two judges.
pub fn included(entry: &[u8], index: u64, size: u64, proof: &[Hash], root: [u8; 32]) -> bool {
    let path: Vec<_> = proof.iter().map(|hash| tlog_tiles::Hash(*hash.as_bytes())).collect();
    let by_tlog =
        tlog_tiles::check_record(&path, size, tlog_tiles::Hash(root), index, tlog_tiles::record_hash(entry)).is_ok();
    let proof = ct_merkle::InclusionProof::<sha2::Sha256>::from_bytes(bytes_of(proof));
    let root = ct_merkle::RootHash::<sha2::Sha256>::new(root.into(), size);
    let by_ct = root.verify_inclusion(&entry, index, &proof).is_ok();
    assert_eq!(by_tlog, by_ct, "the judges disagree on entry {index} of {size}");
    by_tlog
}

/// Consistency by two judges; both sizes above 0.
pub fn consistent(old: (u64, [u8; 32]), new: (u64, [u8; 32]), proof: &[Hash]) -> bool {
    let path: Vec<_> = proof.iter().map(|hash| tlog_tiles::Hash(*hash.as_bytes())).collect();
    let by_tlog = tlog_tiles::check_tree(&path, new.0, tlog_tiles::Hash(new.1), old.0, tlog_tiles::Hash(old.1)).is_ok();
    let root = |(size, root): (u64, [u8; 32])| ct_merkle::RootHash::<sha2::Sha256>::new(root.into(), size);
    let by_ct = ct_merkle::ConsistencyProof::<sha2::Sha256>::try_from_bytes(bytes_of(proof))
        .is_ok_and(|proof| root(new).verify_consistency(&root(old), &proof).is_ok());
    assert_eq!(by_tlog, by_ct, "the judges disagree on {} in {}", old.0, new.0);
    by_tlog
}

/// Changes a row's leaf in place.
pub fn change_leaf(data: &DataDir, position: u64, change: impl FnOnce(&mut Vec<u8>)) {
    let ledger = database(&data.ledger());
    let position = i64::try_from(position).unwrap();
    let mut leaf: Vec<u8> =
        ledger.query_row("SELECT leaf FROM event WHERE position = ?1", [position], |row| row.get(0)).unwrap();
    change(&mut leaf);
    ledger.execute("UPDATE event SET leaf = ?2 WHERE position = ?1", params![position, leaf]).unwrap();
}
