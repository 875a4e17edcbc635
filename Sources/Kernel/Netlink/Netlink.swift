// Netlink: links, addresses, routes, neighbours, forwarding entries and queues of a network namespace, read and changed
// through rtnetlink(7).
//
// A `RouteSocket` belongs to one network namespace: the caller's, one given by a descriptor, or the one in which
// somebody else opened the socket and passed it here. What is there comes as values (`Link`, `Address`, `Route`,
// `Neighbour`, `ForwardingEntry`, `Qdisc`); what shall change is a value too (`Change`), and hundreds of changes travel
// in one message to the kernel. `RouteEvents` tells what happens meanwhile, and `EchoProbe` whether packets arrive.
// Knows no pod, logs nothing, keeps no state but sockets.
