//! The arguments of host functions as the guest passes them: places in its memory. Each function
//! copies what it can use of them, and nothing before it has looked at the length.

use wasmtime::component::{ComponentType, Lift, WasmList, WasmStr};
use wasmtime::{AsContextMut as _, StoreContextMut};

use super::diagnostics::cut;
use super::state::GuestState;
use crate::plugin::bindings::{ai_types, diagnostics};
use crate::plugin::{HeldBytes, LimitHit};

/// The store of the guest that calls.
pub(super) type Store<'a> = StoreContextMut<'a, GuestState>;

/// The beginning of a text, and the length of all of it in bytes.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) bytes: usize,
}

/// Maximum bytes of all texts that a guest passes with one call: 4 MiB, twice the largest request.
/// More is no text for people or models, and reading it takes up to 2 ms a megabyte if it is not
/// ASCII, in which nothing else runs on the thread.
pub(crate) const MAX_TEXT_BYTES: usize = 4 << 20;

/// Reads the texts of one call. A report has a hundred of them, so their sum is what counts.
#[derive(Default)]
pub(super) struct CallTexts {
    bytes: usize,
}

impl CallTexts {
    /// At most `max` bytes of a text, cut between characters.
    ///
    /// # Errors
    /// If it is not valid in the guest's encoding, or if the texts so far have more than
    /// [`MAX_TEXT_BYTES`]: the guest is stopped.
    pub(super) fn read(
        &mut self,
        store: &Store<'_>,
        raw: &WasmStr,
        max: usize,
    ) -> wasmtime::Result<Text> {
        let whole = raw.to_str(store)?;
        self.bytes = self.bytes.saturating_add(whole.len());
        if self.bytes > MAX_TEXT_BYTES {
            let (max, wanted) = (MAX_TEXT_BYTES as u64, self.bytes as u64);
            return Err(wasmtime::Error::new(LimitHit::Text { max, wanted }));
        }
        Ok(Text { text: cut(&whole, max), bytes: whole.len() })
    }
}

/// [`CallTexts::read`] for a call with one text.
///
/// # Errors
/// As there.
pub(super) fn text(store: &Store<'_>, raw: &WasmStr, max: usize) -> wasmtime::Result<Text> {
    CallTexts::default().read(store, raw, max)
}

/// The first `max` items of a list.
fn items<T: Lift + 'static>(
    store: &mut Store<'_>,
    raw: &WasmList<T>,
    max: usize,
) -> wasmtime::Result<Vec<T>> {
    raw.iter(store.as_context_mut())?.take(max).collect()
}

/// `types.source-location`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Location {
    pub(super) file: WasmStr,
    pub(super) line: u32,
    pub(super) column: Option<u32>,
}

/// `types.attribute`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Attribute {
    pub(super) name: WasmStr,
    pub(super) value: WasmStr,
}

/// `diagnostics.diagnostic`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Diagnostic {
    pub(super) severity: diagnostics::Severity,
    pub(super) code: WasmStr,
    pub(super) message: WasmStr,
    causes: WasmList<WasmStr>,
    pub(super) location: Option<Location>,
    attributes: WasmList<Attribute>,
}

impl Diagnostic {
    /// The first `max` causes.
    pub(super) fn causes(
        &self,
        store: &mut Store<'_>,
        max: usize,
    ) -> wasmtime::Result<Vec<WasmStr>> {
        items(store, &self.causes, max)
    }

    /// The first `max` attributes.
    pub(super) fn attributes(
        &self,
        store: &mut Store<'_>,
        max: usize,
    ) -> wasmtime::Result<Vec<Attribute>> {
        items(store, &self.attributes, max)
    }
}

/// `diagnostics.panic`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Panic {
    pub(super) message: WasmStr,
    pub(super) location: Option<Location>,
    /// The host symbolizes its own.
    #[component(name = "backtrace")]
    _backtrace: Option<WasmStr>,
}

/// `ai-types.data`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Data {
    name: WasmStr,
    text: WasmStr,
}

/// `ai-types.part`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Part {
    #[component(name = "text")]
    Text(WasmStr),
    #[component(name = "data")]
    Data(Data),
    #[component(name = "other")]
    Other(WasmStr),
}

/// `ai-types.message`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Message {
    role: ai_types::Role,
    content: WasmList<Part>,
}

/// `ai-types.message` of version 0.1.0.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Message01 {
    role: ai_types::Role,
    content: WasmStr,
}

/// A message of one of the versions.
pub(super) trait GuestMessage: Lift + Send + Sync + 'static {
    /// Copies it.
    fn copied(
        self,
        parts: &mut Parts,
        store: &mut Store<'_>,
    ) -> wasmtime::Result<ai_types::Message>;
}

impl GuestMessage for Message {
    fn copied(
        self,
        parts: &mut Parts,
        store: &mut Store<'_>,
    ) -> wasmtime::Result<ai_types::Message> {
        let content = parts.list(store, &self.content, |parts, store, part| {
            Ok(match part {
                Part::Text(text) => ai_types::Part::Text(parts.take(store, &text)?),
                Part::Data(Data { name, text }) => {
                    parts.bytes = parts.bytes.saturating_add(DELIMITER_BYTES);
                    let (name, text) = (parts.take(store, &name)?, parts.take(store, &text)?);
                    ai_types::Part::Data(ai_types::Data { name, text })
                }
                Part::Other(name) => ai_types::Part::Other(parts.take(store, &name)?),
            })
        })?;
        Ok(ai_types::Message { role: self.role, content })
    }
}

