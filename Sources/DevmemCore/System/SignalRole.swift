import Glibc

/// How a session treats a signal, so that none ends the process while a NIC is steered. Pure.
///
/// The default actions are those in signal(7).
package enum SignalRole: Equatable {
    /// The default action ends the process; a session ends in an orderly way instead.
    case stops
    /// Only repeats the error, EPIPE or EFBIG, of the call that caused it.
    case failsCall
    /// A fault of this program, which cannot safely continue. The next run restores the settings
    /// from the journal.
    case fault
    /// Cannot be caught. What SIGKILL leaves is restored from the journal.
    case uncatchable
    /// Stops the process until SIGCONT; the NIC stays steered because the session continues.
    case suspends
    /// Ignored by default, or continues the process.
    case harmless
    /// Used by the C library, which does not let programs block it (nptl(7)).
    case reserved

    /// Returns the role of a signal from 1 to 64.
    init(of signal: Int32) {
        self =
            switch signal {
            case SIGPIPE, SIGXFSZ: .failsCall
            case SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP: .fault
            case SIGKILL, SIGSTOP: .uncatchable
            case SIGTSTP, SIGTTIN, SIGTTOU: .suspends
            case SIGCHLD, SIGCONT, SIGURG, SIGWINCH: .harmless
            case 32, 33: .reserved
            default: .stops
            }
    }

    /// All signal numbers.
    static let numbers: ClosedRange<Int32> = 1...64

    /// Returns the signals with a role.
    package static func signals(_ role: SignalRole) -> [Int32] {
        numbers.filter { SignalRole(of: $0) == role }
    }
}

/// Returns whether a signal has its default action. If it is ignored, as by nohup(1), or handled by
/// a library, that is left alone.
func hasDefaultAction(_ signal: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(signal, nil, &action) == 0 else { return false }
    return action.__sigaction_handler.sa_handler == nil
}

/// Ignores SIGPIPE and SIGXFSZ, so that a failing write returns EPIPE or EFBIG: an error to report,
/// and no reason to abandon a steered NIC.
package func ignoreFailingWrites() {
    for number in SignalRole.signals(.failsCall) { signal(number, SIG_IGN) }
}

/// Resets signal settings inherited from the parent process that would break this program: blocked
/// signals, and an ignored SIGCHLD, which makes waitpid(2) fail.
///
/// Call it once, before creating threads.
package func resetInheritedSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
    signal(SIGCHLD, SIG_DFL)
}
