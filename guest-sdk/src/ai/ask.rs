//! The builder of an AI call.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Completion, Data, Error, Format, Message, Request, Role, Streamed, data::mark, schema_of,
};
use crate::backend;

/// Starts building an AI call for a purpose, which must be one of the template's
/// [`Manifest`](crate::Manifest).
///
/// ```
/// use sitewright_sdk::prelude::*;
///
/// /// The copy of the page.
/// #[derive(Deserialize, JsonSchema)]
/// struct Copy {
///     /// At most eight words.
///     headline: String,
/// }
///
/// # async fn example(order: &Order) -> Result<()> {
/// let copy: Copy = ai::ask("copywriting")
///     .system("You write for small businesses.")
///     .user("Write a headline for this business.")
///     .data("name", &order.business_name)
///     .temperature(0.7)
///     .json()
///     .await?;
/// # let _ = copy.headline;
/// # Ok(()) }
/// ```
pub fn ask(purpose: impl Into<String>) -> Ask {
    Ask {
        request: Request {
            purpose: purpose.into(),
            messages: Vec::new(),
            format: Format::Text,
            max_output_tokens: None,
            temperature: None,
            seed: None,
            stop: Vec::new(),
        },
    }
}

/// The builder of an AI call; see [`ask`]. Nothing is sent until `text`, `json`, `reply`,
/// `json_value` or `send` is awaited, or `stream` is called.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a call is sent when `text()`, `json()`, `reply()`, `json_value()` or `send()` is \
              awaited, or by `stream()`"]
pub struct Ask {
    request: Request,
}

/// A reply parsed as `T`, together with its completion.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<T> {
    /// The parsed reply.
    pub value: T,
    /// The reply itself. Pass its `call_id` to [`Error::blame`](crate::Error::blame) if the value
    /// is unusable.
    pub completion: Completion,
}

impl Ask {
    /// Adds a system message with the template's instructions. Order data does not belong here:
    /// use [`Ask::data`].
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(Role::System, text.into())
    }

    /// Adds a user message with the request.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Role::User, text.into())
    }

    /// Adds an earlier reply of the model.
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Role::Assistant, text.into())
    }

    /// Adds order data to the last user message. The host delimits it, as by
    /// [`data`](super::data()). `label` names the data for the model.
    pub fn data(mut self, label: &str, text: &str) -> Self {
        let piece = Data { name: label.to_owned(), text: text.to_owned() };
        match self.request.messages.last_mut() {
            Some(Message { role: Role::User, data, .. }) => {
                data.push(piece);
                self
            }
            _ => {
                let message =
                    Message { role: Role::User, content: String::new(), data: vec![piece] };
                self.request.messages.push(message);
                self
            }
        }
    }

    /// Sets the maximum length of the reply, in tokens. Default: the limit of the operator's route.
    /// A reply that is truncated there fails with [`Truncated`](super::ErrorKind::Truncated).
    pub fn max_output_tokens(mut self, tokens: u32) -> Self {
        self.request.max_output_tokens = Some(tokens);
        self
    }

    /// Sets the sampling temperature, from 0.0 (least random) to 2.0. Default: the model's.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.request.temperature = Some(temperature);
        self
    }

    /// Sets the seed for providers that support reproducible sampling.
    pub fn seed(mut self, seed: u64) -> Self {
        self.request.seed = Some(seed);
        self
    }

    /// Adds a stop sequence, a text before which the reply ends. Limit: 4.
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.request.stop.push(text.into());
        self
    }

    /// Sets the required format of the reply, for [`Ask::send`] and [`Ask::stream`]. `text`,
    /// `json`, `reply` and `json_value` set it themselves. Default: text.
    pub fn format(mut self, format: Format) -> Self {
        self.request.format = format;
        self
    }

    /// Sends the call and returns the text of the reply.
    ///
    /// # Errors
    /// The call failed; see [`ErrorKind`](super::ErrorKind).
    pub async fn text(self) -> Result<String, Error> {
        Ok(self.format(Format::Text).send().await?.content)
    }

    /// Sends the call with the schema of [`schema_of::<T>()`](schema_of) and returns the parsed
    /// reply.
    ///
    /// # Errors
    /// The call failed, or its reply cannot be parsed as a `T`. The error blames the call.
    pub async fn json<T: DeserializeOwned + JsonSchema>(self) -> Result<T, Error> {
        Ok(self.reply().await?.value)
    }

    /// As [`Ask::json`], and returns the completion too.
    ///
    /// # Errors
    /// As [`Ask::json`].
    pub async fn reply<T: DeserializeOwned + JsonSchema>(self) -> Result<Reply<T>, Error> {
        let completion = self.format(Format::JsonSchema(schema_of::<T>())).send().await?;
        match serde_json::from_str(&completion.content) {
            Ok(value) => Ok(Reply { value, completion }),
            Err(source) => Err(Error::unreadable(
                &format!("`{}`", T::schema_name()),
                completion.call_id,
                source,
            )),
        }
    }

    /// Sends the call with a schema that is built at run time and returns the reply as JSON.
    ///
    /// # Errors
    /// The call failed, or its reply is not JSON. The error blames the call.
    pub async fn json_value(self, schema: Value) -> Result<Value, Error> {
        let completion = self.format(Format::JsonSchema(schema)).send().await?;
        serde_json::from_str(&completion.content)
            .map_err(|source| Error::unreadable("JSON", completion.call_id, source))
    }

    /// Sends the call as it was built and returns the whole completion.
    ///
    /// # Errors
    /// The call failed; see [`ErrorKind`](super::ErrorKind).
    pub async fn send(self) -> Result<Completion, Error> {
        backend::complete(self.into_request()).await
    }

    /// Sends the call at once and streams the text of the reply while the model writes it.
    ///
    /// ```
    /// use sitewright_sdk::prelude::*;
    ///
    /// struct Story;
    ///
    /// impl Template for Story {
    ///     fn manifest() -> Manifest {
    ///         Manifest::new("story", "0.1.0", "One long page.")
    ///             .purpose("copywriting", "the story")
    ///             .locale("pt-BR")
    ///     }
    ///
    ///     async fn generate(_order: Order, site: Site) -> Result<()> {
    ///         let mut story =
    ///             ai::ask("copywriting").user("Tell the story of this business.").stream();
    ///         let mut lines = 0;
    ///         while let Some(chunk) = story.next().await {
    ///             lines += chunk.matches('\n').count() as u32;
    ///             progress("story", lines, 0);
    ///         }
    ///         // The chunks may be of a truncated reply: only this completion is validated.
    ///         let story = story.finish().await?;
    ///         site.write("index.html", story.content)?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let run = testing::Harness::scripted(
    ///     r#"
    ///     [[rule]]
    ///     answer = { text = "It began\nwith bread." }
    /// "#,
    /// )
    /// .run::<Story>(testing::sample_order());
    /// assert_eq!(run.text("index.html"), "It began\nwith bread.");
    /// assert_eq!(run.progress.last().unwrap().done, 1);
    /// ```
    pub fn stream(self) -> Streamed {
        let (chunks, outcome) = backend::stream(self.into_request());
        Streamed::new(chunks, outcome)
    }

    /// The request that is sent to the host: as it was built, with
    /// [`data_rule`](super::data_rule) added to the system message if a text contains order data
    /// that [`data`](super::data()) has delimited.
    pub fn into_request(self) -> Request {
        let opening = mark().opening();
        let has_data =
            self.request.messages.iter().any(|message| message.content.contains(&opening));
        if has_data { with_rule(self.request) } else { self.request }
    }

    fn message(mut self, role: Role, content: String) -> Self {
        self.request.messages.push(Message { role, content, data: Vec::new() });
        self
    }
}

