//! Whole journeys of an alert through the real binary, beside real servers: what quell promises, seen from outside.

mod approval;
mod control;
mod fixture;
mod incident;
mod measures;
mod once;
mod operation;
mod pages;
mod people;
mod response;
mod restraint;
mod times;
