fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["frame.proto", "link.proto"], ["."])?;
    prost_build::Config::new().compile_fds(files)?;
    println!("cargo:rerun-if-changed=frame.proto");
    println!("cargo:rerun-if-changed=link.proto");
    Ok(())
}
