//! Who is let in.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use admin::auth::{JwksSource, JwtConfig, SCOPES};
use admin::{Api, ApiConfig};
use serde_json::{Value, json};

use crate::support::{
    AUDIENCE, Headers, ISSUER, Memory, Server, SigningKey, TENANT_CLAIM, base64url, claims, config, jwt_config, now_s,
    signed, token, wait_for,
};

const POLICIES: &str = "/api/v2/guardian/policies";

fn write_jwks(path: &Path, keys: &[Value]) {
    let new = path.with_extension("new");
    std::fs::write(&new, json!({ "keys": keys }).to_string()).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Static tokens and JWTs beside each other, the keys in a file.
fn start(path: &Path) -> Server {
    Server::start(&ApiConfig { jwt: Some(jwt_config(JwksSource::File(path.to_owned()))), ..config() })
}

fn header(key: &SigningKey, id: &str) -> Value {
    json!({ "alg": key.algorithm(), "typ": "JWT", "kid": id })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.remove(name),
            value => claims.insert(name.clone(), value.clone()),
        };
    }
    Value::Object(claims)
}

#[test]
fn a_jwt_is_good_when_everything_about_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let (rsa, ec, stranger) = (SigningKey::rsa(), SigningKey::ec(), SigningKey::ec());
    let unusable = [
        json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"}),
        json!({"kty": "EC", "crv": "P-521", "kid": "p521", "x": "AA", "y": "AA"}),
        json!({"kty": "new", "kid": "unheard-of"}),
        json!("no key"),
    ];
    write_jwks(&path, &[&unusable[..], &[rsa.jwk("rsa"), ec.jwk("ec")]].concat());
    let server = start(&path);

    let now = now_s();
    let read = "read:mfa_policies";
    // Claims changed (null removes), status, label of the metric.
    let cases: Vec<(Value, u16, &str)> = vec![
        (json!({}), 200, ""),
        (json!({"aud": AUDIENCE}), 200, ""),
        (json!({"aud": "https://other.example.com/"}), 401, "audience"),
        (json!({"aud": []}), 401, "audience"),
        (json!({"aud": null}), 401, "claims"),
        (json!({"iss": "https://login.example.com"}), 401, "issuer"),
        (json!({"iss": "https://evil.example.com/"}), 401, "issuer"),
        (json!({"iss": null}), 401, "claims"),
        (json!({"exp": now - 30}), 200, ""),
        (json!({"exp": now - 90}), 401, "expired"),
        (json!({"exp": null}), 401, "claims"),
        (json!({"exp": "tomorrow"}), 401, "claims"),
        (json!({"nbf": now + 30}), 200, ""),
        (json!({"nbf": now + 90}), 401, "not_yet_valid"),
        (json!({"nbf": null}), 200, ""),
        (json!({"sub": null}), 200, ""),
        (json!({"sub": null, "azp": null}), 401, "claims"),
        (json!({TENANT_CLAIM: null}), 401, "tenant"),
        (json!({TENANT_CLAIM: ""}), 401, "tenant"),
        (json!({TENANT_CLAIM: ["acme"]}), 401, "tenant"),
        (json!({TENANT_CLAIM: "a\nb"}), 401, "tenant"),
        (json!({"scope": read}), 200, ""),
        (json!({"scope": format!("openid {read} other")}), 200, ""),
        (json!({"scope": null}), 403, "scope"),
        (json!({"scope": ""}), 403, "scope"),
        (json!({"scope": "update:mfa_policies"}), 403, "scope"),
        (json!({"scope": format!("{read}x")}), 403, "scope"),
        (json!({"scope": [read]}), 403, "scope"),
        (json!({"scope": null, "permissions": [read]}), 200, ""),
        (json!({"scope": "openid", "permissions": ["other", read]}), 200, ""),
        (json!({"scope": null, "permissions": ["other", 1]}), 403, "scope"),
        (json!({"scope": null, "permissions": read}), 403, "scope"),
    ];
    for (changes, status, label) in cases {
        for (key, id) in [(&rsa, "rsa"), (&ec, "ec")] {
            let metric = format!("credence_admin_auth_failures_total{{reason=\"{label}\"}}");
            let before = server.metric(&metric);
            let answer = server.get(POLICIES, &key.issue(&header(key, id), &with(changes.clone())));
            assert_eq!(answer.status, status, "{id} {changes}: {}", answer.text);
            if status != 200 {
                assert_eq!(server.metric(&metric), before + 1.0, "{id} {changes}: {label}");
                assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer error="));
            }
        }
    }

    // Headers and signatures.
    let good = with(json!({}));
    let rsa_n = rsa.jwk("rsa")["n"].as_str().unwrap().to_owned();
    let hs256 = |secret: &[u8], header: Value| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        signed(&header, &good, |message| ring::hmac::sign(&key, message).as_ref().to_vec())
    };
    let none = |algorithm: &str| signed(&json!({"alg": algorithm, "kid": "rsa"}), &good, |_| Vec::new());
    let issued = rsa.issue(&header(&rsa, "rsa"), &good);
    let (head, signature) = issued.rsplit_once('.').unwrap();
    let other = base64url(with(json!({"sub": "admin"})).to_string().as_bytes());
    let swapped = format!("{}.{other}.{signature}", head.split_once('.').unwrap().0);
    let cases: Vec<(&str, String, &str)> = vec![
        ("alg none", none("none"), "malformed"),
        ("alg None", none("None"), "malformed"),
        ("no alg", signed(&json!({"kid": "rsa"}), &good, |_| Vec::new()), "malformed"),
        ("HS256 with the modulus", hs256(rsa_n.as_bytes(), json!({"alg": "HS256", "kid": "rsa"})), "algorithm"),
        (
            "HS256 with the JWK",
            hs256(rsa.jwk("rsa").to_string().as_bytes(), json!({"alg": "HS256", "kid": "rsa"})),
            "algorithm",
        ),
        ("HS256 with the point", hs256(&[4; 65], json!({"alg": "HS256", "kid": "ec"})), "algorithm"),
        ("HS256 with a shared key", hs256(b"secret", json!({"alg": "HS256", "kid": "shared"})), "algorithm"),
        ("HMAC as RS256", hs256(rsa_n.as_bytes(), json!({"alg": "RS256", "kid": "rsa"})), "signature"),
        ("RS256 said to be ES256", rsa.issue(&json!({"alg": "ES256", "kid": "rsa"}), &good), "unknown_key"),
        ("ES256 said to be RS256", ec.issue(&json!({"alg": "RS256", "kid": "ec"}), &good), "unknown_key"),
        ("RS256 said to be RS512", rsa.issue(&json!({"alg": "RS512", "kid": "rsa"}), &good), "algorithm"),
        ("RS256 said to be PS256", rsa.issue(&json!({"alg": "PS256", "kid": "rsa"}), &good), "algorithm"),
        ("another's signature", stranger.issue(&header(&stranger, "ec"), &good), "signature"),
        ("unknown kid", ec.issue(&header(&ec, "other"), &good), "unknown_key"),
        ("a key in the header", stranger.issue(&json!({"alg": "ES256", "jwk": stranger.jwk("x")}), &good), "signature"),
        (
            "critical extension",
            ec.issue(&json!({"alg": "ES256", "kid": "ec", "crit": ["b64"], "b64": false}), &good),
            "malformed",
        ),
        ("other claims, same signature", swapped, "signature"),
        ("no signature", format!("{head}."), "signature"),
        ("two parts", head.to_owned(), "unknown_token"),
        ("four parts", format!("{issued}.{signature}"), "unknown_token"),
        ("no base64", "a.b.c".to_owned(), "malformed"),
        ("three nothings", "..".to_owned(), "malformed"),
        ("too long", format!("{head}.{}", "A".repeat(8 * 1024)), "malformed"),
    ];
    for (what, token, label) in cases {
        let metric = format!("credence_admin_auth_failures_total{{reason=\"{label}\"}}");
        let before = server.metric(&metric);
        let answer = server.get(POLICIES, &token);
        assert_eq!((answer.status, &answer.json["message"]), (401, &json!("Invalid token")), "{what}");
        assert_eq!(server.metric(&metric), before + 1.0, "{what}: {label}");
    }
    // Without a name there is one key for each algorithm, so it is clear which is meant.
    assert_eq!(server.get(POLICIES, &ec.issue(&json!({"alg": "ES256"}), &good)).status, 200);
    // And a static token goes on beside all this.
    assert_eq!(server.get(POLICIES, "acme").status, 200);
    assert!(server.store.audits.lock().unwrap().is_empty());
}

