//! The admin port: `/metrics` for Prometheus, `/livez`, `/readyz` and `/startupz` for who restarts and
//! routes, and, where tokens are configured, the settings API: the paths of Auth0's Management API that
//! Adaptive MFA is set up with, and the whole settings document of a tenant below `/v1`.
//!
//! The only crate that knows HTTP. It must not know Kafka, scoring, where health comes from, or what a
//! settings document means beyond the three fields that the reference's API names: it asks [`Probes`] and
//! [`TenantSettings`] and renders a registry.

#![forbid(unsafe_code)]

mod api;
pub mod auth;
mod error;
mod json;
mod limit;
mod metrics;
mod openapi;
mod operations;
mod payload;
mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Registry, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::api::Peer;
pub use crate::api::{Api, ApiConfig, ApiConfigError, Limits};
use crate::error::ApiError;
use crate::metrics::Metrics;
pub use crate::openapi::openapi;
use crate::operations::{LIVE, METRICS, READY, STARTED};
pub use crate::store::{
    Audit, Document, Expected, InForce, MfaPolicy, Problem, StoreError, TenantSettings, WriteError,
};

/// Connections at a time; more wait until one ends.
const MAX_CONNECTIONS: usize = 256;
/// The head of a request has to be there in that time, and the next request of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A head of more bytes is refused.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// A connection takes no requests after that time, so that one whose other end does not read cannot stay.
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(300);
/// And the last one is answered in that time.
const LAST_ANSWER: Duration = Duration::from_secs(30);
/// Threads for calls that block: the store's, bounded by [`Limits::store_calls`], and those that load keys.
const MAX_BLOCKING_THREADS: usize = 260;

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
pub enum AdminError {
    /// The address is taken or not this machine's.
    #[error("the admin port {address} cannot be opened: {source}; choose another with admin.listen")]
    Open {
        /// What was to be opened.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The registry has the port's own metrics already.
    #[error("the metrics of the admin port cannot be registered: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// The running server. Dropping it closes the port.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Opens the port and serves it on a thread of its own, without the settings API where there is none
    /// ([`Api::new`]). Probes and metrics need no token.
    ///
    /// # Errors
    /// The address is taken or not this machine's, or the registry has the port's metrics already.
    pub fn start(
        address: SocketAddr,
        registry: Registry,
        probes: Arc<dyn Probes>,
        api: Option<Api>,
    ) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Open { address, source };
        let metrics = Metrics::register(&registry)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(MAX_BLOCKING_THREADS)
            .build()
            .map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let api = api.map(Arc::new);
        let router = router(registry, probes, api.as_ref(), &metrics);
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            runtime.block_on(async move {
                if let Some(api) = api {
                    // Ends with the runtime.
                    tokio::spawn(async move { api.keep_fresh(&metrics).await });
                }
                // An answer that is under way at the end may be lost: nobody waits for it.
                tokio::select! {
                    () = accept(listener, router) => {}
                    _ = stopped => {}
                }
            });
            // Not waiting for calls that block.
            runtime.shutdown_background();
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

fn router(registry: Registry, probes: Arc<dyn Probes>, api: Option<&Arc<Api>>, metrics: &Metrics) -> Router {
    let plain = |router: Router, path: &'static str, render: Arc<dyn Fn() -> Response + Send + Sync>| {
        let metrics = metrics.clone();
        let handler = move || {
            let response = render();
            metrics.request(path, response.status().as_u16());
            std::future::ready(response)
        };
        router.route(path, get(handler))
    };
    let mut router = plain(Router::new(), METRICS, Arc::new(move || render(&registry)));
    let probe = |probe: fn(&dyn Probes) -> Result<(), String>| {
        let probes = probes.clone();
        Arc::new(move || answer(probe(&*probes)))
    };
    router = plain(router, LIVE, probe(|probes| probes.live()));
    router = plain(router, READY, probe(|probes| probes.ready()));
    router = plain(router, STARTED, probe(|probes| probes.started()));
    if let Some(api) = api {
        router = api.mount(router, metrics);
    }
    let other = |error: fn() -> ApiError| {
        let metrics = metrics.clone();
        move || {
            let error = error();
            metrics.request("other", error.status().as_u16());
            std::future::ready(error.into_response())
        }
    };
    router.fallback(other(ApiError::no_route)).method_not_allowed_fallback(other(ApiError::method))
}

async fn accept(listener: TcpListener, router: Router) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Nobody closes the semaphore.
    while let Ok(place) = connections.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    let _place = place;
                    connection(stream, Peer(peer.ip().to_canonical()), router).await;
                });
            }
            Err(error) => {
                // Of the connection that was to be accepted, or no descriptor is left: not a reason to stop, nor to
                // try without a pause.
                tracing::warn!(%error, "the admin port could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: Peer, router: Router) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How it ends is the other end's affair.
    tokio::select! {
        _ended = connection.as_mut() => return,
        () = tokio::time::sleep(MAX_CONNECTION_AGE) => connection.as_mut().graceful_shutdown(),
    }
    let _ended = tokio::time::timeout(LAST_ANSWER, connection).await;
}

fn render(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
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
