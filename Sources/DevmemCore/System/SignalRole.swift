import Glibc

/// What a session makes of a signal, so that none ends the process while a NIC is steered. Pure.
///
/// The default actions are those of signal(7).
package enum SignalRole: Equatable {
    /// Its default action ends the process; a session ends in good order instead.
    case stops
    /// It only repeats what the call that caused it returns: EPIPE or EFBIG.
    case failsCall
    /// The processor's word on an instruction of this program, after which nothing it would do
    /// can be relied on. What was steered is in the journal, and restored by the next run.
    case fault
    /// Not to be caught. What SIGKILL leaves is restored from the journal.
    case uncatchable
    /// It stops the process until SIGCONT; the NIC stays steered, as the session goes on.
    case suspends
    /// Its default action is to be ignored, or to go on.
    case harmless
    /// The C library's own, which no program can block (nptl(7)).
    case reserved

    /// The role of a signal by its number, from 1 to 64.
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

    /// The numbers of all signals.
    static let numbers: ClosedRange<Int32> = 1...64

    /// The signals of a role.
    package static func signals(_ role: SignalRole) -> [Int32] {
        numbers.filter { SignalRole(of: $0) == role }
    }
}

/// Whether a signal does what it does by default. One that is ignored, as by nohup(1), or that a
/// library handles, is left to whoever wished it so.
func hasDefaultAction(_ signal: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(signal, nil, &action) == 0 else { return false }
    return action.__sigaction_handler.sa_handler == nil
}

/// Has a write that fails say so by what it returns, EPIPE or EFBIG, and by no signal: it is an error to
/// report, not a reason to leave a NIC as it is.
package func ignoreFailingWrites() {
    for number in SignalRole.signals(.failsCall) { signal(number, SIG_IGN) }
}

/// Undoes what a parent process may have left that a program of this kind cannot work with: signals
/// that are blocked, and children's ends that go untold (SIGCHLD ignored; waitpid(2) would fail).
///
/// To be called once, before there are threads.
package func resetInheritedSignals() {
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
    signal(SIGCHLD, SIG_DFL)
}
