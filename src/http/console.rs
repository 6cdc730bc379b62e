//! The console: the built files of `web/`, embedded in the binary.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::compression::CompressionLayer;

use super::extract::PathId;
use super::problem::Problem;
use super::state::AppState;

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Files;

/// What is shown when the console was not built before the binary.
const NO_CONSOLE: &str = include_str!("no-console.html");

/// Scripts, styles and pictures of the service itself, requests to nothing else, and no inline code.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The addresses of the console's pages. All of them are the same document, which shows the page that belongs to its address.
const PAGES: [&str; 8] =
    ["/", "/new", "/account", "/conferences", "/conferences/{id}", "/conferences/{id}/report", "/operator", "/operator/accounts/{user_number}"];

pub(super) fn routes() -> Router<AppState> {
    let router = PAGES.into_iter().fold(Router::new(), |router, page| router.route(page, get(index)));
    router.route("/favicon.svg", get(favicon)).route("/assets/{*path}", get(asset)).layer(CompressionLayer::new())
}

async fn index(headers: HeaderMap) -> Response {
    match Files::get("index.html") {
        Some(file) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], answer(file, &headers, "no-cache")).into_response(),
        None => Html(NO_CONSOLE).into_response(),
    }
}

async fn favicon(headers: HeaderMap) -> Response {
    named("favicon.svg", &headers, "public, max-age=86400")
}

/// A file that has a hash of its content in its name: it never changes.
async fn asset(PathId(path): PathId<String>, headers: HeaderMap) -> Response {
    named(&format!("assets/{path}"), &headers, "public, max-age=31536000, immutable")
}

fn named(path: &str, headers: &HeaderMap, caching: &'static str) -> Response {
    Files::get(path).map_or_else(|| Problem::not_found().into_response(), |file| answer(file, headers, caching))
}

/// The file, or only that the browser's copy is still right.
fn answer(file: EmbeddedFile, headers: &HeaderMap, caching: &'static str) -> Response {
    let tag = tag(&file);
    let caching = [(header::CACHE_CONTROL, HeaderValue::from_static(caching)), (header::ETAG, tag.clone())];
    // A proxy that compresses marks the tag as weak.
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|one| one.trim().trim_start_matches("W/") == tag);
    if is_known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    (caching, [(header::CONTENT_TYPE, kind)], file.data).into_response()
}

/// The entity tag: a part of the content's hash.
fn tag(file: &EmbeddedFile) -> HeaderValue {
    let hex: String = file.metadata.sha256_hash().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 10_000_000).await.expect("is whole").into()
    }

    /// The console's types are generated from this file. After a change of the API: `SKLIC_WRITE_OPENAPI=1 cargo test --lib built_for_this_api`,
    /// then `npm run api` in `web/`.
    #[test]
    fn the_console_is_built_for_this_api() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/web/openapi.json");
        let document = format!("{}\n", crate::http::openapi().to_pretty_json().expect("is JSON"));
        if std::env::var_os("SKLIC_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &document).expect("web/ can be written");
        }
        let committed = std::fs::read_to_string(path).expect("web/openapi.json is there");
        assert!(document == committed, "web/openapi.json is not this API; see this test's description");
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        for path in ["nothing.js", "../index.html", "../../Cargo.toml", "/etc/passwd", ""] {
            assert_eq!(asset(PathId(path.to_owned()), HeaderMap::new()).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn the_root_is_the_console_or_says_how_to_build_it() {
        let response = index(HeaderMap::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let policy = response.headers().get(header::CONTENT_SECURITY_POLICY).cloned();
        let text = String::from_utf8(body(response).await).expect("is text");
        if Files::get("index.html").is_some() {
            assert_eq!(policy, Some(POLICY));
            assert!(text.contains("<div id=\"app\">") && !text.contains("<style") && !text.contains("style="), "{text}");
        } else {
            assert!(text.contains("make"), "{text}");
        }
    }

    #[tokio::test]
    async fn embedded_files_are_cached_and_revalidated() {
        for path in Files::iter().filter(|path| path.starts_with("assets/")) {
            let name = path.strip_prefix("assets/").unwrap_or(&path).to_owned();
            let response = asset(PathId(name.clone()), HeaderMap::new()).await;
            assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
            let kind = response.headers()[header::CONTENT_TYPE].to_str().expect("is text").to_owned();
            let known = ["text/javascript", "application/javascript", "text/css", "application/json"];
            assert!(known.iter().any(|known| kind.starts_with(known)), "{name}: {kind}");
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, response.headers()[header::ETAG].clone());
            assert_eq!(asset(PathId(name), headers).await.status(), StatusCode::NOT_MODIFIED);
        }
    }
}
