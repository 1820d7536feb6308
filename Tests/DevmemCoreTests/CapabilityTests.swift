import CDevmem
import Glibc
import SystemPackage
import Testing

@testable import DevmemCore

/// Capabilities are dropped for good, and only those that are not kept.
@Suite struct CapabilityTests {
    @Test func onlyWhatIsKeptStays() {
        var sets = ThreadCapabilities()
        sets.permitted = CapabilitySet(rawValue: .max)
        sets.effective = [.netAdmin, .kill]
        sets.inheritable = [.netAdmin]
        let reduced = sets.reduced(to: [.netAdmin, .dacOverride])
        #expect(reduced.permitted == [.netAdmin, .dacOverride])
        #expect(reduced.effective == [.netAdmin])
        #expect(reduced.inheritable == [])
        // The upper half of the numbers counts too.
        #expect(sets.permitted.contains(CapabilitySet(rawValue: 1 << 40)))
        #expect(!reduced.permitted.contains(CapabilitySet(rawValue: 1 << 40)))
    }

    @Test func theKernelDropsThem() async {
        await #expect(processExitsWith: .exitCode(7)) {
            try dropCapabilities(keeping: .netAdmin)
            let before = try ThreadCapabilities.current()
            guard before.permitted.subtracting(.netAdmin).isEmpty else { exit(1) }
            try dropCapabilities()
            guard try ThreadCapabilities.current() == ThreadCapabilities(), try !hasNetAdmin()
            else {
                exit(2)
            }
            let status = lines(of: "/proc/thread-self/status")
            guard status.contains("NoNewPrivs:\t1"), status.contains("CapEff:\t0000000000000000")
            else {
                exit(3)
            }
            var again = ThreadCapabilities()
            again.permitted = .netAdmin
            do throws(DevmemError) { try again.apply() } catch {
                exit(error.errno == .notPermitted ? 7 : 4)
            }
            exit(5)
        }
    }

    @Test func whatIsReservedTakesEffectForACall() async {
        await #expect(processExitsWith: .exitCode(7)) {
            let isPrivileged = try hasNetAdmin()
            try dropCapabilities(inReserve: .netAdmin)
            guard try !hasNetAdmin() else { exit(1) }
            let seen = try withCapabilities([.netAdmin, .kill]) { () throws(DevmemError) in
                try ThreadCapabilities.current().effective
            }
            guard seen == (isPrivileged ? .netAdmin : []), try !hasNetAdmin() else { exit(2) }
            do throws(DevmemError) {
                try withCapabilities(.netAdmin) { () throws(DevmemError) in
                    throw DevmemError(.invalid, call: "fail")
                }
                exit(3)
            } catch {
                exit(try !hasNetAdmin() ? 7 : 4)
            }
        }
    }
}
