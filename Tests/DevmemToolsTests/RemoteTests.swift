import FoundationEssentials
import Glibc
import Testing

@testable import DevmemCore
@testable import DevmemTools

@Suite struct HarnessSettingsTests {
    @Test func environmentIsRead() throws {
        let settings = try HarnessSettings(environment: [
            "NETIF": "eth1", "LOCAL_V4": "192.0.2.1", "LOCAL_V6": "2001:db8::1",
            "REMOTE_V4": "192.0.2.2", "REMOTE_V6": "2001:db8::2", "REMOTE_TYPE": "ssh",
            "REMOTE_ARGS": "root@host", "PATH": "/bin",
        ])
        #expect(settings.interface == "eth1")
        #expect(settings.local4?.description == "192.0.2.1")
        #expect(settings.local6?.description == "2001:db8::1")
        #expect(settings.remote4?.description == "192.0.2.2")
        #expect(settings.remote6?.description == "2001:db8::2")
        #expect(settings.place == .host("root@host"))
        let empty = try HarnessSettings(environment: ["NETIF": "", "REMOTE_TYPE": ""])
        #expect(empty.interface == nil && empty.place == nil)
    }

    @Test func fileStandsOverTheEnvironment() throws {
        let file = """
            # the farm's NIC
            NETIF = eth2 # second port

             REMOTE_TYPE=netns\r
            REMOTE_ARGS=far=end
            LOCAL_V4=
            OTHER=#
            """
        let settings = try HarnessSettings(
            environment: ["NETIF": "eth1", "LOCAL_V4": "192.0.2.1", "REMOTE_V4": "192.0.2.2"],
            file: file)
        #expect(settings.interface == "eth2")
        #expect(settings.place == .namespace("far=end"))
        #expect(settings.local4 == nil)
        #expect(settings.remote4?.description == "192.0.2.2")
    }

    @Test(arguments: [
        "NETIF", "=x", "  = y", "a\nNETIF=b=c\nmore", "NETIF=a b", "NETIF=../x", "NETIF=a:b",
        "NETIF=sixteencharacter", "NETIF=.", "LOCAL_V4=2001:db8::1", "LOCAL_V6=192.0.2.1",
        "LOCAL_V4=host", "LOCAL_V4=192.0.2.1\0.5", "REMOTE_V6=fe80::1%eth1", "REMOTE_V4=1.2.3",
        "REMOTE_TYPE=telnet", "REMOTE_TYPE=ssh", "REMOTE_TYPE=ssh\nREMOTE_ARGS=-oProxyCommand=x",
        "REMOTE_TYPE=netns\nREMOTE_ARGS=../../etc", "REMOTE_TYPE=ssh\nREMOTE_ARGS=a b",
        "REMOTE_TYPE=ssh\nREMOTE_ARGS=a';reboot'", "REMOTE_TYPE=netns\nREMOTE_ARGS=..",
        "REMOTE_TYPE=NETNS\nREMOTE_ARGS=peer",
    ]) func hostileFilesAreRefused(file: String) {
        let error = #expect(throws: DevmemError.self) {
            try HarnessSettings(environment: [:], file: file)
        }
        #expect(error?.kind == .invalid)
    }

    /// A file in the working directory could make root's ssh connect anywhere.
    @Test func defaultConfigMustBelongToUserOrRoot() throws {
        let path = "/tmp/devmemtcp-config-\(UInt64.random(in: 0...(.max)))"
        defer { for end in ["", ".link"] { unlink(path + end) } }
        func refusal(_ path: String) -> String? {
            do throws(DevmemError) {
                _ = try HarnessSettings(environment: [:], path: path, isOptional: true)
                return nil
            } catch {
                return error.message
            }
        }
        #expect(refusal(path) == nil)
        let file = try Descriptor.open(path, O_WRONLY | O_CREAT, mode: 0o644)
        #expect(write(file.rawValue, "NETIF=eth7\n", 11) == 11)
        #expect(refusal(path) == nil)
        symlink(path, path + ".link")
        #expect(refusal(path + ".link") == "it is a symbolic link")
        chmod(path, 0o664)
        #expect(refusal(path) == "others may write to it")
        chmod(path, 0o644)
        chown(path, 65534, 0)
        #expect(refusal(path) == "it belongs to user 65534")
        // The user gave the path.
        let named = try HarnessSettings(environment: [:], path: path, isOptional: false)
        #expect(named.interface == "eth7")
        unlink(path)
        mkfifo(path, 0o600)
        #expect(refusal(path) == "it is not a regular file")
    }

    @Test func lineAtFaultIsNamed() {
        let error = #expect(throws: DevmemError.self) {
            try HarnessSettings(environment: [:], file: "NETIF=eth1\n\nwhat")
        }
        #expect(error?.message == "line 3 is not NAME=VALUE")
    }

    @Test func missingFileIsAnErrorOnlyWhereItIsNamed() throws {
        let path = "/nonexistent/net.config"
        _ = try HarnessSettings(environment: [:], path: path, isOptional: true)
        #expect(throws: DevmemError.self) {
            try HarnessSettings(environment: [:], path: path, isOptional: false)
        }
    }
}

