//! The lab around the service, by way of `vagrant/provision/lab.sh`.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The lab of this checkout.
#[derive(Debug)]
pub struct Lab {
    /// The root of the checkout.
    pub root: PathBuf,
    env: BTreeMap<String, String>,
    started: Vec<&'static str>,
}

/// The root of the checkout: the nearest folder upwards with the lab in it, else where this was built.
pub fn checkout() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let root = here.ancestors().find(|folder| folder.join("vagrant/provision/lab.sh").is_file());
    root.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), Path::to_path_buf)
}

impl Lab {
    /// Reads where everything is, and starts what is asked for and does not run.
    pub async fn open(root: &Path, services: &[&'static str]) -> Result<Self> {
        let mut lab = Self { root: root.to_owned(), env: BTreeMap::new(), started: Vec::new() };
        let said = lab.verb(&["env"]).await?;
        lab.env = said.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let status = lab.verb(&["status"]).await?;
        for service in services {
            if !status.lines().any(|line| line.starts_with(service) && line.contains(" runs")) {
                lab.verb(&["start", service]).await?;
                lab.started.push(service);
            }
        }
        Ok(lab)
    }

    /// Another switch takes the place of the lab's.
    pub fn lead_to(&mut self, variables: Vec<(String, String)>) {
        self.env.extend(variables);
    }

    /// Runs a verb of `lab.sh`; what it says on failure is the error.
    pub async fn verb(&self, arguments: &[&str]) -> Result<String> {
        let script = self.root.join("vagrant/provision/lab.sh");
        let output = Command::new(&script)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("running {}", script.display()))?;
        if !output.status.success() {
            bail!("lab.sh {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Stops what this runner has started, in the opposite order.
    pub async fn close(&mut self) {
        for service in self.started.drain(..).rev().collect::<Vec<_>>() {
            if let Err(error) = self.verb(&["stop", service]).await {
                eprintln!("sklic-qa: {error:#}");
            }
        }
    }

    /// A value of `lab.sh env`.
    pub fn get(&self, key: &str) -> Result<&str> {
        self.env.get(key).map(String::as_str).with_context(|| format!("lab.sh env does not say {key}"))
    }

    /// A port of the lab.
    pub fn port(&self, key: &str) -> Result<u16> {
        self.get(key)?.parse().with_context(|| format!("{key} is no port"))
    }

    /// A folder of the runner's own in the lab, made empty.
    pub fn fresh_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = Path::new(self.get("SKLIC_LAB_DIR")?).join("qa").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// Makes an empty database and gives its URL.
    pub async fn make_database(&self, name: &str) -> Result<String> {
        let url = self.get("SKLIC_LAB_DATABASE_URL")?;
        self.sql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        self.sql(&format!("CREATE DATABASE {name}")).await?;
        let (server, _) = url.rsplit_once('/').context("SKLIC_LAB_DATABASE_URL names no database")?;
        Ok(format!("{server}/{name}"))
    }

    /// Removes a database made by [`Lab::make_database`].
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        self.sql(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    async fn sql(&self, statement: &str) -> Result<()> {
        self.sql_at(self.get("SKLIC_LAB_DATABASE_URL")?, statement).await
    }

    /// Lets `psql` do what a script says, variables included, in the database at `url`.
    pub async fn sql_at(&self, url: &str, script: &str) -> Result<()> {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("running psql (package postgresql-client)")?;
        let mut input = psql.stdin.take().context("psql takes no script")?;
        input.write_all(script.as_bytes()).await?;
        drop(input);
        let output = psql.wait_with_output().await?;
        if !output.status.success() {
            let first = script.lines().next().unwrap_or_default();
            bail!("{first}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}
