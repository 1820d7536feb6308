import ArgumentParser
import DevmemCore
import DevmemTools
import Foundation
import Testing

@testable import devmemtcp

@Suite struct GetoptParserTests {
    private let parser = GetoptParser("ab:c")

    private func given(_ arguments: [String]) throws -> [String] {
        try parser.parse(arguments).options.map { "\($0.letter)=\($0.value ?? "-")" }
    }

    @Test func optionsStandAsTheLibraryTakesThem() throws {
        #expect(try given(["-a", "-c"]) == ["a=-", "c=-"])
        #expect(try given(["-ac"]) == ["a=-", "c=-"])
        #expect(try given(["-b", "1"]) == ["b=1"])
        #expect(try given(["-b1"]) == ["b=1"])
        #expect(try given(["-acb1", "-a"]) == ["a=-", "c=-", "b=1", "a=-"])
        #expect(try given(["-ab", "-c"]) == ["a=-", "b=-c"])
        #expect(try given(["-b", "--", "-a"]) == ["b=--", "a=-"])
        #expect(try given(["-b", ""]) == ["b="])
        #expect(try given(["-bé"]) == ["b=é"])
    }

    @Test func operandsMayStandAnywhere() throws {
        let parsed = try parser.parse(["x", "-a", "-", "--", "-c", "--"])
        #expect(parsed.options == [GetoptParser.Given(letter: "a", value: nil)])
        #expect(parsed.operands == ["x", "-", "-c", "--"])
        #expect(try parser.parse(["", "-a"]).operands == [""])
    }

    @Test(arguments: [
        (["-x"], "x"), (["-ax"], "x"), (["--help"], "-"), (["-:"], ":"), (["-é"], "é"),
        (["-\0"], "\0"),
    ])
    func othersAreUnknown(arguments: [String], name: String) {
        #expect(throws: GetoptParser.Failure.unknown(name)) { try parser.parse(arguments) }
    }

    @Test(arguments: [["-b"], ["-ab"], ["-a", "-b"]])
    func aValueMustFollow(arguments: [String]) {
        #expect(throws: GetoptParser.Failure.noValue("b")) { try parser.parse(arguments) }
    }
}

@Suite struct NcdevmemOptionTests {
    private func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }

    @Test func allOptionsAreRead() throws {
        let options = try NcdevmemOptions(
            words("-Lln -s 192.0.2.1 -c192.0.2.2 -p 5201 -v 7 -t 6 -q2 -f eth1 -z 3 -b 0x4000"))
        #expect(options.isDeviceOnly && options.listens && options.keepsSettings)
        #expect(options.server == "192.0.2.1" && options.client == "192.0.2.2")
        #expect(options.port == 5201 && options.period == 7)
        #expect(options.firstQueue == 6 && options.queueCount == 2)
        #expect(options.interface == "eth1" && options.entrySize == 3 && options.pageSize == 16384)
    }

    @Test func theLastOfTwoCounts() throws {
        #expect(try NcdevmemOptions(words("-p 1 -p2 -f eth1 -f eth2")).port == 2)
        #expect(try NcdevmemOptions(words("-f eth1 -f eth2")).interface == "eth2")
    }

    @Test(
        arguments: [
            ("16384", 16384), ("0x4000", 16384), ("0X4000", 16384), ("040000", 16384), ("0", 0),
            ("4294967295", UInt32.max), ("0xffffffff", UInt32.max),
        ] as [(String, UInt32)])
    func pageSizesAreAsTheLibraryReadsThem(text: String, bytes: UInt32) throws {
        #expect(try NcdevmemOptions(["-b", text]).pageSize == bytes)
    }

    @Test(arguments: [
        "-p 0", "-p 65536", "-p x", "-p 1x", "-p +1", "-p -1", "-p 1.5", "-p ٣", "-p 0x50",
        "-p 99999999999999999999", "-v -1", "-v x", "-v 4294967296", "-q 0", "-q -1", "-q 65537",
        "-t -1", "-t 65536", "-t x", "-z -1", "-z x", "-z 4294967296", "-b -1", "-b x", "-b 0x",
        "-b 08", "-b 4294967296", "-b 0x100000000", "-b 16384k", "-b 0x+4", "-b 0x-4", "-x", "-h",
        "--help", "-f", "-s", "eth1", "-f eth1 more", "-f eth1 -- -l", "-l5",
    ])
    func badOnesAreRefusedInOneLine(line: String) {
        refuses(words(line))
    }

    @Test(arguments: [
        ["-p", ""], ["-p", " 1"], ["-p", "1\n"], ["-b", ""], ["-b", "\u{1b}[2J"], ["\u{7}\n"],
        ["-\n"], ["-f"], [String(repeating: "-", count: 100_000)],
        ["-p", String(repeating: "9", count: 100_000)],
        Array(repeating: "-l", count: 10_000) + ["-é"],
    ])
    func hostileOnesAreRefusedInOneLine(arguments: [String]) {
        refuses(arguments)
    }

    private func refuses(_ arguments: [String]) {
        do throws(DevmemError) {
            let options = try NcdevmemOptions(arguments)
            Issue.record("taken: \(options)")
        } catch {
            #expect(error.kind == .invalid)
            #expect(
                error.description.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
            )
        }
    }
}

