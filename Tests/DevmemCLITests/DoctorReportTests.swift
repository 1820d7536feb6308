import ArgumentParser
import DevmemCore
import DevmemTools
import Testing

@testable import devmemtcp

@Suite struct DoctorReportTests {
    private func check(
        _ id: String, _ verdict: DoctorCheck.Verdict, fix: String? = nil,
        group: DoctorCheck.Group = .memory, interface: String? = nil
    ) -> DoctorCheck {
        DoctorCheck(
            id: id, group: group, interface: interface, title: id, verdict: verdict,
            evidence: "as read", fix: fix)
    }

    private func report(_ checks: [DoctorCheck]) throws -> DoctorReport {
        DoctorReport(
            host: HostFacts(), devices: [NetworkDevice(try NetworkInterface(named: "lo"))],
            checks: checks)
    }

    @Test func eachCheckIsALineAndAFixAnother() throws {
        let text = try report([
            check("one", .ok), check("two", .failed, fix: "modprobe udmabuf"),
            check("three", .unknown, group: .nic, interface: "lo"),
            check("four", .warning, group: .probe, interface: "lo"),
        ]).text(coloured: false)
        #expect(
            text == """
                memory
                  ok       one: as read
                  failed   two: as read
                           fix: modprobe udmabuf
                lo
                  unknown  three: as read
                probe of lo
                  warning  four: as read
                not ready: 1 check failed

                """)
    }

    @Test func onlyFailuresKeepFromBeingReady() throws {
        let well = try report([check("a", .warning), check("b", .unknown), check("c", .ok)])
        #expect(well.isReady && well.text(coloured: false).hasSuffix("\nready\n"))
        #expect(well.warnings == 1 && well.unknown == 1 && well.failed == 0)
        let bad = try report([check("a", .failed), check("b", .failed)])
        #expect(!bad.isReady)
        #expect(bad.text(coloured: false).hasSuffix("\nnot ready: 2 checks failed\n"))
    }

    @Test func coloursAreForTerminals() throws {
        let report = try report([check("a", .failed)])
        #expect(report.text(coloured: true).contains("\u{1b}[31mfailed\u{1b}[0m   a"))
        #expect(!report.text(coloured: false).contains("\u{1b}"))
    }

    @Test(arguments: [["--probe", "--yes"], ["eth1", "--yes"], ["eth1", "-v", "-q"]])
    func contradictionsAreUsageErrors(arguments: [String]) {
        let error = #expect(throws: (any Error).self) {
            try Devmemtcp.parseAsRoot(["doctor"] + arguments)
        }
        #expect(error.map { Devmemtcp.exitCode(for: $0).rawValue } == 64)
    }

    @Test func probeAcceptsYesOption() throws {
        let command = try Devmemtcp.parseAsRoot(["doctor", "eth1", "--probe", "-y"]) as? Doctor
        #expect(command?.probe == true && command?.yes == true)
        #expect(command?.interface == "eth1")
    }
}