@Suite struct RemotePlaceTests {
    @Test func sshGetsNoBrackets() {
        #expect(RemotePlace("ssh:root@[2001:db8::1]") == .host("root@2001:db8::1"))
        #expect(RemotePlace("ssh:[::1]") == .host("::1"))
    }

    @Test(arguments: [
        ("host", "host:/f"), ("root@host", "root@host:/f"), ("2001:db8::2", "[2001:db8::2]:/f"),
        ("root@2001:db8::2", "root@[2001:db8::2]:/f"), ("fe80::1%eth0", "[fe80::1%eth0]:/f"),
    ]) func filesAreNamedAsScpTakesThem(host: String, file: String) {
        #expect(RemotePlace.remoteFile("/f", at: host) == file)
    }

    @Test(arguments: [
        ("netns:peer", RemotePlace.namespace("peer")), ("ssh:host", .host("host")),
        ("ssh:2001:db8::2", .host("2001:db8::2")), ("ssh:a@b@fe80::1%x", .host("a@b@fe80::1%x")),
    ]) func placesAreRead(text: String, place: RemotePlace) {
        #expect(RemotePlace(text) == place)
        #expect(place.description == text)
    }

    @Test(arguments: [
        "", "peer", "netns:", "ssh:", ":x", "netns:a/b", "ssh:-l", "netns:a b", "ssh:a\nb",
        "telnet:x", "ssh:é", "netns:\u{7f}", "ssh:[::1", "ssh:::1]", "ssh:[]", "ssh:[host]",
        "ssh:root@", "ssh:root@-l", "ssh:root@[]",
    ]) func othersAreRefused(text: String) {
        #expect(RemotePlace(text) == nil)
    }
}

@Suite struct RemoteMessageTests {
    @Test func messagesAreReadBackAsTheyWere() throws {
        let request = ValidationPeerRequest(
            id: 3, action: .send, address: "2001:db8::1", port: 5201, from: "2001:db8::2",
            bytes: 1 << 40, segment: 7)
        let line = [UInt8](try JSONEncoder().encode(request))
        #expect(LineReader.message(ValidationPeerRequest.self, in: line) == request)
    }

    @Test(arguments: [
        "", "Welcome to host", "{}", "{\"id\":1}", "[1]", "{\"id\":-1,\"port\":99999}",
    ])
    func otherLinesAreLeftOut(line: String) {
        #expect(LineReader.message(ValidationPeerRequest.self, in: Array(line.utf8)) == nil)
    }

    @Test func linesAreReassembled() throws {
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        var reader = LineReader()
        var lines: [String] = []
        do {
            let other = Descriptor(owning: theirs)
            for chunk in ["{\"a\"", ":1}\n\nse", "cond\nrest"] {
                _ = Array(chunk.utf8).withUnsafeBytes {
                    write(other.rawValue, $0.baseAddress, $0.count)
                }
                #expect(try reader.fill(from: channel.rawValue))
                while let line = reader.next() {
                    lines.append(String(decoding: line, as: UTF8.self))
                }
            }
        }
        #expect(lines == ["{\"a\":1}", "", "second"])
        let more = try reader.fill(from: channel.rawValue)
        #expect(!more)
    }

