//! The service on a real PostgreSQL.
//!
//! Every test has a database of its own on the server named by `SKLIC_TEST_DATABASE_URL`, whose role may create databases.
//! Without the variable the tests say that they skip.

mod accounting;
mod api;
mod check_asterisk;
mod check_freeswitch;
mod check_settings;
mod check_support;
mod cli;
mod database;
mod delivery;
mod dial_in;
mod export;
mod export_properties;
mod handed_over;
mod homeless;
mod http_access;
mod http_bad_input;
mod http_conference;
mod http_description;
mod http_directory;
mod http_faults;
mod http_limits;
mod http_live;
mod http_log;
mod http_operator;
mod http_sign_in;
mod http_start;
mod kannel;
mod killed;
mod messages;
mod nodes;
mod plans;
mod plans_kept;
mod proxy;
mod retention;
mod sms_gateway;
mod smtp;
mod storage;
mod storage_isolation;
mod storage_outbox;
mod storage_writer;
mod storage_writer_faults;
mod switches;
mod upgrade;
mod webhooks;
