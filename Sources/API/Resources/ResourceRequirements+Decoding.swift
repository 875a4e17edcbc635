// What a container asks for and is limited to.

import JSONTree

extension ResourceRequirements {
    init(_ reader: FieldReader) {
        self.init()
        limits = reader.amounts("limits")
        requests = reader.amounts("requests")
        check("cpu", requests.cpu, limits.cpu, reader)
        check("memory", requests.memory, limits.memory, reader)
        // What is limited and not asked for is asked for as far as its limit, as the API server defaults it.
        requests.cpu = requests.cpu ?? limits.cpu
        requests.memory = requests.memory ?? limits.memory
    }

    private func check(_ name: String, _ request: Quantity?, _ limit: Quantity?, _ reader: FieldReader) {
        guard let request, let limit, request > limit else { return }
        let message = "must be less than or equal to \(name) limit of \(limit.canonical)"
        reader.invalid("requests", .string(request.canonical), [message])
    }
}

extension FieldReader {
    fileprivate func amounts(_ list: String) -> ResourceRequirements.Amounts {
        var amounts = ResourceRequirements.Amounts()
        guard let map = reader(list) else { return amounts }
        for (name, value) in map.object where !value.isNull {
            let path = map.path.key(name)
            guard let quantity = quantity(value, path) else { continue }
            switch name {
            case "cpu": amounts.cpu = quantity
            case "memory": amounts.memory = quantity
            default: add(resourceFault(name, path))
            }
        }
        return amounts
    }

    /// An amount that is not below zero; nil, with the fault noted, for anything else.
    func quantity(_ value: JSONValue, _ path: JSONPath) -> Quantity? {
        let text: String
        switch value {
        case .string(let written), .number(let written): text = written
        case .integer(let number): text = String(number)
        default:
            add(.type(path, expected: "an amount such as 500m or 64Mi", got: value))
            return nil
        }
        guard let quantity = Quantity(text) else {
            let message =
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            add(.invalid(path, value, message))
            return nil
        }
        guard quantity.milliValue >= 0 else {
            add(.invalid(path, .string(text), "must be greater than or equal to 0"))
            return nil
        }
        return quantity
    }

    private func resourceFault(_ name: String, _ path: JSONPath) -> FieldError {
        let faults = NameRules.qualifiedName(name)
        if let fault = faults.first { return .invalid(path, .string(name), fault) }
        if name == "ephemeral-storage" || name.hasPrefix("hugepages-") || name.contains("/") {
            let message = "is valid in Kubernetes but not served by Swiftlet yet; served: cpu and memory"
            return FieldError(path, .notServed, message)
        }
        return .invalid(path, .string(name), "must be a standard resource type or fully qualified")
    }
}
