//! Whether a switch's control port can be reached from beyond this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::{Finding, Machine};
use crate::config::PbxConfig;

/// TCP's state "listening" in `/proc/net/tcp` (Linux, `include/net/tcp_states.h`).
const LISTENING: &str = "0A";

/// The control port of a switch on this machine should listen on loopback only: its password is sent in the clear and opens the switch.
pub fn control_port(pbx: &PbxConfig, machine: &Machine) -> Vec<Finding> {
    let place = format!("the control port of the switch {}", pbx.name);
    let Some((host, port)) = pbx.address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) else {
        return Vec::new();
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if !is_here {
        return vec![Finding::warning(
            "switch.control_port",
            place,
            format!("the service speaks to {} without encryption: who listens on the way reads the password and every number", pbx.address),
            "run the service on the switch's machine, or lead the connection through a tunnel (WireGuard, ssh -L) to 127.0.0.1",
        )];
    }
    let open: Vec<String> = listeners(&machine.proc)
        .into_iter()
        .filter(|address| address.port() == port && !address.ip().to_canonical().is_loopback())
        .map(|address| address.to_string())
        .collect();
    if open.is_empty() {
        return Vec::new();
    }
    vec![Finding::error(
        "switch.control_port",
        place,
        format!("it listens on {}, beyond loopback: whoever reaches it may try passwords", open.join(" and ")),
        "let it listen on 127.0.0.1 only: bindaddr in Asterisk's manager.conf, listen-ip in FreeSWITCH's event_socket.conf.xml; then restart the switch",
    )]
}

/// The addresses on which this machine takes TCP connections.
fn listeners(proc: &Path) -> Vec<SocketAddr> {
    let files = ["net/tcp", "net/tcp6"].map(|name| std::fs::read_to_string(proc.join(name)).unwrap_or_default());
    files.iter().flat_map(|text| text.lines()).filter_map(listener).collect()
}

/// One line of `/proc/net/tcp` or `tcp6`, if it is a listener: addresses are hexadecimal, in words of the machine's byte order.
fn listener(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != LISTENING {
        return None;
    }
    if !matches!(address.len(), 8 | 32) {
        return None;
    }
    let words = address.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).map(Ipv4Addr::from).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).map(Ipv6Addr::from).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn a_port_beyond_loopback_and_a_way_through_the_network_are_told() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("net")).expect("it can be written");
        let line = |address: &str| format!("   0: {address}:1F55 00000000:0000 0A 00000000:00000000\n");
        let found = |pbx: &str, listener: &str| {
            std::fs::write(folder.path().join("net/tcp"), line(listener)).expect("it can be written");
            let pbx: PbxConfig = toml::from_str(&format!("name = \"pbx1\"\nkind = \"freeswitch\"\naddress = \"{pbx}\"\n")).expect("a section");
            let findings = control_port(&pbx, &Machine { proc: folder.path().to_owned() });
            findings.into_iter().map(|finding| (finding.id, finding.severity)).collect::<Vec<_>>()
        };
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(found("127.0.0.1:8021", &loopback), []);
        assert_eq!(found("localhost:8021", "00000000"), [("switch.control_port", Severity::Error)]);
        assert_eq!(found("127.0.0.1:5038", "00000000"), [], "another port");
        assert_eq!(found("192.0.2.10:8021", &loopback), [("switch.control_port", Severity::Warning)]);
    }

    #[test]
    fn a_real_listener_is_found_with_its_address() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        // The kernel's list is read in pieces and may lack a line while other connections come and go.
        assert!((0..100).any(|_| listeners(Path::new("/proc")).contains(&address)));
    }

    #[test]
    fn connections_and_broken_lines_are_no_listeners() {
        let line = |state| format!("   0: 00000000:13AE 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1");
        assert_eq!(listener(&line("0A")), Some("0.0.0.0:5038".parse().expect("an address")));
        for broken in [line("01"), String::new(), "  sl  local_address rem_address   st".into(), "0: zz:13AE x 0A".into(), "0: 00:1 x 0A".into()] {
            assert_eq!(listener(&broken), None, "{broken}");
        }
        let all = "   0: 00000000000000000000000000000000:13AE 00000000000000000000000000000000:0000 0A 0";
        assert_eq!(listener(all), Some("[::]:5038".parse().expect("an address")));
    }
}
