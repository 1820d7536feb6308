import Glibc
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// Signals must not end the process while a NIC is steered, except those that cannot be caught.
@Suite struct SignalRoleTests {
    /// The default actions as signal(7) documents them.
    private static let defaults: [SignalRole: [Int32]] = [
        .harmless: [SIGCHLD, SIGCONT, SIGURG, SIGWINCH],
        .suspends: [SIGTSTP, SIGTTIN, SIGTTOU],
        .uncatchable: [SIGKILL, SIGSTOP],
        .fault: [SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP],
        .failsCall: [SIGPIPE, SIGXFSZ],
        .reserved: [32, 33],
        .stops: [
            SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGPWR, SIGQUIT, 16, SIGSYS, SIGTERM,
            SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU,
        ] + Array(34...64),
    ]

    @Test func everySignalHasARole() {
        for (role, signals) in Self.defaults {
            #expect(SignalRole.signals(role) == signals.sorted(), "\(role)")
        }
        #expect(Self.defaults.values.reduce(0) { $0 + $1.count } == SignalRole.numbers.count)
    }

    @Test func everySignalThatEndsAProgramIsReadInstead() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let stop = try StopSignal.ofUser()
            for signal in SignalRole.signals(.stops) {
                raise(signal)
                guard stop.pending() == signal else { exit(1) }
            }
            guard stop.pending() == nil else { exit(2) }
            exit(7)
        }
    }

    @Test func aWriteThatFailsSaysSoByItself() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let stop = try StopSignal.ofUser()
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { exit(1) }
            close(ends[0])
            guard write(ends[1], "x", 1) == -1, errno == EPIPE else { exit(2) }
            guard let file = tmpfile() else { exit(3) }
            var limit = rlimit(rlim_cur: 4, rlim_max: 4)
            setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
            guard write(fileno(file), "12345678", 8) == 4 else { exit(4) }
            guard write(fileno(file), "5678", 4) == -1, errno == EFBIG else { exit(5) }
            // The signal neither stops the session nor is inherited as ignored by a child.
            guard stop.pending() == nil, hasDefaultAction(SIGPIPE) else { exit(6) }
            exit(7)
        }
    }

    /// Signals that this program ignores have their default action in a child.
    @Test func childrenDieOfSIGPIPE() async {
        await #expect(processExitsWith: .exitCode(7)) {
            ignoreFailingWrites()
            for signal in [SIGPIPE, SIGXFSZ] {
                guard !hasDefaultAction(signal) else { exit(1) }
                let child = try ChildProcess(
                    ["bash", "-c", "kill -\(signal) $$"], environment: [:],
                    inheriting: STDIN_FILENO)
                guard try child.wait(milliseconds: 5000) == .killed(by: signal) else { exit(2) }
            }
            exit(7)
        }
    }

    /// As systemd does: a signal that ends a process first reaches it when it continues.
    @Test func aStoppedChildEndsByASignal() throws {
        let child = try ChildProcess(
            ["bash", "-c", "kill -STOP $$"], environment: [:], inheriting: STDIN_FILENO)
        var information = siginfo_t()
        #expect(waitid(P_PID, id_t(child.pid), &information, WSTOPPED) == 0)
        child.send(SIGTERM)
        let end = try child.wait(milliseconds: 5000)
        #expect(end == .killed(by: SIGTERM))
    }

    /// As after nohup(1), or with a library that handles a signal.
    @Test func whatIsIgnoredOrHandledStaysSo() async {
        await #expect(processExitsWith: .exitCode(7)) {
            signal(SIGHUP, SIG_IGN)
            signal(SIGPROF) { _ in }
            let stop = try StopSignal.ofUser()
            raise(SIGHUP)
            raise(SIGPROF)
            guard stop.pending() == nil else { exit(1) }
            raise(SIGTERM)
            guard stop.pending() == SIGTERM else { exit(2) }
            exit(7)
        }
    }

    @Test func childrenAreWaitedForWhateverAParentIgnoredOrBlocked() async {
        await #expect(processExitsWith: .exitCode(7)) {
            signal(SIGCHLD, SIG_IGN)
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_SETMASK, &all, nil)
            resetInheritedSignals()
            var now = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &now)
            guard sigismember(&now, SIGTERM) == 0 else { exit(1) }
            let child = try ChildProcess(["true"], environment: [:], inheriting: STDIN_FILENO)
            guard try child.wait(milliseconds: 5000) == .exited(0) else { exit(2) }
            exit(7)
        }
    }
}
