import ArgumentParser
import DevmemCore
import Testing

@testable import devmemtcp

@Suite struct ArgumentTests {
    @Test func queuesAreSortedAndUnique() {
        #expect(QueueSelection(argument: "6-7")?.queues == [6, 7])
        #expect(QueueSelection(argument: "7,1,6-7")?.queues == [1, 6, 7])
        #expect(QueueSelection(argument: "0")?.queues == [0])
    }

    @Test(arguments: ["", "a", "7-6", "1,,2", "1-2-3", "-1", "1-", "4294967296", "0-4294967295"])
    func otherQueuesAreRefused(text: String) {
        #expect(QueueSelection(argument: text) == nil)
    }

    @Test func serveTakesItsOptions() throws {
        let command = try #require(
            try Devmemtcp.parseAsRoot([
                "serve", "--interface", "eth1", "--listen", "192.0.2.1:5201", "--from",
                "192.0.2.2", "--queues", "6-7", "--memory", "32M", "--validate", "7", "--json",
            ]) as? Serve)
        #expect(command.interface == "eth1")
        #expect(command.listen.text.port == "5201")
        #expect(command.queues?.queues == [6, 7])
        #expect(command.memory.bytes == 32 << 20)
        #expect(command.pattern?.pattern.bytes.count == 7)
        #expect(command.common.json)
    }

    @Test(arguments: [
        [], ["--listen", "192.0.2.1"], ["--listen", ":1", "--memory", "lots"],
        ["--listen", ":1", "--discard", "--output", "x"],
        ["--listen", ":1", "--discard", "--validate", "7"], ["--listen", ":1", "-v", "-q"],
        ["--listen", ":1", "--validate", "1"], ["--listen", ":1", "--no-such-option"],
    ])
    func wrongUseEndsWith64(arguments: [String]) {
        #expect {
            _ = try Devmemtcp.parseAsRoot(["serve"] + arguments)
        } throws: {
            Devmemtcp.exitCode(for: $0).rawValue == 64
        }
    }
}

@Suite struct NumberTests {
    @Test func decimalsAreRounded() {
        #expect(fixed(1.005, 1) == "1.0")
        #expect(fixed(99.9996, 3) == "100.000")
        #expect(fixed(0.05, 2) == "0.05")
        #expect(fixed(-1.25, 1) == "-1.3")
        #expect(fixed(12, 0) == "12")
    }
}
