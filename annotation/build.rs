fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["ink.proto"], ["."])?;
    prost_build::Config::new().compile_fds(files)?;
    println!("cargo:rerun-if-changed=ink.proto");
    Ok(())
}
