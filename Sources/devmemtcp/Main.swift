import ArgumentParser

@main
struct Devmemtcp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devmemtcp",
        abstract: "Receive TCP payload straight into device memory.",
        discussion: """
            Device memory TCP lets a NIC put TCP payload into a dma-buf while headers go through \
            the kernel's ordinary stack. Every NIC setting that a command changes is put back when \
            it ends; if it is killed, by the next one, or by steer restore.
            """,
        version: "0.1.0",
        subcommands: [Serve.self, Steer.self, Doctor.self])
}