@Suite struct NcdevmemJobTests {
    private func job(_ line: String) throws(DevmemError) -> NcdevmemJob {
        try NcdevmemJob(NcdevmemOptions(line.split(separator: " ").map(String.init)))
    }

    private func receive(_ line: String) throws -> NcdevmemJob.Receive {
        guard case .receive(let request) = try job(line) else {
            throw DevmemError(.invalid, call: "\(line) does not receive")
        }
        return request
    }

    private func send(_ line: String) throws -> NcdevmemJob.Send {
        guard case .send(let request) = try job(line) else {
            throw DevmemError(.invalid, call: "\(line) does not send")
        }
        return request
    }

    @Test func withoutAddressesItIsTheSelfTest() throws {
        let plain = NcdevmemJob.SelfTest(interface: "eth1", memory: 64 << 20)
        #expect(try job("-f eth1") == .selfTest(plain))
        var other = plain
        other.pageSize = 16384
        #expect(try job("-f eth1 -b 16384") == .selfTest(other))
        other.queues = [2, 3]
        #expect(try job("-f eth1 -b 16384 -t 2 -q 2") == .selfTest(other))
        #expect(try job("-l -p 5201 -f eth1") == .selfTest(plain))
        #expect(throws: DevmemError.self) { try job("-f eth1 -n") }
    }

    @Test func whatTheSelfTestDoesNotNeedIsReported() throws {
        let options = try NcdevmemOptions(["-lL", "-p1", "-v7", "-z3", "-f", "eth1"])
        #expect(
            NcdevmemJob.idle(in: options, for: try NcdevmemJob(options)) == [
                "L", "l", "p", "v", "z",
            ])
        let probe = try NcdevmemOptions(["-f", "eth1", "-b", "16384"])
        #expect(NcdevmemJob.idle(in: probe, for: try NcdevmemJob(probe)).isEmpty)
        let sender = try NcdevmemOptions(["-feth1", "-s::1", "-p1", "-t0", "-q1", "-n"])
        #expect(NcdevmemJob.idle(in: sender, for: try NcdevmemJob(sender)).isEmpty)
    }

    @Test func serverBindsTheLastQueueByDefault() throws {
        let plain = try receive("-l -f eth1 -s 192.0.2.1 -p 5201")
        #expect(plain.queues == .last(1) && plain.steers && !plain.isDeviceOnly)
        #expect(plain.pattern == nil && plain.pageSize == nil && plain.from == nil)
        #expect(plain.listen.description == "192.0.2.1:5201")
        let full = try receive(
            "-Lln -f eth1 -s 2001:db8::1 -c 2001:db8::2 -p 1 -t 3 -q 2 -v 7 -b 8192")
        #expect(full.queues == .list([3, 4]) && !full.steers && full.isDeviceOnly)
        #expect(full.listen.description == "[2001:db8::1]:1" && full.from == "2001:db8::2")
        #expect(full.pattern?.bytes == [1, 2, 3, 4, 5, 6, 10] && full.pageSize == 8192)
    }

    @Test(arguments: [
        ("0", 0), ("1", 256), ("2", 2), ("7", 7), ("255", 255), ("256", 256), ("257", 256),
        ("1000000", 256),
    ])
    func periodsAreThoseOfACounterOfAByte(text: String, period: Int) throws {
        let pattern = try receive("-l -f eth1 -s ::1 -p 1 -v \(text)").pattern
        #expect(pattern?.bytes.count ?? 0 == period)
    }

    @Test func clientConnectsFromTheSamePort() throws {
        let plain = try send("-f eth1 -s 192.0.2.2 -p 5201 -t 0 -q 1 -n")
        #expect(plain.peer.description == "192.0.2.2:5201" && plain.local == nil)
        #expect(plain.entrySize == nil)
        let full = try send("-f eth1 -s 192.0.2.2 -c 192.0.2.1 -p 5201 -z 3")
        #expect(full.local?.description == "192.0.2.1:5201" && full.entrySize == 3)
    }

    @Test(arguments: [
        "", "-l -s ::1 -p 1", "-f eth1 -s ::1", "-f eth1 -l -s ::1", "-f eth1 -c ::1 -p 1",
        "-f eth1 -l -s ::1 -p 1 -t 3", "-f eth1 -l -s ::1 -p 1 -q 3", "-f eth1 -t 3",
    ])
    func whatIsMissingIsReported(line: String) {
        #expect(throws: DevmemError.self) { try job(line) }
    }
}

