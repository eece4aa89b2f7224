//! The console: the page that a browser gets at `/`, and its assets, from inside the binary (`build.rs` puts them there).
//!
//! It refuses to know what the page does. The page holds no data: what it shows it asks for like any other client, with the
//! token that somebody gives it.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::answer::Answer;
use super::error::ApiError;

/// A file of the page.
#[derive(Debug)]
struct File {
    /// Its path, below the page's folder.
    path: &'static str,
    plain: &'static [u8],
    /// The same, compressed, where that is smaller.
    gzip: Option<&'static [u8]>,
}

/// The page as it was built; empty where it could not be.
const BUILT: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// The route of the page's scripts, styles and pictures.
pub(super) const ASSETS: &str = "/assets/{*path}";

/// Everything comes from here and nothing inline; pictures also from `data:`, as the tab's icon is drawn by the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The names of assets carry the hash of what is in them.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// What is shown where the page was not built. It has no style: the policy allows none inline.
const NOTICE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>wardbell</title>
<h1>wardbell is running</h1>
<p>It was built without its web page, because npm or what npm needs was not at hand. To add the page, install Node.js 20.19 or
later, and then, where the source is:</p>
<pre>cd web &amp;&amp; npm ci &amp;&amp; npm run build
cd .. &amp;&amp; cargo run --release</pre>
<p>Everything else works: <a href=\"/api/docs\">the HTTP API</a>, <a href=\"/ready\">readiness</a>, <a href=\"/metrics\">metrics</a>,
and Socket.IO at <code>/socket.io/</code>.</p>
";

/// Whether a browser asks for a page, and not a program for data: browsers name `text/html`, programs say `*/*` or JSON.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accepted| accepted.to_str().ok())
        .flat_map(|accepted| accepted.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media_type| media_type.trim().eq_ignore_ascii_case("text/html"))
}

/// The page, or how to get it.
pub(super) fn page(headers: &HeaderMap) -> Response {
    page_of(BUILT, headers)
}

fn page_of(files: &'static [File], headers: &HeaderMap) -> Response {
    let mut response = match find(files, "index.html") {
        Some(file) => file.response(headers),
        None => NOTICE.into_response(),
    };
    let answered = response.headers_mut();
    answered.insert(header::CONTENT_TYPE, HTML);
    answered.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    answered.insert(REFERRER_POLICY, NO_REFERRER);
    response
}

/// Its scripts, styles and pictures.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Answer {
    asset_of(BUILT, &path, &headers)
}

fn asset_of(files: &'static [File], path: &str, headers: &HeaderMap) -> Answer {
    let file = find(files, &format!("assets/{path}")).ok_or_else(|| ApiError::not_found("there is no such asset"))?;
    let mut response = file.response(headers);
    let answered = response.headers_mut();
    answered.insert(header::CACHE_CONTROL, FOR_EVER);
    answered.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

fn find(files: &'static [File], path: &str) -> Option<&'static File> {
    files.iter().find(|file| file.path == path)
}

impl File {
    /// The file, compressed for those who can read that.
    fn response(&self, headers: &HeaderMap) -> Response {
        let (body, is_packed) = match self.gzip {
            Some(packed) if takes_gzip(headers) => (packed, true),
            Some(_) | None => (self.plain, false),
        };
        let mut response = body.into_response();
        let answered = response.headers_mut();
        answered.insert(header::CONTENT_TYPE, self.media_type());
        answered.append(header::VARY, HeaderValue::from_static("accept-encoding"));
        if is_packed {
            answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }

    fn media_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self.path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("woff2") => "font/woff2",
            _ => "application/octet-stream",
        })
    }
}

/// Whether gzip is welcome: named, and not with a weight of zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|accepted| accepted.to_str().ok())
        .flat_map(|accepted| accepted.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .and_then(|weight| weight.parse::<f32>().ok());
            is_gzip && weight.is_none_or(|weight| weight > 0.0)
        })
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use http_body_util::BodyExt as _;

    use super::*;

    /// A page as small as one can be.
    const PAGE: &[File] = &[
        File {
            path: "assets/page-0a1b.js",
            plain: b"a script, as it is",
            gzip: Some(b"packed"),
        },
        File {
            path: "assets/bell-0a1b.svg",
            plain: b"<svg/>",
            gzip: None,
        },
        File {
            path: "index.html",
            plain: b"<!doctype html>",
            gzip: None,
        },
    ];

    fn asks(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    async fn body(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn browsers_are_shown_the_page_and_programs_are_not() {
        for browser in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "TEXT/HTML;q=0.9",
            "application/json, text/html",
        ] {
            assert!(is_asked_for(&asks(header::ACCEPT, browser)), "{browser}");
        }
        for program in ["*/*", "application/json", "text/*", "", "text/htmlx"] {
            assert!(!is_asked_for(&asks(header::ACCEPT, program)), "{program}");
        }
        assert!(!is_asked_for(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn the_page_allows_nothing_inline_and_nobody_else() {
        let response = page_of(PAGE, &HeaderMap::new());

        assert_eq!(header(&response, header::CONTENT_TYPE), "text/html; charset=utf-8");
        let policy = header(&response, header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(body(response).await, "<!doctype html>");
    }

    #[tokio::test]
    async fn without_a_page_it_says_how_to_get_one() {
        let response = page_of(&[], &HeaderMap::new());

        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, header::CONTENT_TYPE), "text/html; charset=utf-8");
        assert!(body(response).await.contains("npm ci &amp;&amp; npm run build"));
    }

    #[tokio::test]
    async fn assets_are_kept_for_ever_and_packed_for_those_who_can_unpack() {
        let plain = asset_of(PAGE, "page-0a1b.js", &HeaderMap::new()).unwrap();
        let packed = asset_of(PAGE, "page-0a1b.js", &asks(header::ACCEPT_ENCODING, "br, gzip")).unwrap();
        let refused = asset_of(PAGE, "page-0a1b.js", &asks(header::ACCEPT_ENCODING, "gzip;q=0")).unwrap();
        let picture = asset_of(PAGE, "bell-0a1b.svg", &asks(header::ACCEPT_ENCODING, "gzip")).unwrap();

        assert!(header(&plain, header::CACHE_CONTROL).ends_with("immutable"));
        assert_eq!(header(&plain, header::VARY), "accept-encoding");
        assert_eq!(header(&packed, header::CONTENT_ENCODING), "gzip");
        assert_eq!(header(&picture, header::CONTENT_TYPE), "image/svg+xml");
        assert_eq!(body(packed).await, "packed");
        assert_eq!(body(plain).await, "a script, as it is");
        assert_eq!(body(refused).await, "a script, as it is");
    }

    #[test]
    fn nothing_but_assets_is_an_asset() {
        for path in ["index.html", "../index.html", "page-0a1b.js.gz", ""] {
            let refused = asset_of(PAGE, path, &HeaderMap::new()).unwrap_err();
            assert_eq!(refused.into_response().status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
