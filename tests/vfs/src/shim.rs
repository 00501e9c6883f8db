//! The C side: a table of functions that pass on what they are told, unless it is to fail.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};
use super::{Change, Effect, Operation, Shared};

/// A file of ours. The default VFS's own file follows it in the same block, which SQLite allocates.
#[repr(C)]
struct File {
    base: sqlite3_file,
    shared: &'static Shared,
    /// Owned; none for a temporary file without a name, which no power loss can matter to.
    path: *mut PathBuf,
    /// The default VFS syncs the directory with the first sync of a journal that it may have created.
    names_unsynced: bool,
}

/// Keeps the file behind ours aligned as `malloc` would.
const OURS: usize = size_of::<File>().next_multiple_of(16);

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // Version 2 has shared memory, which a write-ahead log needs, and no memory-mapped reads.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The structure to register. What has to do with neither files nor names is the default VFS's.
pub(super) fn vfs(shared: &'static Shared, name: &'static CString) -> sqlite3_vfs {
    // SAFETY: the default VFS lives for ever, and the structure is plain data.
    let real = unsafe { *shared.real };
    sqlite3_vfs {
        szOsFile: c_int::try_from(OURS).expect("small") + real.szOsFile,
        pNext: std::ptr::null_mut(),
        zName: name.as_ptr(),
        pAppData: std::ptr::from_ref(shared).cast_mut().cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        ..real
    }
}

/// # Safety
/// `vfs` must be a structure made by [`vfs`].
unsafe fn shared_of(vfs: *mut sqlite3_vfs) -> &'static Shared {
    // SAFETY: `pAppData` is the `&'static Shared` that was put there.
    unsafe { &*(*vfs).pAppData.cast::<Shared>() }
}

/// # Safety
/// `name` must be null or a C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    // SAFETY: as the caller promises.
    (!name.is_null()).then(|| Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes())).to_owned())
}

/// The file of the default VFS behind ours.
///
/// # Safety
/// `file` must be one that [`open`] filled in.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: SQLite allocated `szOsFile` bytes, which is ours and the real one.
    unsafe { file.cast::<u8>().add(OURS).cast() }
}

/// Calls a method of the file behind ours.
macro_rules! pass {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {{
        // SAFETY: SQLite calls methods only on open files, and with arguments that are good for the default VFS.
        unsafe {
            let real = real($file);
            match (*(*real).pMethods).$method {
                Some(method) => method(real, $($argument),*),
                None => ffi::SQLITE_IOERR,
            }
        }
    }};
}

