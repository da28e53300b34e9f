//! The admin port: `/metrics` for Prometheus, `/livez`, `/readyz` and `/startupz` for who restarts and
//! routes.
//!
//! The only crate that knows HTTP. It must not know Kafka, scoring or where health comes from: it asks
//! [`Probes`] and renders a registry.

#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What the health checks ask. An error says in words what is missing.
pub trait Probes: Send + Sync + 'static {
    /// Is the process doing its work, whatever the brokers do? A restart helps when not.
    ///
    /// # Errors
    /// What stands still.
    fn live(&self) -> Result<(), String>;

    /// Can it answer logins now?
    ///
    /// # Errors
    /// What it waits for.
    fn ready(&self) -> Result<(), String>;

    /// Has it started?
    ///
    /// # Errors
    /// What it waits for.
    fn started(&self) -> Result<(), String>;
}

/// The admin port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the admin port {address} cannot be opened: {source}; choose another with admin.listen")]
pub struct AdminError {
    address: SocketAddr,
    source: io::Error,
}

/// The running server. Dropping it closes the port.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    registry: Registry,
    probes: Arc<dyn Probes>,
}

impl Admin {
    /// Opens the port and serves it on a thread of its own.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub fn start(address: SocketAddr, registry: Registry, probes: Arc<dyn Probes>) -> Result<Self, AdminError> {
        let failed = |source| AdminError { address, source };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(|State(shared): State<Arc<Shared>>| async move { answer(shared.probes.live()) }))
            .route("/readyz", get(|State(shared): State<Arc<Shared>>| async move { answer(shared.probes.ready()) }))
            .route("/startupz", get(|State(shared): State<Arc<Shared>>| async move { answer(shared.probes.started()) }))
            .with_state(Arc::new(Shared { registry, probes }));
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            runtime.block_on(async move {
                // An answer that is under way at the end may be lost: nobody waits for it.
                tokio::select! {
                    result = axum::serve(listener, router).into_future() => {
                        if let Err(error) = result {
                            tracing::error!(%error, "the admin port stopped serving");
                        }
                    }
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Self { address: bound, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that is served, with the port that was chosen for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // Sending fails when the thread has ended already, and then there is nothing to wait for.
        let _ended = self.stop.take().map(|stop| stop.send(()));
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match TextEncoder::new().encode_to_string(&shared.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn answer(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
