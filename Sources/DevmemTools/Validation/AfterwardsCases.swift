import DevmemCore
import SystemPackage

extension ValidationCase {
    /// Cases that check whether the NIC is restored. They run last.
    static var afterwards: [ValidationCase] {
        [
            ValidationCase(
                "afterwards", "settings", "every setting of the NIC is as before",
                needs: [.privilege]
            ) { run throws(DevmemError) in
                var problems: [String] = []
                do throws(DevmemError) {
                    try run.releaseFixture()
                } catch {
                    problems.append("\(error)")
                }
                problems += try NICSnapshot(of: run.interface)
                    .differences(from: run.facts.snapshot)
                let features = try EthtoolNetlink(run.interface).activeFeatures()
                problems += features.symmetricDifference(run.facts.features).sorted().map {
                    "\($0) is \(features.contains($0) ? "on and was off" : "off and was on")"
                }
                return problems.isEmpty ? .pass : .fail(problems.joined(separator: "; "))
            },
            ValidationCase(
                "afterwards", "memory", "all bound memory has been returned",
                needs: [.privilege, .bindReceive]
            ) { run throws(DevmemError) in
                try run.releaseFixture()
                guard !run.usedBindings.isEmpty else { return .skip("nothing was bound") }
                return try run.awaitMemory()
            },
        ]
    }
}

/// How long to wait for memory to return, and how often to poll, in milliseconds. The kernel itself
/// polls once a second (`page_pool_release_retry` of net/core/page_pool.c), later on a busy host.
private let memoryReturnTimeout = 10_000
private let returnInterval = 50

extension ValidationRun {
    /// Waits until no page pool holds memory of a former binding.
    fileprivate func awaitMemory() throws(DevmemError) -> CaseVerdict {
        var left: [PagePoolInfo] = []
        var reached = 0
        for _ in 0..<memoryReturnTimeout / returnInterval {
            left = try pagePools().filter {
                $0.dmabufID.map(usedBindings.contains) ?? false
            }
            if left.isEmpty { return .pass }
            reached = flushDeferredFrees()
            if let signal = try stop.signal.wait(milliseconds: Int32(returnInterval)) {
                throw interrupted(by: signal)
            }
        }
        let pools = left.map {
            "page pool \($0.id) of dma-buf binding \($0.dmabufID ?? 0) waits for "
                + "\($0.inFlight ?? 0) pages"
        }
        return .fail(
            pools.joined(separator: "; ") + ": " + unreturned(reached, of: Affinity.online().count))
    }
}

/// Returns the reason why memory has not returned, for a number of processors that were made to free
/// the packets left to them.
func unreturned(_ reached: Int, of processors: Int) -> String {
    guard reached < processors else { return "the driver does not return them" }
    return "the driver does not return them, or an idle processor holds them: "
        + "\(processors - reached) of \(processors) could not be reached "
        + "(run this with all processors in its cpuset)"
}

extension NICSnapshot {
    /// Returns a phrase per setting that differs from an earlier snapshot. Values that no user sets
    /// are left out.
    func differences(from before: NICSnapshot) -> [String] {
        var found: [String] = []
        func compare<Value: Equatable>(_ what: String, _ then: Value?, _ now: Value?) {
            func words(_ value: Value?) -> String { value.map { "\($0)" } ?? "none" }
            if then != now { found.append("\(what) was \(words(then)) and is \(words(now))") }
        }
        compare("tcp-data-split", before.rings.headerSplit, rings.headerSplit)
        compare("hds-thresh", before.rings.splitThreshold, rings.splitThreshold)
        for name in Set(before.rings.sizes.keys).union(rings.sizes.keys).sorted() {
            compare("the \(name) ring", before.rings.sizes[name], rings.sizes[name])
        }
        compare("combined channels", before.channels?.combined, channels?.combined)
        compare("rx channels", before.channels?.rx, channels?.rx)
        compare("tx channels", before.channels?.tx, channels?.tx)
        compare("XDP program", before.xdpProgram, xdpProgram)
        for (feature, old, new) in [
            (SteeringFeature.flowRules, before.ntuple, ntuple),
            (.hardwareGRO, before.neededGRO, neededGRO),
        ] {
            compare("\(feature.rawValue) on", old?.isActive, new?.isActive)
            compare("\(feature.rawValue) wanted", old?.isWanted, new?.isWanted)
        }
        let contexts = { (snapshot: NICSnapshot) in
            Dictionary(snapshot.contexts.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        }
        let (oldContexts, newContexts) = (contexts(before), contexts(self))
        for id in Set(oldContexts.keys).union(newContexts.keys).sorted() {
            switch (oldContexts[id], newContexts[id]) {
            case (nil, _): found.append("RSS context \(id) is left over")
            case (_, nil): found.append("RSS context \(id) is gone")
            case (let then, let now) where then != now:
                found.append("RSS context \(id) has changed")
            default: break
            }
        }
        let rules = { (snapshot: NICSnapshot) in
            Dictionary(snapshot.rules.map { ($0.location, $0) }, uniquingKeysWith: { $1 })
        }
        let (oldRules, newRules) = (rules(before), rules(self))
        for location in Set(oldRules.keys).union(newRules.keys).sorted() {
            switch (oldRules[location], newRules[location]) {
            case (nil, let now?): found.append("flow rule \(location) is left over: \(now.text)")
            case (let then?, nil): found.append("flow rule \(location) is gone: \(then.text)")
            case (let then, let now) where then != now:
                found.append("flow rule \(location) has changed")
            default: break
            }
        }
        for queue in receiveQueues {
            let then = before.receiveQueues.first { $0.id == queue.id }
            compare("what holds queue \(queue.id)", then?.holder, queue.holder)
        }
        return found
    }
}
