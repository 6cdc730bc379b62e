//! Accepting connections, with limits on their number and on how slowly a client may speak.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::state::AppState;

/// How long a client may take to send a request's head.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The most header lines of a request.
const MOST_HEADERS: usize = 100;
/// The biggest head of a request, in bytes.
const HEAD_SIZE: usize = 32 * 1024;
/// How long answers that are under way may take after the end was asked for.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Answers requests on `listener` until `shutdown` is cancelled; then lets answers that are under way be finished, and returns.
///
/// Streams of live changes end by the same token.
///
/// # Errors
/// None at present: a connection that cannot be accepted is logged and the next one is waited for.
pub async fn serve(listener: TcpListener, state: AppState, shutdown: CancellationToken) -> std::io::Result<()> {
    let places = Arc::new(Semaphore::new(state.config.connections.max(1)));
    // Not the caller's own token: streams end as soon as the end is asked for, but also when this function is given up.
    let end_streams = state.shutdown.clone().drop_guard();
    let router = super::router(state);
    let graceful = GracefulShutdown::new();
    loop {
        // A place first: connections that cannot be served wait in the kernel's queue.
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                // Out of descriptors, most likely: give those that are open a moment to end.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        // Small answers, such as live changes, go out at once; a failure to say so costs speed only.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| answer(router.clone(), peer, request));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(MOST_HEADERS)
            .max_buf_size(HEAD_SIZE)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What goes wrong here is the client's going away or speaking badly.
            if let Err(error) = connection.await {
                tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    drop(end_streams);
    if tokio::time::timeout(DRAIN_TIME, graceful.shutdown()).await.is_err() {
        tracing::warn!("some answers were not finished in time");
    }
    Ok(())
}

async fn answer(router: Router, peer: std::net::SocketAddr, request: hyper::Request<Incoming>) -> Result<axum::response::Response, Infallible> {
    let mut request: Request = request.map(axum::body::Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await
}
