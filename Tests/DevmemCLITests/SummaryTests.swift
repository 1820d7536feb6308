import DevmemCore
import DevmemTools
import Foundation
import Testing

@testable import devmemtcp

@Suite struct SummaryTests {
    @Test func jsonIsReadBackAsItWas() throws {
        let report = try ReceiveReport.full
        let again = try JSONDecoder().decode(
            ReceiveReport.self, from: Data(try json(of: report).utf8))
        #expect(again == report)
        #expect(report.bytesPerSecond == 500)
        #expect(report.deviceShare == 0.999)
    }

    @Test func summaryOfSendingHoldsTheFigures() throws {
        var report = try TransmitReport.full
        let text = summary(of: report)
        #expect(text.contains("1000 bytes in 2.000 s"))
        #expect(text.contains("3 read, 2 sendmsg, 1 completion, 4 waits for buffers"))
        #expect(text.contains("1 send\n"))
        #expect(
            text.contains(
                "on CPUs 0-3 (near); polling the NIC for 50 us before sleeping; NAPI in a thread\n")
        )
        #expect(!text.contains("did not close"))
        report.failure = nil
        report.stoppedBy = nil
        #expect(summary(of: report).contains("did not close in time"))
        #expect(report.bytesPerSecond == 500)
    }

    @Test func summaryOfABindingHoldsTheIDs() {
        #expect(
            BindReport.full.line
                == "eth1: dma-buf of 4096 bytes, rx id 3 on queues 6-7, tx id 4")
    }

    @Test func summaryForPeopleHoldsTheFigures() throws {
        let text = summary(of: try ReceiveReport.full)
        #expect(text.contains("eth1, queues 7, driver labnic"))
        #expect(text.contains("1000 bytes in 2.000 s"))
        #expect(text.contains("999 bytes (99.900 %), 3 fragments"))
        #expect(text.contains("2 of 1000 bytes wrong, the first at offset 5: found 7, expected 6"))
        #expect(text.hasSuffix("\n"))
    }
}
