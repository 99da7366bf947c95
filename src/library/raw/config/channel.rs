//! `channels:` of `quell.yml`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::library::field::Entries;
use crate::library::field::Field;
use crate::library::raw::DurationText;
use crate::library::raw::List;
use crate::library::raw::Opt;
use crate::library::raw::SecretText;

/// A way to tell people: exactly one of pagerduty, email, slack, webhook.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "a channel", rename_all = "lowercase")]
pub(crate) enum RawChannel {
    /// Events of PagerDuty: trigger, acknowledge, resolve.
    PagerDuty(Field<RawPagerDuty>),
    /// Mail, one thread an incident.
    Email(Field<RawEmail>),
    /// Messages in one Slack channel.
    Slack(Field<RawSlack>),
    /// JSON to any HTTP server.
    Webhook(Field<RawWebhook>),
}

/// A service of PagerDuty, by its Events API v2.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`pagerduty`")]
pub(crate) struct RawPagerDuty {
    /// Integration key of the service: 32 letters and digits.
    #[schemars(extend("examples" = ["${env:QUELL_PAGERDUTY_KEY}"]))]
    pub(crate) routing_key: Field<SecretText>,
    /// Where the Events API is; another region or a proxy.
    #[schemars(extend("default" = "https://events.pagerduty.com"))]
    pub(crate) url: Opt<SecretText>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `true` when silent.
    pub(crate) pages: Opt<bool>,
    /// The channel that is told instead, when this one does not deliver. `escalate_to` of the severity when silent, else any
    /// other.
    #[schemars(extend("examples" = ["mail"]))]
    pub(crate) fallback: Opt<String>,
    /// A page that has not arrived by then is sent there too; a notice that is given up is at once.
    #[schemars(extend("default" = "5m"))]
    pub(crate) fallback_after: Opt<DurationText>,
}

/// Mail over a submission server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`email`")]
pub(crate) struct RawEmail {
    /// `smtps://user:password@host:465` (TLS), `smtp://…:587` (STARTTLS required), or `smtp+plain://…` for a relay on
    /// this host.
    #[schemars(extend("examples" = ["smtps://quell:${env:SMTP_PASSWORD}@mail.example.com:465"]))]
    pub(crate) smtp: Field<SecretText>,
    /// Sender.
    #[schemars(extend("examples" = ["quell@example.com"]))]
    pub(crate) from: Field<String>,
    /// Recipients; each is tried on its own.
    #[schemars(length(min = 1), extend("examples" = [["oncall@example.com"]]))]
    pub(crate) to: Field<List<String>>,
    /// PEM file of a private certificate authority, relative to this file.
    pub(crate) ca_file: Opt<String>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `false` when silent.
    pub(crate) pages: Opt<bool>,
    /// The channel that is told instead, when this one does not deliver. `escalate_to` of the severity when silent, else any
    /// other.
    #[schemars(extend("examples" = ["mail"]))]
    pub(crate) fallback: Opt<String>,
    /// A page that has not arrived by then is sent there too; a notice that is given up is at once.
    #[schemars(extend("default" = "5m"))]
    pub(crate) fallback_after: Opt<DurationText>,
}

/// An incoming webhook of Slack.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`slack`")]
pub(crate) struct RawSlack {
    /// URL of the incoming webhook; itself a credential.
    #[schemars(extend("examples" = ["${env:QUELL_SLACK_WEBHOOK}"]))]
    pub(crate) webhook_url: Field<SecretText>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `false` when silent.
    pub(crate) pages: Opt<bool>,
    /// The channel that is told instead, when this one does not deliver. `escalate_to` of the severity when silent, else any
    /// other.
    #[schemars(extend("examples" = ["mail"]))]
    pub(crate) fallback: Opt<String>,
    /// A page that has not arrived by then is sent there too; a notice that is given up is at once.
    #[schemars(extend("default" = "5m"))]
    pub(crate) fallback_after: Opt<DurationText>,
}

/// JSON to any HTTP server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename = "`webhook`")]
pub(crate) struct RawWebhook {
    /// Where the event is posted.
    #[schemars(extend("examples" = ["https://hooks.example.com/quell"]))]
    pub(crate) url: Field<SecretText>,
    /// Headers of each request, such as a credential.
    #[schemars(extend("examples" = [{"authorization": "Bearer ${env:HOOK_TOKEN}"}]))]
    pub(crate) headers: Opt<Entries<SecretText>>,
    /// Whether it wakes people, so that a rule's `page` holds it back. `false` when silent.
    pub(crate) pages: Opt<bool>,
    /// The channel that is told instead, when this one does not deliver. `escalate_to` of the severity when silent, else any
    /// other.
    #[schemars(extend("examples" = ["mail"]))]
    pub(crate) fallback: Opt<String>,
    /// A page that has not arrived by then is sent there too; a notice that is given up is at once.
    #[schemars(extend("default" = "5m"))]
    pub(crate) fallback_after: Opt<DurationText>,
}
