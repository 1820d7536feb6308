import ArgumentParser
import DevmemCore
import Glibc

@main
struct Devmemtcp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devmemtcp",
        abstract: "TCP payload straight into and out of device memory.",
        discussion: """
            Device memory TCP lets a NIC put TCP payload into a dma-buf, and send it from there, while \
            headers go through the kernel's ordinary stack. Every NIC setting that a command changes is put back when \
            it ends; if it is killed, by the next one, or by steer restore.
            """,
        version: "0.1.0",
        // Each of these names itself: deriving names from types takes half of the start-up time.
        subcommands: [
            Serve.self, Connect.self, Doctor.self, Show.self, Steer.self, Bind.self,
            QueueCommand.self, Validate.self, Bench.self, RunAs.self, FarEndCommandLine.self,
        ])

    static func main() {
        resetInheritedSignals()
        if Ncdevmem.isCalled(by: CommandLine.arguments.first) {
            Glibc.exit(Ncdevmem().run(Array(CommandLine.arguments.dropFirst())))
        }
        main(nil)
    }
}
