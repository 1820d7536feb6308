import Foundation
import Testing

@testable import DevmemCore
@testable import DevmemTools

extension NICFacts {
    /// A NIC that passes all checks.
    static var whole: NICFacts {
        get throws {
            var device = NetworkDevice(try NetworkInterface(named: "lo"))
            device.driver = "labnic"
            device.isUp = true
            device.hasCarrier = true
            device.mtu = 9000
            device.path = "/sys/devices/pci0000:40/0000:40:01.0/0000:41:00.0"
            device.numaNode = 0
            var facts = NICFacts(of: device, on: .whole)
            facts.kernelRelease = "7.3.4"
            facts.rings = .success(RingSettings(headerSplit: .off, splitThreshold: 256))
            facts.channels = .success(ChannelCounts(combined: 4))
            facts.channelLimits = .success(ChannelCounts(combined: 8))
            facts.queues = .success((0..<4).map { QueueInfo(id: $0, type: .rx) })
            facts.xdpProgram = .success(nil)
            facts.contexts = .success([RSSContext(id: 0, indirection: [0, 1, 2, 3])])
            facts.ntuple = .success(FeatureState(isActive: true, isChangeable: true))
            facts.ruleTable = .success(
                FlowRuleTable(locations: [], capacity: 4, choosesLocation: true))
            facts.rules = []
            facts.steering = .success(.none)
            facts.pagePools = .success([])
            facts.uptime = 1000
            return facts
        }
    }

    /// Adds a rule that leads to a queue or, with `context`, to an RSS context.
    mutating func addRule(_ location: UInt32, queue: UInt32 = 0, context: UInt32? = nil) throws {
        let target: RuleTarget = context.map { .context($0) } ?? .queue(queue)
        let rule = FlowRule(isIPv6: false, destinationPort: 80, target: target)
        rules.append(
            try #require(
                InstalledRule(
                    specification: try FlowSpec.encode(rule, location: location),
                    context: context ?? 0)))
    }
}

@Suite struct UpperDeviceCheckTests {
    /// For a device without queues the only check names the NIC beneath it.
    @Test func anUpperDeviceNamesItsNIC() throws {
        var facts = try NICFacts.whole
        facts.device.virtual = VirtualInterface(
            name: "bond0", kind: "bond", nics: ["eth1", "eth2"])
        let list = checks(of: facts)
        #expect(list.map(\.verdict) == [.failed])
        #expect(list[0].evidence.contains("a bond of eth1 and eth2"))
        #expect(list[0].fix == "check eth1")
    }
}

@Suite struct NICCheckTests {
    @Test func healthyNICPassesAllChecks() throws {
        let checks = checks(of: try NICFacts.whole)
        #expect(findings(checks) == [:])
        #expect(checks.allSatisfy { $0.fix == nil && $0.interface == "lo" })
        #expect(Set(checks.map(\.id)).count == checks.count)
    }

