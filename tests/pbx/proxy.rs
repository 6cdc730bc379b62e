//! The cable between service and switch, with a knife.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the cable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    Whole,
    /// Connections are closed and refused.
    Cut,
}

/// A relay on 127.0.0.1.
pub struct Proxy {
    pub address: String,
    state: Arc<watch::Sender<Cable>>,
}

impl Proxy {
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (state, seen) = watch::channel(Cable::Whole);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *seen.borrow() == Cable::Cut {
                    continue;
                }
                tokio::spawn(relay(near, target.clone(), seen.clone()));
            }
        });
        Self { address, state: Arc::new(state) }
    }

    pub fn set(&self, cable: Cable) {
        self.state.send_replace(cable);
    }
}

async fn relay(mut near: TcpStream, target: String, mut cable: watch::Receiver<Cable>) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = cable.wait_for(|cable| *cable == Cable::Cut) => {}
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
    }
}
