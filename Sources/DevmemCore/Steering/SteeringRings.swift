import SystemPackage

/// Header split and its threshold, set in as few requests as possible: some drivers close and
/// reopen the NIC for each (`bnxt_set_ringparam` of bnxt_ethtool.c, `gve_set_ringparam` of
/// gve_ethtool.c).
extension SteeringJournal {
    /// Returns the ring changes that start at an index: header split and the threshold if adjacent.
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

    /// Makes the changes of a step, determines on the way whether a user had set header split, and
    /// returns whether the journal was updated.
    ///
    /// Until it is known, the journal says so. A restore after a crash then treats a split that was
    /// on as a user's setting, because losing that is worse than keeping a driver's state.
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
        let (isLearnt, rest) = try setSplitReadingOn(step.lowerBound, request, nic)
        if !rest.isEmpty { try nic.setRings(rest) }
        let now = try nic.rings()
        if let split = request.split {
            // "unknown" reads back as whatever the driver chooses.
            try verify(split == .unknown || now.headerSplit == split, "tcp-data-split", nic.name)
        }
        if let threshold = request.threshold {
            try verify(now.splitThreshold == threshold, "hds-thresh", nic.name)
        }
        let cut = now.sizes.filter { ring, size in
            before.rings.sizes[ring].map { size < $0 } ?? false
        }
        guard request.split == .on, !cut.isEmpty else { return isLearnt }
        cutSizes = cut
        return true
    }

    /// Determines, before the change, whether a user had set header split, as far as possible
    /// without changing it.
    private func learn<NIC: NICControl & ~Copyable>(
        _ before: HeaderSplit, _ request: RingRequest, _ nic: borrowing NIC
    ) throws(DevmemError) -> Bool? {
        switch before {
        case .unknown: return false
        // Requesting "unknown" changes nothing unless a user had set "off", and then only the
        // driver's reply.
        case .off: return (try? nic.setRingsDetectingChange(RingRequest(split: .unknown))) ?? nil
        case .on:
            guard request.split == .on, request.threshold != nil, let queue = queues.last else {
                return nil
            }
            return nic.isSplitUserSet(probing: queue)
        }
    }

    /// Sets a header split that reads as on, in a request of its own, if it is unknown who set it:
    /// "on" changes nothing if a user had set it, and "unknown" changes something only then.
    private mutating func setSplitReadingOn<NIC: NICControl & ~Copyable>(
        _ index: Int, _ request: RingRequest, _ nic: borrowing NIC
    ) throws(DevmemError) -> (isLearnt: Bool, rest: RingRequest) {
        guard case .headerSplit(.on, let after, nil) = changes[index] else {
            return (false, request)
        }
        let isChanged = try nic.setRingsDetectingChange(RingRequest(split: after))
        let wasUserSet = isChanged.map { after == .on ? !$0 : $0 }
        changes[index] = .headerSplit(before: .on, after: after, wasUserSet: wasUserSet)
        return (wasUserSet != nil, RingRequest(threshold: request.threshold))
    }
}

/// The requests that restore header split, both its state and its setting.
enum SplitRestoration {
    /// Returns the requests, in order; none if nothing has to be restored.
    ///
    /// - With "unknown" most drivers return to their own state (mlx5, bnxt, fbnic): it suffices if
    ///   no user had set header split.
    /// - gve accepts "unknown" without effect (`gve_set_hsplit_config` of gve_main.c) but reopens
    ///   all queues: first turn header split off, then clear the setting.
    /// - bnxt and fbnic refuse "off", so no user can have set it there.
    ///
    /// If a user sets header split on meanwhile, the change is invisible and lost in the end.
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
    /// Restores header split, the threshold, or both.
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
                // A restore that died may have left this value; it looks like someone else's
                // setting.
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
            try verifyRestored(nic.rings().splitThreshold == threshold, "hds-thresh", nic)
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

    /// Restores ring sizes that the driver reduced for header split (`bnxt_set_ring_params` of
    /// bnxt.c), in a request after the one that turns it off. A refusal shows up among the side
    /// effects.
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

    /// Requests the former header split, with the threshold in the first request.
    private func restore<NIC: NICControl & ~Copyable>(
        _ before: HeaderSplit, _ requests: [HeaderSplit], with threshold: UInt32?,
        _ nic: borrowing NIC
    ) throws(DevmemError) {
        var threshold = threshold
        for request in requests {
            do throws(DevmemError) {
                try nic.setRings(RingRequest(split: request, threshold: threshold))
            } catch {
                guard before != .unknown, isPermanentRefusal(error) else { throw error }
                try nic.setRings(
                    RingRequest(split: request == .off ? .unknown : before, threshold: threshold))
            }
            threshold = nil
        }
        guard before == .off, requests == [.unknown], try nic.rings().headerSplit != .off else {
            return
        }
        // Ask a driver that keeps its state to turn header split off. One that refuses has it on
        // for its own reasons by now, for example hardware GRO; nobody requests it any more.
        do throws(DevmemError) {
            try nic.setRings(RingRequest(split: .off))
        } catch {
            guard isPermanentRefusal(error) else { throw error }
        }
    }

    /// Returns whether repeating a request is useless: some drivers refuse "unknown", some "off".
    /// Other refusals are temporary.
    private func isPermanentRefusal(_ error: DevmemError) -> Bool {
        // While others have memory bound, the kernel refuses what the driver would accept.
        if Refusal(error)?.isForBoundMemory == true { return false }
        return error.errno == .invalidArgument || error.errno == .notSupportedOnSocket
    }
}