    @Test(arguments: [
        ("gve", "6.16.3", DoctorCheck.Verdict.warning), ("gve", "6.18.0-cloud", .ok),
        ("gve", "unknown", .ok), ("bnxt_en", "6.16.3", .ok), ("labnic", "6.12.57", .ok),
        ("ice", "7.3.4", .warning),
    ]) func aKernelOlderThanTheDriversSupport(
        driver: String, kernel: String, expected: DoctorCheck.Verdict
    ) throws {
        var facts = try NICFacts.whole
        facts.device.driver = driver
        facts.kernelRelease = kernel
        let check = checks(of: facts).first { $0.id == "driver" }
        #expect(check?.verdict == expected)
        #expect(
            check?.evidence.contains("this is Linux 6.16.3, too old to receive")
                == (driver == "gve" && kernel == "6.16.3"))
    }

    @Test(arguments: [
        (
            "gve", "6.12.57+deb13-cloud-amd64",
            Optional("gve receives into device memory since Linux 6.18")
        ),
        ("gve", "6.18.0", nil), ("gve", "7.3.4-cloud", nil), ("gve", "6.2.1", "since Linux 6.18"),
        ("ice", "7.3.4", "ice: no device memory TCP"), ("labnic", "6.12.57", nil),
        ("unheard-of", "6.12.57", nil), ("gve", "unknown", nil), ("gve", "", nil),
        ("gve", "99999999999.1", nil), ("gve", "6", nil),
    ]) func whichKernelsDriversCannotReceive(driver: String, kernel: String, expected: String?) {
        let lack = DriverSupport.lackOfReceive(driver, kernel: kernel)
        #expect((lack == nil) == (expected == nil))
        #expect(expected == nil || lack?.contains(expected ?? "") == true)
    }

    /// A setting that the kernel lacks is not the driver's fault.
    @Test(arguments: [
        (Bool?.some(false), "this kernel has no such setting"),
        (true, "the driver has no such setting"), (nil, "the driver has no such setting"),
    ]) func whoLacksTheSplitThreshold(known: Bool?, expected: String) throws {
        var facts = try NICFacts.whole
        facts.rings = .success(RingSettings(headerSplit: .on, splitThreshold: nil))
        facts.setsSplitThreshold = known
        let check = checks(of: facts).first { $0.id == "hds-thresh" }
        #expect(check?.evidence == expected)
    }

    @Test func manualOfDriversKnowsWhatIsKnown() throws {
        let repository = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(
            contentsOf: repository.appending(path: "man/devmemtcp-drivers.7"), encoding: .utf8)
        let rows = page.matches(of: /\n([a-z0-9_]+)\t([0-9.]+)\t([0-9.]+)/)
        #expect(rows.map(\.1) == ["bnxt_en", "mlx5_core", "gve", "fbnic"])
        for row in rows {
            let support = try #require(DriverSupport.of(String(row.1)))
            #expect(support.receive == String(row.2) && support.send == String(row.3), "\(row.1)")
        }
        let others = try #require(page.firstMatch(of: /\nThe drivers (.*) do not support/)?.1)
        let names = others.replacing(" and ", with: ", ").split(separator: ", ")
        #expect(names.count == 5)
        for name in names { #expect(DriverSupport.of(String(name)) == DriverSupport()) }
        // Which of two rules wins, as the command has it.
        for (heading, driver, words) in [
            ("mlx5", "mlx5_core", "the one with more fields wins"),
            ("gve", "gve", "the lower location wins"),
            ("fbnic", "fbnic", "The lower location wins"),
            ("bnxt", "bnxt_en", "is up to the firmware"),
        ] {
            let section = page.components(separatedBy: "\n.SS \(heading)\n").last?
                .components(separatedBy: "\n.S").first
            #expect(try #require(section).contains(words), "\(heading)")
            let expected: RulePrecedence =
                words.contains("fields")
                ? .mostFields : words.contains("location") ? .lowestLocation : .unknown
            #expect(RulePrecedence(driver: driver) == expected)
        }
    }

    @Test(
        arguments: [
            ("mlx5_core", .ok), ("gve", .ok), ("ice", .warning), ("e1000", .unknown),
            (nil, .unknown),
        ] as [(String?, DoctorCheck.Verdict)])
    func driversAreKnownOrNot(driver: String?, verdict: DoctorCheck.Verdict) throws {
        var facts = try NICFacts.whole
        facts.device.driver = driver
        #expect(checks(of: facts).first { $0.id == "driver" }?.verdict == verdict)
    }

    @Test func anInterfaceThatIsDownHasOneFailure() throws {
        var facts = try NICFacts.whole
        facts.device.isUp = false
        facts.device.hasCarrier = nil
        facts.queues = .success([])
        let checks = checks(of: facts)
        #expect(findings(checks) == ["interface-up": .failed, "free-queues": .unknown])
        #expect(fix("interface-up", checks) == "ip link set lo up")
    }

    @Test func oneQueueIsTooFew() throws {
        var facts = try NICFacts.whole
        facts.channels = .success(ChannelCounts(combined: 1))
        facts.queues = .success([QueueInfo(id: 0, type: .rx)])
        #expect(findings(checks(of: facts)) == ["channels": .failed])
        #expect(fix("channels", checks(of: facts)) == "ethtool -L lo combined 2")
        facts.channelLimits = .success(ChannelCounts(rx: 8, combined: 0))
        #expect(fix("channels", checks(of: facts)) == "ethtool -L lo rx 2")
        facts.channelLimits = .success(ChannelCounts(combined: 1))
        #expect(fix("channels", checks(of: facts)) == nil)
        // If the driver does not report channels, the queues are counted.
        facts.channels = .success(nil)
        #expect(findings(checks(of: facts)) == ["channels": .failed])
    }

    @Test func missingDriverFeatureHasNoFix() throws {
        var facts = try NICFacts.whole
        facts.rings = .success(RingSettings(headerSplit: nil, splitThreshold: nil))
        facts.ruleTable = .success(nil)
        let checks = checks(of: facts)
        #expect(findings(checks) == ["header-split": .failed, "ntuple": .failed])
        #expect(fix("header-split", checks) == nil && fix("ntuple", checks) == nil)
    }

    /// gve does not report header split while an XDP program is attached.
    @Test func gveDoesNotTellOfSplitUnderXDP() throws {
        var facts = try NICFacts.whole
        facts.rings = .success(RingSettings(headerSplit: nil, splitThreshold: nil))
        facts.xdpProgram = .success(XDPProgram(id: 7, mode: .native))
        facts.device.driver = "gve"
        #expect(findings(checks(of: facts))["header-split"] == .unknown)
        #expect(findings(checks(of: facts))["xdp"] == .failed)
        facts.xdpProgram = .success(nil)
        #expect(findings(checks(of: facts))["header-split"] == .failed)
        facts.device.driver = "bnxt_en"
        facts.xdpProgram = .success(XDPProgram(id: 7, mode: .native))
        #expect(findings(checks(of: facts))["header-split"] == .failed)
    }

    @Test func probeReportsUnrestoredSettings() {
        var list = CheckList(.probe, interface: "eth1")
        judge(SteeringRestoration(restored: ["hds-thresh 256"]), &list)
        #expect(list.checks.last?.verdict == .ok)
        #expect(list.checks.last?.evidence == "every setting is restored")
        judge(SteeringRestoration(leftAlone: ["the RSS table was changed", "x"]), &list)
        #expect(list.checks.last?.verdict == .warning)
        #expect(list.checks.last?.evidence == "left alone: the RSS table was changed; x")
    }

    @Test func ntupleThatCanBeTurnedOnIsAWarning() throws {
        var facts = try NICFacts.whole
        facts.ntuple = .success(FeatureState(isActive: false, isChangeable: true))
        #expect(findings(checks(of: facts)) == ["ntuple": .warning])
        facts.ntuple = .success(FeatureState(isActive: false, isChangeable: false))
        #expect(findings(checks(of: facts)) == ["ntuple": .failed])
    }

    /// With mlx5, ntuple only enables accelerated RFS; rules work without it.
    @Test func ntupleOfMlx5MayBeOff() throws {
        var facts = try NICFacts.whole
        facts.device.driver = "mlx5_core"
        facts.hardwareGRO = .success(FeatureState(isActive: true, isChangeable: true))
        for isChangeable in [true, false] {
            facts.ntuple = .success(FeatureState(isActive: false, isChangeable: isChangeable))
            let checks = checks(of: facts)
            #expect(findings(checks)["ntuple"] == nil && fix("ntuple", checks) == nil)
            #expect(checks.contains { $0.evidence.contains("ntuple is off") })
        }
    }

    /// The program cannot know which rules may be deleted.
    @Test func fullRuleTableHasNoFix() throws {
        var facts = try NICFacts.whole
        var full = FlowRuleTable(locations: [0, 1, 2, 9], capacity: 4, choosesLocation: true)
        try facts.addRule(9)
        for isTold in [false, true] {
            full.isFull = isTold
            full.capacity = isTold ? nil : 4
            facts.ruleTable = .success(full)
            let checks = checks(of: facts)
            #expect(findings(checks) == ["rule-places": .failed])
            #expect(fix("rule-places", checks) == nil)
        }
        full.isFull = false
        facts.ruleTable = .success(full)
        #expect(findings(checks(of: facts)).isEmpty)
    }

    @Test func precedingRuleIsAWarning() throws {
        var facts = try NICFacts.whole
        facts.device.driver = "gve"
        facts.queues = .success((0..<4).map { QueueInfo(id: $0, type: .rx) })
        try facts.addRule(9, queue: 3)
        try facts.addRule(2, queue: 1)
        #expect(findings(checks(of: facts))["rule-order"] == nil)
        var queues = (0..<4).map { QueueInfo(id: UInt32($0), type: .rx) }
        queues[3].dmabufID = 6
        facts.queues = .success(queues)
        let order = try #require(checks(of: facts).first { $0.id == "rule-order" })
        #expect(order.verdict == .warning)
        #expect(
            order.evidence
                == "of rule 9: flow rule 2 takes precedence and leads all of the flow elsewhere: "
                + "flow-type tcp4 dst-port 80 action 1")
    }

    @Test func xdpIsDetachedWhereItRuns() throws {
        var facts = try NICFacts.whole
        facts.xdpProgram = .success(XDPProgram(id: 7, mode: .generic))
        #expect(findings(checks(of: facts)) == ["xdp": .failed])
        #expect(fix("xdp", checks(of: facts)) == "ip link set lo xdpgeneric off")
        facts.xdpHolder = 812
        #expect(fix("xdp", checks(of: facts)) == "kill 812")
    }

    @Test func steeringVerdictDependsOnOwner() throws {
        var facts = try NICFacts.whole
        func judged(
            _ state: NICFacts.SteeringState
        ) -> (verdict: DoctorCheck.Verdict?, fix: String?) {
            facts.steering = .success(state)
            let check = checks(of: facts).first { $0.id == "steering" }
            return (check?.verdict, check?.fix)
        }
        #expect(judged(.kept(name: "x", queues: [3], contexts: [])) == (.ok, nil))
        #expect(
            judged(.inUse(holder: "devmemtcp, pid 9", pid: 9, queues: [3])) == (.warning, "kill 9"))
        #expect(
            judged(.left(maker: "devmemtcp serve (pid 9)", changes: 3))
                == (.warning, "restore the settings of lo"))
        #expect(
            judged(.damaged("it is cut short"))
                == (.failed, "drop the journal of lo"))
    }

    @Test func foreignRulesHaveNoFix() throws {
        var facts = try NICFacts.whole
        facts.contexts = .success([
            RSSContext(id: 0, indirection: [0, 1]), RSSContext(id: 4, indirection: [2, 3]),
        ])
        #expect(findings(checks(of: facts)) == [:])
        try facts.addRule(5, context: 4)
        try facts.addRule(6, queue: 1)
        #expect(findings(checks(of: facts)) == ["free-queues": .failed])
        #expect(fix("free-queues", checks(of: facts)) == "ethtool -L lo combined 5")
        facts.channelLimits = .success(ChannelCounts(combined: 4))
        #expect(fix("free-queues", checks(of: facts)) == nil)
        facts.channels = .success(ChannelCounts(rx: 4, combined: 0))
        facts.channelLimits = .success(ChannelCounts(rx: 8, combined: 0))
        #expect(fix("free-queues", checks(of: facts)) == "ethtool -L lo rx 5")
        facts.channels = .success(ChannelCounts(rx: .max, combined: .max))
        facts.channelLimits = .success(ChannelCounts(rx: .max, combined: .max))
        #expect(fix("free-queues", checks(of: facts)) == nil)
    }

    @Test func heldQueuesAreFreedByTheirHolderOnly() throws {
        var facts = try NICFacts.whole
        var queues = (0..<4).map { QueueInfo(id: $0, type: .rx) }
        for place in 1..<4 { queues[place].hasXSK = true }
        facts.queues = .success(queues)
        #expect(findings(checks(of: facts)) == ["free-queues": .failed])
        #expect(fix("free-queues", checks(of: facts)) == "ethtool -L lo combined 5")
        queues[2].hasXSK = false
        queues[2].dmabufID = 5
        facts.queues = .success(queues)
        #expect(fix("free-queues", checks(of: facts)) == "ethtool -L lo combined 5")
        facts.steering = .success(.inUse(holder: "devmemtcp, pid 9", pid: 9, queues: [2]))
        #expect(fix("free-queues", checks(of: facts)) == "kill 9")
        // Queues that applied steering reserves are free for its users.
        facts.steering = .success(.kept(name: "x", queues: [2], contexts: []))
        #expect(findings(checks(of: facts)) == [:])
    }

    @Test func pagePoolsMayLagForAWhile() throws {
        var facts = try NICFacts.whole
        var pool = PagePoolInfo(id: 1)
        pool.detachedAt = 941
        facts.pagePools = .success([pool])
        #expect(findings(checks(of: facts)) == [:])
        pool.detachedAt = 940
        pool.inFlightBytes = 8192
        facts.pagePools = .success([pool])
        #expect(findings(checks(of: facts)) == ["page-pools": .warning])
        // The sum must not overflow.
        var huge = pool
        huge.inFlightBytes = .max
        facts.pagePools = .success([pool, huge])
        #expect(findings(checks(of: facts)) == ["page-pools": .warning])
        pool.detachedAt = .max
        facts.pagePools = .success([pool])
        #expect(findings(checks(of: facts)) == [:])
    }

    @Test func farMemoryIsAWarning() throws {
        var facts = try NICFacts.whole
        var gpu = MemoryDevice(kind: .gpu, name: "0000:81:00.0")
        gpu.path = "/sys/devices/pci0000:80/0000:80:01.0/0000:81:00.0"
        gpu.numaNode = 1
        facts.memory = [gpu, MemoryDevice(kind: .heap, name: "system")]
        #expect(findings(checks(of: facts)) == ["memory-distance": .warning])
        gpu.numaNode = 0
        facts.memory.append(gpu)
        #expect(findings(checks(of: facts)) == [:])
    }

    @Test func theGPUForANICIsNamed() throws {
        var facts = try NICFacts.whole
        #expect(!checks(of: facts).contains { $0.id == "gpu-distance" })
        facts.gpus = GPU.three
        let check = try #require(checks(of: facts).first { $0.id == "gpu-distance" })
        #expect(check.verdict == .ok)
        #expect(
            check.evidence == """
                GPU 2 is the best for this NIC: GPU 0 is in another NUMA node, GPU 1 is behind the same \
                PCIe switch, GPU 2 is behind the same host bridge
                """)
        facts.gpus.removeLast()
        #expect(findings(checks(of: facts)) == ["gpu-distance": .warning])
        facts.gpus.removeFirst()
        #expect(
            checks(of: facts).first { $0.id == "gpu-distance" }?.evidence
                == "none exports dma-bufs: GPU 1 is behind the same PCIe switch")
    }

    @Test func aReadThatFailsIsUnknownAndEndsNothing() throws {
        var facts = try NICFacts.whole
        facts.rings = .failure(refusedRead)
        facts.channels = .failure(refusedRead)
        facts.queues = .failure(refusedRead)
        facts.xdpProgram = .failure(refusedRead)
        facts.ruleTable = .failure(refusedRead)
        facts.steering = .failure(refusedRead)
        facts.pagePools = .failure(refusedRead)
        let found = findings(checks(of: facts))
        #expect(found.count == 7)
        #expect(found.values.allSatisfy { $0 == .unknown })
    }

    @Test func linksOfXDPAreDistinguishedFromOthers() {
        func lines(_ text: String) -> [Substring] { text.split(separator: "\n") }
        let link = "pos:\t0\nlink_type:\txdp\nlink_id:\t3\nprog_id:\t9\nifindex:\t4\n"
        #expect(isLink(lines(link), of: 4, program: 0))
        #expect(!isLink(lines(link), of: 5, program: 0))
        #expect(!isLink(lines(link.replacing("xdp", with: "tcx")), of: 4, program: 0))
        #expect(!isLink([], of: 0, program: 0))
        // An interface of another network namespace can have the same index.
        #expect(isLink(lines(link), of: 4, program: 9))
        #expect(!isLink(lines(link), of: 4, program: 8))
    }

    @Test func xdpHolderMustBeUnambiguous() {
        #expect(unambiguousHolder([]) { _ in true } == nil)
        #expect(unambiguousHolder([7]) { _ in false } == 7)
        // Without the program's id, the index may belong to another namespace's interface.
        #expect(unambiguousHolder([7], isProgramKnown: false) { _ in false } == nil)
        #expect(unambiguousHolder([7], isProgramKnown: false) { _ in true } == 7)
        #expect(unambiguousHolder([7, 8]) { $0 == 8 } == 8)
        #expect(unambiguousHolder([7, 8]) { _ in true } == nil)
        #expect(unambiguousHolder([7, 8]) { _ in false } == nil)
    }
}
