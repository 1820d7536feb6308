import CFuzzer
import Glibc

/// A parser or several that read what comes from outside, with what must hold of their results.
struct FuzzTarget: Sendable {
    /// Its name, which is also that of its corpus.
    var name: String
    /// Runs it on one input. It ends the process if something does not hold.
    var run: @Sendable (FuzzInput) -> Void
}

private let targets: [FuzzTarget] = [
    FuzzTarget(name: "arguments", run: fuzzArguments),
    FuzzTarget(name: "bench", run: fuzzBenchMessages),
    FuzzTarget(name: "commandline", run: fuzzCommandLine),
    FuzzTarget(name: "completion", run: fuzzCompletions),
    FuzzTarget(name: "control", run: fuzzControlMessages),
    FuzzTarget(name: "dropin", run: fuzzDropIn),
    FuzzTarget(name: "errorqueue", run: fuzzErrorQueue),
    FuzzTarget(name: "host", run: fuzzHostFiles),
    FuzzTarget(name: "journal", run: fuzzJournal),
    FuzzTarget(name: "netlink", run: fuzzNetlink),
    FuzzTarget(name: "results", run: fuzzBenchResults),
    FuzzTarget(name: "rules", run: fuzzRules),
    FuzzTarget(name: "settings", run: fuzzSettings),
    FuzzTarget(name: "stream", run: fuzzStream),
    FuzzTarget(name: "validation", run: fuzzValidationMessages),
]

/// Runs libFuzzer on the target that the environment variable `DEVMEMTCP_FUZZ_TARGET` names, and lists
/// all targets without one. The arguments are libFuzzer's. With `--seeds FOLDER` it writes valid inputs
/// there instead.
@main
enum Fuzz {
    private static let target: FuzzTarget? = {
        let name = getenv("DEVMEMTCP_FUZZ_TARGET").map { String(cString: $0) }
        return targets.first { $0.name == name }
    }()

    static func main() {
        guard target != nil else {
            print(targets.map(\.name).joined(separator: "\n"))
            exit(getenv("DEVMEMTCP_FUZZ_TARGET") == nil ? 0 : 64)
        }
        if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "--seeds" {
            writeSeeds(to: CommandLine.arguments[2])
        }
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? =
            CommandLine.unsafeArgv
        exit(
            LLVMFuzzerRunDriver(&count, &arguments) { data, size in
                Fuzz.target?.run(FuzzInput(Array(UnsafeBufferPointer(start: data, count: size))))
                return 0
            })
    }

    private static func writeSeeds(to folder: String) -> Never {
        for (number, bytes) in seeds(for: target?.name ?? "").enumerated() {
            guard let file = fopen("\(folder)/seed-\(number)", "w") else { exit(1) }
            fwrite(bytes, 1, bytes.count, file)
            fclose(file)
        }
        exit(0)
    }
}

/// Ends the process, which libFuzzer reports with the input, if something does not hold.
func require(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { fatalError(what()) }
}
