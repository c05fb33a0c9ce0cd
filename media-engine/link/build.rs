fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["frame.proto", "vitals.proto", "link.proto"], [".", "../../annotation"])?;
    prost_build::Config::new().extern_path(".shirube.ink.v1", "::annotation::wire").compile_fds(files)?;
    println!("cargo:rerun-if-changed=frame.proto");
    println!("cargo:rerun-if-changed=vitals.proto");
    println!("cargo:rerun-if-changed=link.proto");
    println!("cargo:rerun-if-changed=../../annotation/ink.proto");
    Ok(())
}