#[test]
fn a_jwt_is_for_its_tenant_and_is_what_the_log_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let key = SigningKey::ec();
    write_jwks(&path, &[key.jwk("one")]);
    let server = start(&path);
    server.store.put("globex", json!({"note": "of globex"}));
    let acme = key.issue(&header(&key, "one"), &with(json!({})));
    let star = key.issue(&header(&key, "one"), &with(json!({TENANT_CLAIM: "*"})));

    assert_eq!(server.send("PUT", POLICIES, &acme, &json!(["all-applications"])).status, 200);
    assert_eq!(server.store.get("acme"), Some(json!({"mfa_policy": "all-applications"})));
    {
        let audits = server.store.audits.lock().unwrap();
        let told = |text: &Option<String>| text.clone().unwrap();
        assert_eq!(audits[0].actor, "auth0|42");
        assert_eq!(
            (told(&audits[0].client_id), told(&audits[0].token_id)),
            ("client-1".to_owned(), "token-1".to_owned())
        );
    }
    for token in [&acme, &star] {
        let answer = server.get("/v1/tenants/globex/settings", token);
        assert_eq!((answer.status, answer.code()), (403, "other_tenant"));
    }
    assert_eq!(server.get("/v1/tenants/acme/settings", &star).status, 403);
    assert_eq!(server.get("/v1/tenants/acme/settings", &acme).status, 200);
    assert_eq!(server.send("PUT", POLICIES, &star, &json!(["confidence-score"])).status, 200);
    assert_eq!(server.store.get("acme"), Some(json!({"mfa_policy": "all-applications"})));
    assert_eq!(server.store.get("globex"), Some(json!({"note": "of globex"})));
}