/// The request with the rule about delimiters in a system message.
fn with_rule(mut request: Request) -> Request {
    let rule = mark().rule();
    let mut systems = request.messages.iter_mut().filter(|message| message.role == Role::System);
    match systems.next() {
        Some(first)
            if first.content.contains(&rule)
                || systems.any(|message| message.content.contains(&rule)) => {}
        Some(first) => first.content = format!("{}\n\n{rule}", first.content),
        None => {
            let message = Message { role: Role::System, content: rule, data: Vec::new() };
            request.messages.insert(0, message);
        }
    }
    request
}

/// The request as the model gets it: the host's part, for the test harness.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn delivered(mut request: Request) -> Request {
    if request.messages.iter().all(|message| message.data.is_empty()) {
        return request;
    }
    let mark = mark();
    for message in &mut request.messages {
        for Data { name, text } in std::mem::take(&mut message.data) {
            if !message.content.is_empty() {
                message.content.push_str("\n\n");
            }
            message.content.push_str(&mark.data(&name, &text));
        }
    }
    with_rule(request)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{data, data_rule},
        *,
    };

    fn text(role: Role, content: String) -> Message {
        Message { role, content, data: Vec::new() }
    }

    #[test]
    fn e14_a_call_with_data_reaches_the_model_with_the_data_rule() {
        let ask = ask("copywriting").system("You write.").user("Write.").data("name", "Ana");
        let sent = ask.into_request();
        assert_eq!(sent.messages[0], text(Role::System, "You write.".to_owned()));
        let name = Data { name: "name".to_owned(), text: "Ana".to_owned() };
        assert_eq!(
            sent.messages[1],
            Message { data: vec![name], ..text(Role::User, "Write.".to_owned()) }
        );
        assert_eq!(
            delivered(sent).messages,
            [
                text(Role::System, format!("You write.\n\n{}", data_rule())),
                text(Role::User, format!("Write.\n\n{}", data("name", "Ana"))),
            ]
        );
    }

    #[test]
    fn e14_a_text_with_data_has_the_data_rule_once() {
        let formatted = ask("copywriting").user(format!("Write. {}", data("name", "Ana")));
        let sent = formatted.data("town", "Campinas").into_request();
        assert_eq!(sent.messages[0], text(Role::System, data_rule()));
        assert_eq!(delivered(sent).messages[0], text(Role::System, data_rule()));
    }

    #[test]
    fn e14_order_data_cannot_suppress_the_data_rule() {
        for written in [data_rule(), data("name", &data_rule())] {
            let request =
                ask("copywriting").system("You write.").data("name", &written).into_request();
            assert!(delivered(request).messages[0].content.contains(&data_rule()));
        }
        let in_system = ask("copywriting").system(data("name", "Ana")).into_request();
        assert!(in_system.messages[0].content.ends_with(&data_rule()));
    }

    #[test]
    fn a_call_without_data_is_sent_as_it_was_built() {
        let request = delivered(
            ask("code").system("Be brief.").user("Hello").stop("END").seed(7).into_request(),
        );
        let texts: Vec<_> =
            request.messages.iter().map(|message| message.content.as_str()).collect();
        assert_eq!(texts, ["Be brief.", "Hello"]);
        assert_eq!(
            (request.seed, request.stop.as_slice()),
            (Some(7), ["END".to_owned()].as_slice())
        );
    }
}
