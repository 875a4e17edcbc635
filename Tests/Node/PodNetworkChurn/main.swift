// An owner of a pod network that does random things until it is killed, and says each before and after: the child of
// ChurnTests. Usage: PodNetworkChurn leases|kernel DIRECTORY SEED NETWORK…; the kernel's side is in the namespace of
// descriptor 3, pods' namespaces are 4, 5 ….
import Glibc
import Linux
import Netlink
import PodNetwork

/// xorshift64: the same sequence for the same seed.
struct Dice {
    private var state: UInt64
    init(seed: UInt64) { state = seed | 1 }
    mutating func roll(_ sides: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state % UInt64(sides))
    }
}

/// One write, so that a line is there whole or not at all.
func say(_ words: String...) {
    let line = Array((words.joined(separator: " ") + "\n").utf8)
    _ = write(STDOUT_FILENO, line, line.count)
}

func request(_ dice: inout Dice, _ networks: [CIDR]) -> PodNetworkRequest {
    var request = PodNetworkRequest()
    // Now and then a pod names its address, which may be taken.
    if dice.roll(10) == 0, case .v4(let first) = networks[0].address {
        request.addresses = [.v4(IPv4Address(first.value + 2 + UInt32(dice.roll(200))))]
    }
    if dice.roll(4) == 0 { request.hostPorts = [HostPort(port: UInt16(1 + dice.roll(60)), containerPort: 80)] }
    return request
}

func churnLeases(_ directory: String, _ networks: [CIDR], _ dice: inout Dice) throws {
    let configuration = PodNetworkConfiguration(podCIDRs: networks)
    var leases = try AddressLeases.open(directory, configuration: configuration)
    while true {
        let uid = "pod-\(dice.roll(160))"
        if let lease = try leases.lease(uid: uid) {
            say("leave", uid)
            try leases.release(lease)
            say("left", uid)
        } else {
            let wish = request(&dice, networks)
            say("join", uid)
            do {
                let lease = try leases.acquire(uid: uid, name: "default/\(uid)", request: wish)
                say("joined", uid, lease.addresses.map(\.description).joined(separator: ","))
            } catch {
                guard case .addressTaken = error else { throw error }
                say("left", uid)
            }
        }
    }
}

func churnKernel(_ directory: String, _ networks: [CIDR], _ dice: inout Dice, pods: Int) throws {
    let namespace = OwnedDescriptor(owning: 3)
    let network = try PodNetwork(
        configuration: PodNetworkConfiguration(podCIDRs: networks), directory: directory, in: namespace)
    while true {
        let number = dice.roll(pods)
        let uid = "pod-\(number)"
        if network.address(uid: uid) != nil, dice.roll(4) > 0 {
            say("leave", uid)
            try network.detach(uid: uid)
            say("left", uid)
            continue
        }
        // One that is there already is attached anew.
        say("leave", uid)
        say("join", uid)
        let pod = OwnedDescriptor(owning: 4 + Int32(number))
        let socket = try RouteSocket(in: pod)
        do {
            let address = try network.attach(
                uid: uid, name: "default/\(uid)", networkNamespace: pod, routeSocket: socket.descriptor,
                request: request(&dice, networks))
            say("joined", uid, address.addresses.map(\.description).joined(separator: ","))
        } catch {
            switch error {
            case .addressTaken, .hostPortTaken: say("left", uid)
            default: throw error
            }
        }
        _ = pod.release()
    }
}

let arguments = CommandLine.arguments
if arguments.count == 4, arguments[1] == "measure", let pods = Int(arguments[2]), pods > 0 {
    do { try measure(pods: pods, directory: arguments[3]) } catch { say("failed", "\(error)") }
    exit(0)
}
let networks = arguments.dropFirst(4).compactMap { CIDR($0) }
guard arguments.count > 4, networks.count == arguments.count - 4, let seed = UInt64(arguments[3]) else {
    say("usage: PodNetworkChurn leases|kernel:PODS DIRECTORY SEED NETWORK…")
    exit(2)
}
var dice = Dice(seed: seed)
let mode = arguments[1].split(separator: ":")
do {
    if mode[0] == "kernel", let pods = mode.last.flatMap({ Int($0) }) {
        try churnKernel(arguments[2], networks, &dice, pods: pods)
    } else {
        try churnLeases(arguments[2], networks, &dice)
    }
} catch {
    say("failed", "\(error)")
    exit(1)
}
