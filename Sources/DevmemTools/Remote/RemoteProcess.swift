import DevmemCore
import Glibc
import SystemPackage

/// A running remote side, with the descriptor to talk to it. It exits when this value is destroyed,
/// or when this process ends for any reason.
final class RemoteProcess {
    /// The place that it runs in.
    let place: RemotePlace
    /// The descriptor connected to its standard input and output.
    private let channel: Descriptor
    private let stop: SharedStopSignal
    private let command: RemoteCommand
    private let exitTimeout: Int32
    private var child: ChildProcess?

    /// Starts the remote side.
    ///
    /// - Parameters:
    ///   - place: where to start it.
    ///   - job: options that select what it does.
    ///   - exitTimeout: how long to wait for its exit, in milliseconds.
    ///   - stop: signals that interrupt the wait.
    /// - Throws: `DevmemError` if it cannot be started.
    init(
        at place: RemotePlace, as job: [String] = [], endsWithin exitTimeout: Int32 = 3000,
        stop: SharedStopSignal
    ) throws(DevmemError) {
        // Before the program is copied, because then less can fail that leaves the copy behind.
        let (ours, theirs) = try makeChannel()
        channel = Descriptor(owning: ours)
        let other = Descriptor(owning: theirs)
        command = try RemoteCommand(at: place, as: job, stop: stop)
        self.place = place
        self.exitTimeout = exitTimeout
        self.stop = stop
        do throws(DevmemError) {
            child = try RemoteCommand.start(command.arguments, over: other)
        } catch {
            command.removeFile()
            throw error
        }
    }

    deinit {
        // The remote side exits at end of file.
        shutdown(channel.rawValue, Int32(SHUT_RDWR))
        if let child = child.take() { _ = try? child.wait(milliseconds: exitTimeout) }
    }

    /// Exchanges greetings with the remote side. If it does not answer, its copied file is deleted,
    /// because it has not done so itself.
    ///
    /// - Returns: the channel, which must not outlive this value.
    /// - Throws: `DevmemError` if the remote side does not answer or has another version.
    func greet<Message: RemoteMessage>() throws(DevmemError) -> RemoteChannel<Message> {
        let channel = RemoteChannel<Message>(
            input: channel.rawValue, output: channel.rawValue, to: "the peer at \(place)",
            advice: "its messages, if any, are above", stop: stop)
        do throws(DevmemError) {
            try channel.greet()
        } catch {
            command.removeFile()
            throw error
        }
        return channel
    }
}