@Suite struct NcdevmemTests {
    @Test(arguments: [
        ("ncdevmem", true), ("./ncdevmem", true), ("/usr/bin/ncdevmem", true), ("devmemtcp", false),
        ("/ncdevmem/devmemtcp", false), ("ncdevmem/", false), ("xncdevmem", false), ("", false),
        ("ncdevmem.old", false),
    ])
    func theLastPartOfThePathDecides(path: String, isCalled: Bool) {
        #expect(Ncdevmem.isCalled(by: path) == isCalled)
        #expect(!Ncdevmem.isCalled(by: nil))
    }

    /// A report, optionally with a comparison as JSON.
    private func report(validation: String? = nil) throws -> ReceiveReport {
        let json = """
            {"version":1,"interface":"eth1","queues":[7],"dmabuf_bytes":67108864,"engine":"socket",
             "listen":"192.0.2.1:5201","seconds":2,"cpu_user_seconds":0,"cpu_system_seconds":0,
             "counts":{"device_bytes":0,"linear_bytes":0,"ordinary_bytes":0,"fragments":0,
             "recvmsg_calls":0,"token_calls":0,"token_ranges":0},
             "validation":\(validation ?? "null")}
            """
        return try JSONDecoder().decode(ReceiveReport.self, from: Data(json.utf8))
    }

    @Test func aStreamMustReachDeviceMemory() throws {
        var report = try report()
        #expect(Ncdevmem.fault(in: report) == nil)
        report.counts.ordinaryBytes = 10
        #expect(Ncdevmem.fault(in: report)?.contains("none of 10 bytes") == true)
        report.counts.deviceBytes = 1
        #expect(Ncdevmem.fault(in: report) == nil)
        #expect(
            Ncdevmem.summary(of: report)
                == "received 11 bytes, 1 in device memory of queues 7, 0 linear, 10 ordinary")
    }

    @Test func oneWrongByteIsAFault() throws {
        let right = try report(validation: #"{"checked_bytes":1000,"wrong_bytes":0}"#)
        #expect(Ncdevmem.fault(in: right) == nil)
        let wrong = try report(
            validation: """
                {"checked_bytes":1000,"wrong_bytes":1,
                 "first_mismatch":{"offset":999,"expected":6,"found":7}}
                """)
        #expect(
            Ncdevmem.fault(in: wrong) == "payload is wrong from offset 999: found 7, expected 6")
        let empty = try report(validation: #"{"checked_bytes":0,"wrong_bytes":0}"#)
        #expect(Ncdevmem.fault(in: empty) == "no payload arrived to validate")
    }

    @Test func adviceNamesItsOwnOptions() {
        func words(_ advice: Advice) -> String {
            AdviceStyle.$current.withValue(Ncdevmem.style) {
                DevmemError(.invalid, call: "x", advice: advice).description
            }
        }
        #expect(
            words("choose another with \(.queues), or wait")
                == "x (choose another with -t and -q, or wait)")
        #expect(words("choose a smaller \(.memory)") == "x")
        #expect(
            words("\(AdvisedCommand(.forget, "eth1"))")
                == "x (devmemtcp steer restore eth1 --forget)")
        #expect(words("ip link set eth1 up") == "x (ip link set eth1 up)")
    }
}
