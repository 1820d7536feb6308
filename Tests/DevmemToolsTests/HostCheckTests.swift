import Foundation
import SystemPackage
import Testing

@testable import DevmemCore
@testable import DevmemTools

/// The error of a value that cannot be read.
let refusedRead = DevmemError(.system, call: "read it", errno: .permissionDenied)

extension HostFacts {
    /// A host that passes all checks.
    static var whole: HostFacts {
        var facts = HostFacts()
        facts.netdev = .success(
            FamilyPolicy(
                commands: [5, 10, 12, 13, 15, 16], attributes: [13: [1, 2, 3, 5], 16: [8]]))
        facts.ethtool = .success(
            FamilyPolicy(commands: [16, 48, 49, 50], attributes: [16: [11, 17]]))
        facts.ioUringObstacle = nil
        facts.isRoot = true
        facts.hasNetAdmin = .success(true)
        facts.journalAccess = .success(true)
        facts.openFiles = 1024
        facts.udmabuf = UdmabufFacts(
            opening: .success(true), number: "10 121", sizeLimit: .success(64),
            listLimit: .success(1024))
        facts.hasSystemHeap = false
        facts.hugePages = .success(HugePages(total: 8, free: 8, size: 2 << 20))
        facts.memoryDevices = []
        facts.gpus = .failure(refusedRead)
        facts.amdGPUs = .failure(refusedRead)
        for name in sysctlNames { facts.sysctls[name] = .success([4096, 131072, 64 << 20]) }
        return facts
    }
}

extension GPU {
    /// GPUs farther from and nearer to the NIC of `NICFacts.whole`; the nearest exports nothing.
    static let three: [GPU] = [
        ("pci0000:80/0000:80:01.0/0000:81:00.0", 1, true),
        ("pci0000:40/0000:40:01.0/0000:42:00.0", 0, false),
        ("pci0000:40/0000:40:02.0/0000:43:00.0", 0, true),
    ].enumerated().map { place, gpu in
        var made = GPU(ordinal: Int32(place), device: Int32(place), name: "H")
        made.address = "0000:0\(place):00.0"
        made.memory = 80 << 30
        (made.path, made.numaNode) = ("/sys/devices/\(gpu.0)", gpu.1)
        made.exportsDmabufs = gpu.2
        return made
    }
}

/// Returns the checks that did not pass.
func findings(_ checks: [DoctorCheck]) -> [String: DoctorCheck.Verdict] {
    checks.filter { $0.verdict != .ok }.reduce(into: [:]) { $0[$1.id] = $1.verdict }
}

/// Returns the fix of a check that did not pass.
func fix(_ id: String, _ checks: [DoctorCheck]) -> String? {
    checks.first { $0.id == id && $0.verdict != .ok }?.fix
}

@Suite struct HostCheckTests {
    @Test func healthyHostPassesAllChecks() {
        let checks = checks(of: HostFacts.whole)
        #expect(findings(checks) == [:])
        #expect(checks.allSatisfy { $0.fix == nil && !$0.evidence.isEmpty })
        #expect(Set(checks.map(\.id)).count == checks.count)
        #expect(checks.allSatisfy { $0.id.wholeMatch(of: /[a-z]+(-[a-z]+)*/) != nil })
    }