    @Test func endlessLineIsRefused() throws {
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        let other = Descriptor(owning: theirs)
        let chunk = [UInt8](repeating: 0x20, count: 4096)
        var reader = LineReader()
        #expect(throws: DevmemError.self) {
            for _ in 0..<80 {
                _ = chunk.withUnsafeBytes { write(other.rawValue, $0.baseAddress, $0.count) }
                _ = try reader.fill(from: channel.rawValue)
            }
        }
    }

    /// Messages of an older version or another program are not requests.
    @Test(arguments: [
        ("{\"hello\":{\"version\":0}}\n", "it speaks version 0, this program 1"),
        ("{\"id\":0}\n{\"reply\":{\"_0\":{\"id\":1}}}\n", "it sent an unexpected \"reply\""),
        (
            "{\"hello\":{\"version\":1}}\n{\"id\":1,\"action\":\"send\"}\n",
            "it sent a line that is not a message"
        ),
    ]) func agentRefusesOtherEnds(lines: String, words: String) throws {
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        let other = Descriptor(owning: theirs)
        say(lines, to: channel.rawValue)
        let error = #expect(throws: DevmemError.self) {
            try runRemoteSide(
                input: other.rawValue, output: other.rawValue, namespace: nil,
                removesItself: false)
        }
        #expect(error?.message == words)
        withExtendedLifetime(channel) {}
    }

    /// Runs the remote side over a socket pair, sending and receiving on this host.
    @Test func agentSendsAndReceivesThePattern() throws {
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        let other = Descriptor(owning: theirs)
        let agent = other.rawValue
        try runInThread {
            try? runRemoteSide(input: agent, output: agent, namespace: nil, removesItself: false)
        }
        let near = RemoteChannel<ValidationMessage>(
            input: channel.rawValue, output: channel.rawValue, to: "the agent",
            stop: SharedStopSignal(StopSignal()))
        func reply() throws -> ValidationPeerReply? {
            guard case .reply(let reply) = try near.receive(seconds: 30, "answer") else {
                return nil
            }
            return reply
        }
        try near.greet()
        try near.tell(
            .request(ValidationPeerRequest(id: 1, action: .receive, address: "127.0.0.1")))
        let port = try #require(try reply()?.listening)
        try near.tell(
            .request(
                ValidationPeerRequest(
                    id: 2, action: .send, address: "127.0.0.1", port: port, bytes: 100_003,
                    segment: 1000)))
        let replies = [try reply(), try reply()].compactMap { $0 }.sorted { $0.id < $1.id }
        #expect(
            replies == [
                ValidationPeerReply(id: 1, bytes: 100_003, wrong: 0),
                ValidationPeerReply(id: 2, bytes: 100_003),
            ])
        // The announced source tells the remote side's connection from other hosts' connections.
        let listener = try Listener(
            binding: Endpoint(address: try #require(IPAddress(text: "127.0.0.1")), port: 0))
        try listener.listen()
        try near.tell(
            .request(
                ValidationPeerRequest(
                    id: 4, action: .send, address: "127.0.0.1", port: listener.endpoint.port,
                    tellsSource: true)))
        let source = try #require(try reply()?.source)
        var peer = listener.endpoint
        if let accepted = try listener.accept() { peer = accepted.peer }
        #expect(source == ValidationPeerReply.Source(peer) && source.port == peer.port)
        #expect(try reply() == ValidationPeerReply(id: 4))
        try near.tell(
            .request(ValidationPeerRequest(id: 3, action: .send, address: "nowhere", port: 1)))
        #expect(try reply()?.failure == "do as asked: no address")
        shutdown(channel.rawValue, Int32(SHUT_RDWR))
    }
}
