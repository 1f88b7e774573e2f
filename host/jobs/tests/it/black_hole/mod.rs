//! A proxy in front of PostgreSQL that can lose connections without closing them, as when a host
//! loses power or a firewall drops its state: no bytes arrive and no error is reported.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Forwards connections to a server's socket until they are to be lost.
#[derive(Debug)]
pub(crate) struct BlackHole {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    socket: PathBuf,
    lost: watch::Sender<()>,
    /// The next connection that sends these bytes is lost.
    lost_for: Mutex<Option<&'static str>>,
}

impl BlackHole {
    /// A proxy for the PostgreSQL whose socket is in this folder.
    pub(crate) async fn before(folder: &Path) -> Self {
        let state = State {
            socket: folder.join(".s.PGSQL.5432"),
            lost: watch::Sender::new(()),
            lost_for: Mutex::default(),
        };
        let state = Arc::new(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(carry(client, state.clone()));
                }
            }
        });
        BlackHole { port, state }
    }

    /// The URL of a database through the proxy.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgres://sitewright@127.0.0.1:{}/{name}", self.port)
    }

    /// Loses all open connections. New ones are forwarded.
    pub(crate) fn lose_all(&self) {
        self.state.lost.send_replace(());
    }

    /// Loses the next connection that sends these bytes, before they arrive.
    pub(crate) fn lose_for(&self, words: &'static str) {
        *self.state.lost_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    /// Whether those bytes were sent since then.
    pub(crate) fn has_lost(&self) -> bool {
        self.state.lost_for.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

async fn carry(mut client: TcpStream, state: Arc<State>) {
    let mut lost = state.lost.subscribe();
    let Ok(mut server) = UnixStream::connect(&state.socket).await else { return };
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            _ = lost.changed() => break,
            read = client.read(&mut from_client) => match read {
                Ok(read @ 1..) => {
                    let sent = &from_client[..read];
                    let lose = {
                        let mut lost_for = state.lost_for.lock().unwrap_or_else(PoisonError::into_inner);
                        lost_for.take_if(|words| sent.windows(words.len()).any(|sent| sent == words.as_bytes())).is_some()
                    };
                    if lose {
                        break;
                    }
                    if server.write_all(sent).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(read @ 1..) => {
                    if client.write_all(&from_server[..read]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
    // Both ends stay open and receive nothing any more.
    std::future::pending::<()>().await;
}
