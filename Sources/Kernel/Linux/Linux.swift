// Linux: owned descriptors, files resolved by descriptor, mounts, sockets that carry descriptors, processes, an event
// loop. System calls as Swift values and typed errors; no policy, no logging, no global state.
@_exported import CLinux
@_exported import Glibc
