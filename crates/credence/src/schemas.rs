//! The published descriptions of what goes over the topics, made from the types themselves.

use model::{Unreadable, schema};
use serde_json::{Value, json};

use crate::config::Config;

/// A document of the folder `schemas`.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its file name.
    pub name: &'static str,
    /// What it describes.
    pub about: &'static str,
    /// Its text.
    pub text: String,
}

fn document(name: &'static str, about: &'static str, value: &Value) -> Document {
    // Of a value that was parsed or built from parts nothing fails to be written.
    Document { name, about, text: serde_json::to_string_pretty(value).unwrap_or_default() + "\n" }
}

/// All documents.
#[must_use]
pub fn documents() -> Vec<Document> {
    let about = ["Login events (input).", "Verdicts (output).", "Tenant log records (output)."];
    vec![
        document("login-event.schema.json", about[0], schema::login_event().as_value()),
        document("verdict.schema.json", about[1], schema::verdict().as_value()),
        document("tenant-log.schema.json", about[2], schema::tenant_log().as_value()),
        document(
            "tenant-audit.schema.json",
            "Changes of settings in the tenant log (output).",
            schema::tenant_audit().as_value(),
        ),
        document(
            "tenant-settings.schema.json",
            "Settings documents of tenants (input).",
            policy::document::schema().as_value(),
        ),
        document("command.schema.json", "Orders among the login events (input).", schema::command().as_value()),
        document("openapi.json", "The settings API of the admin port.", &admin::openapi()),
        document("asyncapi.json", "The topics: names, keys, messages.", &asyncapi(&Config::default())),
    ]
}

/// The changelog: three kinds of records, told apart by their keys.
fn profiles_channel(topic: &str) -> Value {
    json!({
        "address": topic,
        "description": "The changelog of the state, compacted. A partition holds the state of the same partition of the events, whatever the key says: both topics have the same number of partitions. Written in transactions: read it with isolation.level=read_committed.",
        "messages": {
            "profile": { "$ref": "#/components/messages/profile" },
            "dataVersions": { "$ref": "#/components/messages/dataVersions" },
            "settingsPosition": { "$ref": "#/components/messages/settingsPosition" }
        },
        "bindings": { "kafka": { "topicConfiguration": { "cleanup.policy": ["compact"] }, "bindingVersion": "0.5.0" } }
    })
}

fn events_channel(topic: &str) -> Value {
    json!({
        "address": topic,
        "description": "Login events, written by the auth server. JSON or MessagePack, told apart by the content-type header, else by the first byte. Orders, written by the settings API, have a content type of their own.",
        "messages": {
            "loginEvent": { "$ref": "#/components/messages/loginEvent" },
            "command": { "$ref": "#/components/messages/command" }
        }
    })
}

fn settings_channel(topic: &str) -> Value {
    json!({
        "address": topic,
        "description": "Settings documents of tenants, compacted. One partition: its offsets order all documents. A record without a value removes the document.",
        "messages": { "tenantSettings": { "$ref": "#/components/messages/tenantSettings" } },
        "bindings": { "kafka": { "partitions": 1, "topicConfiguration": { "cleanup.policy": ["compact"] }, "bindingVersion": "0.5.0" } }
    })
}

/// A record of the changelog, by its key as MessagePack and what is said of its value.
fn state_message(name: &str, summary: &str, key: &Value, value: &str) -> Value {
    let mut key = key.clone();
    key["description"] = json!("As MessagePack, each part with the shortest header unless said otherwise.");
    json!({
        "name": name,
        "summary": summary,
        "contentType": "application/octet-stream",
        "payload": { "description": value },
        "bindings": { "kafka": { "key": key, "bindingVersion": "0.5.0" } }
    })
}

