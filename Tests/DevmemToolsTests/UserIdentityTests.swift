import CDevmem
import Glibc
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// A program that runs as another user keeps no privilege of root.
@Suite struct UserIdentityTests {
    @Test func noCapabilityStays() async {
        await #expect(processExitsWith: .exitCode(7)) {
            // As set by a service manager that grants ambient capabilities.
            var header = __user_cap_header_struct(version: cdm_CAPABILITY_VERSION, pid: 0)
            var data = [__user_cap_data_struct](repeating: __user_cap_data_struct(), count: 2)
            guard cdm_capget(&header, &data) == 0 else { exit(1) }
            data[0].inheritable = 1 << UInt32(CAP_NET_ADMIN)
            guard cdm_capset(&header, &data) == 0 else { exit(2) }
            try UserIdentity(named: "nobody").assume()
            let sets = lines(of: "/proc/thread-self/status").filter { $0.hasPrefix("Cap") }
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                guard sets.contains("\(set)\t0000000000000000") else { exit(3) }
            }
            guard getuid() == 65534, getgroups(0, nil) <= 1 else { exit(4) }
            exit(7)
        }
    }
}
