import Logging
import SystemPackage

/// Watches a NIC while memory is bound to it, and logs the loss of the NIC, its link, a setting or
/// a flow rule.
struct BindingMonitor: ~Copyable {
    private let interface: NetworkInterface
    private let provider: QueueProvider?
    private let queues: [UInt32]
    private let keepsSteered: Bool
    private let logger: Logger
    private let monitor: NICMonitor?
    private var link: LinkInfo?
    /// Messages that have been logged and still hold.
    private var logged: Set<String> = []
    private var absence = NICDisappearance()
    /// Losses that the driver refused to repair.
    private var refusals = SteeringRefusals()

    /// Starts the watch. Without kernel notifications the NIC is not watched.
    ///
    /// - Parameters:
    ///   - interface: the NIC.
    ///   - provider: what provides the memory of the queues, if there are any.
    ///   - queues: the bound receive queues.
    ///   - keepsSteered: whether to restore lost steering.
    ///   - logger: logs each loss at level warning.
    init(
        on interface: NetworkInterface, provider: QueueProvider?, queues: [UInt32],
        keepsSteered: Bool, logger: Logger
    ) {
        self.interface = interface
        self.provider = provider
        self.queues = queues
        self.keepsSteered = keepsSteered
        self.logger = logger
        do throws(DevmemError) {
            monitor = try NICMonitor(index: interface.index)
        } catch {
            logger.notice("\(interface.name) is not watched: \(error)")
            monitor = nil
        }
        link = (try? links(index: interface.index))?.first
    }

    /// The descriptor to poll; -1, which poll(2) ignores, if nothing is watched.
    var rawValue: Int32 {
        switch monitor {
        case .some(let open): open.rawValue
        case .none: -1
        }
    }

    /// Handles changes to the NIC; call it when the descriptor is readable.
    ///
    /// - Parameter steering: the steering in effect; its journal is dropped if the NIC is gone.
    /// - Throws: `DevmemError` of kind `system` with `ENODEV` if the NIC, and so the binding, is
    ///   gone.
    mutating func handleChanges(_ steering: inout SteeringTransaction?) throws(DevmemError) {
        let news = news()
        guard news.isDue else { return }
        absence.note(news)
        do throws(DevmemError) {
            guard let now = try links(index: interface.index).first else { return }
            absence.isListed()
            noteLink(now)
            // While the NIC is down, drivers list no queues and some list no rules.
            guard now.isUp else { return }
            var lost = try lostQueues()
            lost += try checkSteering(&steering)
            pruneLogged(lost)
        } catch {
            guard error.errno == .operationNotSupportedByDevice,
                (try? links(index: interface.index)) == nil
            else {
                // The driver is resetting, for example; the timer triggers another check.
                logger.debug("\(interface.name): \(error)")
                return
            }
            let verdict = absence.judge(at: .now)
            // A notification or the timer triggers the next check.
            guard verdict != .undecided else { return }
            let isMoved = verdict == .moved
            if isMoved { steering?.leave() } else { steering?.forget() }
            throw Self.absence(of: interface, isMoved: isMoved)
        }
    }

    /// Finds out whether a NIC that answers with `ENODEV` is gone along with its settings. A driver
    /// detaches a NIC, and the kernel removes it from its list, some time before the notification.
    ///
    /// - Returns: false if it was moved, or is still there after 2 s, as after a reset.
    mutating func isRemoved() -> Bool {
        var absence = absence
        defer { self.absence = absence }
        return absence.isRemoved {
            (news(), (try? links(index: interface.index)) != nil)
        } wait: {
            var changes = PollSet<1>()
            changes.watch(0, rawValue)
            return (try? changes.wait(milliseconds: 100)) != nil
        }
    }

    /// What the kernel has reported; nothing if the NIC is not watched.
    private func news() -> NICMonitor.News {
        switch monitor {
        case .some(let open): open.news()
        case .none: NICMonitor.News()
        }
    }

