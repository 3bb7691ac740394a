//! Captions are given, listed, read and taken away.

use http::StatusCode;
use rend_core::asset::Move;
use rend_core::credential::{Scope, Scopes};

use crate::support::Api;

const SRT: &[u8] = b"1\r\n00:00:01,000 --> 00:00:02,000\r\n<font color=red>One</font> & only\r\n";

async fn fresh(api: &Api) -> String {
    let made = api.send("POST", "/v1/videos", b"x").await.json();
    format!("/v1/assets/{}", made["id"].as_str().unwrap())
}

#[tokio::test]
async fn captions_are_given_in_either_format_and_kept_in_one() {
    let api = Api::new().await;
    let asset = fresh(&api).await;
    let given = api.send("PUT", &format!("{asset}/captions/pt-BR?default=true"), SRT).await;
    assert_eq!(given.0.status(), StatusCode::CREATED);
    let expect = serde_json::json!({
        "lang": "pt-BR", "label": "Português (BR)", "kind": "subtitles", "default": true, "origin": "given", "cues": 1,
        "state": "stored",
    });
    assert_eq!(given.json(), expect);
    let text = api.send("GET", &format!("{asset}/captions/pt-br"), b"").await;
    assert_eq!(text.0.headers()["content-type"], "text/vtt; charset=utf-8");
    assert_eq!(&text.0.body()[..], b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nOne &amp; only\n");

    let vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\nOne\n\n00:02.000 --> 00:03.000\nTwo\n";
    let path = format!("{asset}/captions/pt-br?label=Legendas&kind=captions");
    let again = api.send("PUT", &path, vtt.as_bytes()).await;
    assert_eq!(again.0.status(), StatusCode::OK, "what is there is replaced");
    assert_eq!((again.json()["label"].clone(), again.json()["cues"].clone()), ("Legendas".into(), 2.into()));
    api.send("PUT", &format!("{asset}/captions/de"), SRT).await;
    let listed = api.send("GET", &format!("{asset}/captions"), b"").await.json();
    let langs: Vec<_> = listed["data"].as_array().unwrap().iter().map(|row| row["lang"].clone()).collect();
    assert_eq!(langs, ["de", "pt-BR"]);
    assert_eq!(api.send("GET", &asset, b"").await.json()["captions"], listed["data"]);
    let kept = api.stores.objects.list("sources/", None, 10).await.unwrap();
    let texts = kept.iter().filter(|key| key.as_str().contains("/captions/")).count();
    assert_eq!(texts, 2, "what was replaced is not kept");

    assert_eq!(api.send("DELETE", &format!("{asset}/captions/de"), b"").await.0.status(), StatusCode::NO_CONTENT);
    api.send("DELETE", &format!("{asset}/captions/de"), b"").await.is(StatusCode::NOT_FOUND, "not_found");
    api.send("GET", &format!("{asset}/captions/de"), b"").await.is(StatusCode::NOT_FOUND, "not_found");
    let jobs = api.send("GET", &asset, b"").await.json()["jobs"].clone();
    let publishing = jobs.as_array().unwrap().iter().filter(|job| job["kind"] == "captions").count();
    assert_eq!(publishing, 4, "each change is followed by what viewers see");
}

#[tokio::test]
async fn what_is_wrong_with_captions_is_told_with_its_line_and_nothing_is_kept() {
    let api = Api::new().await;
    let asset = fresh(&api).await;
    let wrong: [(&str, &[u8], &str); 8] = [
        ("en", b"WEBVTT\n\n00:02.000 --> 00:01.000\nx\n", "body: line 3: the cue ends before it begins"),
        ("en", b"1\n00:00:01,000 -> 00:00:02,000\nx\n", "body: line 2: this is neither WebVTT"),
        ("en", b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n", "body: line 3: the text is not UTF-8"),
        ("english", SRT, "lang: not a language"),
        ("en?colour=red", SRT, "query: `colour` is not known"),
        ("en?kind=karaoke", SRT, "kind: `subtitles` or `captions`"),
        ("en?label=", SRT, "label: 1 to 64 characters"),
        ("en?default=maybe", SRT, "default: `true` or `false`"),
    ];
    for (lang, body, expect) in wrong {
        let answer = api.send("PUT", &format!("{asset}/captions/{lang}"), body).await;
        answer.is(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(expect), "{detail}");
    }
    let large = vec![b'x'; (2 << 20) + 1];
    let answer = api.send("PUT", &format!("{asset}/captions/en"), &large).await;
    answer.is(StatusCode::PAYLOAD_TOO_LARGE, "too_large");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("a captions file may have 2097152 bytes at most"), "{detail}");
    assert_eq!(api.send("GET", &format!("{asset}/captions"), b"").await.json()["data"], serde_json::json!([]));
    let kept = api.stores.objects.list("sources/", None, 10).await.unwrap();
    assert!(kept.iter().all(|key| !key.as_str().contains("/captions/")));
}

#[tokio::test]
async fn captions_of_an_asset_that_is_gone_or_somebody_elses_are_not_there() {
    let api = Api::new().await;
    let asset = fresh(&api).await;
    let reader = format!("Bearer {}", api.key_for(Scopes::NONE.with(Scope::Read)).await);
    let path = format!("{asset}/captions/en");
    let headers = [("authorization", reader.as_str())];
    api.send_as("PUT", &path, SRT, &headers).await.is(StatusCode::FORBIDDEN, "missing_scope");
    api.send("PUT", &path, SRT).await;
    api.advance(asset.trim_start_matches("/v1/assets/"), Move::RequestDeletion).await;
    for method in ["GET", "PUT", "DELETE"] {
        api.send(method, &path, SRT).await.is(StatusCode::NOT_FOUND, "asset_not_found");
    }
}
