//! Actions and probes against real databases: `PostgreSQL` with sessions that hold each other up, Redis with users and TLS.

mod execute_on_postgres;
mod fixture;
mod postgres;
mod redis;
