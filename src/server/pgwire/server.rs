//! Accepts connections, admits them, and brings everything down in order.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::backend::{Backend, BackendSession};
use super::budget::Budget;
use super::cancel::Registry;
use super::connection::Connection;
use super::input::Input;
use super::login::{self, Guard, Request};
use super::options::Options;
use super::output::Output;
use super::pending::{Pending, Waiting};
use super::startup::{self, Greeting, Opening};
use crate::base::clock::ClockRef;
use crate::base::rng::RngRef;
use crate::base::task;
use crate::base::{Error, Kind, Result};
use crate::security::backoff::Backoff;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long accepting pauses when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens on an address, in the way that suits the server: a restart can take the address over at
/// once, and a client that vanished without a word is noticed by keep-alive probes.
///
/// # Errors
/// When the address cannot be had.
pub fn listen(address: SocketAddr) -> Result<TcpListener> {
    const WAITING: u32 = 1_024;
    let bind = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        // Accepted sockets inherit this.
        socket.set_keepalive(true)?;
        socket.bind(address)?;
        socket.listen(WAITING)
    };
    bind().map_err(|error| {
        Error::io(format!("listen on {address}"), &error)
            .with_hint("another server may be running there: choose another port")
    })
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: TaskTracker,
    registry: Arc<Registry>,
    sessions: Arc<AtomicUsize>,
}

