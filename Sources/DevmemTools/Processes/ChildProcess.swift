package import DevmemCore
import CDevmem
import FoundationEssentials
import Glibc
import SystemPackage

/// A child process of this one.
package struct ChildProcess: ~Copyable {
    /// How a child process ended.
    package enum End: Equatable, Sendable {
        /// It exited with a status.
        case exited(Int32)
        /// A signal killed it.
        case killed(by: Int32)
    }

    /// Its process id.
    package let pid: Int32
    private let descriptor: Descriptor

    /// The descriptor number under which a child process finds the inherited descriptor.
    package static let inheritedDescriptor: Int32 = 3

    /// Starts a program with an empty signal mask. A name without a slash is searched for in PATH.
    ///
    /// - Parameters:
    ///   - arguments: the program's name and arguments.
    ///   - environment: variables to add to this process's environment.
    ///   - inherited: a descriptor that the child gets as number 3.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of posix_spawnp(3), such as
    ///   ENOENT.
    package init(
        _ arguments: [String], environment: [String: String], inheriting inherited: Int32
    ) throws(DevmemError) {
        try self.init(
            arguments, environment: environment,
            descriptors: [(Self.inheritedDescriptor, inherited)])
    }

    /// Starts a program with a channel as its standard input and output.
    ///
    /// - Parameters:
    ///   - arguments: the program's name and arguments.
    ///   - channel: the descriptor.
    /// - Throws: `DevmemError` of kind `system` with the `errno` of posix_spawnp(3).
    init(_ arguments: [String], talkingOver channel: Int32) throws(DevmemError) {
        try self.init(
            arguments, environment: [:],
            descriptors: [(STDIN_FILENO, channel), (STDOUT_FILENO, channel)])
    }

    /// Starts a program. Each descriptor is a pair of its number in the child and in this process.
    private init(
        _ arguments: [String], environment: [String: String],
        descriptors: [(number: Int32, ours: Int32)]
    ) throws(DevmemError) {
        let pid = try Self.spawn(arguments, environment, descriptors)
        let number: Int32
        do throws(DevmemError) {
            number = try retrying("watch process \(pid)") { cdm_pidfd_open(pid) }
        } catch {
            // Nobody would end it or know how it ended.
            kill(pid, SIGKILL)
            _ = try? Self.reap(pid)
            throw error
        }
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
            // For equal numbers posix_spawn(3) clears close-on-exec.
            posix_spawn_file_actions_adddup2(&actions, ours, number)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        // This process may ignore these signals; the program expects their default action.
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

    /// Sends a signal, and lets the process continue if it is stopped: a stopped process would keep
    /// the signal pending, and its parent waiting. No effect after the process has ended.
    package func send(_ signal: Int32) {
        kill(pid, signal)
        kill(pid, SIGCONT)
    }

    /// Waits until the process ends. Signals for this process are passed on: the first one as it
    /// is, the second one as SIGKILL. A signal from the terminal has reached both processes
    /// already.
    ///
    /// - Parameter stop: the signals.
    /// - Returns: how the process ended.
    /// - Throws: `DevmemError` of kind `system` if the wait fails.
    package func wait(passing stop: borrowing StopSignal) throws(DevmemError) -> End {
        var count = SignalCount()
        while let arrival = try stop.arrival(before: descriptor.rawValue) {
            pass(arrival, counting: &count)
        }
        return try reap()
    }

    /// The number of signals passed on.
    struct SignalCount {
        fileprivate var signals = 0
    }

    /// Passes a signal on: the first one as it is, a later one as SIGKILL.
    func pass(_ arrival: StopSignal.Arrival, counting count: inout SignalCount) {
        count.signals += 1
        if count.signals > 1 {
            send(SIGKILL)
        } else if !arrival.isFromTerminal {
            send(arrival.signal)
        }
    }

    /// Waits until the process ends, and kills it after a timeout.
    ///
    /// - Parameter milliseconds: the timeout.
    /// - Returns: how the process ended.
    /// - Throws: `DevmemError` of kind `system` if the wait fails.
    @discardableResult
    func wait(milliseconds: Int32) throws(DevmemError) -> End {
        let wait = try StopSignal().wait(
            for: descriptor.rawValue, events: Int32(POLLIN), milliseconds: milliseconds)
        if wait == .timeout { send(SIGKILL) }
        return try reap()
    }

    /// The pidfd, which polls as readable after the process has ended.
    var rawValue: Int32 { descriptor.rawValue }

    func reap() throws(DevmemError) -> End { try Self.reap(pid) }

    private static func reap(_ pid: Int32) throws(DevmemError) -> End {
        var status: Int32 = 0
        try retrying("wait for process \(pid)") { waitpid(pid, &status, 0) }
        let signal = cdm_WTERMSIG(status)
        return signal == 0 ? .exited(cdm_WEXITSTATUS(status)) : .killed(by: signal)
    }
}

/// Calls `body` with strings as a null-terminated array of C strings, as for argv.
func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return body(&pointers)
}
