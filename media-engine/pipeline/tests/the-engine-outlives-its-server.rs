//! The real program, whose server dies and comes back.

mod server;

use std::process::{Child, Command, Stdio};

use server::Server;

/// Ends with the test, however that ends.
struct Engine(Child);

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_died_with_the_other_end_of_stderr_is_dialled_again() {
    let mut server = Server::listen();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shirube-engine"));
    command.args(server.arguments()).arg("--demo").env("RUST_LOG", "debug").stdin(Stdio::null()).stderr(Stdio::piped());
    let mut engine = Engine(command.spawn().expect("the program starts"));
    server.accept();
    server.want(true);
    server.until("pictures", |s| s.frames() >= 5);
    drop(engine.0.stderr.take());
    server.hang_up();
    server.accept();
    server.want(true);
    server.until("pictures for the server that came back", |s| s.frames() >= 5);
    assert!(engine.0.try_wait().expect("a process").is_none(), "the engine runs");
}
