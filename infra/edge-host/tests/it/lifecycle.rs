//! Starting, what makes a start fail, the cache of compiled code, and stopping.
#![expect(
    clippy::disallowed_methods,
    reason = "tests with real processes need deadlines"
)]

use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::{self, Folder, PATIENCE, Rig, SECRET, config, manifest, read_to_end};
use edge_host::{CodeSource, Config, ManifestError};
use process::{Process, Stream};
use tokio::io::AsyncWriteExt;

#[tokio::test(flavor = "multi_thread")]
async fn the_second_start_uses_the_code_of_the_first() {
    let folder = Folder::new();
    let mut own_cache = config(&folder.0);
    own_cache.cache_dir = folder.0.join("fresh");
    let rig = Rig::of(folder, own_cache.clone()).await;
    assert_eq!(rig.running.code()["fixture"], CodeSource::Compiled);
    let Rig {
        running, folder, ..
    } = rig;
    running.stop().await;

    let rig = Rig::of(folder, own_cache.clone()).await;
    assert_eq!(rig.running.code()["fixture"], CodeSource::Cached);
    rig.get("/hello").await.assert_ok("hello");
    let Rig {
        running,
        folder: _folder,
        ..
    } = rig;
    running.stop().await;

    // A file that lost a bit, or its end.
    for damage in [
        |code: &mut Vec<u8>| code[100_000] ^= 1,
        |code: &mut Vec<u8>| code.truncate(40),
    ] {
        let entry = std::fs::read_dir(&own_cache.cache_dir)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let mut code = std::fs::read(&entry).unwrap();
        damage(&mut code);
        std::fs::write(&entry, code).unwrap();
        let running = edge_host::start(own_cache.clone()).await.unwrap();
        assert_eq!(
            running.code()["fixture"],
            CodeSource::Compiled,
            "damaged code is not run"
        );
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_image_compiled_is_used_by_the_host_that_it_starts() {
    let folder = Folder::new();
    let mut config = config(&folder.0);
    config.cache_dir = folder.0.join("image");
    config.portable_code = true;
    // No values of variables, as where an image is built.
    let mut building = config.clone();
    building.variables.clear();
    assert_eq!(edge_host::compile(&building).unwrap(), 1);
    let rig = Rig::of(folder, config.clone()).await;
    assert_eq!(rig.running.code()["fixture"], CodeSource::Cached);
    rig.get("/hello").await.assert_ok("hello");
    let Rig {
        running,
        folder: _folder,
        ..
    } = rig;
    running.stop().await;
    // Code for this processor alone is another one.
    config.portable_code = false;
    let running = edge_host::start(config.clone()).await.unwrap();
    assert_eq!(running.code()["fixture"], CodeSource::Compiled);
    running.stop().await;
    config.cache_dir = "/proc/nowhere".into();
    let fault = format!("{:#}", edge_host::compile(&config).unwrap_err());
    assert!(fault.contains("--cache-dir"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_answered_without_a_function_and_leaves_no_record() {
    let mut rig = Rig::start().await;
    for path in ["/healthz", "/readyz"] {
        rig.get(path).await.assert_ok(r#"{"status":"ok"}"#);
    }
    rig.post("/readyz", "")
        .await
        .assert_problem(405, "method-not-allowed");
    rig.get("/hello").await.assert_ok("hello");
    // Records come in order, so none was left before this one.
    let record = rig.record().await;
    assert_eq!((&*record.function, record.status), ("fixture", 200));
    assert!(rig.records.try_recv().is_err());
    let check = |path: &str| {
        Command::new(env!("CARGO_BIN_EXE_edge-host"))
            .args(["check", &rig.url(path)])
            .output()
            .unwrap()
    };
    assert!(check("/readyz").status.success());
    let absent = check("/nowhere");
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("404"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_succeed_says_what_to_change() {
    let folder = Folder::new();
    let good = config(&folder.0);
    let text = std::fs::read_to_string(&good.spin_toml).unwrap();
    let fault = async |change: &dyn Fn(&mut edge_host::Config)| {
        let mut config = good.clone();
        change(&mut config);
        format!(
            "{:#}",
            edge_host::start(config).await.err().expect("a fault")
        )
    };
    let missing = fault(&|config| config.variables.clear()).await;
    assert!(
        missing.contains("SPIN_VARIABLE_FIXTURE_SECRET"),
        "{missing}"
    );
    let no_file = fault(&|config| config.spin_toml = "nowhere/spin.toml".into()).await;
    assert!(
        no_file.starts_with("nowhere/spin.toml: cannot be read"),
        "{no_file}"
    );

    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let in_use = fault(&|config| config.listen = address).await;
    assert!(
        in_use.contains("--listen") && in_use.contains(&address.to_string()),
        "{in_use}"
    );

    let no_wasm = text.replace("edge_host_fixture.wasm", "nothing.wasm");
    std::fs::write(&good.spin_toml, no_wasm).unwrap();
    let no_wasm = fault(&|_| {}).await;
    assert!(
        no_wasm.contains("nothing.wasm") && no_wasm.contains("xtask wasm"),
        "{no_wasm}"
    );
    let not_wasm = folder.0.join("not.wasm");
    std::fs::write(&not_wasm, b"not wasm").unwrap();
    let source = support::fixture();
    let other = text.replace(source.to_str().unwrap(), not_wasm.to_str().unwrap());
    std::fs::write(&good.spin_toml, other).unwrap();
    let not_wasm = fault(&|_| {}).await;
    assert!(not_wasm.contains("not.wasm: not a component"), "{not_wasm}");
    // An empty component: valid, but it serves nothing.
    std::fs::write(folder.0.join("not.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    let empty = fault(&|_| {}).await;
    assert!(
        empty.contains("must export wasi:http/handler@0.3.0"),
        "{empty}"
    );

    std::fs::write(&good.spin_toml, text.replace("source", "sauce")).unwrap();
    let error = edge_host::start(good.clone()).await.err().expect("a fault");
    let error = error
        .downcast_ref::<ManifestError>()
        .expect("a manifest error")
        .to_string();
    assert!(
        error.contains("spin.toml") && error.contains("`sauce`"),
        "{error}"
    );
}

/// A component in its binary form that imports one function of an interface of WASI.
fn component_that_imports(interface: &str, function: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let section = |id: u8, body: Vec<u8>| [vec![id, u8::try_from(body.len()).unwrap()], body];
    // One instance type of two declarations: the type of a function without parameters and
    // results, and the export of such a function.
    let types = [
        b"\x01\x42\x02\x01\x40\x00\x01\x00\x04\x00".to_vec(),
        text(function),
        b"\x01\x00".to_vec(),
    ];
    let imports = [b"\x01\x00".to_vec(), text(interface), b"\x05\x00".to_vec()];
    let sections = [section(7, types.concat()), section(10, imports.concat())];
    [b"\0asm\x0d\0\x01\0".to_vec(), sections.concat().concat()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_has_no_files_and_no_sockets() {
    let folder = Folder::new();
    let good = config(&folder.0);
    let text = std::fs::read_to_string(&good.spin_toml).unwrap();
    let file = folder.0.join("asks.wasm");
    let source = support::fixture();
    let asks = text.replace(source.to_str().unwrap(), file.to_str().unwrap());
    std::fs::write(&good.spin_toml, asks).unwrap();
    for (interface, function) in [
        ("wasi:filesystem/preopens@0.2.0", "get-directories"),
        ("wasi:sockets/instance-network@0.2.0", "instance-network"),
        ("wasi:sockets/ip-name-lookup@0.3.0", "resolve-addresses"),
    ] {
        std::fs::write(&file, component_that_imports(interface, function)).unwrap();
        let start = edge_host::start(good.clone()).await;
        let refusal = format!("{:#}", start.err().expect("a refusal"));
        assert!(refusal.contains("no files, no sockets"), "{refusal}");
        assert!(refusal.contains(interface), "{refusal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_lets_requests_in_flight_finish() {
    let mut rig = Rig::start().await;
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET /sleep?500 HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    rig.until_in_flight(1).await;
    // An idle connection does not hold up the stop.
    let mut idle = rig.connect().await;
    idle.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    rig.record().await;
    let address = rig.running.address();
    let Rig {
        running,
        folder,
        mut records,
        ..
    } = rig;
    running.stop().await;
    let reply = read_to_end(&mut stream).await;
    assert!(
        reply.starts_with("HTTP/1.1 200 OK") && reply.ends_with("slept"),
        "{reply}"
    );
    assert_eq!(records.try_recv().unwrap().status, 200);
    read_to_end(&mut idle).await;
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "the port is free"
    );
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_does_not_wait_longer_than_the_drain_time() {
    let rig = Rig::with_limits(|limits| {
        limits.drain_ms = 200;
        limits.request_ms = 60_000;
    })
    .await;
    let mut stream = rig.connect().await;
    stream
        .write_all(b"GET /sleep?3600000 HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    rig.until_in_flight(1).await;
    let started = Instant::now();
    rig.running.stop().await;
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert!(!read_to_end(&mut stream).await.contains("200 OK"));
}

#[test]
fn the_program_prints_where_it_listens_and_its_records_and_stops_on_a_signal() {
    let folder = Folder::new();
    let Config {
        state_dir,
        cache_dir,
        ..
    } = config(&folder.0);
    let key = folder.0.join("key");
    std::fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    let mut command = process::command(env!("CARGO_BIN_EXE_edge-host"));
    command
        .args(["--listen", "127.0.0.1:0", "--concurrent-requests", "4"])
        .arg("--spin-toml")
        .arg(manifest(&folder.0))
        .arg("--state-dir")
        .arg(state_dir)
        .arg("--cache-dir")
        .arg(cache_dir)
        .arg("--dev-signing-key")
        .arg(&key)
        .env("SPIN_VARIABLE_FIXTURE_SECRET", SECRET);
    let (sender, written) = channel();
    let take = move |stream, line: &str| drop(sender.send((stream, line.to_owned())));
    let program = Process::start_and("edge-host", command, take).unwrap();
    let listening = program.ready("listening", PATIENCE).unwrap();
    let address = listening["address"].as_str().unwrap().to_owned();
    let ask = |request: &str| {
        let mut stream = StdStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    let reply = ask("GET /variable?secret HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(reply.ends_with(SECRET), "{reply}");
    let body = r#"{"player":"p1","room":"lobby"}"#;
    let token = ask(&format!(
        "POST /dev/token HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let token = token.split("\r\n\r\n").nth(1).unwrap();
    let token: serde_json::Value = serde_json::from_str(token).unwrap();
    assert_eq!(token["token"].as_str().unwrap().split('.').count(), 3);

    program.stop().unwrap();
    assert!(program.ended(PATIENCE).unwrap().success());
    let (mut printed, mut log) = (Vec::<serde_json::Value>::new(), String::new());
    for (stream, line) in written.try_iter() {
        match stream {
            Stream::Out => printed.push(serde_json::from_str(&line).unwrap()),
            Stream::Err => log += &line,
        }
    }
    let [first, invocation, token] = &printed[..] else {
        panic!("one line for the start and one for each request: {printed:?}");
    };
    assert_eq!(first["event"], "listening");
    assert_eq!(invocation["kind"], "invocation");
    assert_eq!(token["route"], "/dev/token");
    assert!(!log.contains(SECRET), "no secret is logged: {log}");
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_edge-host"))
        .arg("--prot")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unexpected argument '--prot'"));
    let help = Command::new(env!("CARGO_BIN_EXE_edge-host"))
        .arg("--help")
        .output()
        .unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--spin-toml"));
}
