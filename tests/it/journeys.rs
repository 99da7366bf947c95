//! Whole journeys of an alert through the real binary, beside real servers: what quell promises, seen from outside.

mod approval;
mod audit;
mod backup;
mod channels;
mod control;
mod credentials;
mod explain;
mod fixture;
mod hands;
mod harm;
mod incident;
mod measures;
mod missed;
mod once;
mod operation;
mod pages;
mod people;
mod plans;
mod reload;
mod response;
mod restraint;
mod retention;
mod steps;
mod times;
mod trust;
