//! Headers by which gateways in a row tell each other of a request. They are believed from trusted peers only; entry
//! points remove them from the requests of others.

use http::HeaderName;

/// The number of the attempt, from 0: whoever says so sends the request again when it fails.
pub const ATTEMPT: HeaderName = HeaderName::from_static("x-portcullis-attempt");

/// How many milliseconds there are left until nobody waits for the answer any more.
pub const DEADLINE: HeaderName = HeaderName::from_static("x-portcullis-deadline-ms");
