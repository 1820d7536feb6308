import SystemPackage

/// Header split and its threshold, set in as few requests as can be: some drivers close and open the
/// whole NIC for each (`bnxt_set_ringparam` of bnxt_ethtool.c, `gve_set_ringparam` of gve_ethtool.c).
extension SteeringJournal {
    /// The changes of the rings that start at one: split and threshold where they follow each other.
    func ringChanges(from index: Int) -> Range<Int>? {
        switch changes[index] {
        case .splitThreshold: return index..<index + 1
        case .headerSplit:
            guard index + 1 < changes.count, case .splitThreshold = changes[index + 1] else {
                return index..<index + 1
            }
            return index..<index + 2
        default: return nil
        }
    }

    /// Makes the changes of a step, and learns on the way whether it was a user who had set split;
    /// returns whether it has.
    ///
    /// Until that is known the journal says so, and whoever restores after a death leaves a split
    /// that was on as a user's, since losing that would be worse than keeping a driver's own.
    mutating func setRings<NIC: NICControl & ~Copyable>(
        _ step: Range<Int>, on nic: borrowing NIC,
        save: (SteeringJournal) throws(DevmemError) -> Void
    ) throws(DevmemError) -> Bool {
        var request = RingRequest()
        for change in changes[step] {
            switch change {
            case .headerSplit(_, let after, _): request.split = after
            case .splitThreshold(_, let after): request.threshold = after
            default: break
            }
        }
        if case .headerSplit(let before, let after, nil) = changes[step.lowerBound],
            let wasUserSet = try learn(before, request, nic)
        {
            changes[step.lowerBound] = .headerSplit(
                before: before, after: after, wasUserSet: wasUserSet)
            try save(self)
        }
        let (isLearnt, rest) = try setSplitThatReadsSo(step.lowerBound, request, nic)
        if !rest.isEmpty { try nic.setRings(rest) }
        let now = try nic.rings()
        if let split = request.split {
            // "As the driver likes" reads as what it likes.
            try prove(split == .unknown || now.headerSplit == split, "tcp-data-split", nic.name)
        }
        if let threshold = request.threshold {
            try prove(now.splitThreshold == threshold, "hds-thresh", nic.name)
        }
        let cut = now.sizes.filter { ring, size in
            before.rings.sizes[ring].map { size < $0 } ?? false
        }
        guard request.split == .on, !cut.isEmpty else { return isLearnt }
        cutSizes = cut
        return true
    }

    /// Whether a user had set what split is before it is changed, as far as that can be learnt
    /// without changing it.
    private func learn<NIC: NICControl & ~Copyable>(
        _ before: HeaderSplit, _ request: RingRequest, _ nic: borrowing NIC
    ) throws(DevmemError) -> Bool? {
        switch before {
        case .unknown: return false
        // Asking for "as the driver likes" changes nothing unless a user had set off, and then it
        // changes nothing that anyone looks at but a driver's reply.
        case .off: return (try? nic.setRingsWatching(RingRequest(split: .unknown))) ?? nil
        case .on:
            guard request.split == .on, request.threshold != nil, let queue = queues.last else {
                return nil
            }
            return nic.isSplitUserSet(probing: queue)
        }
    }

    /// Sets a split that reads on by itself if it is not known whose that is: asking for what a user
    /// had set changes nothing, asking for "as the driver likes" changes only what a user had set.
    private mutating func setSplitThatReadsSo<NIC: NICControl & ~Copyable>(
        _ index: Int, _ request: RingRequest, _ nic: borrowing NIC
    ) throws(DevmemError) -> (isLearnt: Bool, rest: RingRequest) {
        guard case .headerSplit(.on, let after, nil) = changes[index] else {
            return (false, request)
        }
        let isChanged = try nic.setRingsWatching(RingRequest(split: after))
        let wasUserSet = isChanged.map { after == .on ? !$0 : $0 }
        changes[index] = .headerSplit(before: .on, after: after, wasUserSet: wasUserSet)
        return (wasUserSet != nil, RingRequest(threshold: request.threshold))
    }
}

/// How to ask for split so that it is as it was, reading and setting.
enum SplitRestoration {
    /// What to ask for, one after the other; nothing if it is as it was.
    ///
    /// - Most drivers fall back to their own state with "unknown" (mlx5, bnxt, fbnic): it is enough
    ///   where no user had set split.
    /// - gve takes "unknown" and changes nothing (`gve_set_hsplit_config` of gve_main.c), but opens all
    ///   queues anew: split goes off first, and then the setting.
    /// - bnxt and fbnic refuse "off", which no user of theirs can have set.
    ///
    /// A user who sets split on meanwhile changes nothing that could be seen, and loses it in the end.
    static func requests(
        before: HeaderSplit, after: HeaderSplit, wasUserSet: Bool?, driver: String?
    ) -> [HeaderSplit] {
        switch (before, wasUserSet) {
        case (.on, false): after == .unknown ? [] : [.unknown]
        case (.on, _): after == .on ? [] : [.on]
        case (.off, true): [.off]
        case (.off, false) where after == .unknown: []
        case (.off, _): driver == "gve" ? [.off, .unknown] : [.unknown]
        case (.unknown, _): [.unknown]
        }
    }
}