/// # Safety
/// `file` must be one that [`open`] filled in.
unsafe fn ours(file: *mut sqlite3_file) -> (&'static Shared, Option<&'static PathBuf>) {
    // SAFETY: `open` filled it in; the path lives until `close`, which is the last call.
    unsafe {
        let file = file.cast::<File>();
        ((*file).shared, (*file).path.as_ref())
    }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over our structure, a name or null, and a block of `szOsFile` bytes.
    unsafe {
        // Null methods tell SQLite not to close what was not opened.
        (*file).pMethods = std::ptr::null();
        let shared = shared_of(vfs);
        let path = path_of(name);
        let mut state = shared.state();
        let struck = path.as_ref().and_then(|path| state.strike(Operation::Open, path));
        if let Some((Effect::Lost | Effect::Torn, code)) = struck {
            return code;
        }
        let created = path.as_ref().is_some_and(|path| !path.exists()) && flags & ffi::SQLITE_OPEN_CREATE != 0;
        let opened = match (*shared.real).xOpen {
            Some(open) => open(shared.real, name, real(file), flags, out_flags),
            None => ffi::SQLITE_CANTOPEN,
        };
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        if let Some(path) = path.as_ref().filter(|_| created) {
            state.log(path, Change::Create);
        }
        if let Some((_, code)) = struck {
            let _closed = (*(*real(file)).pMethods).xClose.map(|close| close(real(file)));
            return code;
        }
        let path = path.map_or(std::ptr::null_mut(), |path| Box::into_raw(Box::new(path)));
        let journal = ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        let names_unsynced = flags & ffi::SQLITE_OPEN_CREATE != 0 && flags & journal != 0;
        let base = sqlite3_file { pMethods: &raw const METHODS };
        file.cast::<File>().write(File { base, shared, path, names_unsynced });
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite hands over our structure and a name.
    unsafe {
        let shared = shared_of(vfs);
        let path = path_of(name).unwrap_or_default();
        let mut state = shared.state();
        let struck = state.strike(Operation::Delete, &path);
        if let Some((Effect::Lost | Effect::Torn, code)) = struck {
            return code;
        }
        let done = match (*shared.real).xDelete {
            Some(delete) => delete(shared.real, name, sync_dir),
            None => ffi::SQLITE_IOERR_DELETE,
        };
        if done == ffi::SQLITE_OK {
            state.log(&path, Change::Delete);
            if sync_dir != 0 {
                state.log(&path, Change::SyncNames);
            }
        }
        struck.map_or(done, |(_, code)| code)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let code = pass!(file.xClose());
    // SAFETY: the file is ours, and this is the last call on it.
    unsafe {
        let path = (*file.cast::<File>()).path;
        if !path.is_null() {
            drop(Box::from_raw(path));
        }
    }
    code
}

unsafe extern "C" fn read(file: *mut sqlite3_file, to: *mut c_void, amount: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: the file is ours.
    let (shared, path) = unsafe { ours(file) };
    // Reading does not hold the mutex: readers run beside each other as they would.
    let struck = path.and_then(|path| shared.state().strike(Operation::Read, path));
    match struck {
        Some((_, code)) => code,
        None => pass!(file.xRead(to, amount, offset)),
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: the file is ours.
    let (shared, path) = unsafe { ours(file) };
    let Some(path) = path else { return pass!(file.xWrite(from, amount, offset)) };
    let mut state = shared.state();
    let struck = state.strike(Operation::Write, path);
    let amount = match struck {
        Some((Effect::Lost, code)) => return code,
        Some((Effect::Torn, _)) => amount / 2,
        Some((Effect::Applied, _)) | None => amount,
    };
    let done = pass!(file.xWrite(from, amount, offset));
    if done == ffi::SQLITE_OK {
        let length = usize::try_from(amount).unwrap_or(0);
        // SAFETY: SQLite hands over at least that many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) }.to_vec();
        state.log(path, Change::Write { offset: u64::try_from(offset).unwrap_or(0), bytes });
    }
    struck.map_or(done, |(_, code)| code)
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: the file is ours.
    let (shared, path) = unsafe { ours(file) };
    let Some(path) = path else { return pass!(file.xTruncate(size)) };
    let mut state = shared.state();
    let struck = state.strike(Operation::Truncate, path);
    if let Some((Effect::Lost | Effect::Torn, code)) = struck {
        return code;
    }
    let done = pass!(file.xTruncate(size));
    if done == ffi::SQLITE_OK {
        state.log(path, Change::Truncate { size: u64::try_from(size).unwrap_or(0) });
    }
    struck.map_or(done, |(_, code)| code)
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is ours.
    let (shared, path) = unsafe { ours(file) };
    let Some(path) = path else { return ffi::SQLITE_OK };
    let mut state = shared.state();
    let struck = state.strike(Operation::Sync, path);
    if let Some((Effect::Lost | Effect::Torn, code)) = struck {
        return code;
    }
    state.log(path, Change::Sync);
    // SAFETY: the file is ours, and SQLite uses a file from one thread at a time.
    let names_unsynced = unsafe { std::mem::take(&mut (*file.cast::<File>()).names_unsynced) };
    if names_unsynced {
        state.log(path, Change::SyncNames);
    }
    struck.map_or(ffi::SQLITE_OK, |(_, code)| code)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut sqlite3_int64) -> c_int {
    pass!(file.xFileSize(size))
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file.xLock(level))
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file.xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file.xCheckReservedLock(out))
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    pass!(file.xFileControl(operation, argument))
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass!(file.xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass!(file.xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is ours.
    let (shared, path) = unsafe { ours(file) };
    let struck = path.and_then(|path| shared.state().strike(Operation::Map, path));
    match struck {
        Some((_, code)) => code,
        None => pass!(file.xShmMap(region, size, extend, out)),
    }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    pass!(file.xShmLock(offset, n, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as for `pass`, which is for methods that return a code.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    pass!(file.xShmUnmap(delete))
}