    /// Returns the error for a NIC that is gone.
    static func absence(of interface: NetworkInterface, isMoved: Bool) -> DevmemError {
        let name = interface.name
        let call = "hold memory on \(name)"
        if isMoved {
            return DevmemError(
                .system, call: call, errno: .operationNotSupportedByDevice,
                message: "it has moved to another network namespace, and the binding is gone",
                advice: "once it is back, \(AdvisedCommand(.restore, name)) restores its settings")
        }
        let successor = try? NetworkInterface(named: name)
        return DevmemError(
            .system, call: call, errno: .operationNotSupportedByDevice,
            message: successor.map {
                "it was removed and made anew, as interface \($0.index); the binding and all that "
                    + "was steered are gone"
            }
                ?? "it is gone, removed or reset by its driver, and with it the binding and all "
                + "that was steered",
            advice: successor == nil
                ? "once it is back and up, start this again" : "start this again")
    }

    private mutating func noteLink(_ now: LinkInfo) {
        guard let before = link else {
            link = now
            return
        }
        link = now
        let name = interface.name
        if now.name != before.name { logger.warning("\(name) is named \(now.name) now") }
        if before.isUp && !now.isUp {
            logger.warning("\(name) is down: nothing comes until it is up again")
        } else if now.isUp && !before.isUp {
            logger.notice("\(name) is up again")
        } else if before.hasCarrier && !now.hasCarrier {
            logger.warning("\(name) has no carrier: nothing comes until the link is back")
        } else if now.hasCarrier && !before.hasCarrier {
            logger.notice("\(name) has a carrier again")
        }
    }

    private mutating func lostQueues() throws(DevmemError) -> [String] {
        guard let provider else { return [] }
        let bound = try DevmemCore.queues(ofInterface: interface.index)
            .filter { $0.type == .rx && provider.provides(for: $0) }.map(\.id)
        let lost = Set(queues).subtracting(bound)
        guard !lost.isEmpty else { return [] }
        let text = "queue \(queueList(Array(lost))) is no longer bound to the memory"
        warn(text)
        return [text]
    }

    private mutating func checkSteering(
        _ steering: inout SteeringTransaction?
    ) throws(DevmemError) -> [String] {
        guard let losses = try steering?.losses() else { return [] }
        var left: [String] = []
        let now = ContinuousClock.now
        for loss in losses {
            warn(loss.text)
            left.append(loss.text)
            guard keepsSteered else { continue }
            guard refusals.isDue(loss.text, at: now) else {
                if let sentence = refusals.sentence(of: loss.text) { left.append(sentence) }
                continue
            }
            do throws(DevmemError) {
                guard let change = try steering?.renew(loss) else {
                    left.append(refuse(loss, "it stays so, as the steering is of another command"))
                    continue
                }
                left.removeLast()
                logger.notice("\(interface.name): steered again: \(change)")
            } catch {
                let isTransient = Self.transientErrors.contains { $0 == error.errno }
                let sentence = "cannot be steered again\(isTransient ? " yet" : ""): \(error)"
                left.append(refuse(loss, sentence, isTransient: isTransient))
            }
        }
        return left
    }

    /// Logs why a loss cannot be repaired now, and returns the sentence.
    private mutating func refuse(
        _ loss: SteeringLoss, _ sentence: String, isTransient: Bool = false
    ) -> String {
        warn(sentence)
        refusals.note(sentence, of: loss.text, isTransient: isTransient, at: .now)
        return sentence
    }

    /// Errors that drivers return while a device is resetting or down.
    private static let transientErrors: [Errno] = [
        .wouldBlock, .resourceBusy, .networkDown, .operationNotSupportedByDevice,
    ]

    private mutating func warn(_ text: String) {
        if logged.insert(text).inserted { logger.warning("\(interface.name): \(text)") }
    }

    /// Forgets losses that no longer hold, so that they are logged if they recur.
    private mutating func pruneLogged(_ lost: [String]) {
        let isBack = !logged.isEmpty && lost.isEmpty && !keepsSteered
        logged.formIntersection(lost)
        refusals.keep(lost)
        if isBack { logger.notice("\(interface.name): all is steered as it was") }
    }
}
