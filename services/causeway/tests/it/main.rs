//! The whole system, from outside: started as it is run, spoken to over the network.

mod clients;
mod door;
mod hostile;
mod http;
mod mesh;
mod models;
mod processes;
mod settings;
mod story;
mod walk;
