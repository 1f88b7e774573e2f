//! Opening a database: URLs, errors of connections, poolers, rights, the lock for migrations, and
//! programs of different versions.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use sitewright_jobs::{DatabaseOptions, OpenCause};

use super::bouncer::{Bouncer, MISSING};
use super::*;

/// Opens, and the error that it ends with.
async fn refused(url: &str) -> Error {
    match Database::open(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error,
    }
}

/// The folder of the cluster that `url` names.
fn folder_of(url: &str) -> PathBuf {
    url.split_once("?host=").expect("it is a URL of the cluster").1.into()
}

fn name_of(url: &str) -> String {
    let before = url.split_once('?').expect("it is a URL of the cluster").0;
    before.rsplit('/').next().expect("it names a database").to_owned()
}

/// A socket that accepts connections and says nothing, as a stopped server or a full pooler.
fn silent_port() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    silent_port().1
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_nothing_of_a_url_that_cannot_be_used_is_shown() {
    let passwords = ["12?qxqx", "12#qxqx", "12/qxqx", "qxqx?", "qx@qx/qx", "%ffqxqx"];
    let urls = passwords.map(|password| format!("postgres://me:{password}@qxhost/db"));
    let others = ["postgres:me:qxqx@db/sites", "mysql://me:qxqx@db/sites", "qxqx"];
    for url in urls.iter().map(String::as_str).chain(others) {
        let error = refused(url).await;
        assert!(matches!(error, Error::Url { .. }), "{error:?}");
        let told = format!("{error} {error:?}");
        assert!(!told.contains("qx") && error.is_usage(), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d11_an_error_of_a_connection_has_its_cause_within_five_seconds() {
    logged();
    let (_silent, silent) = silent_port();
    let closed = closed_port();
    let hangs_up = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung_up = hangs_up.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = hangs_up.accept() {
            // What is not read would reset the connection instead of closing it.
            drop(connection.read(&mut [0; 64]));
            drop(connection);
        }
    });
    let speaks = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = speaks.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = speaks.accept() {
            drop(connection.read(&mut [0; 64]));
            drop(connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let mut cases = vec![
        (format!("postgres://me:qx@127.0.0.1:{closed}/db"), OpenCause::Refused),
        (format!("postgres://me:qx@127.0.0.1:{silent}/db"), OpenCause::NoLogin),
        (format!("postgres://me:qx@127.0.0.1:{hung_up}/db"), OpenCause::NotPostgres),
        (format!("postgres://me:qx@127.0.0.1:{other}/db"), OpenCause::NotPostgres),
        (format!("postgres://me:qx@[::1]:{closed}/db"), OpenCause::Refused),
        ("postgres://me:qx@nowhere.invalid/db".to_owned(), OpenCause::Unresolved),
        ("postgres://me:qx@/db?host=/nowhere/there".to_owned(), OpenCause::NoSocket),
    ];
    if let Some(place) = Place::postgres().await {
        place.sql("DROP ROLE IF EXISTS full_role").await;
        place.sql("CREATE ROLE full_role LOGIN CONNECTION LIMIT 0").await;
        let of = |user: &str, name: &str| {
            let folder = folder_of(&place.url);
            format!("postgres://{user}@localhost/{name}?host={}", folder.display())
        };
        let name = name_of(&place.url);
        cases.push((of("sitewright", "no_such_database"), OpenCause::NoDatabase));
        cases.push((of("no_such_role", &name), OpenCause::NotAllowed));
        cases.push((of("full_role", &name), OpenCause::TooManyClients));
    }
    let opening = cases.iter().map(|(url, expected)| async move {
        let begin = Instant::now();
        let error = refused(url).await;
        let took = begin.elapsed();
        let Error::Open { cause, .. } = &error else { panic!("{url}: {error:?}") };
        assert_eq!(cause, expected, "{url}: {error}");
        // Five seconds of trying, beside other tests. A pool would wait for 30 s.
        assert!(took < Duration::from_secs(20), "{url}: {took:?}");
        let told = error.to_string();
        assert!(told.contains(cause.hint()) && !told.contains("qx"), "{told}");
        assert!(!told.contains("pool timed out") && !error.is_usage(), "{told}");
    });
    futures::future::join_all(opening).await;
}

/// A server that is being restarted is there within a moment.
#[tokio::test(flavor = "multi_thread")]
async fn d11_a_server_that_is_being_restarted_is_waited_for() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let socket = folder_of(&place.url).join(".s.PGSQL.5432");
    let port = closed_port();
    let url = format!("postgres://sitewright@127.0.0.1:{port}/{}", name_of(&place.url));
    let opening = tokio::spawn(async move { Database::open(&url).await.map(drop) });
    tokio::time::sleep(Duration::from_millis(800)).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move {
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    in_time(async { opening.await.unwrap().unwrap() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d9_a_file_that_cannot_be_opened_may_be_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "in the way").unwrap();
    std::fs::write(path("other.db"), "this is no database, but a long enough text".repeat(40))
        .unwrap();
    std::fs::create_dir(path("folder.db")).unwrap();
    for (name, cause) in [
        ("file/orders.db", OpenCause::File),
        ("folder.db", OpenCause::File),
        ("other.db", OpenCause::NotADatabase),
    ] {
        let error = refused(&format!("sqlite://{}", path(name).display())).await;
        assert!(matches!(&error, Error::Open { cause: of, .. } if *of == cause), "{error:?}");
        assert!(error.to_string().contains(cause.hint()) && !error.is_usage(), "{error}");
    }
}

/// A role without the right to create tables, on tables that are there.
#[tokio::test(flavor = "multi_thread")]
async fn d7_a_role_without_rights_on_the_schema_works_on_tables_of_this_version() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let database = place.open().await;
    database.enqueue(new_order("24")).await.unwrap();
    let role = format!("weak_{}", name_of(&place.url));
    for sql in [
        format!("CREATE ROLE {role} LOGIN"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
        format!("GRANT USAGE ON SCHEMA public TO {role}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"),
        format!("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"),
    ] {
        place.sql(&sql).await;
    }
    let url = place.url.replace("sitewright@", &format!("{role}@"));
    let weak = Database::open_for_worker(&url, &DatabaseOptions::default()).await.unwrap();
    let migrated = weak.migrate().await.unwrap();
    assert_eq!((migrated.from, migrated.to), (SCHEMA_VERSION, SCHEMA_VERSION));
    let handler = Scripted::all_succeed();
    let mut serving = start(weak.clone(), quick(), handler.clone()).await.unwrap();
    weak.enqueue(new_order("25")).await.unwrap();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    assert_eq!(handler.total(), 2);
    serving.drain(GRACE).await.unwrap();
    weak.close().await;
    // It cannot make tables, and is told so.
    let Some(empty) = Place::postgres().await else { return };
    let url = empty.url.replace("sitewright@", &format!("{role}@"));
    let error = Database::open(&url).await.unwrap().migrate().await.unwrap_err();
    assert!(error.to_string().contains("the role lacks a right"), "{error}");
    assert!(!error.is_usage());
    for sql in [format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")] {
        place.sql(&sql).await;
    }
}

/// Somebody else holds the lock for migrations.
#[tokio::test(flavor = "multi_thread")]
async fn more_a_migration_that_is_locked_elsewhere_ends_and_says_who_it_waits_for() {
    logged();
    let options = DatabaseOptions {
        migration_wait: Duration::from_millis(700),
        ..DatabaseOptions::default()
    };
    let sqlite = Place::sqlite();
    let database = Database::open_with(&sqlite.url, &options).await.unwrap();
    let lock = std::fs::File::create(sqlite.folder.path().join("orders.db.migrating")).unwrap();
    lock.lock().unwrap();
    let error = database.migrate().await.unwrap_err();
    assert!(matches!(error, Error::MigrationLocked { .. }) && !error.is_usage(), "{error:?}");
    assert!(error.to_string().contains(&format!("process {} ", std::process::id())), "{error}");
    lock.unlock().unwrap();
    database.migrate().await.unwrap();
    // With nothing to migrate nobody needs the lock.
    lock.lock().unwrap();
    database.migrate().await.unwrap();

    let Some(place) = Place::postgres().await else { return };
    let database = Database::open_with(&place.url, &options).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
    // The number in `driver/postgres.rs`; programs of all versions use it.
    let lock = "SET application_name = 'a migration that hangs'; \
                SELECT pg_advisory_lock(x'7369746577726967'::bigint)";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let error = database.migrate().await.unwrap_err();
    assert!(matches!(error, Error::MigrationLocked { .. }), "{error:?}");
    let told = error.to_string();
    for part in ["a migration that hangs", "pg_terminate_backend(", "sitewright"] {
        assert!(told.contains(part), "{told}");
    }
    // It gives up the lock meanwhile.
    let waiting = tokio::spawn({
        let url = place.url.clone();
        async move { Database::open(&url).await.unwrap().migrate().await.unwrap() }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.close().await.unwrap();
    assert_eq!(in_time_of(waiting).await.from, 0);
}

async fn in_time_of<T>(task: tokio::task::JoinHandle<T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap()
}

/// A table that another session has locked: the migration does not wait for ever, and with it all
/// who want the table.
#[tokio::test(flavor = "multi_thread")]
async fn more_a_migration_that_waits_for_a_table_ends() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let database = Database::open(&place.url).await.unwrap();
    let mut other = sqlx::PgConnection::connect(&place.url).await.unwrap();
    // A table that is not there for others yet, and whose name is taken.
    let lock = "BEGIN; CREATE TABLE sitewright_schema (version BIGINT)";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let begin = Instant::now();
    let error = database.migrate().await.unwrap_err();
    assert!(error.to_string().contains("another session keeps the table locked"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    database.migrate().await.unwrap();
}

/// PostgreSQL behind a server that speaks TLS with a certificate, at `localhost`.
struct Tls {
    port: u16,
    folder: tempfile::TempDir,
}

impl Tls {
    async fn start(place: &Place, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.is_ca = rcgen::IsCa::ExplicitNoCa;
        change(&mut parameters);
        let certificate = parameters.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.crt"), certificate.pem()).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = folder_of(&place.url).join(".s.PGSQL.5432");
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (acceptor, socket) = (acceptor.clone(), socket.clone());
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                    // The request for encryption, and its answer.
                    client.read_exact(&mut [0; 8]).await.unwrap();
                    client.write_all(b"S").await.unwrap();
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = tokio::net::UnixStream::connect(socket).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Tls { port, folder }
    }

    fn url(&self, place: &Place, parameters: &str) -> String {
        let (port, name) = (self.port, name_of(&place.url));
        let root = self.folder.path().join("root.crt");
        let parameters = parameters.replace("ROOT", &root.display().to_string());
        format!("postgres://sitewright@localhost:{port}/{name}?{parameters}")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d14_each_kind_of_certificate_works_or_says_why_it_does_not() {
    use rcgen::{BasicConstraints, IsCa};
    logged();
    let Some(place) = Place::postgres().await else { return };
    let good = Tls::start(&place, |_| {}).await;
    for works in [
        "sslmode=verify-full&sslrootcert=ROOT",
        "sslmode=verify-ca&sslrootcert=ROOT",
        "sslmode=require",
        "sslmode=prefer",
    ] {
        let database = Database::open(&good.url(&place, works)).await;
        database.unwrap_or_else(|error| panic!("{works}: {error}")).ping().await.unwrap();
    }
    let authority =
        Tls::start(&place, |it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).await;
    let other = Tls::start(&place, |it| {
        *it = rcgen::CertificateParams::new(vec!["db.example".to_owned()]).unwrap();
        it.is_ca = IsCa::ExplicitNoCa;
    })
    .await;
    let expired = Tls::start(&place, |it| it.not_after = rcgen::date_time_ymd(2020, 1, 1)).await;
    let root = "sslmode=verify-full&sslrootcert=ROOT";
    for (server, parameters, expected) in [
        (&good, "sslmode=verify-full", OpenCause::TlsUnknownIssuer),
        (&good, "sslmode=verify-ca", OpenCause::TlsUnknownIssuer),
        (&good, "sslmode=verify-ca&sslrootcert=/nowhere/root.crt", OpenCause::TlsFile),
        (&authority, root, OpenCause::TlsAuthorityAsServer),
        (&authority, "sslmode=verify-ca&sslrootcert=ROOT", OpenCause::TlsAuthorityAsServer),
        (&other, root, OpenCause::TlsOtherName),
        (&expired, root, OpenCause::TlsExpired),
    ] {
        let error = refused(&server.url(&place, parameters)).await;
        let Error::Open { cause, .. } = &error else { panic!("{parameters}: {error:?}") };
        assert_eq!(*cause, expected, "{parameters}: {error}");
        assert!(error.to_string().contains(expected.hint()) && !error.is_usage(), "{error}");
    }
    // A server without TLS, behind a plain proxy.
    let (network, url) = place.across_a_network().await;
    let error = refused(&format!("{url}?sslmode=require")).await;
    assert!(matches!(error, Error::Open { cause: OpenCause::Tls, .. }), "{error:?}");
    drop(network);
}

on_both!(deploy_a_program_works_with_newer_tables_that_allow_it,);

mod tests {
    use super::*;

    pub(super) async fn deploy_a_program_works_with_newer_tables_that_allow_it(place: Place) {
        let database = place.open().await;
        let newer = SCHEMA_VERSION + 2;
        let insert = |version: i64, minimum: i64| {
            format!(
                "INSERT INTO sitewright_schema (version, program, applied_at, minimum) VALUES \
                 ({version}, '9', 0, {minimum})"
            )
        };
        place.sql(&insert(newer, SCHEMA_VERSION)).await;
        database.check_schema().await.unwrap();
        let migrated = database.migrate().await.unwrap();
        assert_eq!((migrated.from, migrated.to), (newer, newer), "nothing is changed");
        let handler = Scripted::all_succeed();
        let mut serving = start(database.clone(), quick(), handler.clone()).await.unwrap();
        database.enqueue(new_order("24")).await.unwrap();
        in_time(async { serving.until_empty().await.unwrap() }).await;

        // One more migration takes something away that this program needs.
        let outdated = tokio::time::timeout(Duration::from_secs(40), database.until_outdated());
        let contract = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            place.sql(&insert(newer + 1, newer)).await;
        };
        let (outdated, ()) = tokio::join!(outdated, contract);
        let error = outdated.expect("it notices");
        assert!(matches!(error, Error::Outdated { .. }) && !error.is_usage(), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(&format!("version {newer} or a later one")), "{told}");
        assert!(matches!(database.check_schema().await, Err(Error::NewerSchema { .. })));
        serving.drain(GRACE).await.unwrap();
    }
}

/// PgBouncer in front of a database of the cluster; `None` if it is not installed.
async fn bouncer(place: &Place, mode: &str, size: u32) -> Option<Bouncer> {
    let found = Bouncer::start(&place.url, mode, size).await;
    if found.is_none() {
        eprintln!("SKIPPED: {MISSING}");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_a_pooler_that_changes_sessions_is_refused_with_words() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    place.open().await;
    for mode in ["transaction", "statement"] {
        let Some(pooler) = bouncer(&place, mode, 20).await else { return };
        let begin = Instant::now();
        let opened = Database::open_for_worker(&pooler.url, &DatabaseOptions::default()).await;
        let Err(error) = opened else { panic!("{mode} was not recognized") };
        assert!(matches!(error, Error::TransactionPooling { .. }), "{mode}: {error:?}");
        assert!(error.to_string().contains("pool_mode = session") && !error.is_usage());
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }
    // A database without tables: a command that migrates.
    let Some(place) = Place::postgres().await else { return };
    let Some(pooler) = bouncer(&place, "transaction", 20).await else { return };
    let error = Database::open(&pooler.url).await.unwrap().migrate().await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("pool_mode = session"), "{told}");
}

/// A server needs no session of its own, only prepared statements that survive: what PostgreSQL
/// would tell it of changes it looks for.
#[tokio::test(flavor = "multi_thread")]
async fn d8_a_server_behind_a_pooler_listens_polls_or_is_refused_with_words() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    let direct = place.open().await;
    for mode in ["session", "transaction", "statement"] {
        let Some(pooler) = bouncer(&place, mode, 20).await else { return };
        let works = mode == "session" || (mode == "transaction" && pooler.keeps_statements);
        let opened = Database::open_for_server(&pooler.url, &DatabaseOptions::default()).await;
        let database = match opened {
            Ok(database) => database,
            Err(error) => {
                assert!(!works, "{mode}: {error}");
                assert!(matches!(error, Error::StatementsLost { .. }), "{mode}: {error:?}");
                let told = error.to_string();
                for part in ["pool_mode = session", "max_prepared_statements"] {
                    assert!(told.contains(part) && !error.is_usage(), "{mode}: {told}");
                }
                continue;
            }
        };
        assert!(works, "{mode} was not recognized");
        let mut signals = database.signals().await.unwrap();
        assert_eq!(signals.is_some(), mode == "session", "{mode}");
        let orders = (0..20).map(|n| database.enqueue(new_order(&format!("{mode}-{n}"))));
        // Statements of many connections meet in few sessions.
        for added in futures::future::join_all(orders.collect::<Vec<_>>()).await {
            added.unwrap();
        }
        if let Some(signals) = &mut signals {
            direct.enqueue(new_order(&format!("{mode}-told"))).await.unwrap();
            let heard = tokio::time::timeout(Duration::from_secs(20), signals.changed()).await;
            heard.expect("PostgreSQL tells of it").unwrap();
        }
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d8_a_pooler_with_few_places_is_used_with_fewer_connections_or_refused() {
    logged();
    let Some(place) = Place::postgres().await else { return };
    place.open().await;
    for (places, works) in [(20, true), (5, true), (4, true), (3, true), (2, false), (1, false)] {
        let Some(pooler) = bouncer(&place, "session", places).await else { return };
        let begin = Instant::now();
        let opened = Database::open_for_worker(&pooler.url, &DatabaseOptions::default()).await;
        assert!(begin.elapsed() < Duration::from_secs(20), "{places}: {:?}", begin.elapsed());
        let database = match opened {
            Ok(database) => database,
            Err(error) => {
                assert!(!works, "{places}: {error}");
                let told = error.to_string();
                assert!(matches!(error, Error::TooFewPlaces { .. }), "{error:?}");
                assert!(told.contains(&format!("gives this worker {places} conn")), "{told}");
                assert!(told.contains("default_pool_size"), "{told}");
                continue;
            }
        };
        assert!(works, "{places} places are too few");
        let handler = Scripted::new(|_, _| Do::Sleep(Duration::from_millis(20)));
        let mut serving = start(database.clone(), quick(), handler.clone()).await.unwrap();
        let orders = (0..40).map(|n| new_order(&format!("of-{places}-{n}"))).collect();
        database.enqueue_all(orders).await.unwrap();
        // A place is left for a command, if there are enough.
        if places > 3 {
            let one = DatabaseOptions { connections: 1, ..DatabaseOptions::default() };
            let command = Database::open_with(&pooler.url, &one).await.unwrap();
            command.stats().await.unwrap();
            command.close().await;
        }
        in_time(async { serving.until_empty().await.unwrap() }).await;
        assert_eq!(handler.total(), 40, "{places}");
        serving.drain(GRACE).await.unwrap();
        database.close().await;
    }
}

/// The server becomes one that only reads, and its connections stay open, as after a failover: new
/// connections lead to the new one.
#[tokio::test(flavor = "multi_thread")]
async fn more_connections_to_a_server_that_only_reads_are_replaced() {
    logged();
    let Some(cluster) = postgres::Cluster::start() else { return };
    let place = Place { url: cluster.url("postgres"), folder: tempfile::tempdir().unwrap() };
    let database = place.open().await;
    let handler = Scripted::all_succeed();
    let mut serving = start(database.clone(), quick(), handler.clone()).await.unwrap();
    database.enqueue(new_order("before")).await.unwrap();
    in_time(async { serving.until_empty().await.unwrap() }).await;
    // Connections are old enough to be of the former server.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut operator = sqlx::PgConnection::connect(&place.url).await.unwrap();
    // Open sessions only read from now on; new ones have the setting of the role.
    for sql in [
        "ALTER ROLE sitewright SET default_transaction_read_only = off",
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    ] {
        sqlx::raw_sql(sql).execute(&mut operator).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    in_time(async {
        until("a write arrives", || async { database.enqueue(new_order("after")).await.is_ok() })
            .await;
        serving.until_empty().await.unwrap();
    })
    .await;
    assert_eq!(handler.runs(), HashMap::from([("before".to_owned(), 1), ("after".to_owned(), 1)]));
    serving.drain(GRACE).await.unwrap();
}
