package import DevmemCore
import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// A program that this process has started, and waits for.
package struct ChildProcess: ~Copyable {
    /// How a program ended.
    package enum End: Equatable, Sendable {
        /// With an exit status.
        case exited(Int32)
        /// By a signal.
        case killed(by: Int32)
    }

    /// Its process id.
    package let pid: Int32
    private let descriptor: Descriptor

    /// The number under which a program finds the descriptor that is handed to it.
    package static let inheritedDescriptor: Int32 = 3

    /// Starts a program with no signal blocked, searched for in PATH if its name has no slash.
    ///
    /// - Parameters:
    ///   - arguments: its name and arguments.
    ///   - environment: added to this process's environment, by name.
    ///   - inherited: a descriptor that it gets as number 3.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of posix_spawnp(3), such as that
    ///   there is no such program.
    package init(
        _ arguments: [String], environment: [String: String], inheriting inherited: Int32
    ) throws(DevmemError) {
        try self.init(
            arguments, environment: environment,
            descriptors: [(Self.inheritedDescriptor, inherited)])
    }

    /// Starts a program that is talked to.
    ///
    /// - Parameters:
    ///   - arguments: its name and arguments.
    ///   - channel: a descriptor that becomes its standard input and output.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of posix_spawnp(3).
    init(_ arguments: [String], talkingOver channel: Int32) throws(DevmemError) {
        try self.init(
            arguments, environment: [:],
            descriptors: [(STDIN_FILENO, channel), (STDOUT_FILENO, channel)])
    }

    /// Descriptors are given by the number that the program finds them under, and by ours.
    private init(
        _ arguments: [String], environment: [String: String],
        descriptors: [(number: Int32, ours: Int32)]
    ) throws(DevmemError) {
        let pid = try Self.spawn(arguments, environment, descriptors)
        let number = try retrying("watch process \(pid)") { cdm_pidfd_open(pid) }
        self.pid = pid
        descriptor = Descriptor(owning: number)
    }

    private static func spawn(
        _ arguments: [String], _ environment: [String: String],
        _ descriptors: [(number: Int32, ours: Int32)]
    ) throws(DevmemError) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, ours) in descriptors {
            // A descriptor put onto itself is let through as well.
            posix_spawn_file_actions_adddup2(&actions, ours, number)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        // This process may ignore them; a program expects to be ended by them.
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in SignalRole.signals(.failsCall) { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let variables = ProcessInfo.processInfo.environment
            .merging(environment) { $1 }
            .map { "\($0)=\($1)" }
        var pid: pid_t = 0
        let name = arguments.first ?? ""
        let code = withCStrings(arguments) { argv in
            withCStrings(variables) { envp in
                posix_spawnp(&pid, name, &actions, &attributes, argv, envp)
            }
        }
        guard code == 0 else {
            throw DevmemError(
                .system, call: "run \(name)", errno: Errno(rawValue: code))
        }
        return pid
    }

    /// Sends it a signal; nothing happens if it has ended.
    package func send(_ signal: Int32) {
        kill(pid, signal)
    }

    /// Waits until it ends, and passes signals on that end this process: the first of them as it
    /// came, a further one as SIGKILL. What a terminal sends, it sends to both.
    ///
    /// - Parameter stop: the signals.
    /// - Returns: how it ended.
    /// - Throws: `DevmemError` of kind `system` if waiting fails.
    package func wait(passing stop: borrowing StopSignal) throws(DevmemError) -> End {
        var count = SignalCount()
        while let arrival = try stop.arrival(before: descriptor.rawValue) {
            pass(arrival, counting: &count)
        }
        return try reap()
    }

    /// How many signals have been passed on.
    struct SignalCount {
        fileprivate var signals = 0
    }

    /// Passes a signal on: the first as it came, a further one as SIGKILL.
    func pass(_ arrival: StopSignal.Arrival, counting count: inout SignalCount) {
        count.signals += 1
        if count.signals > 1 {
            send(SIGKILL)
        } else if !arrival.isFromTerminal {
            send(arrival.signal)
        }
    }

    /// Waits until it ends, but no longer than a time; kills it then.
    ///
    /// - Parameter milliseconds: how long to wait.
    /// - Returns: how it ended.
    /// - Throws: `DevmemError` of kind `system` if waiting fails.
    @discardableResult
    func wait(milliseconds: Int32) throws(DevmemError) -> End {
        let wait = try StopSignal().wait(
            for: descriptor.rawValue, events: Int32(POLLIN), milliseconds: milliseconds)
        if wait == .timeout { send(SIGKILL) }
        return try reap()
    }

    /// The descriptor that can be read once it has ended.
    var rawValue: Int32 { descriptor.rawValue }

    func reap() throws(DevmemError) -> End {
        var status: Int32 = 0
        try retrying("wait for process \(pid)") { waitpid(pid, &status, 0) }
        let signal = cdm_WTERMSIG(status)
        return signal == 0 ? .exited(cdm_WEXITSTATUS(status)) : .killed(by: signal)
    }
}

/// Lends strings as C wants lists of them: pointers, the last one null.
func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return body(&pointers)
}
