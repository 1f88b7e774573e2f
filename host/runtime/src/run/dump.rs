//! The dump of a guest that was stopped.

use std::panic::AssertUnwindSafe;

use wasmtime::{Store, WasmCoreDump};

use crate::host_functions::GuestState;

/// The dump of a stopped guest, or why there is none. Blocking: it copies the guest's memory.
///
/// The guest's memory is looked at before, the dump's size afterwards: `max_bytes` bounds both.
pub(super) fn take(
    store: &mut Store<GuestState>,
    error: &wasmtime::Error,
    name: &str,
    max_bytes: u64,
) -> Result<Vec<u8>, String> {
    let Some(dump) = error.downcast_ref::<WasmCoreDump>() else {
        return Err(
            "the engine took no dump: the guest was stopped outside its own code".to_owned()
        );
    };
    let memory = store.data().memory.used();
    if memory > max_bytes {
        return Err(format!(
            "the guest held {memory} bytes of memory; `coredump.max_bytes` allows dumps of \
             {max_bytes}"
        ));
    }
    // The engine's own code panics on some components that are composed of others (wasmtime issue
    // 13983).
    let bytes = std::panic::catch_unwind(AssertUnwindSafe(|| dump.serialize(&mut *store, name)));
    match bytes {
        Ok(bytes) if bytes.len() as u64 > max_bytes => Err(format!(
            "the dump has {} bytes; `coredump.max_bytes` allows {max_bytes}",
            bytes.len()
        )),
        Ok(bytes) => Ok(bytes),
        Err(_) => Err("the engine cannot dump a component of this make".to_owned()),
    }
}
