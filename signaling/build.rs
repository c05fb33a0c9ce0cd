fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["signal.proto"], [".", "../annotation", "../media-engine/link"])?;
    prost_build::Config::new()
        .extern_path(".shirube.ink.v1", "::annotation::wire")
        .extern_path(".shirube.frame.v1", "::link::frame")
        .extern_path(".shirube.vitals.v1", "::link::vitals")
        .compile_fds(files)?;
    for file in
        ["signal.proto", "../annotation/ink.proto", "../media-engine/link/frame.proto", "../media-engine/link/vitals.proto"]
    {
        println!("cargo:rerun-if-changed={file}");
    }
    Ok(())
}