/// The AsyncAPI document of the topics under their default names.
fn asyncapi(config: &Config) -> Value {
    let key = json!({
        "type": "string",
        "description": "<tenant.id>/<user.user_id>, only the tenant where there is no user; partitioned as the Java client does (murmur2)"
    });
    let message = |name: &str, summary: &str, schema: &str| {
        json!({
            "name": name,
            "summary": summary,
            "contentType": "application/json",
            "payload": { "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": { "$ref": format!("./{schema}") } },
            "bindings": { "kafka": { "key": key, "bindingVersion": "0.5.0" } }
        })
    };
    let channel = |topic: &str, description: &str, message: &str| {
        json!({
            "address": topic,
            "description": description,
            "messages": { message: { "$ref": format!("#/components/messages/{message}") } }
        })
    };
    let operation = |action: &str, channel: &str, summary: &str| json!({ "action": action, "channel": { "$ref": format!("#/channels/{channel}") }, "summary": summary });
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Credence",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Login events in, verdicts and tenant log records out. All messages are JSON or MessagePack (maps) of the same fields; readers tolerate fields that they do not know.",
            "license": { "name": "Apache-2.0" }
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": events_channel(&config.topic_events),
            "verdicts": channel(&config.topic_verdicts, "One verdict a scored attempt; a repeated attempt gets the same bytes again. No verdict in the auth server's time limit means low.", "verdict"),
            "logs": {
                "address": config.topic_logs,
                "description": "Tenant log records, in the format of the reference's log records: logins, and changes of settings (type sapi).",
                "messages": {
                    "tenantLog": { "$ref": "#/components/messages/tenantLog" },
                    "tenantAudit": { "$ref": "#/components/messages/tenantAudit" }
                }
            },
            "settings": settings_channel(&config.topic_settings),
            "profiles": profiles_channel(&config.topic_profiles),
            "dead": channel(&config.topic_dead, "Records that cannot be read, byte for byte.", "deadLetter")
        },
        "operations": {
            "readEvents": operation("receive", "events", "Reads login events."),
            "writeVerdicts": operation("send", "verdicts", "Answers scored attempts."),
            "writeLogs": operation("send", "logs", "Writes tenant log records."),
            "writeProfiles": operation("send", "profiles", "Keeps what is remembered of each user."),
            "readProfiles": operation("receive", "profiles", "Completes the state of a partition that was assigned."),
            "buryEvents": operation("send", "dead", "Keeps what cannot be read."),
            "readSettings": operation("receive", "settings", "Takes up what tenants have set."),
            "writeSettings": operation("send", "settings", "Stores what the settings API is told.")
        },
        "components": { "messages": {
            "loginEvent": message("LoginEvent", "One try of a login, or its end.", "login-event.schema.json"),
            "verdict": message("Verdict", "The answer to one scored attempt.", "verdict.schema.json"),
            "tenantLog": message("TenantLogRecord", "What happened, with the evidence.", "tenant-log.schema.json"),
            "profile": state_message(
                "Profile",
                "What is remembered of one user.",
                &json!({
                    "type": "array",
                    "prefixItems": [
                        { "type": "string", "description": "tenant.id" },
                        { "type": "string", "description": "user.user_id" }
                    ],
                    "minItems": 2,
                    "maxItems": 2
                }),
                &format!(
                    "A version byte ({}), then the packed profile: devices, places, recent answers, waiting attempts. No value: the profile has expired. For no other reader than this program, whose versions know the versions of the form.",
                    profile::packed::FORMAT_VERSION
                ),
            ),
            "tenantAudit": message("TenantAuditRecord", "A change of settings.", "tenant-audit.schema.json"),
            "tenantSettings": {
                "name": "TenantSettings",
                "summary": "What is in force for a tenant.",
                "contentType": "application/json",
                "payload": { "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": { "$ref": "./tenant-settings.schema.json" } },
                "bindings": { "kafka": { "key": { "type": "string", "description": "tenant.id" }, "bindingVersion": "0.5.0" } }
            },
            "command": {
                "name": "Command",
                "summary": "An order to the owner of a partition.",
                "contentType": model::command::CONTENT_TYPE,
                "payload": { "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": { "$ref": "./command.schema.json" } },
                "bindings": { "kafka": { "key": key, "bindingVersion": "0.5.0" } }
            },
            "settingsPosition": state_message(
                "SettingsPosition",
                "The place of the settings topic up to which settings are in force for this partition.",
                &json!({
                    "type": "array",
                    "prefixItems": [{ "const": "settings" }, { "const": 0, "description": "Written with 32 bits." }],
                    "minItems": 2,
                    "maxItems": 2
                }),
                "A version byte (1), then the offset behind the last document in force, 64 bits, the lowest byte first.",
            ),
            "dataVersions": state_message(
                "DataVersions",
                "The versions of databases and lists that answers were given with, by the number that profiles name them by.",
                &json!({
                    "type": "array",
                    "prefixItems": [
                        { "const": "data_versions" },
                        { "type": "integer", "minimum": 0, "maximum": u32::MAX, "description": "The number, always written with 32 bits." }
                    ],
                    "minItems": 2,
                    "maxItems": 2
                }),
                "A version byte (1), then a MessagePack map of texts: each database or list with its version.",
            ),
            "deadLetter": {
                "name": "DeadLetter",
                "summary": "A record of the events topic that cannot be read, unchanged, with its own headers and these.",
                "contentType": "application/octet-stream",
                "headers": {
                    "type": "object",
                    "properties": {
                        "credence-reason": { "enum": Unreadable::REASONS },
                        "credence-detail": { "type": "string", "description": "What exactly was wrong." },
                        "credence-source-topic": { "type": "string" },
                        "credence-source-partition": { "type": "string" },
                        "credence-source-offset": { "type": "string" },
                        "credence-source-timestamp": { "type": "string" }
                    }
                },
                "payload": {}
            }
        } }
    })
}
