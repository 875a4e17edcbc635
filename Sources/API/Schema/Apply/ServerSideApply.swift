// Server-side apply: what each manager owns after a write, and what an applied configuration makes of an object
// (structured-merge-diff `merge.Updater`, apiserver `fieldmanager`).

import JSONTree

/// Follows who owns the fields of objects of one type.
public struct ServerSideApply: Sendable {
    public let type: ObjectType
    /// Places that nobody can own through this endpoint: `status` of the object itself, all else of `/status`
    /// (the strategy's reset fields).
    public let ignored: FieldSet
    /// Fields that are the server's own.
    static let untracked = FieldSet(
        [
            FieldPath(fields: "apiVersion"), FieldPath(fields: "kind"), FieldPath(fields: "metadata"),
        ]
            + [
                "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
                "managedFields",
                "resourceVersion",
            ].map { FieldPath(fields: "metadata", $0) })
    /// How many managers that update are remembered (apiserver `DefaultMaxUpdateManagers`).
    static let maximumUpdaters = 10

    public init(type: ObjectType, ignored: FieldSet = FieldSet()) {
        self.type = type
        self.ignored = ignored
    }

    /// Who owns what after a create, update or patch.
    ///
    /// - Parameters:
    ///   - live: The object before; nil for one that is created. Both objects as they are stored: completed
    ///     (``ObjectType/read(_:completes:)``), without `managedFields`.
    ///   - managed: Who owned what.
    public func update(
        from live: JSONValue?, to new: JSONValue, managed: ManagedFields, manager: FieldManager, time: Timestamp
    ) throws(ApplyError) -> ManagedFields {
        // An object that nobody tracks stays so until it is applied.
        if live != nil, managed.entries.isEmpty { return managed }
        return try tracked(from: live, to: new, managed, manager, time)
    }

    private func tracked(
        from live: JSONValue?, to new: JSONValue, _ managed: ManagedFields, _ manager: FieldManager, _ time: Timestamp
    ) throws(ApplyError) -> ManagedFields {
        let changes = try FieldComparison(live ?? type.unset, new, type: type).excluding(ignored)
        let changed = changes.added.union(changes.modified)
        var result = managed
        _ = result.giveUp(changes, to: manager)
        let taken = changed.subtracting(Self.untracked)
        if !taken.isEmpty {
            let place = result.place(of: manager)
            let fields = place.map { result.entries[$0].fields.union(taken) } ?? taken
            result.set(ManagedFields.Entry(manager: manager, fields: fields, time: time))
        }
        result.tidy()
        result.capUpdaters(Self.maximumUpdaters)
        return result
    }

    /// What an applied configuration makes of an object.
    public struct Outcome: Sendable {
        /// Not completed yet, and null where something was taken away: to be read as its type.
        public let object: JSONValue
        public let managed: ManagedFields
        /// Whether the object is another than before, whoever owns it.
        public let isChanged: Bool
    }

    /// Why a configuration was not applied.
    public enum Failure: Error, Sendable, Hashable {
        /// The configuration, or an owner's fields, do not fit the type.
        case invalid(ApplyError)
        case conflicts(FieldConflicts)
    }

    /// Applies a configuration.
    ///
    /// - Parameters:
    ///   - config: What the manager wants, as it was sent: nothing filled in, no `managedFields`.
    ///   - live: The object before; nil where it is created.
    ///   - manager: Who applies; its operation is `apply`.
    ///   - force: Whether fields are taken from their owners.
    public func apply(
        _ config: JSONValue, to live: JSONValue?, managed: ManagedFields, manager: FieldManager, force: Bool,
        time: Timestamp
    ) throws(Failure) -> Outcome {
        let applied: Application
        do throws(ApplyError) {
            applied = try application(of: config, to: live, managed, manager, time)
        } catch {
            throw .invalid(error)
        }
        if !force, let conflicts = applied.conflicts { throw .conflicts(conflicts) }
        return applied.outcome
    }

    /// An applied configuration, and the conflicts that it must be forced over.
    private struct Application {
        let outcome: Outcome
        let conflicts: FieldConflicts?
    }

