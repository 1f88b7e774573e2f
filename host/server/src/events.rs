//! `/v1/events` and `/v1/orders/{id}/events`: Server-Sent Events. One task reads the database for
//! all listeners, and only while there are any: when PostgreSQL says that something has changed, or
//! some times a second.

mod hub;
mod pace;
mod tail;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Serialize;
use serde_json::json;
use sitewright_jobs::{Error, OrderChange, OrderEvent};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::app::App;
use super::extract::Id;
use super::problem::{Problem, ProblemKind};
use super::streams::Listener;
use super::tenancy::Tenant;

pub(crate) use hub::{Hub, Update};

/// Events that are read at a time.
const PAGE: u32 = 500;
/// Orders of which a listener of a tenant remembers whose they are.
const MAX_KNOWN: usize = 10_000;
/// How long events of an order that has ended are waited for: workers store progress with a delay.
const LATE: Duration = Duration::from_millis(600);
/// Sent by an `EventSource` that connects again.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `GET /v1/orders/{id}/events`.
pub(crate) async fn of_order(
    State(app): State<App>,
    Id(id): Id,
    listener: Listener,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = last_event_id(&headers)?;
    // Before anything is read, so that nothing is missed in between.
    let updates = app.hub.order(&id);
    let state = app.database.order(&id).await?.state;
    if let Some(last) = last
        && state.has_ended()
        && app.database.events_page(&id, last, 1).await?.is_empty()
    {
        // Tells an `EventSource` that it need not connect again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follow = Follow {
        subject: Subject::Order(id),
        updates,
        pending: VecDeque::new(),
        last: last.unwrap_or(0),
        shown: None,
        phase: Phase::History,
        app: app.clone(),
    };
    stream(&app, follow, listener)
}

/// `GET /v1/events`.
pub(crate) async fn of_all(
    State(app): State<App>,
    tenant: Tenant,
    listener: Listener,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = last_event_id(&headers)?;
    let updates = app.hub.all();
    let (last, phase) = match last {
        Some(last) => (last, Phase::History),
        None => (app.database.last_event().await?, Phase::Live),
    };
    let follow = Follow {
        subject: match tenant.as_deref() {
            None => Subject::All,
            Some(tenant) => Subject::Tenant(Owned::of(tenant)),
        },
        updates,
        pending: VecDeque::new(),
        last,
        shown: None,
        phase,
        app: app.clone(),
    };
    stream(&app, follow, listener)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok());
    id.filter(|id| *id >= 0).map(Some).ok_or_else(|| {
        let detail = "the header `Last-Event-ID` is not the id of an event".to_owned();
        Problem::new(ProblemKind::BadRequest, detail)
    })
}

fn stream(app: &App, follow: Follow, listener: Listener) -> Result<Response, Problem> {
    let open = app.streams.open(listener.token.as_ref())?;
    let heartbeat = Duration::from_millis(app.settings.heartbeat_ms);
    let stop = app.stop.clone();
    let events = futures::stream::unfold(follow, Follow::next);
    let ended = {
        let app = app.clone();
        async move {
            let _open = open;
            let Listener { token, session } = listener;
            let revoked = app.revocations.ended(token.as_ref());
            let logged_out = app.sessions.ended(session.as_deref(), heartbeat);
            // An open stream would block the graceful shutdown.
            tokio::select! {
                () = stop.cancelled() => {}
                () = revoked => {}
                () = logged_out => {}
            }
        }
    };
    let events = futures::StreamExt::take_until(events, Box::pin(ended));
    let mut response = sse(events, heartbeat).into_response();
    // nginx collects answers otherwise.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(unbuffered, axum::http::HeaderValue::from_static("no"));
    let no_store = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}

fn sse<S>(events: S, heartbeat: Duration) -> Sse<impl Stream<Item = Result<Event, Infallible>>>
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    Sse::new(events).keep_alive(KeepAlive::new().interval(heartbeat).text("heartbeat"))
}

/// What a listener follows.
enum Subject {
    Order(String),
    All,
    /// The orders of one tenant.
    Tenant(Owned),
}

/// Which orders are those of a tenant. Asked once for each.
struct Owned {
    tenant: String,
    known: HashMap<String, bool>,
}

impl Owned {
    fn of(tenant: &str) -> Self {
        Owned { tenant: tenant.to_owned(), known: HashMap::new() }
    }

