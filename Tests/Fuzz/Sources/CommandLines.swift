import ArgumentParser
import CDevmem
import DevmemTools
@preconcurrency import Glibc

@testable import DevmemCore
@testable import devmemtcp

/// Each type of value on the command line.
func fuzzArguments(_ input: FuzzInput) {
    // The kernel passes no zero bytes in arguments.
    let text = input.text.filter { $0 != "\0" }
    checkSizes(text)
    checkQueues(text)
    checkProvider(text)
    checkEndpoints(text)
    checkPlaces(text)
    checkPattern(text)
    read(FlowArgument.self, text)
    read(PageSizeChoice.self, text)
    read(AnswerArgument.self, text)
    read(PeerTimeoutArgument.self, text)
    read(BusyPollTime.self, text)
    read(ProcessorsArgument.self, text)
    read(NumericSource.self, text)
    read(BitRate.self, text)
    if let seconds = try? Double.readSeconds(text) { require(seconds.isFinite, "\(seconds)") }
    _ = try? Int.readNumber(text)
    _ = try? UInt16.readNumber(text)
}

/// A value is read, or the message says what is valid.
private func read<Value: OptionValue>(_ type: Value.Type, _ text: String) {
    do throws(OptionProblem) {
        _ = try Value.read(text).defaultValueDescription
    } catch {
        require(error.description.hasSuffix("it takes \(Value.form)"), error.description)
    }
}

private func checkSizes(_ text: String) {
    read(ByteSize.self, text)
    guard let size = ByteSize(argument: text) else { return }
    require(ByteSize.problem(with: text) == nil, "a problem with a valid size")
    let exact = ByteCount.exact(size.bytes)
    require((try? ByteCount.read(exact)) == size.bytes, "\(size.bytes) is written \(exact)")
    _ = ByteCount.text(size.bytes)
}

private func checkQueues(_ text: String) {
    read(QueueSelection.self, text)
    guard let selection = QueueSelection(argument: text) else { return }
    switch selection.choice {
    case .list(let queues):
        require(!queues.isEmpty && queues == Set(queues).sorted(), "\(queues.count) queues")
        require(
            QueueSelection(argument: queueList(queues)) == selection,
            "other queues when written again")
    case .last(let count), .automatic(let count): require(count > 0, "\(count) queues")
    }
}

private func checkProvider(_ text: String) {
    read(MemoryProvider.self, text)
    if let provider = MemoryProvider(text) {
        require(MemoryProvider(provider.description) == provider, "\(provider) reads otherwise")
        _ = (provider.forMore, provider.isOneOfItsSize)
    }
    if let choice = GPUChoice(text) {
        require(GPUChoice(choice.description) == choice, "GPU \(choice) reads otherwise")
    }
    if let address = GPU.canonicalAddress(text) {
        require(GPU.canonicalAddress(address) == address, "\(address) reads otherwise")
    }
    let bytes = Array(text.utf8.prefix(16))
    require(bytes.isEmpty || GPUChoice(GPU.uuidText(bytes)) != nil, "a UUID that is none")
    if let address = UnixAddress(text) {
        require(text.utf8.count < 108 && address.length > 2, "a path that is too long")
    }
}

private func checkEndpoints(_ text: String) {
    if let endpoint = try? EndpointText(text) {
        let again = try? EndpointText(endpoint.description)
        require(again == endpoint, "\(endpoint) reads as \(String(describing: again))")
    }
    if let address = IPAddress(text: text) {
        require(IPAddress(text: address.description) == address, "\(address) reads otherwise")
        require(address.unmapped.unmapped == address.unmapped, "mapped twice")
    }
    read(EndpointArgument.self, text)
    read(SourceArgument.self, text)
    read(LocalAddressArgument.self, text)
    read(PeerArgument.self, text)
    if let peer = PeerArgument(argument: text) {
        require(!peer.address.host.isEmpty && peer.address.port != "0", "\(peer)")
    }
}

private func checkPlaces(_ text: String) {
    read(RemoteArgument.self, text)
    guard let place = RemotePlace(text) else { return }
    require(RemotePlace(place.description) == place, "\(place) reads otherwise")
    // ssh(1) and ip(8) would take these for an option.
    switch place {
    case .namespace(let name), .host(let name):
        require(!name.isEmpty && !name.hasPrefix("-") && isPrintable(name), name)
    }
}

private func checkPattern(_ text: String) {
    read(PatternArgument.self, text)
    guard let pattern = try? Pattern(text) else { return }
    require(!pattern.bytes.isEmpty, "an empty pattern")
    let digits = pattern.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    require((try? Pattern("hex:" + digits)) == pattern, "another pattern as digits")
}

/// Whole command lines: each is parsed, or refused with a message.
func fuzzCommandLine(_ input: FuzzInput) {
    let arguments = input.words
    do {
        _ = try CommandLineParser.parse(arguments)
    } catch {
        let status = Devmemtcp.exitCode(for: error).rawValue
        require([0, 1, 64].contains(status), "exit status \(status)")
        let message = Devmemtcp.fullMessage(for: error)
        require(status == 0 || !message.isEmpty, "no message")
    }
}

/// Command lines of ncdevmem, parsed as the C library's getopt(3) does.
func fuzzDropIn(_ input: FuzzInput) {
    let arguments = input.words.filter { !$0.isEmpty }
    let parser = GetoptParser(NcdevmemOptions.specification)
    let ours = try? parser.parse(arguments)
    let theirs = parseByLibrary(arguments)
    require(
        ours?.options == theirs?.options && ours?.operands == theirs?.operands,
        "\(arguments): \(String(describing: ours)), \(String(describing: theirs))")
    guard let options = try? NcdevmemOptions(arguments) else { return }
    require(ours != nil && ours?.operands.isEmpty == true, "operands were taken")
    guard let job = try? NcdevmemJob(options) else { return }
    _ = NcdevmemJob.idle(in: options, for: job)
    if case .receive(let receive) = job, case .list(let queues) = receive.queues {
        require(queues.count == Int(options.queueCount ?? 0), "\(queues.count) queues")
    }
}

private func parseByLibrary(
    _ arguments: [String]
) -> (options: [GetoptParser.Given], operands: [String])? {
    var words = (["ncdevmem"] + arguments).map { strdup($0) }
    defer { for word in words { free(word) } }
    let count = Int32(words.count)
    words.append(nil)
    // Zero, not one: the library's own state begins anew as well.
    optind = 0
    opterr = 0
    var options: [GetoptParser.Given] = []
    while true {
        let code = getopt(count, &words, NcdevmemOptions.specification)
        if code == -1 { break }
        guard code != Int32(UInt8(ascii: "?")), let byte = UInt8(exactly: code) else { return nil }
        options.append(
            GetoptParser.Given(
                letter: Character(UnicodeScalar(byte)),
                value: optarg.map { String(cString: $0) }))
    }
    return (options, words[Int(optind)..<Int(count)].compactMap { $0.map { String(cString: $0) } })
}