#[test]
fn a_header_that_shows_no_token_is_refused() {
    let server = Server::start(&config());
    let cases: &[(Headers<'_>, u16, &str)] = &[
        (&[], 401, "Missing authentication"),
        (&[("authorization", "")], 401, "Invalid token"),
        (&[("authorization", "Bearer")], 401, "Invalid token"),
        (&[("authorization", "Bearer ")], 401, "Invalid token"),
        (&[("authorization", "acme")], 401, "Invalid token"),
        (&[("authorization", "Basic YWNtZTphY21l")], 401, "Invalid token"),
        (&[("authorization", "Bearer acme acme")], 401, "Invalid token"),
        (&[("authorization", "Bearer Acme")], 401, "Invalid token"),
        (&[("authorization", "Bearer acme"), ("authorization", "Bearer globex")], 401, "Invalid token"),
        (&[("x-api-key", "acme")], 401, "Missing authentication"),
        (&[("authorization", "bearer acme")], 200, ""),
    ];
    for (headers, status, message) in cases {
        let answer = server.ask("GET", POLICIES, "", headers, None);
        assert_eq!((answer.status, answer.json["message"].as_str().unwrap_or("")), (*status, *message), "{headers:?}");
    }
    assert_eq!(server.ask("PUT", POLICIES, "", &[], Some("[\"all-applications\"]")).status, 401);
    // Not in the address either.
    assert_eq!(server.get("/api/v2/guardian/policies?access_token=acme", "").status, 401);
    assert_eq!(server.store.get("acme"), None);
}

#[test]
fn every_call_needs_its_scope() {
    let all = [
        ("GET", POLICIES, Value::Null, "read:mfa_policies"),
        ("PUT", POLICIES, json!([]), "update:mfa_policies"),
        ("GET", "/api/v2/risk-assessments/settings", Value::Null, "read:attack_protection"),
        ("PATCH", "/api/v2/risk-assessments/settings", json!({"enabled": true}), "update:attack_protection"),
        ("GET", "/api/v2/risk-assessments/settings/new-device", Value::Null, "read:attack_protection"),
        (
            "PATCH",
            "/api/v2/risk-assessments/settings/new-device",
            json!({"remember_for": 9}),
            "update:attack_protection",
        ),
        (
            "POST",
            "/api/v2/users/u/risk-assessments/clear",
            json!({"connection": "db", "assessors": ["new-device"]}),
            "update:users",
        ),
        ("GET", "/v1/tenants/acme/settings", Value::Null, "read:tenant_settings"),
        ("PUT", "/v1/tenants/acme/settings", json!({}), "update:tenant_settings"),
        ("PUT", "/v1/tenants/acme/settings?dry_run=true", json!({}), "update:tenant_settings"),
        ("DELETE", "/v1/tenants/acme/settings", Value::Null, "update:tenant_settings"),
    ];
    let mut config = config();
    config.tokens = vec![];
    for scope in SCOPES {
        let others: Vec<&str> = SCOPES.into_iter().filter(|other| *other != scope).collect();
        config.tokens.extend([token(scope, "acme", &[scope]), token(&format!("not-{scope}"), "acme", &others)]);
    }
    let server = Server::start(&config);
    for (method, path, body, scope) in all {
        let ask = |token: &str| match &body {
            Value::Null => server.ask(method, path, token, &[], None),
            body => server.send(method, path, token, body),
        };
        let refused = ask(&format!("not-{scope}"));
        assert_eq!((refused.status, refused.code()), (403, "insufficient_scope"), "{method} {path}");
        assert_eq!(refused.json["message"], format!("Insufficient scope, expected any of: {scope}"));
        assert!(server.store.audits.lock().unwrap().is_empty(), "{method} {path}");
        // A document to find where one is read.
        server.store.put("acme", json!({}));
        assert!((200..300).contains(&ask(scope).status), "{method} {path}");
        server.store.audits.lock().unwrap().clear();
    }
}

#[test]
fn keys_in_a_file_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let (old, new) = (SigningKey::ec(), SigningKey::ec());
    write_jwks(&path, &[old.jwk("old")]);
    let server = start(&path);
    let by_old = old.issue(&header(&old, "old"), &with(json!({})));
    let by_new = new.issue(&header(&new, "new"), &with(json!({})));
    assert_eq!(server.get(POLICIES, &by_old).status, 200);
    assert_eq!(server.get(POLICIES, &by_new).status, 401);

    // What cannot be read leaves the old ones in force, and is counted.
    let failed = "credence_admin_jwks_loads_total{result=\"failed\"}";
    for bad in ["{", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AA\"}]}", &"x".repeat(300 * 1024)] {
        let before = server.metric(failed);
        std::fs::write(&path, bad).unwrap();
        wait_for("a failed try", || {
            assert_eq!(server.get(POLICIES, &by_new).status, 401);
            server.metric(failed) > before
        });
        assert_eq!(server.get(POLICIES, &by_old).status, 200);
    }
    // A token that names a key that is not there makes them be read again.
    write_jwks(&path, &[new.jwk("new")]);
    wait_for("the new key", || server.get(POLICIES, &by_new).status == 200);
    assert_eq!(server.get(POLICIES, &by_old).status, 401);
    assert!(server.metric("credence_admin_jwks_loaded_timestamp_seconds") > 0.0);
}

