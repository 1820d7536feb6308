import CDevmem
import CSeccomp
import Glibc
import SystemPackage
import Testing

@testable import DevmemCore

/// A host that was started with ipv6.disable=1, which a filter of system calls stands in for.
@Suite struct WithoutIPv6Tests {
    /// Lets the thread make no socket of IPv6 any more.
    private static func disableIPv6() -> Bool {
        guard let filter = seccomp_init(cdm_SCMP_ACT_ALLOW) else { return false }
        defer { seccomp_release(filter) }
        let failure = cdm_SCMP_ACT_EPERM & 0xffff_0000 | UInt32(EAFNOSUPPORT)
        let number = seccomp_syscall_resolve_name("socket")
        var family = scmp_arg_cmp(
            arg: 0, op: SCMP_CMP_EQ, datum_a: UInt64(AF_INET6), datum_b: 0)
        return seccomp_rule_add_array(filter, failure, number, 1, &family) == 0
            && seccomp_load(filter) == 0
    }

    @Test func theWildcardAddressIsThatOfIPv4() async {
        await #expect(processExitsWith: .exitCode(7)) {
            guard let any = IPAddress(text: "::"), let loopback = IPAddress(text: "::1"),
                Self.disableIPv6()
            else { exit(1) }
            do throws(DevmemError) {
                let listener = try Listener(binding: Endpoint(address: any, port: 0))
                guard !listener.endpoint.address.isIPv6, listener.endpoint.port != 0 else {
                    exit(2)
                }
            } catch {
                exit(3)
            }
            do throws(DevmemError) {
                _ = try Listener(binding: Endpoint(address: loopback, port: 0))
                exit(4)
            } catch {
                exit(error.errno == .addressFamilyNotSupported ? 7 : 5)
            }
        }
    }
}
