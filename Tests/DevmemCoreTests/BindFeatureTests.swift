import SystemPackage
import Testing

@testable import DevmemCore

/// Policies of the family netdev, as kernels report them.
private let linux6_12 = FamilyPolicy(
    commands: [1, 5, 10, 11, 12, 13], attributes: [13: [1, 2, 3]])
private let linux7_2 = FamilyPolicy(
    commands: [1, 5, 10, 11, 12, 13, 14, 15, 16], attributes: [13: [1, 2, 3]])
private let linux7_3 = FamilyPolicy(
    commands: [1, 5, 10, 11, 12, 13, 14, 15, 16], attributes: [13: [1, 2, 3, 5]])

@Suite struct BindFeatureTests {
    private func refused(_ errno: Errno?, _ message: String? = nil) -> DevmemError {
        DevmemError(
            .netlink, DevmemError.Operation(.bindTransmit, "bind-tx on eth1"), errno: errno,
            message: message, attribute: nil)
    }

    @Test func thePolicyTellsWhatAKernelHas() {
        func features(_ policy: FamilyPolicy) -> [BindFeature] {
            BindFeature.allCases.filter { $0.isIn(policy) }
        }
        #expect(features(FamilyPolicy(commands: [1, 10], attributes: [:])) == [])
        #expect(features(linux6_12) == [.receive])
        #expect(features(linux7_2) == [.receive, .transmit, .lease])
        #expect(features(linux7_3) == BindFeature.allCases)
    }

    @Test func aLackIsTheReason() {
        let error = refused(.notSupportedOnSocket)
        #expect(
            "\(explained(error.blaming([.transmit]) { linux6_12 }))"
                == "bind-tx on eth1: Operation not supported, this kernel lacks bind-tx "
                + "(needs Linux 6.16)")
        let size = refused(.invalidArgument, "Unknown attribute type")
            .blaming([.receive, .pageSize]) { linux7_2 }
        #expect(size.kind == .unsupported && explain(size) == nil)
        #expect(size.message == "this kernel lacks rx-page-size")
        #expect(size.errno == .invalidArgument && size.advice == "needs Linux 7.3")
        let lease = refused(.notSupportedOnSocket).blaming([.lease]) { linux6_12 }
        #expect(lease.message == "this kernel lacks queue-create")
        #expect(lease.advice == "needs Linux 7.1")
    }

    /// The driver's refusal is not the kernel's.
    @Test func whatTheKernelHasIsNotBlamed() {
        let error = refused(.notSupportedOnSocket, "Driver does not support netmem TX")
        #expect(error.blaming([.transmit]) { linux7_2 } == error)
        #expect(error.blaming([.receive]) { linux6_12 } == error)
    }

    @Test(arguments: [Errno.notPermitted, .noMemory, .fileExists, nil])
    func otherErrorsAskForNoPolicy(errno: Errno?) {
        let error = refused(errno)
        var asked = false
        let blamed = error.blaming([.transmit]) { () throws(DevmemError) in
            asked = true
            return linux6_12
        }
        #expect(blamed == error && !asked)
    }

    @Test func aPolicyThatCannotBeReadChangesNothing() {
        let error = refused(.notSupportedOnSocket)
        let blamed = error.blaming([.transmit]) { () throws(DevmemError) in
            throw DevmemError(.system, call: "read the policy")
        }
        #expect(blamed == error)
    }
}

@Suite struct SplitThresholdPolicyTests {
    @Test func onlyTheRequestToSetRingsCounts() {
        #expect(FamilyPolicy(commands: [16], attributes: [16: [11, 17]]).setsSplitThreshold)
        #expect(!FamilyPolicy(commands: [16], attributes: [16: [11]]).setsSplitThreshold)
        #expect(!FamilyPolicy(commands: [15, 16], attributes: [15: [17]]).setsSplitThreshold)
    }
}