/// Answers every request with the text of the moment, and counts them.
struct Issuer {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::new(Mutex::new(response("500 Internal Server Error", ""))),
            asked: Arc::default(),
        };
        let (answer, asked) = (issuer.answer.clone(), issuer.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                // The end of the head.
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                asked.fetch_add(1, Ordering::SeqCst);
                // The other end may have gone.
                let _gone = stream.write_all(answer.lock().unwrap().as_bytes());
            }
        });
        issuer
    }

    fn set(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    fn url(&self) -> String {
        format!("http://{}/.well-known/jwks.json", self.address)
    }
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[test]
fn keys_come_from_a_url_and_outlive_its_bad_answers() {
    let issuer = Issuer::start();
    let server = Server::start(&ApiConfig { jwt: Some(jwt_config(JwksSource::Url(issuer.url()))), ..config() });
    let (old, new) = (SigningKey::ec(), SigningKey::rsa());
    let by_old = old.issue(&header(&old, "old"), &with(json!({})));
    let by_new = new.issue(&header(&new, "new"), &with(json!({})));

    // Before there are keys nobody can say whether a token is good; static tokens need none.
    let answer = server.get(POLICIES, &by_old);
    assert_eq!((answer.status, answer.code()), (503, "service_unavailable"));
    assert_eq!(server.get(POLICIES, "acme").status, 200);

    issuer.set(response("200 OK", &json!({ "keys": [old.jwk("old")] }).to_string()));
    wait_for("the first keys", || server.get(POLICIES, &by_old).status == 200);

    let failed = "credence_admin_jwks_loads_total{result=\"failed\"}";
    let good = json!({ "keys": [new.jwk("new")] }).to_string();
    let elsewhere = Issuer::start();
    elsewhere.set(response("200 OK", &good));
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        elsewhere.url()
    );
    for bad in [
        response("500 Internal Server Error", &good),
        response("200 OK", "<html>"),
        response("200 OK", &format!("{good}{}", " ".repeat(300 * 1024))),
        redirect,
        String::new(),
    ] {
        issuer.set(bad);
        let before = server.metric(failed);
        wait_for("a failed try", || {
            assert_eq!(server.get(POLICIES, &by_new).status, 401);
            server.metric(failed) > before
        });
        assert_eq!(server.get(POLICIES, &by_old).status, 200);
    }
    assert_eq!(elsewhere.asked.load(Ordering::SeqCst), 0, "a redirect was followed");

    issuer.set(response("200 OK", &good));
    wait_for("the new key", || server.get(POLICIES, &by_new).status == 200);
    assert_eq!(server.get(POLICIES, &by_old).status, 401);
}