    /// Looks these up.
    async fn learn(&mut self, app: &App, orders: Vec<String>) -> Result<(), Error> {
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        let new: Vec<String> =
            orders.into_iter().filter(|order| !self.known.contains_key(order)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let own = app.database.orders_of_tenant(&new, &self.tenant).await?;
        self.known.extend(new.into_iter().map(|order| {
            let is_own = own.contains(&order);
            (order, is_own)
        }));
        Ok(())
    }

    fn has(&self, order: &str) -> bool {
        self.known.get(order).copied().unwrap_or_default()
    }
}

enum Phase {
    /// Events of before are read from the database.
    History,
    /// Updates come from the hub.
    Live,
    /// The order has ended; its last events may be stored in a moment.
    Late,
    /// Everything was sent.
    Done,
}

/// One listener.
struct Follow {
    app: App,
    subject: Subject,
    updates: broadcast::Receiver<Update>,
    /// Events that were not sent yet.
    pending: VecDeque<Event>,
    /// The id of the last progress event that was sent.
    last: i64,
    /// The state of the order that was sent last.
    shown: Option<OrderChange>,
    phase: Phase,
}

impl Follow {
    /// The next event, and the listener after it. `None` ends the stream.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some((Ok(event), self));
            }
            let stepped = match self.phase {
                Phase::History => self.read_history().await,
                Phase::Live => self.wait().await,
                Phase::Late => self.read_late().await,
                Phase::Done => return None,
            };
            if let Err(error) = stepped {
                tracing::warn!(%error, "a stream of events ends");
                let problem = Problem::from(error).body();
                self.pending.push_back(named("error", &problem));
                self.phase = Phase::Done;
            }
        }
    }

    /// Reads a page of events of before, and the state after the last page.
    async fn read_history(&mut self) -> Result<(), Error> {
        if self.read_page().await? == PAGE {
            return Ok(());
        }
        self.phase = Phase::Live;
        if let Subject::Order(id) = &self.subject {
            let states = self.app.database.states(std::slice::from_ref(id)).await?;
            match states.into_iter().next() {
                Some(change) => self.change(change),
                None => self.gone(),
            }
        }
        Ok(())
    }

    async fn read_page(&mut self) -> Result<u32, Error> {
        let events = match &self.subject {
            Subject::Order(id) => self.app.database.events_page(id, self.last, PAGE).await?,
            Subject::All | Subject::Tenant(_) => {
                self.app.database.all_events(self.last, PAGE).await?
            }
        };
        let count = u32::try_from(events.len()).unwrap_or(PAGE);
        if let Subject::Tenant(owned) = &mut self.subject {
            owned
                .learn(&self.app, events.iter().map(|event| event.order.clone()).collect())
                .await?;
        }
        events.into_iter().for_each(|event| self.progress(&event));
        Ok(count)
    }

    async fn wait(&mut self) -> Result<(), Error> {
        let update = self.updates.recv().await;
        if let (Subject::Tenant(owned), Ok(update)) = (&mut self.subject, &update) {
            let order = match update {
                Update::Progress(event) => Some(event.order.clone()),
                Update::State(change) => Some(change.order.clone()),
                Update::Gone => None,
            };
            owned.learn(&self.app, order.into_iter().collect()).await?;
        }
        match update {
            // One that was read from the database already.
            Ok(Update::Progress(event)) if event.event.id <= self.last => {}
            Ok(Update::Progress(event)) => self.progress(&event),
            Ok(Update::State(change)) => self.change((*change).clone()),
            Ok(Update::Gone) => self.gone(),
            // This listener is slow: the database has what it missed.
            Err(RecvError::Lagged(_)) => self.phase = Phase::History,
            Err(RecvError::Closed) => self.phase = Phase::Done,
        }
        Ok(())
    }

    async fn read_late(&mut self) -> Result<(), Error> {
        tokio::time::sleep(LATE).await;
        while self.read_page().await? == PAGE {}
        let shown = self.shown.clone();
        self.pending.push_back(named("end", &shown));
        self.phase = Phase::Done;
        Ok(())
    }

    fn progress(&mut self, event: &OrderEvent) {
        self.last = self.last.max(event.event.id);
        if let Subject::Tenant(owned) = &self.subject
            && !owned.has(&event.order)
        {
            return;
        }
        let sent = named("progress", event).id(event.event.id.to_string());
        self.pending.push_back(sent);
    }

    fn change(&mut self, change: OrderChange) {
        match &self.subject {
            Subject::Tenant(owned) if !owned.has(&change.order) => {}
            Subject::All | Subject::Tenant(_) => self.pending.push_back(named("state", &change)),
            Subject::Order(_) => {
                let known = self.shown.as_ref();
                if known.is_none_or(|known| !hub::is_alike(known, &change)) {
                    self.pending.push_back(named("state", &change));
                }
                if change.state.has_ended() {
                    self.phase = Phase::Late;
                }
                self.shown = Some(change);
            }
        }
    }

    fn gone(&mut self) {
        if let Subject::Order(id) = &self.subject {
            self.pending.push_back(named("erased", &json!({ "order": id })));
            self.phase = Phase::Done;
        }
    }
}

/// An event with a JSON body, which has no line break.
fn named(name: &str, body: &impl Serialize) -> Event {
    let body = serde_json::to_string(body).unwrap_or_else(|error| {
        tracing::error!(%error, "an event cannot be written as JSON");
        "null".to_owned()
    });
    Event::default().event(name).data(body)
}
