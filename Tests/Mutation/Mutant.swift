import Glibc

// scripts/mutate adds this file to DevmemCore.

/// The mutation that this process has: a number of the environment; 0 if it has none.
private let chosenMutation = getenv("MUTATION").flatMap { Int(String(cString: $0)) } ?? 0

/// The file to which the number of each mutation that the process reaches is added; nil for none.
private let trace = getenv("MUTATION_TRACE").map { String(cString: $0) }

/// Whether a mutation is in the trace. Threads that meet here write the same value.
nonisolated(unsafe) private var isTraced = [Bool](repeating: false, count: 10_000)

/// Returns whether this process has a mutation.
func mutant(_ number: Int) -> Bool {
    if let trace, !isTraced[number] { note(number, in: trace) }
    return number == chosenMutation
}

/// The file is not kept open: tests count descriptors, or use them up.
private func note(_ number: Int, in path: String) {
    let code = errno
    defer { errno = code }
    let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o666)
    guard file >= 0 else { return }
    let line = Array("\(number)\n".utf8)
    isTraced[number] = line.withUnsafeBytes { write(file, $0.baseAddress, $0.count) } > 0
    close(file)
}