#[test]
fn tokens_with_unknown_keys_do_not_make_the_issuer_be_asked_more_often() {
    let issuer = Issuer::start();
    let key = SigningKey::ec();
    issuer.set(response("200 OK", &json!({ "keys": [key.jwk("one")] }).to_string()));
    let jwt = JwtConfig { min_refresh_s: 300, ..jwt_config(JwksSource::Url(issuer.url())) };
    let server = Server::start(&ApiConfig { jwt: Some(jwt), ..config() });
    let good = key.issue(&header(&key, "one"), &with(json!({})));
    assert_eq!(server.get(POLICIES, &good).status, 200);
    for id in 0..100 {
        assert_eq!(server.get(POLICIES, &key.issue(&header(&key, &id.to_string()), &with(json!({})))).status, 401);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
}

#[test]
fn a_url_that_does_not_answer_holds_up_nobody_else() {
    // It accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/jwks", silent.local_addr().unwrap());
    let jwt = JwtConfig { fetch_timeout_ms: 60_000, ..jwt_config(JwksSource::Url(url)) };
    let server = Server::start(&ApiConfig { jwt: Some(jwt), ..config() });
    assert_eq!(server.get("/livez", "").status, 200);
    assert_eq!(server.get(POLICIES, "acme").status, 200);
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_told_at_once() {
    let mut bad = config();
    bad.limits.burst = 0;
    bad.limits.document_bytes = 1 << 30;
    bad.tokens[0].sha256 = "my secret".to_owned();
    bad.tokens[1].scopes = vec!["update:everything".to_owned()];
    bad.tokens[2].tenant = String::new();
    bad.tokens[3].name = bad.tokens[0].name.clone();
    bad.jwt = Some(JwtConfig {
        leeway_s: 100_000,
        refresh_s: 0,
        ..JwtConfig::new(ISSUER, "", "", JwksSource::Url("http://login.example.com/jwks".to_owned()))
    });
    let error = Api::new(&bad, Arc::new(Memory::default())).unwrap_err();
    let text = error.to_string();
    for part in [
        "limits.burst is 0; allowed are 1 to",
        "limits.document_bytes is 1073741824",
        "token \"acme\": sha256 is not the token's SHA-256 in 64 hex digits",
        "\"update:everything\" is no scope; allowed are read:mfa_policies",
        "\"\" is no tenant",
        "two tokens are named \"acme\"",
        "jwt.audience is empty",
        "jwt.tenant_claim is empty",
        "jwt.refresh_s is 0; allowed are 1 to 86400",
        "jwt.leeway_s is 100000; allowed are 0 to 600",
        "jwt.jwks: \"http://login.example.com/jwks\" is not where keys may come from; allowed is https://",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("my secret"), "{text}");

    let sources = [
        (JwksSource::File("/nonexistent/jwks.json".into()), "jwt.jwks: "),
        (JwksSource::Url("https://".to_owned()), "jwt.jwks: "),
        (JwksSource::Url("ftp://127.0.0.1/jwks".to_owned()), "jwt.jwks: "),
    ];
    for (source, part) in sources {
        let error = Api::new(&ApiConfig { jwt: Some(jwt_config(source)), ..config() }, Arc::new(Memory::default()));
        let text = error.unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
    let none = ApiConfig { tokens: vec![], ..config() };
    assert!(Api::new(&none, Arc::new(Memory::default())).unwrap().is_none());
}
