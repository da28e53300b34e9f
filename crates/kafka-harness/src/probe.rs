//! Asks a broker, in Kafka's own protocol, whether it is ready for clients.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Metadata request, version 1, correlation id 7, no client id, no topics; preceded by its length.
const METADATA_REQUEST: [u8; 18] = [
    0, 0, 0, 14, // length
    0, 3, 0, 1, // API key and version
    0, 0, 0, 7, // correlation id
    0xff, 0xff, // client id: null
    0, 0, 0, 0, // topics: none
];

/// Whether the broker at `address` lists at least one usable broker, that is: itself.
///
/// The listener opens before the broker is unfenced, and topics made in between would fail for
/// want of brokers; so an open port alone is not enough.
pub(crate) fn is_ready(address: SocketAddr, timeout: Duration) -> bool {
    live_brokers(address, timeout).is_ok_and(|count| count > 0)
}

fn live_brokers(address: SocketAddr, timeout: Duration) -> io::Result<i32> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(&METADATA_REQUEST)?;
    // Length, correlation id, number of brokers; the rest does not matter here.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let [_, _, _, _, _, _, _, 7, count @ ..] = head else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    Ok(i32::from_be_bytes(count))
}
