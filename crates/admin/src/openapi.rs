//! The OpenAPI document of the port. Tests hold it against the running server.

use serde_json::{Map, Value, json};

use crate::operations::{Call, OPERATIONS, Operation, PLAIN};

/// The port in the words of OpenAPI 3.1: every path, method, scope, body and answer.
#[must_use]
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for plain in &PLAIN {
        let responses: Map<String, Value> = plain
            .statuses
            .iter()
            .map(|(status, what)| {
                let content = json!({ "text/plain": { "schema": { "type": "string" } } });
                (status.to_string(), json!({ "description": what, "content": content }))
            })
            .collect();
        paths.insert(
            plain.path.to_owned(),
            json!({ "get": { "summary": plain.summary, "security": [], "responses": responses } }),
        );
    }
    for operation in &OPERATIONS {
        let path =
            paths.entry(operation.path.to_owned()).or_insert_with(|| json!({ "parameters": parameters(operation) }));
        if let Value::Object(path) = path {
            path.insert(operation.method.to_owned(), described(operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Credence",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The admin port: settings of tenants (the paths below /api/v2 as in Auth0's Management API), health and metrics.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": {
                "type": "http", "scheme": "bearer",
                "description": "A JWT of the configured issuer, or a configured token. The scope that a call needs stands in x-required-scope.",
            } },
            "headers": headers(),
            "schemas": schemas(),
        },
    })
}

fn parameters(operation: &Operation) -> Value {
    match operation.call {
        Call::Clear => json!([{
            "name": "id", "in": "path", "required": true, "description": "The user's id.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 1024 },
        }]),
        Call::GetDocument | Call::PutDocument | Call::DeleteDocument => json!([{
            "name": "tenant", "in": "path", "required": true, "description": "The token has to be for it.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 256 },
        }]),
        _ => json!([]),
    }
}

fn described(operation: &Operation) -> Value {
    let (status, schema) = operation.success;
    let mut responses = Map::new();
    let mut success = json!({ "description": "Done.", "headers": header_refs(&LIMIT_HEADERS) });
    if let Some(schema) = schema {
        success["content"] = content(schema);
    }
    if matches!(operation.call, Call::GetDocument | Call::PutDocument) {
        success["headers"]["ETag"] = json!({ "$ref": "#/components/headers/ETag" });
    }
    responses.insert(status.to_string(), success);
    for status in failures(operation) {
        let mut names = LIMIT_HEADERS.to_vec();
        if matches!(status, 429 | 503) {
            names.push("Retry-After");
        }
        responses.insert(
            status.to_string(),
            json!({ "description": what(status), "headers": header_refs(&names), "content": content("Error") }),
        );
    }
    let mut described = json!({
        "summary": operation.summary,
        "x-required-scope": operation.scope,
        "responses": responses,
    });
    if let Some((_, schema)) = operation.body {
        described["requestBody"] = json!({ "required": true, "content": content(schema) });
    }
    let condition = |name: &str, what: &str| json!({ "name": name, "in": "header", "required": false, "description": what, "schema": { "type": "string" } });
    match operation.call {
        Call::PutDocument => {
            described["parameters"] = json!([
                condition("If-Match", "The version to replace, as ETag gave it; * for any."),
                condition("If-None-Match", "* where no settings may be there yet."),
                {
                    "name": "dry_run", "in": "query", "required": false,
                    "description": "Only looks whether the settings could be stored.",
                    "schema": { "type": "boolean", "default": false },
                },
            ]);
        }
        Call::DeleteDocument => {
            described["parameters"] = json!([
                condition("If-Match", "The version to remove, as ETag gave it; * for any."),
                condition("If-None-Match", "* where no settings may be there."),
            ]);
        }
        _ => {}
    }
    described
}

/// The statuses of errors that a call may answer with.
fn failures(operation: &Operation) -> Vec<u16> {
    let mut statuses = vec![400, 401, 403, 429, 503];
    if operation.body.is_some() {
        statuses.extend([408, 413, 415]);
    }
    match operation.call {
        Call::GetDocument => statuses.push(404),
        Call::PutDocument | Call::DeleteDocument => statuses.push(412),
        _ => {}
    }
    statuses.sort_unstable();
    statuses
}

