import SystemPackage

/// How often another place is tried for a rule when others add some at the same time.
private let mostTries = 8

extension NICControl where Self: ~Copyable {
    /// Inserts a rule where none is, and proves that it lies there.
    ///
    /// mlx5 replaces what lies at an occupied place without a word, so the place is looked at right
    /// before; the kernel has no way to do both at once. Where another process comes later and puts a
    /// rule of its own there, theirs stays, and ours goes elsewhere.
    ///
    /// - Parameters:
    ///   - rule: the rule.
    ///   - stuck: set to what is left on the NIC if the driver made another rule of it, or one that
    ///     cannot be read back, and does not delete that.
    ///   - note: puts in safety that the driver took the rule at a place; whether it is the same is not
    ///     proved by then.
    /// - Returns: the location that it got.
    /// - Throws: `DevmemError` of kind `system` with the driver's error number if it refuses;
    ///   `unsupported` if the rule cannot be read back, or is another by then.
    func place(
        _ rule: FlowRule, stuck: inout SteeringChange.PlacedRule?,
        note: (SteeringChange.PlacedRule) throws(DevmemError) -> Void
    ) throws(DevmemError) -> UInt32 {
        var occupied: Set<UInt32> = []
        var strange: InstalledRule?
        for _ in 0..<mostTries {
            guard let table = try ruleTable() else { break }
            let place = try table.place(besides: occupied)
            if !table.choosesLocation, try self.rule(at: place) != nil {
                occupied.insert(place)
                continue
            }
            let location = try insert(rule, at: place)
            do throws(DevmemError) {
                try note(SteeringChange.PlacedRule(unproven: rule, location: location))
            } catch {
                try discard(rule, at: location, as: nil, stuck: &stuck)
                throw error
            }
            switch try readBack(rule, at: location, stuck: &stuck) {
            case let found? where found.isSame(as: rule): return location
            case let found? where table.choosesLocation || found.isVariant(of: rule):
                // gve forgets the context, and leads the flow to queue 0.
                try discard(rule, at: location, as: found, stuck: &stuck)
                throw madeAnother(found)
            case let found?:
                // Another process has put its own there since; ours is gone, and theirs stays. Two
                // processes would not both put the same, so that is the driver's work.
                if let earlier = strange, earlier.isAlike(found) {
                    for one in [found, earlier] where try self.rule(at: one.location) == one {
                        try discard(rule, at: one.location, as: one, stuck: &stuck)
                    }
                    throw madeAnother(found)
                }
                strange = found
                occupied.insert(location)
            case .none:
                throw DevmemError(
                    .unsupported, call: "add flow rule \(location) to \(name)",
                    message: "the driver reported success, but it reads back differently",
                    advice: "report it to the driver's maintainers")
            }
        }
        throw DevmemError(
            .system, .init(.addFlowRule, "add a flow rule to \(name)"),
            errno: .resourceTemporarilyUnavailable,
            message: "another process is adding rules at the same time", advice: "try again")
    }

    private func madeAnother(_ found: InstalledRule) -> DevmemError {
        DevmemError(
            .unsupported, .init(.addFlowRule, "add a flow rule to \(name)"),
            message: "the driver installed a different rule: \(found.text)",
            advice: "spread flows another way, or report it to the driver's maintainers")
    }

    /// What has become of a rule that was just inserted; where that cannot be read, the rule goes.
    private func readBack(
        _ rule: FlowRule, at location: UInt32, stuck: inout SteeringChange.PlacedRule?
    ) throws(DevmemError) -> InstalledRule? {
        do throws(DevmemError) {
            return try self.rule(at: location)
        } catch {
            try discard(rule, at: location, as: nil, stuck: &stuck)
            throw Self.unproven(error, "read flow rule \(location) of \(name) back")
        }
    }

    /// Deletes what became of a rule that was inserted here.
    private func discard(
        _ rule: FlowRule, at location: UInt32, as found: InstalledRule?,
        stuck: inout SteeringChange.PlacedRule?
    ) throws(DevmemError) {
        do throws(DevmemError) {
            try removeRule(at: location)
        } catch {
            stuck = SteeringChange.PlacedRule(unproven: rule, location: location)
            if let found {
                stuck?.isUnproven = nil
                stuck?.altered = found.specification
            }
            throw Self.unproven(error, "delete flow rule \(location) of \(name)")
        }
    }

    /// An error after a rule was taken. It says nothing of the rule's fields, whatever its number.
    private static func unproven(_ error: DevmemError, _ call: String) -> DevmemError {
        let words = [error.errno.map(describe), error.message].compactMap { $0 }
        return DevmemError(
            .unsupported, call: call, message: words.joined(separator: ", "), advice: error.advice)
    }

