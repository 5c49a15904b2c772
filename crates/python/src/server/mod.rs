//! What a server does per connection: accepting, and keeping account of who is connected.

pub(crate) mod accept;
pub(crate) mod clients;