impl GuestMessage for Message01 {
    fn copied(
        self,
        parts: &mut Parts,
        store: &mut Store<'_>,
    ) -> wasmtime::Result<ai_types::Message> {
        let text = ai_types::Part::Text(parts.take(store, &self.content)?);
        Ok(ai_types::Message { role: self.role, content: vec![text] })
    }
}

/// `ai-types.format`.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Format {
    #[component(name = "text")]
    Text,
    #[component(name = "json")]
    Json,
    #[component(name = "json-schema")]
    JsonSchema(WasmStr),
    #[component(name = "other")]
    Other(WasmStr),
}

/// `ai-types.request`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Request<M> {
    purpose: WasmStr,
    messages: WasmList<M>,
    format: Format,
    #[component(name = "max-output-tokens")]
    max_output_tokens: Option<u32>,
    temperature: Option<f32>,
    seed: Option<u64>,
    stop: WasmList<WasmStr>,
}

/// A copied request.
pub(super) struct Asked {
    /// The request; its beginning if it has more than [`MAX_REQUEST_BYTES`].
    pub(super) request: Box<ai_types::Request>,
    /// Its size.
    pub(super) bytes: usize,
    /// The number of its messages.
    pub(super) messages: usize,
    /// The memory of its copies, charged to the guest.
    pub(super) held: HeldBytes,
}

/// Copies of a request that exist at the same time while it is in flight: this one, the gateway's,
/// and the body for the provider, whose JSON may double a text.
const REQUEST_COPIES: usize = 4;

/// Maximum bytes of one request: twice the largest order document.
pub(super) const MAX_REQUEST_BYTES: usize = 2 << 20;

/// Bytes that each message, each part and each stop text counts beside its own, so that a million
/// empty ones are not free.
pub(super) const PART_BYTES: usize = 16;

/// Bytes that a part with data counts beside that: those of its delimiters, which the host adds.
const DELIMITER_BYTES: usize = 80;

/// Copies the parts of one request, up to its maximum size.
pub(super) struct Parts {
    bytes: usize,
    texts: CallTexts,
}

impl Parts {
    fn take(&mut self, store: &Store<'_>, raw: &WasmStr) -> wasmtime::Result<String> {
        let left = MAX_REQUEST_BYTES.saturating_sub(self.bytes);
        let Text { text, bytes } = self.texts.read(store, raw, left)?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(text)
    }

    /// Copies a list. When the request is too large, the rest is counted and not looked at.
    fn list<T: Lift + 'static, C>(
        &mut self,
        store: &mut Store<'_>,
        raw: &WasmList<T>,
        mut copy: impl FnMut(&mut Self, &mut Store<'_>, T) -> wasmtime::Result<C>,
    ) -> wasmtime::Result<Vec<C>> {
        self.bytes = self.bytes.saturating_add(raw.len().saturating_mul(PART_BYTES));
        let mut copied = Vec::new();
        for at in 0..raw.len() {
            if self.bytes > MAX_REQUEST_BYTES {
                break;
            }
            let Some(item) = raw.get(store.as_context_mut(), at) else { break };
            copied.push(copy(self, store, item?)?);
        }
        Ok(copied)
    }
}

impl<M: GuestMessage> Request<M> {
    /// Copies it.
    ///
    /// # Errors
    /// If a text is not valid, if the texts have more than [`MAX_TEXT_BYTES`], or if the requests
    /// in flight do not fit into the guest's memory: the guest is stopped.
    #[inline(never)]
    pub(super) fn copied(&self, store: &mut Store<'_>) -> wasmtime::Result<Asked> {
        let mut parts = Parts { bytes: 0, texts: CallTexts::default() };
        let purpose = parts.take(store, &self.purpose)?;
        let format = match &self.format {
            Format::Text => ai_types::Format::Text,
            Format::Json => ai_types::Format::Json,
            Format::JsonSchema(schema) => ai_types::Format::JsonSchema(parts.take(store, schema)?),
            Format::Other(name) => ai_types::Format::Other(parts.take(store, name)?),
        };
        let messages = parts
            .list(store, &self.messages, |parts, store, message| message.copied(parts, store))?;
        let stop = parts.list(store, &self.stop, |parts, store, stop| parts.take(store, &stop))?;
        let request = ai_types::Request {
            purpose,
            messages,
            format,
            max_output_tokens: self.max_output_tokens,
            temperature: self.temperature,
            seed: self.seed,
            stop,
        };
        let Parts { bytes, texts: _ } = parts;
        // One that is too large is refused at once, and not in flight.
        let copies = if bytes > MAX_REQUEST_BYTES { 0 } else { REQUEST_COPIES };
        let held = bytes.saturating_mul(copies);
        let held = store.data().memory.hold(held as u64).map_err(wasmtime::Error::new)?;
        Ok(Asked { request: Box::new(request), bytes, messages: self.messages.len(), held })
    }
}