impl Server {
    /// Serves `backend` on `listener` from now on. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the options contradict themselves or the listener has no address.
    pub fn start<B: Backend>(
        listener: TcpListener,
        backend: Arc<B>,
        options: Options,
        clock: ClockRef,
        rng: RngRef,
    ) -> Result<Self> {
        if options.require_tls && options.tls.is_none() {
            return Err(Error::invalid(
                "TLS is required, but no certificate is configured",
            ));
        }
        let address = listener
            .local_addr()
            .map_err(|error| Error::io("listen", &error))?;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared {
            backend,
            pending: Pending::new(options.limits.pending),
            budget: Budget::new(options.limits.buffered_bytes),
            backoff: Backoff::new(clock),
            registry: Arc::default(),
            sessions: Arc::default(),
            tasks: TaskTracker::new(),
            options,
            rng,
            stopping,
        });
        let tasks = shared.tasks.clone();
        let registry = Arc::clone(&shared.registry);
        let sessions = Arc::clone(&shared.sessions);
        task::spawn(
            "pgwire-accept",
            tasks.track_future(accept(listener, shared)),
        );
        Ok(Self {
            address,
            stop,
            tasks,
            registry,
            sessions,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many clients are logged in.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Stops accepting, sends idle sessions away (57P01), waits up to `grace` for statements that
    /// run, then cancels them and waits a last moment.
    pub async fn shutdown(self, grace: Duration) {
        self.stop.send_replace(true);
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            self.registry.cancel_all();
            if tokio::time::timeout(GOODBYE, self.tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!(left = self.tasks.len(), "connections did not end in time");
            }
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

/// What all connections of a server share.
struct Shared<B> {
    backend: Arc<B>,
    options: Options,
    rng: RngRef,
    backoff: Backoff,
    budget: Arc<Budget>,
    pending: Arc<Pending>,
    registry: Arc<Registry>,
    sessions: Arc<AtomicUsize>,
    tasks: TaskTracker,
    stopping: watch::Receiver<bool>,
}

async fn accept<B: Backend>(listener: TcpListener, shared: Arc<Shared<B>>) {
    let mut stopping = shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let waiting = shared.pending.enter().await;
                let serving = serve(Arc::clone(&shared), socket, peer, waiting);
                task::spawn("pgwire-connection", shared.tasks.track_future(serving));
            }
            Err(error) => {
                // Out of file descriptors, or a client that left before it was accepted.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, from accept to its end.
async fn serve<B: Backend>(
    shared: Arc<Shared<B>>,
    socket: TcpStream,
    peer: SocketAddr,
    waiting: Waiting,
) {
    let evicted = waiting.evicted();
    let mut stopping = shared.stopping.clone();
    let deadline = shared.options.limits.startup_deadline;
    let opened = tokio::select! {
        biased;
        () = evicted.cancelled() => return,
        _ = stopping.wait_for(|stop| *stop) => return,
        opened = tokio::time::timeout(deadline, begin(&shared, socket, peer, waiting)) => opened,
    };
    let Ok(Some(connection)) = opened else { return };
    let mut connection = *connection;
    // A defect met in one session ends that session alone.
    let served = AssertUnwindSafe(connection.serve()).catch_unwind().await;
    if let Err(panic) = served {
        let reason = task::panic_text(&panic);
        tracing::error!(reason, "a session panicked");
        connection.fatal(&Error::internal("the session met a defect of the server"));
    }
    connection.close(GOODBYE).await;
}

type Ready<B> = Box<Connection<<B as Backend>::Session>>;

/// Everything before the first ReadyForQuery. None when the connection is over.
async fn begin<B: Backend>(
    shared: &Shared<B>,
    socket: TcpStream,
    peer: SocketAddr,
    mut waiting: Waiting,
) -> Option<Ready<B>> {
    // Small answers must not wait for more: without it the extended protocol crawls.
    socket.set_nodelay(true).ok()?;
    match startup::open(socket, &shared.options, &mut waiting).await {
        Ok(Opening::Session(greeting)) => greet(shared, greeting, peer).await,
        Ok(Opening::Cancel { process, secret }) => {
            shared.registry.cancel(process, secret);
            None
        }
        Ok(Opening::Refused(write, reason)) => {
            let mut output = Output::new(write, GOODBYE);
            output.fatal(&reason);
            output.close(GOODBYE).await;
            None
        }
        Ok(Opening::Closed) | Err(_) => None,
    }
}

async fn greet<B: Backend>(
    shared: &Shared<B>,
    greeting: Greeting,
    peer: SocketAddr,
) -> Option<Ready<B>> {
    let limits = &shared.options.limits;
    let claim = shared.budget.claim();
    let mut input = Input::new(greeting.read, greeting.rest, claim, limits);
    let mut output = Output::new(greeting.write, limits.stall_deadline);
    if let Some(unsupported) = greeting.unsupported {
        login::negotiate(&mut output, unsupported);
    }
    let admitted = async {
        let request = Request::new(greeting.settings)?;
        let guard = Guard {
            users: shared.backend.users(),
            backoff: &shared.backoff,
            rng: shared.rng.as_ref(),
            login: shared.options.login,
            address: peer.ip(),
            end_point: greeting.end_point,
        };
        let user = request.user.clone();
        if login::authenticate(guard, &user, &mut input, &mut output)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let superuser = shared.backend.users().is_superuser(&user);
        let seat = Seat::take(
            &shared.sessions,
            limits.connections,
            limits.reserved,
            superuser,
        )?;
        let mut session = shared.backend.session(&user, &request.database)?;
        for (name, value) in &request.settings {
            session.start_parameter(name, value)?;
        }
        tracing::info!(user, %peer, "session began");
        let entered = shared.registry.enter(session.canceller(), &shared.rng)?;
        Ok(Some((request, superuser, seat, session, entered)))
    };
    let (request, superuser, seat, mut session, entered) = match admitted.await {
        Ok(admitted) => admitted?,
        Err(reason) => {
            output.fatal(&reason);
            output.close(GOODBYE).await;
            return None;
        }
    };
    let facts = facts(&request, superuser);
    let key = (entered.slot.process, entered.slot.secret);
    let settings = login::welcome(&mut output, &mut session, &facts, key);
    input.logged_in(limits);
    let ports = (input, output);
    let stopping = shared.stopping.clone();
    Some(Box::new(Connection::new(
        session,
        ports,
        (entered, seat),
        *limits,
        stopping,
        &settings,
    )))
}

/// What a client is told about the server before its first query.
fn facts(request: &Request, superuser: bool) -> [(&'static str, &str); 13] {
    let named = request
        .settings
        .iter()
        .find(|(name, _)| name == "application_name");
    let application = named.map_or("", |(_, value)| value.as_str());
    [
        (
            "server_version",
            concat!("15.0 (Lotic ", env!("CARGO_PKG_VERSION"), ")"),
        ),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("in_hot_standby", "off"),
        ("default_transaction_read_only", "off"),
        ("is_superuser", if superuser { "on" } else { "off" }),
        ("session_authorization", request.user.as_str()),
        ("application_name", application),
    ]
}

/// One of the places for sessions; free again when dropped.
pub(crate) struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(
        taken: &Arc<AtomicUsize>,
        places: usize,
        reserved: usize,
        superuser: bool,
    ) -> Result<Self> {
        let open = if superuser {
            places
        } else {
            places.saturating_sub(reserved)
        };
        let sit = |taken: usize| (taken < open).then_some(taken + 1);
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sit) {
            Ok(_) => Ok(Self(Arc::clone(taken))),
            Err(_) => Err(
                Error::new(Kind::Limit, "53300", "sorry, too many clients already")
                    .with_hint("close some connections, or use a connection pool"),
            ),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
