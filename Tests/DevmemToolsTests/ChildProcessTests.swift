import CSeccomp
import Glibc
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct ChildProcessTests {
    /// A program that cannot be watched is not left running with what it inherited.
    @Test func aProgramThatCannotBeWatchedIsEnded() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let call = seccomp_syscall_resolve_name("pidfd_open")
            guard let filter = seccomp_init(cdm_SCMP_ACT_ALLOW),
                seccomp_rule_add_array(filter, cdm_SCMP_ACT_EPERM, call, 0, nil) == 0,
                seccomp_load(filter) == 0
            else { exit(1) }
            do throws(DevmemError) {
                _ = try ChildProcess(["sleep", "20"], environment: [:], inheriting: STDIN_FILENO)
                exit(2)
            } catch {
                guard error.errno == .notPermitted else { exit(3) }
            }
            exit(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD ? 7 : 4)
        }
    }
}
