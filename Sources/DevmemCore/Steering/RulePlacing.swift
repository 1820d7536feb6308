import SystemPackage

/// How many locations are tried for a rule while other processes add theirs.
private let mostTries = 8

extension NICControl where Self: ~Copyable {
    /// Inserts a rule at a free location and verifies it by reading it back.
    ///
    /// mlx5 silently replaces a rule at an occupied location, so the location is checked just
    /// before; the kernel offers no atomic operation. If another process overwrites the rule
    /// afterwards, its rule stays and ours is inserted elsewhere.
    ///
    /// - Parameters:
    ///   - rule: the rule.
    ///   - stuck: set to the rule that remains on the NIC if the driver installed a different or
    ///     unreadable one and refuses to delete it.
    ///   - note: saves that the driver accepted the rule at a location, before the rule is
    ///     verified.
    /// - Returns: the location of the rule.
    /// - Throws: `DevmemError` with the driver's errno if it refuses the rule; of kind
    ///   `unsupported` if the installed rule differs or cannot be read back; `system` with EAGAIN
    ///   if other processes take each location; and what `note` throws.
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
                try note(
                    SteeringChange.PlacedRule(rule: rule, location: location, isUnproven: true))
            } catch {
                try discard(rule, at: location, as: nil, stuck: &stuck)
                throw error
            }
            switch try readBack(rule, at: location, stuck: &stuck) {
            case let found? where found.isSame(as: rule): return location
            case let found? where table.choosesLocation || found.mayDerive(from: rule):
                // gve drops the RSS context and directs the flow to queue 0.
                try discard(rule, at: location, as: found, stuck: &stuck)
                throw alteredByDriver(found)
            case let found?:
                // Probably another process has overwritten our rule: leave its rule. Two processes
                // would not both write the same one, so the same finding twice is the driver's
                // work.
                if let earlier = strange, earlier.equalsIgnoringLocation(found) {
                    for one in [found, earlier] where try self.rule(at: one.location) == one {
                        try discard(rule, at: one.location, as: one, stuck: &stuck)
                    }
                    throw alteredByDriver(found)
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

    private func alteredByDriver(_ found: InstalledRule) -> DevmemError {
        DevmemError(
            .unsupported, .init(.addFlowRule, "add a flow rule to \(name)"),
            message: "the driver installed a different rule: \(found.text)",
            advice: "spread flows another way, or report it to the driver's maintainers")
    }

    /// Reads a rule that was just inserted; deletes it if it cannot be read.
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

    /// Deletes what became of an inserted rule.
    private func discard(
        _ rule: FlowRule, at location: UInt32, as found: InstalledRule?,
        stuck: inout SteeringChange.PlacedRule?
    ) throws(DevmemError) {
        do throws(DevmemError) {
            try removeRule(at: location)
        } catch {
            stuck = SteeringChange.PlacedRule(rule: rule, location: location, isUnproven: true)
            if let found {
                stuck?.isUnproven = nil
                stuck?.altered = found.specification
            }
            throw Self.unproven(error, "delete flow rule \(location) of \(name)")
        }
    }

    /// Wraps an error that follows acceptance of a rule. Its errno is dropped: it would read as a
    /// verdict on the rule's fields.
    private static func unproven(_ error: DevmemError, _ call: String) -> DevmemError {
        let words = [error.errno.map(describe), error.message].compactMap { $0 }
        return DevmemError(
            .unsupported, call: call, message: words.joined(separator: ", "), advice: error.advice)
    }

    /// Finds a rule that a process may have added without recording its location: a new rule equal
    /// to one of the alternatives. A merely similar rule may belong to anyone.
    func unrecordedLocation(
        of alternatives: [FlowRule], besides known: Set<UInt32>
    ) throws(DevmemError) -> UInt32? {
        for location in try ruleTable()?.locations ?? [] where !known.contains(location) {
            guard let found = try rule(at: location) else { continue }
            if alternatives.contains(where: found.isSame) { return location }
        }
        return nil
    }

    /// Deletes the rule at a location; succeeds if it is already gone.
    func removeRule(at location: UInt32) throws(DevmemError) {
        do throws(DevmemError) {
            try deleteRule(at: location)
        } catch {
            // Drivers use various errnos for a location without a rule.
            guard RuleRefusal.isAboutFields(error) || error.errno == .noSuchFileOrDirectory,
                try rule(at: location) == nil
            else { throw error }
        }
    }
}

/// Explains why a NIC refuses a rule.
struct RuleRefusal {
    let name: String
    /// The rules that were tried, the narrowest first.
    let tried: [FlowRule]
    /// The driver's answer to the last one.
    let error: DevmemError
    /// Whether this process has CAP_NET_ADMIN, so that a refusal has another cause.
    var isPrivileged = (try? hasNetAdmin()) == true

    /// Returns whether an error concerns the rule's fields, so that a wider rule may be accepted.
    /// Other errors would repeat or do harm: where a rule of the same match exists (EEXIST), a
    /// wider one would be accepted and then lose against it.
    static func isAboutFields(_ error: DevmemError) -> Bool {
        error.errno == .invalidArgument || error.errno == .notSupportedOnSocket
    }

    /// Returns the error with an explanation drawn from the NIC's rules and features.
    func explained<NIC: NICControl & ~Copyable>(on nic: borrowing NIC) -> DevmemError {
        var explained = error
        let isOff =
            NtupleFeature.isNeeded(driver: nic.driver)
            && (try? nic.feature(.flowRules))?.isActive == false
        if error.errno == .notPermitted && isOff && isPrivileged
            || error.errno == .notSupportedOnSocket && isOff
        {
            explained.message =
                "\(SteeringFeature.flowRules.rawValue) is off, without which most drivers accept "
                + "no rule"
            explained.advice = "ethtool -K \(shellWord(name)) ntuple on"
        } else if Self.isAboutFields(error) {
            if (try? nic.ruleTable())??.isFull == true {
                explained.message = "its table of flow rules is full"
                explained.advice =
                    "ethtool -n \(shellWord(name)) lists them; delete those not needed"
            } else if let narrowest = tried.first {
                explained = requiredFields(narrowest)
            }
        } else if error.errno == .fileExists, let rival = rival(on: nic) {
            explained.message = "flow rule \(rival.location) has the same match: \(rival.text)"
            explained.advice = "choose another port or address, or delete that rule"
        } else if let answer = explain(error) {
            explained.message = explained.message ?? answer.meaning
            explained.advice = explained.advice ?? answer.advice
        }
        explained = explained.advising("ethtool -n \(shellWord(name)) lists the rules")
        explained.advice = explained.advice?.naming(name)
        return explained
    }

    /// Names the fields that the NIC requires: drivers differ in which a rule may omit.
    private func requiredFields(_ narrowest: FlowRule) -> DevmemError {
        var explained = error
        let missing = narrowest.missingFields
        guard !missing.isEmpty else {
            explained.message =
                "the NIC does not support such a rule, though it has every field: "
                + narrowest.match
            return explained
        }
        explained.message =
            "the NIC supports no rule without " + missing.joined(separator: ", ")
            + " (\(narrowest.match))"
        let naming: Advice =
            narrowest.destination == nil
            ? "listen at one address, and name the peer: " : "name the peer: "
        explained.advice = naming + .any("\(.from) ADDR:PORT", "\(.flow) DST:PORT,SRC:PORT")
        return explained
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
    /// The connection's fields that the rule leaves open, in words.
    var missingFields: [String] {
        [
            (source == nil, "a source address"), (destination == nil, "a destination address"),
            (sourcePort == nil, "a source port"), (destinationPort == nil, "a destination port"),
        ].filter(\.0).map(\.1)
    }
}
