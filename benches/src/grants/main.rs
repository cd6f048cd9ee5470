//! What a client-credentials grant costs (CC-04). One run starts the release program in memory, makes an OAuth client,
//! and asks for tokens over HTTP on connections that stay open, as the protocol's clients do: a form and HTTP Basic. The
//! rate of what a grant cannot do without, the signing of its token and the hash of its secret, is measured in the same
//! run. The load comes from the same machine: `server CPU` is what the program itself used for a grant, and the rate that
//! follows from it is what the machine would give to it alone.

mod http;
mod load;
mod program;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_crypto::{AccessClaims, AccessTokenKeys, Peppers, token};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::load::{COLUMNS, Caller, measure};
use crate::program::{PEPPER, Program, SECRET, cores, load_average};

const EMAIL: &str = "bench@example.com";
const ROUND: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(1);

fn main() -> Result<()> {
    let load = load_average();
    let program = Program::start(&[])?;
    let client = client(&program)?;
    println!(
        "client-credentials grants, {} cores, load average before: {load}\n",
        cores()
    );
    println!("| connections | grants{COLUMNS}");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    measure(&program, vec![client.clone(); 8], WARM_UP)?;
    for connections in [1, 4, 16, 32] {
        let (seen, _) = measure(&program, vec![client.clone(); connections], ROUND)?;
        println!("{}", seen.row(connections));
    }
    println!("\nthe primitives, on one core:");
    primitives()?;
    Ok(())
}

/// Asks for a token; the request is always the same.
#[derive(Clone)]
struct Client(Vec<u8>);

impl Caller for Client {
    fn ask(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.0);
    }

    fn read(&mut self, body: &[u8]) -> Result<()> {
        if !body.starts_with(b"{\"access_token\":\"ey") {
            bail!("no token: {}", String::from_utf8_lossy(body));
        }
        Ok(())
    }
}

/// Makes an OAuth client of a new workspace.
fn client(program: &Program) -> Result<Client> {
    program.register(EMAIL)?;
    let session = program.login(&mut program.connect()?, EMAIL)?;
    let bearer = format!("authorization: Bearer {}\r\n", text(&session, "access_token")?);
    let scopes = ["secrets.read", "secrets.write", "tokens.read"];
    let wanted = json!({"name": "bench", "scopes": scopes});
    let made = program.connect()?.post("/v1/clients", &bearer, &wanted)?;
    let (id, secret) = (text(&made, "id")?, text(&made, "client_secret")?);
    Ok(Client(grant(&id, &secret)))
}

/// The request of a grant.
fn grant(id: &str, secret: &str) -> Vec<u8> {
    let shown = STANDARD.encode(format!("{id}:{secret}"));
    let body = "grant_type=client_credentials";
    format!(
        "POST /auth/token HTTP/1.1\r\nhost: bench\r\nauthorization: Basic {shown}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn text(json: &Value, field: &str) -> Result<String> {
    let text = json[field].as_str();
    text.map(str::to_owned)
        .with_context(|| format!("{field} is not in the answer"))
}

/// The rates of what no grant can do without.
fn primitives() -> Result<()> {
    let keys = AccessTokenKeys::new(&SecretString::from(SECRET), None, None);
    let claims: AccessClaims = serde_json::from_value(json!({
        "sub": "cw_client_01890a5dac96774bbcceb302099a8057", "exp": 900, "nbf": 0, "iat": 0,
        "jti": "01890a5d-ac96-774b-bcce-b302099a8057", "workspace_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "roles": [], "scope": "secrets.read secrets.write tokens.read", "mfa": false,
        "client_id": "cw_client_01890a5dac96774bbcceb302099a8057",
    }))?;
    let secret = token::mint(token::CLIENT_SECRET).secret;
    let peppers = Peppers::new(Some(&SecretString::from(PEPPER)), None);
    rate("sign an access token (HS256)", || {
        std::hint::black_box(keys.sign(&claims).is_ok());
    });
    rate("hash a secret, with the pepper and without", || {
        std::hint::black_box(peppers.forms(secret.expose_secret()).hashes());
    });
    rate("digest by which a verified client is remembered", || {
        std::hint::black_box(token::hash(secret.expose_secret()));
    });
    Ok(())
}

fn rate(name: &str, mut work: impl FnMut()) {
    const BATCH: u32 = 1000;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_millis(500) {
        (0..BATCH).for_each(|_| work());
        count += BATCH;
    }
    let each = began.elapsed().as_secs_f64() / f64::from(count);
    println!("- {name}: {:.0}/s, {:.2} µs", 1.0 / each, each * 1e6);
}