    @Test func missingKernelFeatureIsNamed() {
        var facts = HostFacts.whole
        facts.netdev = .success(FamilyPolicy(commands: [10, 13], attributes: [13: [1, 2, 3]]))
        facts.ethtool = .success(FamilyPolicy(commands: [16], attributes: [16: [11]]))
        #expect(
            findings(checks(of: facts)) == [
                "bind-tx": .warning, "page-pool-get": .warning, "qstats-get": .warning,
                "rx-page-size": .warning, "queue-create": .warning,
                "hds-thresh-setting": .warning,
            ])
        facts.netdev = .success(FamilyPolicy(commands: [5], attributes: [:]))
        facts.ethtool = .success(FamilyPolicy(commands: [16], attributes: [16: [1]]))
        let found = findings(checks(of: facts))
        #expect(found["bind-rx"] == .failed && found["queue-get"] == .failed)
        #expect(found["tcp-data-split"] == .failed)
        facts.netdev = .failure(DevmemError(.unsupported, call: "look up netlink family netdev"))
        #expect(findings(checks(of: facts))["netdev-family"] == .failed)
    }

    @Test func anObstacleToIOUringIsNamed() {
        var facts = HostFacts.whole
        facts.ioUringObstacle = "this kernel has none"
        #expect(findings(checks(of: facts)) == ["io-uring": .warning])
        let check = checks(of: facts).first { $0.id == "io-uring" }
        #expect(check?.evidence.contains("this kernel has none") == true)
    }

    /// Huge pages are needed only for large receive pages.
    @Test func hugePagesMatterWhereTheyAreUsed() {
        var facts = HostFacts.whole
        facts.hugePages = .success(.init(total: 3, free: 0, size: 2 << 20))
        #expect(findings(checks(of: facts)) == ["huge-pages": .warning])
        #expect(fix("huge-pages", checks(of: facts)) == "sysctl -w vm.nr_hugepages=35")
        facts.netdev = .success(FamilyPolicy(commands: [13], attributes: [13: [1]]))
        #expect(findings(checks(of: facts))["huge-pages"] == nil)
    }

    @Test func missingRightsAreFailures() {
        var facts = HostFacts.whole
        facts.hasNetAdmin = .success(false)
        facts.journalAccess = .success(false)
        facts.openFiles = 256
        #expect(
            findings(checks(of: facts)) == [
                "cap-net-admin": .failed, "journal-folder": .failed, "open-files": .warning,
            ])
        #expect(fix("open-files", checks(of: facts)) == "ulimit -n 1024")
    }

    @Test func theFixOfUdmabufDependsOnWhatIsWrong() {
        var facts = HostFacts.whole
        func fixFor(_ errno: Errno) -> String? {
            facts.udmabuf.opening = .failure(
                DevmemError(.system, call: "open /dev/udmabuf", errno: errno))
            let checks = checks(of: facts)
            #expect(findings(checks) == ["udmabuf-device": .failed])
            return fix("udmabuf-device", checks)
        }
        #expect(fixFor(.noSuchFileOrDirectory) == "mknod -m 600 /dev/udmabuf c 10 121")
        #expect(fixFor(.permissionDenied) == "chmod u+rw /dev/udmabuf")
        #expect(fixFor(.ioError) == nil)
        facts.isRoot = false
        #expect(fixFor(.permissionDenied) == "sudo check the host")
        facts.udmabuf.number = nil
        #expect(fixFor(.noSuchFileOrDirectory) == "modprobe udmabuf")
    }

    @Test func dmaHeapReplacesUdmabuf() {
        var facts = HostFacts.whole
        facts.hasSystemHeap = true
        #expect(findings(checks(of: facts)) == [:])
        facts.udmabuf.sizeLimit = .success(8)
        #expect(findings(checks(of: facts)) == ["udmabuf-size-limit": .warning])
        facts.udmabuf.sizeLimit = .success(64)
        facts.udmabuf.opening = .failure(
            DevmemError(.system, call: "open /dev/udmabuf", errno: .noSuchFileOrDirectory))
        let checks = checks(of: facts)
        #expect(findings(checks) == ["udmabuf-device": .warning])
        #expect(checks.contains { $0.evidence.contains("otherwise the dma-heap system is used") })
    }

    @Test func memoryOfAGPUReplacesUdmabuf() {
        var facts = HostFacts.whole
        facts.udmabuf.opening = .failure(
            DevmemError(.system, call: "open /dev/udmabuf", errno: .noSuchFileOrDirectory))
        func heaps(_ facts: HostFacts) -> String? {
            checks(of: facts).first { $0.id == "dma-heaps" }?.evidence
        }
        #expect(heaps(HostFacts.whole) == "none; udmabuf can be used instead")
        #expect(heaps(facts) == "none")
        for exports in [false, true] {
            var gpu = GPU(ordinal: 0, device: 0, name: "Test")
            gpu.exportsDmabufs = exports
            facts.gpus = .success([gpu])
            #expect(findings(checks(of: facts))["udmabuf-device"] == (exports ? .warning : .failed))
        }
        #expect(
            checks(of: facts).contains { $0.evidence.contains("the memory of a GPU can be used") })
    }

    @Test func buffersKeepTheirOtherNumbers() {
        var facts = HostFacts.whole
        facts.sysctls["net.ipv4.tcp_rmem"] = .success([4096, 131072, 6 << 20])
        facts.sysctls["net.core.rmem_max"] = .success([212992])
        facts.sysctls["net.core.optmem_max"] = .success([20480])
        let checks = checks(of: facts)
        #expect(
            findings(checks) == [
                "tcp-rmem": .warning, "rmem-max": .warning, "optmem-max": .warning,
            ])
        #expect(
            fix("tcp-rmem", checks) == "sysctl -w net.ipv4.tcp_rmem='4096 131072 67108864'")
        #expect(fix("rmem-max", checks) == "sysctl -w net.core.rmem_max=67108864")
    }

    @Test func exampleOfSysctlsIsWhatIsAskedFor() throws {
        let repository = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let example = try String(
            contentsOf: repository.appending(path: "scripts/examples/60-devmemtcp-sysctl.conf"),
            encoding: .utf8)
        var settings: [String: [UInt64]] = [:]
        for match in example.matches(of: /\n([a-z_.0-9]+) = ([0-9 ]+)/) {
            settings[String(match.1)] = match.2.split(separator: " ").compactMap { UInt64($0) }
        }
        // With the least of a host, so that what the example leaves out is missed.
        var facts = HostFacts.whole
        for name in HostFacts.sysctlNames { facts.sysctls[name] = .success([4096, 4096, 4096]) }
        let advised = checks(of: facts).compactMap(\.fix)
        #expect(advised.count == HostFacts.sysctlNames.count)
        #expect(Set(settings.keys) == Set(HostFacts.sysctlNames))
        for (name, numbers) in settings { facts.sysctls[name] = .success(numbers) }
        #expect(findings(checks(of: facts)) == [:])
    }

    @Test func aGPUNeedsItsVendorsLibrary() {
        var facts = HostFacts.whole
        var gpu = MemoryDevice(kind: .gpu, name: "0000:41:00.0")
        gpu.vendor = MemoryDevice.amd
        facts.memoryDevices = [gpu]
        #expect(findings(checks(of: facts)) == ["rocm-library": .warning])
        facts.amdGPUs = .success(GPU.three)
        #expect(findings(checks(of: facts)) == ["amd-gpus": .warning])
        facts.amdGPUs = .success([GPU.three[0]])
        #expect(findings(checks(of: facts)) == [:])
        facts.amdGPUs = .failure(refusedRead)
        facts.memoryDevices[0].vendor = MemoryDevice.nvidia
        #expect(findings(checks(of: facts)) == ["cuda-library": .warning])
        facts.gpus = .success(GPU.three)
        #expect(findings(checks(of: facts)) == ["gpus": .warning])
        facts.gpus = .success([GPU.three[0]])
        #expect(findings(checks(of: facts)) == [:])
        #expect(
            checks(of: facts).first { $0.id == "gpus" }?.evidence
                == "GPU 0 (H, 0000:00:00.0), 80.0 GiB, exports dma-bufs")
    }

    @Test func aReadThatFailsIsUnknownAndEndsNothing() {
        var facts = HostFacts.whole
        let count = checks(of: facts).count
        facts.hasNetAdmin = .failure(refusedRead)
        facts.journalAccess = .failure(refusedRead)
        facts.udmabuf.sizeLimit = .failure(refusedRead)
        facts.udmabuf.listLimit = .failure(refusedRead)
        facts.hugePages = .failure(refusedRead)
        for name in HostFacts.sysctlNames { facts.sysctls[name] = .failure(refusedRead) }
        let checks = checks(of: facts)
        #expect(checks.count == count)
        #expect(findings(checks).count == 10)
        for check in checks where check.verdict != .ok {
            #expect(check.verdict == .unknown)
            #expect(check.evidence == "read it: Permission denied")
        }
    }
}
