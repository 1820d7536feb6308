import CDevmem
import CSeccomp
import Glibc
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// What moves payload cannot run programs or change the host.
@Suite struct SystemCallFilterTests {
    /// Returns the error number of running a program, which must not exist.
    private static func errorOfExecution() -> Int32 {
        _ = withCStrings(["/nonexistent"]) { execv("/nonexistent", $0) }
        return errno
    }

    @Test func refusedCallsFailAndOthersDoNot() async {
        await #expect(processExitsWith: .exitCode(7)) {
            guard Self.errorOfExecution() == ENOENT else { exit(1) }
            try SystemCallFilter.install(for: .thread)
            guard Self.errorOfExecution() == EPERM else { exit(2) }
            guard chroot("/") == -1, errno == EPERM else { exit(3) }
            guard getppid() > 0, access("/", F_OK) == 0 else { exit(4) }
            exit(7)
        }
    }

    @Test func theFilterIsOfThreadsThatRunAlreadyToo() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let gate = try StopBroadcast()
            try runInThread {
                let stop = StopSignal(following: gate)
                _ = try? stop.arrived()
                exit(Self.errorOfExecution() == EPERM ? 7 : 2)
            }
            try dropPrivileges(keeping: [], logger: .silent)
            gate.announce(SIGTERM)
            while true { pause() }
        }
    }

    /// A name that libseccomp does not know is a slip of ours, except for calls newer than it.
    @Test func theNamesAreThoseOfCalls() {
        let unknown = SystemCallFilter.refused.filter {
            seccomp_syscall_resolve_name($0) == cdm_NR_SCMP_ERROR
        }
        #expect(
            unknown.filter { !["process_mrelease", "quotactl_fd", "mount_setattr"].contains($0) }
                == [])
        #expect(Set(SystemCallFilter.refused).count == SystemCallFilter.refused.count)
    }
}
