import DevmemCore
import Glibc
import SystemPackage

/// This same program, started at the far end of a wire, and the channel to it. It ends with this
/// value, and with this process whatever ends that.
final class FarEndProcess {
    /// The place that it runs at.
    let place: FarEndPlace
    /// What it reads and writes.
    let channel: Descriptor
    private let command: FarEndCommand
    private let patience: Int32
    private var child: ChildProcess?

    /// Starts it.
    ///
    /// - Parameters:
    ///   - place: where.
    ///   - job: options that say what it does there.
    ///   - patience: how long it may take to end, in milliseconds.
    ///   - stop: signals that end the wait.
    /// - Throws: `DevmemError` if it cannot be started.
    init(
        at place: FarEndPlace, as job: [String] = [], endsWithin patience: Int32 = 3000,
        stop: StopWatch
    ) throws(DevmemError) {
        let command = try FarEndCommand(at: place, as: job, stop: stop)
        let (ours, theirs) = try makeChannel()
        let channel = Descriptor(owning: ours)
        let other = Descriptor(owning: theirs)
        let child = try ChildProcess(command.arguments, talkingOver: other.rawValue)
        self.place = place
        self.command = command
        self.patience = patience
        self.channel = channel
        self.child = consume child
        _ = consume other
    }

    deinit {
        // The end of its input ends it.
        shutdown(channel.rawValue, Int32(SHUT_RDWR))
        if let child = child.take() { _ = try? child.wait(milliseconds: patience) }
    }

    /// Removes the program's file there, for when it could not do so itself.
    func removeFile() { command.removeFile() }
}
