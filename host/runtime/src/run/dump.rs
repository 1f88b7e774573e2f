//! Takes the core dump of a guest that was stopped, and reads where its code was.

use std::panic::AssertUnwindSafe;

use wasmtime::{Store, WasmCoreDump};

use super::end::{CoreDump, StoppedAt};
use crate::host_functions::GuestState;
use sitewright_failure::{noted_place, python_stack};

/// Whether the engine has kept the state of a stopped guest.
pub(super) fn is_kept(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<WasmCoreDump>().is_some()
}

/// Where the code of a stopped guest was. Blocking: it searches the guest's memory.
pub(super) fn stopped_at(store: &Store<GuestState>, error: &wasmtime::Error) -> StoppedAt {
    let dump = error.downcast_ref::<WasmCoreDump>();
    let memories = dump.map(WasmCoreDump::memories).unwrap_or_default();
    let mut stacks = memories.iter().map(|memory| python_stack(memory.data(store)));
    let stack = stacks.find(|stack| !stack.is_empty()).unwrap_or_default();
    let mut last_call = None;
    if stack.is_empty() {
        last_call = memories.iter().find_map(|memory| noted_place(memory.data(store)));
    }
    StoppedAt { stack, last_call }
}

/// The dump of a stopped guest. Blocking: it copies the guest's memory.
///
/// `max_bytes` bounds both the guest's memory, checked before, and the dump, checked afterwards.
pub(super) fn take(
    store: &mut Store<GuestState>,
    error: &wasmtime::Error,
    name: &str,
    max_bytes: u64,
) -> CoreDump {
    let Some(dump) = error.downcast_ref::<WasmCoreDump>() else {
        return CoreDump::Missing(
            "the engine took no dump: the guest was stopped outside its own code".to_owned(),
        );
    };
    let memory = store.data().memory.used();
    if memory > max_bytes {
        return CoreDump::Missing(format!(
            "the guest held {memory} bytes of memory; `coredump.max_bytes` allows dumps of \
             {max_bytes}"
        ));
    }
    // wasmtime panics on some components that are composed of others (wasmtime issue 13983).
    let bytes = std::panic::catch_unwind(AssertUnwindSafe(|| dump.serialize(&mut *store, name)));
    match bytes {
        Ok(bytes) if bytes.len() as u64 > max_bytes => CoreDump::Missing(format!(
            "the dump has {} bytes; `coredump.max_bytes` allows {max_bytes}",
            bytes.len()
        )),
        Ok(bytes) => CoreDump::Taken(bytes),
        Err(_) => CoreDump::Missing("the engine cannot dump a component of this make".to_owned()),
    }
}