fn what(status: u16) -> &'static str {
    match status {
        400 => {
            "The path, a parameter, a header or the body is not as it should be; for a body, all that is wrong with it."
        }
        401 => "No token, or none that is good.",
        403 => "The token has not the scope, or is for another tenant.",
        404 => "The tenant has no settings of its own.",
        408 => "The body did not arrive in time.",
        412 => "Another version is stored.",
        413 => "The body is too large.",
        415 => "The body is not application/json.",
        429 => "Too many requests.",
        _ => "The settings, or the keys of tokens, are not available now.",
    }
}

const LIMIT_HEADERS: [&str; 3] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

fn header_refs(names: &[&str]) -> Value {
    let refs = names.iter().map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
    Value::Object(refs.collect())
}

fn headers() -> Value {
    let integer = |what: &str| json!({ "description": what, "schema": { "type": "integer", "minimum": 0 } });
    json!({
        "ETag": { "description": "Names the version.", "schema": { "type": "string" } },
        "Retry-After": integer("When it may be tried again, in seconds from now."),
        "x-ratelimit-limit": integer("How many requests are taken at once."),
        "x-ratelimit-remaining": integer("How many of them are left."),
        "x-ratelimit-reset": integer("When there are more, in seconds since 1970."),
    })
}

fn schemas() -> Value {
    json!({
        "MfaPolicies": {
            "type": "array", "maxItems": 1,
            "items": { "enum": ["all-applications", "confidence-score"] },
        },
        "RiskSettings": {
            "type": "object", "additionalProperties": false, "required": ["enabled"],
            "properties": { "enabled": { "type": "boolean" } },
        },
        "NewDeviceSettings": {
            "type": "object", "additionalProperties": false, "required": ["remember_for"],
            "properties": { "remember_for": {
                "type": "integer", "minimum": 1, "maximum": 365, "description": "In days.",
            } },
        },
        "Clear": {
            "type": "object", "additionalProperties": false, "required": ["connection", "assessors"],
            "properties": {
                "connection": {
                    "type": "string", "minLength": 1, "maxLength": 128,
                    "pattern": "^[a-zA-Z0-9](-[a-zA-Z0-9]|[a-zA-Z0-9])*$",
                },
                "assessors": { "type": "array", "minItems": 1, "items": { "enum": ["new-device"] } },
            },
        },
        "Settings": { "type": "object", "description": "The settings document of a tenant." },
        "Valid": {
            "type": "object", "additionalProperties": false, "required": ["valid"],
            "properties": { "valid": { "const": true } },
        },
        "SettingsOrValid": {
            "description": "The settings as they are stored; for a dry run, that they could be.",
            "anyOf": [{ "$ref": "#/components/schemas/Settings" }, { "$ref": "#/components/schemas/Valid" }],
        },
        "Problem": {
            "type": "object", "additionalProperties": false, "required": ["path", "value", "allowed"],
            "properties": {
                "path": { "type": "string", "description": "Where; empty for the whole body." },
                "value": { "description": "What stands there." },
                "allowed": { "type": "string", "description": "What may." },
            },
        },
        "Error": {
            "type": "object", "additionalProperties": false, "required": ["statusCode", "error", "message"],
            "properties": {
                "statusCode": { "type": "integer", "minimum": 400, "maximum": 599 },
                "error": { "type": "string" },
                "message": { "type": "string" },
                "errorCode": { "enum": [
                    "inexistent_settings", "insufficient_scope", "invalid_body", "invalid_headers",
                    "invalid_query_string", "invalid_uri", "no_tenant", "other_tenant", "payload_too_large",
                    "service_unavailable", "too_many_requests", "version_mismatch",
                ] },
                "problems": { "type": "array", "minItems": 1, "items": { "$ref": "#/components/schemas/Problem" } },
            },
        },
    })
}
