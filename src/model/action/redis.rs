//! What `redis.*` does. Fields that say *prepared* are absent in a playbook, and absolute in an intent.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::text::Template;

/// `redis.flush`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisFlush {
    /// Name of an entry of `targets.redis`.
    pub server: Template,
    /// Database number; silent means the one of the URL.
    pub database: Option<i64>,
    /// G10: a slice at a time; `None` empties it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<Slices>,
}

/// `slices: { keys, pause }`: a cache that is emptied a slice at a time can warm up again between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slices {
    /// Keys of one slice, at least.
    pub keys: u32,
    /// Time between two slices; then the guards are asked again.
    pub pause: Duration,
    /// Where the next slice begins, as SCAN counts; 0 in a playbook, and for the first one.
    #[serde(default)]
    pub cursor: u64,
}

/// `redis.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisDelete {
    /// Name of an entry of `targets.redis`.
    pub server: Template,
    /// Database number; silent means the one of the URL.
    pub database: Option<i64>,
    /// These keys.
    pub keys: Vec<Template>,
    /// Keys that match this glob, found by SCAN. Either this or `keys`.
    pub pattern: Option<Template>,
    /// G10: a slice at a time; `None` deletes them at once. Only with a pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<Slices>,
}

/// `redis.config_set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisConfigSet {
    /// Name of an entry of `targets.redis`.
    pub server: Template,
    /// Name of the setting, as `CONFIG GET` knows it; never one that holds a credential.
    pub setting: Template,
    /// Its value.
    pub value: Template,
    /// Prepared: the value that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}
