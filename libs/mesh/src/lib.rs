//! How a service is run and called: channels near and far, service tokens, server layers, health, reflection, drain.