extension SteeringJournal {
    /// Puts back split and threshold, either or both.
    func restoreRings<NIC: NICControl & ~Copyable>(
        _ taken: some Collection<SteeringChange>, _ nic: borrowing NIC, isResumed: Bool
    ) throws(DevmemError) -> [Outcome] {
        let now = try nic.rings()
        var outcomes: [Outcome] = []
        var split: (before: HeaderSplit, requests: [HeaderSplit])?
        var threshold: UInt32?
        for change in taken {
            switch change {
            case .headerSplit(let before, let after, let wasUserSet):
                // Whoever died restoring may have left what reads so and is another's setting.
                let isUntouched = now.headerSplit == before && before != after && after != .unknown
                if isUntouched && !isResumed && wasUserSet != true { continue }
                guard isUntouched || now.headerSplit == after || after == .unknown || isResumed
                else {
                    outcomes.append(left("tcp-data-split", now.headerSplit.text, before, after))
                    continue
                }
                let requests = SplitRestoration.requests(
                    before: before, after: after, wasUserSet: wasUserSet, driver: nic.driver)
                if !requests.isEmpty { split = (before, requests) }
            case .splitThreshold(let before, let after):
                if now.splitThreshold == before { continue }
                guard now.splitThreshold == after else {
                    outcomes.append(left("hds-thresh", now.splitThreshold.text, before, after))
                    continue
                }
                threshold = before
            default: break
            }
        }
        if let split {
            try restore(split.before, split.requests, with: threshold, nic)
            outcomes.append(try splitOutcome(split.before, nic))
            try restoreSizes(nic)
        } else if let threshold {
            try nic.setRings(RingRequest(threshold: threshold))
        }
        if let threshold {
            try confirm(nic.rings().splitThreshold == threshold, "hds-thresh", nic)
            outcomes.append(.restored("hds-thresh \(threshold)"))
        }
        return outcomes
    }

    private func splitOutcome<NIC: NICControl & ~Copyable>(
        _ before: HeaderSplit, _ nic: borrowing NIC
    ) throws(DevmemError) -> Outcome {
        let now = try nic.rings().headerSplit
        guard before == .off && now == .on else { return .restored("tcp-data-split \(before)") }
        return .leftAlone("tcp-data-split was off, and the driver now has it on by default")
    }

    /// Rings that the driver made shorter for header split (`bnxt_set_ring_params` of bnxt.c) get their
    /// length back, which takes a request after the one that turns split off. What is refused is told
    /// with what else is other than it was.
    private func restoreSizes<NIC: NICControl & ~Copyable>(
        _ nic: borrowing NIC
    ) throws(DevmemError) {
        let now = try nic.rings().sizes
        let cut = (cutSizes ?? [:]).filter { now[$0.key] == $0.value }
        let sizes = before.rings.sizes.filter { cut[$0.key] != nil }
        if !sizes.isEmpty { _ = try? nic.setRings(RingRequest(sizes: sizes)) }
    }

    private func left<Value: Equatable>(
        _ setting: String, _ now: String, _ before: Value, _ after: Value
    ) -> Outcome {
        .leftAlone(
            "\(setting) is \(now), "
                + (before == after ? "not \(after)" : "neither \(before) nor \(after)"))
    }

    /// Asks for split as it was, and with the first request for the threshold.
    private func restore<NIC: NICControl & ~Copyable>(
        _ before: HeaderSplit, _ requests: [HeaderSplit], with threshold: UInt32?,
        _ nic: borrowing NIC
    ) throws(DevmemError) {
        var threshold = threshold
        for request in requests {
            do throws(DevmemError) {
                try nic.setRings(RingRequest(split: request, threshold: threshold))
            } catch {
                guard before != .unknown, isRefusedForGood(error) else { throw error }
                try nic.setRings(
                    RingRequest(split: request == .off ? .unknown : before, threshold: threshold))
            }
            threshold = nil
        }
        guard before == .off, requests == [.unknown], try nic.rings().headerSplit != .off else {
            return
        }
        // A driver that keeps its state is told to leave it. One that refuses splits by its own will
        // by now, for example as hardware GRO came on; nobody asks for it any more.
        do throws(DevmemError) {
            try nic.setRings(RingRequest(split: .off))
        } catch {
            guard isRefusedForGood(error) else { throw error }
        }
    }

    /// Some drivers do not take "unknown", some refuse "off"; asking again does not help. Other
    /// refusals pass.
    private func isRefusedForGood(_ error: DevmemError) -> Bool {
        // While memory of others is bound the kernel refuses what the driver would take.
        if Refusal(error)?.isForBoundMemory == true { return false }
        return error.errno == .invalidArgument || error.errno == .notSupportedOnSocket
    }
}