    /// The place of a rule that a process may have added and not lived to note: a new one that is one of
    /// these. One that only resembles them may be anybody's.
    func leftover(
        of alternatives: [FlowRule], besides known: Set<UInt32>
    ) throws(DevmemError) -> UInt32? {
        for location in try ruleTable()?.locations ?? [] where !known.contains(location) {
            guard let found = try rule(at: location) else { continue }
            if alternatives.contains(where: found.isSame) { return location }
        }
        return nil
    }

    /// Deletes the rule at a location; one that has gone meanwhile is no failure.
    func removeRule(at location: UInt32) throws(DevmemError) {
        do throws(DevmemError) {
            try deleteRule(at: location)
        } catch {
            // Drivers answer variously that there is none.
            guard RuleRefusal.isAboutFields(error) || error.errno == .noSuchFileOrDirectory,
                try rule(at: location) == nil
            else { throw error }
        }
    }
}

/// Explains why a NIC does not take a rule.
struct RuleRefusal {
    let name: String
    /// What was tried, the narrowest first.
    let tried: [FlowRule]
    /// What the driver answered last.
    let error: DevmemError
    /// Whether this process may change the NIC, so that a refusal is not for want of that.
    var isPrivileged = (try? hasNetAdmin()) == true

    /// Whether an answer speaks of the rule's fields, so that another rule may be taken. Every other
    /// answer would be the same, or worse: beside a rule of the same match (EEXIST) a wider one goes
    /// in and then loses.
    static func isAboutFields(_ error: DevmemError) -> Bool {
        error.errno == .invalidArgument || error.errno == .notSupportedOnSocket
    }

    /// The error with what the NIC's rules say about it.
    func explained<NIC: NICControl & ~Copyable>(on nic: borrowing NIC) -> DevmemError {
        var told = error
        let isOff =
            RuleFeature.isNeeded(driver: nic.driver)
            && (try? nic.feature(.flowRules))?.isActive == false
        if error.errno == .notPermitted && isOff && isPrivileged
            || error.errno == .notSupportedOnSocket && isOff
        {
            told.message =
                "\(SteeringFeature.flowRules.rawValue) is off, without which most drivers take no "
                + "rule"
            told.advice = "ethtool -K \(name) ntuple on"
        } else if Self.isAboutFields(error) {
            if (try? nic.ruleTable())??.isFull == true {
                told.message = "its table of flow rules is full"
                told.advice = "ethtool -n \(name) lists them; delete those not needed"
            } else if let narrowest = tried.first {
                told = notTaken(narrowest)
            }
        } else if error.errno == .fileExists, let rival = rival(on: nic) {
            told.message = "flow rule \(rival.location) has the same match: \(rival.text)"
            told.advice = "choose another port or address, or delete that rule"
        } else if let answer = explain(error) {
            told.message = told.message ?? answer.meaning
            told.advice = told.advice ?? answer.advice
        }
        told = told.advising("ethtool -n \(name) lists the rules")
        told.advice = told.advice?.naming(name)
        return told
    }

    /// Drivers differ in the fields that a rule may leave out.
    private func notTaken(_ narrowest: FlowRule) -> DevmemError {
        var told = error
        let missing = narrowest.missingFields
        guard !missing.isEmpty else {
            told.message =
                "the NIC does not support such a rule, though it has every field: "
                + narrowest.match
            return told
        }
        told.message =
            "the NIC supports no rule without " + missing.joined(separator: ", ")
            + " (\(narrowest.match))"
        told.advice =
            narrowest.destination == nil
            ? "listen at one address, and name the peer: \(.from) ADDR:PORT, or \(.flow) "
                + "DST:PORT,SRC:PORT"
            : "name the peer: \(.from) ADDR:PORT, or \(.flow) DST:PORT,SRC:PORT"
        return told
    }

    private func rival<NIC: NICControl & ~Copyable>(on nic: borrowing NIC) -> InstalledRule? {
        guard let locations = (try? nic.ruleTable())??.locations else { return nil }
        for location in locations {
            if let rule = (try? nic.rule(at: location)) ?? nil,
                tried.contains(where: rule.matchesSame)
            {
                return rule
            }
        }
        return nil
    }
}

extension FlowRule {
    /// The fields of a connection that it leaves open, in words.
    var missingFields: [String] {
        [
            (source == nil, "a source address"), (destination == nil, "a destination address"),
            (sourcePort == nil, "a source port"), (destinationPort == nil, "a destination port"),
        ].filter(\.0).map(\.1)
    }
}
