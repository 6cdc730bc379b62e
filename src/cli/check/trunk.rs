//! Whether the trunk answers: SIP OPTIONS (RFC 3261 §11) over UDP or TCP, read with the SIP library.
//!
//! What the far end answers does not matter: a refusal, too, comes from a SIP element that lives.
//! Over TLS and WebSocket nothing is asked, for a carrier wants the switch's certificate there; only the connection is tried.

use std::time::Duration;

use rsip::prelude::*;
use rsip::{Scheme, SipMessage, Transport, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::Finding;
use crate::config::PbxConfig;

/// How long an answer may take, repetitions of the request included.
const WITHIN: Duration = Duration::from_secs(4);
/// The first pause before the request is sent again over UDP (RFC 3261 §17.1.2.2, T1); each further one is twice as long.
const REPEAT_AFTER: Duration = Duration::from_millis(500);
/// The largest answer that is read.
const MAX_ANSWER: usize = 65_536;

/// The finding about a trunk that cannot be asked or does not answer.
///
/// `contact` is what the switch itself calls when it uses the trunk; the key `trunk` of the configuration comes before it.
pub async fn examine(pbx: &PbxConfig, contact: Option<&str>) -> Option<Finding> {
    let place = format!("the trunk of the switch {}", pbx.name);
    let Some(address) = pbx.trunk.as_deref().or(contact) else {
        return Some(Finding::unknown(
            "trunk.address",
            place,
            "neither the configuration nor the switch tells where the trunk is, so it was not asked",
            format!("set trunk = \"sip:HOST:PORT\" in [[pbx]] {}", pbx.name),
        ));
    };
    match ask(address).await {
        Ok(_status) => None,
        Err(Silence::Unspoken(transport)) => Some(Finding::unknown(
            "trunk.transport",
            place,
            format!("{address} is spoken to by {transport}, which this check does not speak: whether the trunk answers was not asked"),
            format!(
                "ask the switch itself (`asterisk -rx 'pjsip show contacts'` with qualify_frequency on the trunk, `fs_cli -x 'sofia status'`), \
                 or name an address of the far end that answers by UDP or TCP: trunk = \"sip:HOST:PORT\" in [[pbx]] {}",
                pbx.name
            ),
        )),
        Err(Silence::Unreachable(why)) => Some(Finding::error(
            "trunk.unreachable",
            place,
            format!("{address} does not answer SIP OPTIONS: {why}"),
            "look at host, port and transport of the trunk, at firewall and routing, and whether the far end permits this machine's address",
        )),
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
enum Silence {
    /// Nobody is there, or it says nothing; in words.
    Unreachable(String),
    /// Somebody may be there, and this check does not speak his transport.
    Unspoken(Transport),
}

impl From<String> for Silence {
    fn from(why: String) -> Self {
        Self::Unreachable(why)
    }
}

impl From<&str> for Silence {
    fn from(why: &str) -> Self {
        Self::Unreachable(why.to_owned())
    }
}

/// The transport of a SIP URI: `sips:` is TLS, and without a parameter UDP is meant (RFC 3261 §19.1.1).
fn transport_of(uri: &Uri) -> Transport {
    let named = uri.transport().copied().unwrap_or(Transport::Udp);
    match (&uri.scheme, named) {
        (Some(Scheme::Sips), Transport::Udp | Transport::Tcp) => Transport::Tls,
        (Some(Scheme::Sips), Transport::Ws) => Transport::Wss,
        (_, named) => named,
    }
}

/// Sends OPTIONS to a SIP URI and gives the status of the answer.
async fn ask(address: &str) -> Result<u16, Silence> {
    let address = address.trim().trim_start_matches('<').trim_end_matches('>');
    let address = if address.starts_with("sip:") || address.starts_with("sips:") { address.to_owned() } else { format!("sip:{address}") };
    let uri = Uri::try_from(address.as_str()).map_err(|_| format!("{address:?} is no SIP address such as sip:198.51.100.7:5060"))?;
    let transport = transport_of(&uri);
    let host = uri.host_with_port.host.to_string();
    let port = *uri.host_with_port.port.unwrap_or_else(|| transport.default_port()).value();
    let target = format!("{host}:{port}");
    let deadline = Instant::now() + WITHIN;
    let resolved = timeout_at(deadline, tokio::net::lookup_host(&target)).await.map_err(|_| "its name is not resolved in time".to_owned())?;
    let peer = resolved.map_err(|error| error.to_string())?.next().ok_or("its name has no address")?;
    match transport {
        Transport::Udp => Ok(over_udp(peer, &host, deadline).await?),
        Transport::Tcp => Ok(over_tcp(peer, &host, deadline).await?),
        Transport::Tls | Transport::Ws | Transport::Wss => {
            connected(peer, deadline).await?;
            Err(Silence::Unspoken(transport))
        }
        Transport::Sctp | Transport::TlsSctp => Err(Silence::Unspoken(transport)),
    }
}

async fn connected(peer: std::net::SocketAddr, deadline: Instant) -> Result<TcpStream, String> {
    let connecting = timeout_at(deadline, TcpStream::connect(peer)).await;
    connecting.map_err(|_| late())?.map_err(|error| error.to_string())
}

fn late() -> String {
    format!("no answer within {} s", WITHIN.as_secs())
}

/// The request, and the Call-ID by which its answer is known.
fn request(host: &str, local: std::net::SocketAddr, transport: &str) -> (String, String) {
    let call_id = format!("{}@sklic", Uuid::new_v4().simple());
    let tag = &call_id[..12];
    let request = format!(
        "OPTIONS sip:{host} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {local};rport;branch=z9hG4bK{tag}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:sklic@{local}>;tag={tag}\r\n\
         To: <sip:{host}>\r\n\
         Call-ID: {call_id}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Contact: <sip:sklic@{local}>\r\n\
         Accept: application/sdp\r\n\
         User-Agent: sklic/{version}\r\n\
         Content-Length: 0\r\n\r\n",
        version = env!("CARGO_PKG_VERSION"),
    );
    (request, call_id)
}

/// The final status of an answer to our request; `None` for anything else.
fn status(bytes: &[u8], call_id: &str) -> Option<u16> {
    let SipMessage::Response(response) = SipMessage::try_from(bytes).ok()? else { return None };
    let is_ours = response.call_id_header().ok()?.value() == call_id;
    let code = response.status_code.code();
    (is_ours && code >= 200).then_some(code)
}

async fn over_udp(peer: std::net::SocketAddr, host: &str, deadline: Instant) -> Result<u16, String> {
    let words = |error: std::io::Error| error.to_string();
    let any = if peer.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).await.map_err(words)?;
    // Connected: the kernel tells when nobody listens there, and drops what others send.
    socket.connect(peer).await.map_err(words)?;
    let (request, call_id) = request(host, socket.local_addr().map_err(words)?, "UDP");
    let mut pause = REPEAT_AFTER;
    let mut buffer = vec![0; MAX_ANSWER];
    while Instant::now() < deadline {
        socket.send(request.as_bytes()).await.map_err(words)?;
        let repeat = (Instant::now() + pause).min(deadline);
        while let Ok(received) = timeout_at(repeat, socket.recv(&mut buffer)).await {
            let length = received.map_err(words)?;
            if let Some(status) = status(&buffer[..length], &call_id) {
                return Ok(status);
            }
        }
        pause *= 2;
    }
    Err(late())
}

async fn over_tcp(peer: std::net::SocketAddr, host: &str, deadline: Instant) -> Result<u16, String> {
    let words = |error: std::io::Error| error.to_string();
    let mut stream = connected(peer, deadline).await?;
    let (request, call_id) = request(host, stream.local_addr().map_err(words)?, "TCP");
    timeout(WITHIN, stream.write_all(request.as_bytes())).await.map_err(|_| late())?.map_err(words)?;
    let mut answer = Vec::new();
    while answer.len() < MAX_ANSWER {
        let read = timeout_at(deadline, stream.read_buf(&mut answer)).await.map_err(|_| late())?.map_err(words)?;
        if let Some(status) = status(&answer, &call_id) {
            return Ok(status);
        }
        if read == 0 {
            return Err("it closed the connection".into());
        }
    }
    Err("it sent what is no SIP".into())
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn answer(request: &str, code: &str) -> Vec<u8> {
        let header = |name: &str| request.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let lines = [format!("SIP/2.0 {code}"), header("Via: "), header("From: "), header("To: ") + ";tag=x", header("Call-ID: "), header("CSeq: ")];
        (lines.join("\r\n") + "\r\nContent-Length: 0\r\n\r\n").into_bytes()
    }

    #[test]
    fn only_a_final_answer_to_our_own_request_counts() {
        let (request, call_id) = request("127.0.0.1", "127.0.0.1:5060".parse().expect("an address"), "UDP");
        assert!(SipMessage::try_from(request.as_bytes()).is_ok(), "{request}");
        assert_eq!(status(&answer(&request, "200 OK"), &call_id), Some(200));
        assert_eq!(status(&answer(&request, "405 Method Not Allowed"), &call_id), Some(405), "a refusal is a sign of life");
        assert_eq!(status(&answer(&request, "100 Trying"), &call_id), None);
        assert_eq!(status(&answer(&request, "200 OK"), "another"), None);
        for broken in [&b"\xff\xfe"[..], b"", b"SIP/2.0 9999999 x\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", request.as_bytes()] {
            assert_eq!(status(broken, &call_id), None);
        }
    }

    #[tokio::test]
    async fn an_answer_comes_over_udp_after_a_lost_request_and_over_tcp() {
        let far = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = far.local_addr().expect("it is bound");
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 2000];
            let _lost = far.recv_from(&mut buffer).await.expect("a request");
            let (length, peer) = far.recv_from(&mut buffer).await.expect("it is sent again");
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            far.send_to(&answer(&request, "404 Not Found"), peer).await.expect("sent");
        });
        assert_eq!(ask(&format!("sip:{address}")).await, Ok(404));
        answering.await.expect("it answered");

        let far = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = far.local_addr().expect("it is bound");
        tokio::spawn(async move {
            let (mut stream, _) = far.accept().await.expect("a connection");
            let mut request = vec![0; 2000];
            let length = stream.read(&mut request).await.expect("a request");
            let answer = answer(&String::from_utf8_lossy(&request[..length]), "200 OK");
            let (first, rest) = answer.split_at(10);
            stream.write_all(first).await.expect("sent");
            stream.write_all(rest).await.expect("sent");
        });
        assert_eq!(ask(&format!("sip:trunk@{address};transport=tcp")).await, Ok(200));
    }

    #[tokio::test]
    async fn nobody_there_and_no_address_are_told() {
        let free = UdpSocket::bind("127.0.0.1:0").await.and_then(|socket| socket.local_addr()).expect("a free port");
        let refused = |silence| matches!(silence, Err(Silence::Unreachable(why)) if why.contains("refused"));
        assert!(refused(ask(&format!("sip:{free}")).await));
        assert!(ask("sip:").await.is_err());
    }

    #[tokio::test]
    async fn a_trunk_of_another_transport_is_no_fault_while_somebody_takes_its_connections() {
        let far = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let there = far.local_addr().expect("it is bound");
        for (address, transport) in [
            (format!("sips:{there}"), Transport::Tls),
            (format!("<sip:{there};transport=tls>"), Transport::Tls),
            (format!("sips:{there};transport=tcp"), Transport::Tls),
            (format!("sip:carrier@{there};transport=ws"), Transport::Ws),
            (format!("sips:{there};transport=ws"), Transport::Wss),
        ] {
            assert_eq!(ask(&address).await, Err(Silence::Unspoken(transport)), "{address}");
            let text = format!("name = \"pbx1\"\nkind = \"asterisk\"\ntrunk = \"{address}\"\n");
            let pbx: PbxConfig = toml::from_str(&text).expect("a section");
            let finding = examine(&pbx, None).await.expect("it is told");
            assert_eq!((finding.id, finding.severity), ("trunk.transport", Severity::Unknown));
            assert!(finding.problem.contains(&transport.to_string()) && finding.remedy.contains("pbx1"), "{finding:?}");
        }
        drop(far);
        for address in [format!("sips:{there}"), format!("sip:{there};transport=wss")] {
            assert!(matches!(ask(&address).await, Err(Silence::Unreachable(_))), "{address}: nobody is there any more");
        }
        let uri = |text: &str| Uri::try_from(text).expect("a URI");
        assert_eq!(*transport_of(&uri("sips:sip.example.test")).default_port().value(), 5061);
    }
}
