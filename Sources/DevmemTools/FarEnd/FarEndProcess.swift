import DevmemCore
import Glibc
import SystemPackage

/// This same program, started at the remote end, and the descriptor to talk to it. It ends with this
/// value, and with this process whatever ends that.
final class FarEndProcess {
    /// Where it runs.
    let place: FarEndPlace
    /// Its standard input and output.
    private let channel: Descriptor
    private let stop: SharedStopSignal
    private let command: FarEndCommand
    private let patience: Int32
    private var child: ChildProcess?

    /// Starts it.
    ///
    /// - Parameters:
    ///   - place: where to start it.
    ///   - job: options that say what it does there.
    ///   - patience: a timeout for its end, in milliseconds.
    ///   - stop: signals that end the wait.
    /// - Throws: `DevmemError` if it cannot be started.
    init(
        at place: FarEndPlace, as job: [String] = [], endsWithin patience: Int32 = 3000,
        stop: SharedStopSignal
    ) throws(DevmemError) {
        let command = try FarEndCommand(at: place, as: job, stop: stop)
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        let other = Descriptor(owning: theirs)
        let child = try FarEndCommand.start(command.arguments, over: other)
        self.place = place
        self.command = command
        self.patience = patience
        self.channel = channel
        self.stop = stop
        self.child = consume child
    }

    deinit {
        // It ends at the end of its input.
        shutdown(channel.rawValue, Int32(SHUT_RDWR))
        if let child = child.take() { _ = try? child.wait(milliseconds: patience) }
    }

    /// Opens the conversation with it. If it does not answer it has not removed its file either.
    ///
    /// - Returns: the channel, to be used as long as this value lives.
    /// - Throws: `DevmemError` as it does not answer, or speaks another version.
    func greet<Message: RemoteMessage>() throws(DevmemError) -> RemoteChannel<Message> {
        let channel = RemoteChannel<Message>(
            input: channel.rawValue, output: channel.rawValue, to: "the remote end \(place)",
            advice: "what it said is above, if it said anything", stop: stop)
        do throws(DevmemError) {
            try channel.greet()
        } catch {
            command.removeFile()
            throw error
        }
        return channel
    }
}
