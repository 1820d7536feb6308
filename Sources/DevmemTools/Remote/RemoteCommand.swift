import DevmemCore
import Glibc
import SystemPackage

/// The command line that starts the remote side. For another host, the program is copied there
/// first.
struct RemoteCommand {
    /// The hidden subcommand that runs the remote side.
    static let name = "far-end"
    /// The prefix of the copied file's path.
    static let filePrefix = "/tmp/devmemtcp."
    /// The timeout for ssh and scp, in milliseconds.
    private static let timeout: Int32 = 60_000
    private static let options = ["-o", "BatchMode=yes"]

    /// The program and its arguments.
    let arguments: [String]
    private let host: String?
    /// The copied file, which deletes itself when it starts; nil if there is none.
    private let file: String?

    /// Copies the program to the remote host, if there is one.
    ///
    /// - Parameters:
    ///   - place: where to start the program.
    ///   - job: options that select what it does; they must be free of shell metacharacters.
    ///   - stop: signals that interrupt the wait.
    /// - Throws: `DevmemError` of kind `system` if that fails.
    init(
        at place: RemotePlace, as job: [String] = [], stop: SharedStopSignal
    ) throws(DevmemError) {
        switch place {
        case .namespace(let name):
            arguments = ["/proc/self/exe", Self.name, "--netns", name] + job
            host = nil
            file = nil
        case .host(let host):
            let file = try Self.makeFile(at: host, stop)
            self.host = host
            self.file = file
            arguments = Self.ssh(
                host,
                (["chmod 700 \(file) && exec \(file) \(Self.name) --remove-self"] + job)
                    .joined(separator: " "))
            do throws(DevmemError) {
                // In the child, /proc/self is scp.
                let source = "/proc/\(getpid())/exe"
                try Self.run(
                    ["scp", "-q"] + Self.options
                        + ["--", source, RemotePlace.remoteFile(file, at: host)], stop)
            } catch {
                removeFile()
                throw error
            }
        }
    }

    /// Deletes the copied file if the program did not get to do so.
    func removeFile() {
        guard let host, let file else { return }
        let never = SharedStopSignal(StopSignal())
        _ = try? Self.run(Self.ssh(host, "rm -f \(file)"), never)
    }

    private static func ssh(_ host: String, _ command: String) -> [String] {
        ["ssh"] + options + ["--", host, command]
    }

    private static func makeFile(
        at host: String, _ stop: SharedStopSignal
    ) throws(DevmemError) -> String {
        let output = try run(ssh(host, "mktemp \(filePrefix)XXXXXXXX"), stop)
        let name = String(decoding: output.prefix { $0 != 0x0a }, as: UTF8.self)
        // The name is inserted into a shell command.
        guard name.hasPrefix(filePrefix),
            name.dropFirst(filePrefix.count).wholeMatch(of: /[A-Za-z0-9]{8}/) != nil
        else {
            throw DevmemError(
                .malformed, call: "make a file at \(host)", message: "mktemp printed \"\(name)\"")
        }
        return name
    }

    /// Runs a program until it exits and returns its output.
    @discardableResult
    private static func run(
        _ arguments: [String], _ stop: SharedStopSignal
    ) throws(DevmemError) -> [UInt8] {
        let call = "run \(arguments.first ?? "")"
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        let child = try start(arguments, over: Descriptor(owning: theirs))
        shutdown(channel.rawValue, Int32(SHUT_WR))
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        let deadline = Deadline.after(.milliseconds(Int(timeout)))
        while output.count < 1 << 16 {
            do throws(DevmemError) {
                try stop.wait(
                    for: channel.rawValue, events: Int32(POLLIN), until: deadline, call)
            } catch {
                child.send(SIGKILL)
                _ = try child.wait(milliseconds: timeout)
                throw error
            }
            let number = channel.rawValue
            let count = try retrying(call) { read(number, &chunk, chunk.count) }
            if count == 0 { break }
            output += chunk[..<count]
        }
        guard try child.wait(milliseconds: timeout) == .exited(0) else {
            throw DevmemError(
                .system, call: call, message: "it failed",
                advice: "its messages are above; ssh must work without a prompt")
        }
        return output
    }

    /// Starts a program and closes the child's end of the channel in this process.
    static func start(
        _ arguments: [String], over channel: consuming Descriptor
    ) throws(DevmemError) -> ChildProcess {
        try ChildProcess(arguments, talkingOver: channel.rawValue)
    }
}