    private func application(
        of config: JSONValue, to live: JSONValue?, _ managed: ManagedFields, _ manager: FieldManager, _ time: Timestamp
    ) throws(ApplyError) -> Application {
        let fields = try FieldSet(of: config, type: type).subtractingRecursively(ignored)
        var managed = managed
        if let live, managed.entries.isEmpty {
            let before = FieldManager(name: "before-first-apply", operation: .update, apiVersion: manager.apiVersion)
            managed = try tracked(from: nil, to: live, managed, before, time)
        }
        let base = live ?? type.unset
        let last = managed.place(of: manager).map { managed.entries[$0] }
        managed.set(ManagedFields.Entry(manager: manager, fields: fields, time: time))
        let merged = try TypedMerge.merge(config, into: base, type: type)
        let object = try pruned(merged, last?.fields ?? FieldSet(), managed)

        let changes = try FieldComparison(base, object, type: type)
        let visible = changes.excluding(ignored)
        let conflicts = managed.giveUp(visible, to: manager)
        if changes.isEmpty, live != nil, let last, last.fields == fields.subtracting(Self.untracked) {
            managed.set(ManagedFields.Entry(manager: manager, fields: fields, time: last.time))
        }
        managed.tidy()
        return Application(
            outcome: Outcome(object: object, managed: managed, isChanged: live == nil || !changes.isEmpty),
            conflicts: conflicts.isEmpty ? nil : FieldConflicts(conflicts: conflicts))
    }

    /// The object without what the manager applied last time, does not apply now, and nobody else owns.
    private func pruned(
        _ merged: JSONValue, _ last: FieldSet, _ managed: ManagedFields
    ) throws(ApplyError) -> JSONValue {
        let owned = managed.entries.reduce(FieldSet()) { $0.union($1.fields) }
        if last.subtracting(owned).isEmpty { return merged }
        let kind = FieldKind.object(TypeReference(type))
        let lastNamed = last.includingNamedFields(kind)
        let mergedSet = try FieldSet(ofStored: merged, type: type).includingNamedFields(kind)
        // Everything that was applied is taken out; what somebody owns comes back.
        let without = try TypedMerge.removing(lastNamed, from: merged, type: type)
        let withoutSet = try FieldSet(ofStored: without, type: type).includingNamedFields(kind)
        let unowned = mergedSet.subtracting(withoutSet.union(owned.includingNamedFields(kind)))
        let pruned = try TypedMerge.removing(unowned, from: merged, type: type)
        // So does what nobody applied.
        let prunedSet = try FieldSet(ofStored: pruned, type: type).includingNamedFields(kind)
        return try TypedMerge.removing(
            mergedSet.subtracting(prunedSet).intersection(lastNamed), from: merged, type: type)
    }
}

extension ManagedFields {
    /// Puts an entry in the place of the manager's own.
    fileprivate mutating func set(_ entry: Entry) {
        if let place = place(of: entry.manager) { entries[place] = entry } else { entries.append(entry) }
    }

    /// Takes what changed from everybody but `manager`; gives what they would not have given.
    fileprivate mutating func giveUp(
        _ changes: FieldComparison, to manager: FieldManager
    ) -> [FieldConflicts.Conflict] {
        let changed = changes.added.union(changes.modified)
        var conflicts: [FieldConflicts.Conflict] = []
        for place in entries.indices {
            let entry = entries[place]
            if entry.manager.identity != manager.identity {
                let taken = entry.fields.intersection(changed)
                conflicts += taken.paths.map { FieldConflicts.Conflict(manager: entry.manager, path: $0) }
                entries[place].fields = entry.fields.subtracting(taken)
            }
            entries[place].fields = entries[place].fields.subtracting(changes.removed)
        }
        return conflicts.sorted { $0.manager.name.compareBytes($1.manager.name) < 0 }
    }

    /// Drops what nobody tracks, and managers that own nothing.
    fileprivate mutating func tidy() {
        for place in entries.indices {
            entries[place].fields = entries[place].fields.subtracting(ServerSideApply.untracked)
        }
        entries.removeAll { $0.fields.isEmpty }
    }

    /// Merges the oldest of too many managers that update into one for each version, `ancient-changes`.
    fileprivate mutating func capUpdaters(_ maximum: Int) {
        let updaters = entries.filter { $0.manager.operation == .update }
            .sorted { ($0.time ?? .zero, $0.manager.name) < ($1.time ?? .zero, $1.manager.name) }
        var excess = updaters.count - maximum
        var first: [String: Entry] = [:]
        for entry in updaters where excess > 0 {
            let version = entry.manager.apiVersion
            let bucket = FieldManager(name: "ancient-changes", operation: .update, apiVersion: version)
            guard let oldest = first[version] else {
                first[version] = entry
                continue
            }
            if entry.manager == bucket { continue }
            let fields = self[bucket] ?? FieldSet()
            entries.removeAll { [oldest.manager, entry.manager, bucket].contains($0.manager) }
            entries.append(
                Entry(
                    manager: bucket, fields: fields.union(oldest.fields).union(entry.fields), time: entry.time))
            excess -= 1
        }
    }
}
