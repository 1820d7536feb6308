import FoundationEssentials

@testable import DevmemCore
@testable import DevmemTools

/// Journals of steering, and the names of files and sockets that belong to them.
func fuzzJournal(_ input: FuzzInput) {
    var input = input
    let seed = UInt64(input.number(UInt8.self))
    let bytes = input.bytes
    _ = try? JournalStore.decode(bytes, path: "/run/devmemtcp/any.journal")
    checkNames(bytes)
    // With the right first line, as after a crash in the middle of another program's edit.
    guard let journal = try? JSONDecoder().decode(SteeringJournal.self, from: Data(bytes)) else {
        return
    }
    guard let file = try? JournalStore.encode(journal),
        let again = try? JournalStore.decode(file, path: "/run/devmemtcp/any.journal")
    else { fatalError("a journal cannot be written and read") }
    require(again == journal, "another journal when written and read")
    _ = (journal.maker, journal.dropped, journal.applied, journal.changes.map(\.description))
    guard let scene = try? SteeringScene(seed: seed) else { return }
    var rest = journal
    _ = rest.reverse(on: scene.nic, logger: .silent) { _ in }
    require(rest.changes.count <= journal.changes.count, "it grows while it is undone")
}

/// Results of benchmarks on many hosts, which a matrix shows.
func fuzzBenchResults(_ input: FuzzInput) {
    guard let results = try? benchResults(in: input.bytes, name: "results"),
        let matrix = try? BenchMatrix(results.pairs)
    else { return }
    require(matrix.pairs.count <= results.pairs.count, "pairs that nobody measured")
    require(Set(matrix.hosts).count == matrix.hosts.count, "a host is there twice")
    for pair in matrix.pairs {
        require(
            matrix.hosts.contains(pair.sender) && matrix.hosts.contains(pair.receiver),
            "a pair of hosts that are not there")
        require(pair.bytesPerSecond.isFinite && pair.bytesPerSecond >= 0, "no goodput")
    }
    let plot = benchMatrixPlot(of: matrix)
    require(plot.count { $0 == "<" } == plot.count { $0 == ">" }, "a tag that is not closed")
    require(isPrintable(plot.replacing("\n", with: "")), "a plot that is not printable")
    require((try? JSONEncoder().encode(matrix)) != nil, "no JSON of a matrix")
}

private func checkNames(_ bytes: [UInt8]) {
    if let claim = ClaimName(bytes: bytes) {
        require(claim.bytes == bytes, "another name of the claim")
    }
    let text = Substring(decoding: bytes, as: UTF8.self)
    if let key = JournalStore.Key(fileName: text) {
        require(key.fileName == text, "\(text) is read as \(key.fileName)")
    }
}

/// Files of procfs and sysfs.
func fuzzHostFiles(_ input: FuzzInput) {
    let lines = input.lines
    for line in lines {
        if let socket = TCPSocket(line) {
            for end in [socket.local, socket.remote] { checkEndpoint(end) }
        }
        checkProcessors(line)
        let softirq = CPUTime.softirq(in: line)
        require(!softirq.isInfinite || line.contains("inf") || line.contains("e"), "\(softirq)")
        _ = startTicks(inLine: line)
        checkPrintable(String(line))
    }
    let dmabuf = HeldDmabuf(lines)
    require(dmabuf.exporter.map(isPrintable) ?? true, "an exporter that is not printable")
    var process = ProcessDescriptors(pid: 1, name: "fuzz")
    for line in lines { process.note(line) { lines } }
    _ = HostFacts.HugePages(lines)
    checkDistance(lines)
}

private func checkEndpoint(_ end: Endpoint) {
    guard let text = try? EndpointText(end.description) else {
        fatalError("\(end) is no endpoint")
    }
    require(IPAddress(text: text.host) == end.address && text.port == "\(end.port)", "\(end)")
}

private func checkProcessors(_ line: Substring) {
    guard let processors = Affinity.processors(inList: line) else { return }
    require(processors.allSatisfy((0..<Affinity.limit).contains), "a processor beyond the limit")
    require(
        Affinity.processors(inList: Affinity.list(of: processors)) == processors,
        "other processors when written again")
}

private func checkDistance(_ lines: [Substring]) {
    let paths = lines.prefix(2).map(String.init)
    guard let one = paths.first, let other = paths.last else { return }
    let ahead = DeviceDistance(from: one, node: 0, to: other, node: 1)
    let back = DeviceDistance(from: other, node: 1, to: one, node: 0)
    require(ahead == back, "\(ahead) there and \(back) back")
}

func isPrintable(_ text: String) -> Bool { printable(text) == text }

/// Text from elsewhere is safe to print, and stays so.
func checkPrintable(_ text: String) {
    let safe = printable(text)
    require(isPrintable(safe), "escaped twice")
    require(!safe.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f }, "a control")
    // Not as a character: one before may make it a part of its own.
    require(safe == text || safe.utf8.contains(UInt8(ascii: "\\")), "changed without an escape")
}

/// The settings of the kernel's test harness.
func fuzzSettings(_ input: FuzzInput) {
    let text = input.text
    if let settings = try? HarnessSettings(environment: [:], file: text) {
        require(settings.interface.map { $0.utf8.count < 16 } ?? true, "a long name")
        if let place = settings.place {
            require(RemotePlace(place.description) == place, "\(place) reads as another")
        }
        for address in [settings.local4, settings.local6, settings.remote4, settings.remote6] {
            guard let address else { continue }
            require(IPAddress(text: address.description) == address, "\(address)")
        }
    }
    let words = input.words
    guard words.count > 1 else { return }
    let pattern = NamePattern(words[0])
    require(
        pattern.matches(words[1]) == matches(Array(words[0])[...], Array(words[1])[...]),
        "\(words[0]) and \(words[1])")
}

/// The same as `NamePattern`, by recursion, for short texts.
private func matches(_ pattern: ArraySlice<Character>, _ name: ArraySlice<Character>) -> Bool {
    // A row of the table for each character of the pattern: which prefixes of the name match.
    var row = [true] + [Bool](repeating: false, count: name.count)
    for character in pattern {
        var next = [character == "*" && row[0]]
        for (place, letter) in name.enumerated() {
            next.append(
                character == "*"
                    ? next[place] || row[place + 1]
                    : row[place] && (character == "?" || character == letter))
        }
        row = next
    }
    return row[name.count]
}
