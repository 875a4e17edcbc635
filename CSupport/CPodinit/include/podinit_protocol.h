// What the agent and podinit say to each other: the one description of the messages and the launch plans, shared by
// the C program (CSupport/podinit) and by Swift (Sources/Node/ContainerRuntime/PlanEncoder.swift).
//
// MESSAGES travel over a SOCK_SEQPACKET unix socket, one packet each: struct pi_header, then `length` bytes of body.
// Everything is little-endian. A packet with a wrong magic, version, type, length or body closes the client that sent
// it. Every request gets exactly one answer with the same request number: its type | PI_ANSWER, or PI_ERROR.
//
// PLANS (of PI_SANDBOX, PI_START, PI_EXEC) are too large for a packet and come in a sealed memfd, the first descriptor
// of the message; the descriptors that follow are named in the plan by their index (0 is the first after the memfd).
// A plan is one blob: struct pi_plan_header, the fixed part, then arrays and strings anywhere. Arrays are
// {offset, count} with the offset a multiple of 8. Strings are {offset, length}: blob[offset + length] is 0 and no
// other byte of the string is. Every offset lies inside the blob; every count and length has a bound below.
#pragma once
#include <stdint.h>

enum {
  PI_MAGIC = 0x54494e49,       // "INIT"
  PI_PLAN_MAGIC = 0x4e414c50,  // "PLAN"
  PI_VERSION = 1,
  PI_MESSAGE_MAX = 61440,           // bytes of a packet, header included
  PI_PLAN_MAX = 4 * 1024 * 1024,    // bytes of a plan
  PI_NAME_SIZE = 64,                // a container's name with its NUL (a DNS label has at most 63 bytes)
  PI_STRING_MAX = 128 * 1024 - 1,   // MAX_ARG_STRLEN without the NUL
  PI_PATH_MAX = 4095,
  PI_STRINGS_MAX = 65536,           // arguments, or variables
  PI_MOUNTS_MAX = 128,
  PI_PATHS_MAX = 256,               // masked paths, or read-only paths
  PI_DEVICES_MAX = 1024,
  PI_GROUPS_MAX = 65536,            // NGROUPS_MAX
  PI_RLIMITS_MAX = 16,
  PI_CONTROLLERS_MAX = 32,
  PI_CGROUPS_MAX = 32,
  PI_SYSCTLS_MAX = 128,
  PI_SECCOMP_MAX = 4096 * 8,        // bytes: BPF_MAXINSNS instructions
  PI_DESCRIPTORS_MAX = 200,
  PI_CONTAINERS_MAX = 256,          // attempts that were not forgotten
  PI_CLIENTS_MAX = 16,
  PI_SUBJECT_MAX = 256,
};
#define PI_NO_DESCRIPTOR UINT32_MAX

struct pi_header {
  uint32_t magic;
  uint16_t version;
  uint16_t type;
  uint64_t request;  // chosen by the client; 0 in events
  uint32_t length;   // of the body
  uint32_t zero;
};

enum pi_type {
  PI_SANDBOX = 1,   // plan; once, before anything else           -> pi_ready + [network namespace, route socket]
  PI_START = 2,     // plan                                       -> pi_started
  PI_EXEC = 3,      // plan                                       -> pi_started + [terminal, if asked for]
  PI_SIGNAL = 4,    // pi_signal                                  -> empty
  PI_RESIZE = 5,    // pi_resize                                  -> empty
  PI_STATUS = 6,    // empty                                      -> pi_status + pi_container_status ...
  PI_FORGET = 7,    // pi_forget                                  -> empty
  PI_SHUTDOWN = 8,  // empty; kills everything; exits 0 when all ended -> empty, at once
  PI_NETWORK = 9,   // empty                                      -> pi_ready + [network namespace, route socket]
  PI_EXITED = 64,       // event to every client: pi_container_status
  PI_EXEC_EXITED = 65,  // event to the client that started it: pi_exec_exited
  PI_ANSWER = 0x4000,
  PI_ERROR = 0x7fff,  // pi_error
};

/// What was not fatal (a bit set).
enum pi_note {
  PI_NOTE_OOM_SCORE = 1,  // oom_score_adj could not be lowered: CAP_SYS_RESOURCE is missing
};

struct pi_ready {
  uint32_t pid;  // podinit's, in the PID namespace it was started in
  uint32_t notes;
};
struct pi_started {
  uint32_t pid;  // as seen in the PID namespace podinit was started in
  uint32_t notes;
  uint64_t id;  // of an exec: for pi_signal and pi_exec_exited; 0 for a container
  int64_t started_at;  // nanoseconds since the epoch
};
struct pi_error {
  uint32_t step;  // enum pi_step
  int32_t error;  // errno(3)
  uint32_t length;  // bytes of the subject that follow, at most PI_SUBJECT_MAX
  uint32_t zero;
};
struct pi_signal {
  char name[PI_NAME_SIZE];  // the container, when id is 0
  uint64_t id;              // the exec
  int32_t signal;
  uint32_t zero;
};
struct pi_resize {  // of a container's terminal; that of an exec belongs to who asked for it
  char name[PI_NAME_SIZE];
  uint16_t rows, columns;
  uint32_t zero;
};
struct pi_forget {
  char name[PI_NAME_SIZE];
  uint32_t attempt;
  uint32_t zero;
};
enum pi_state { PI_STARTING = 0, PI_RUNNING = 1, PI_STOPPED = 2 };
struct pi_status {
  uint32_t pid;
  uint32_t count;
};
struct pi_container_status {
  char name[PI_NAME_SIZE];
  uint32_t attempt;
  uint32_t state;
  uint32_t pid;     // 0 unless running
  int32_t code;     // exit code: the status given to exit(2), or 128 + signal
  int32_t signal;   // that ended it, or 0
  uint32_t dropped; // log lines that could not be written
  int64_t started_at, finished_at;  // nanoseconds since the epoch
};
struct pi_exec_exited {
  uint64_t id;
  int32_t code;
  int32_t signal;
};

// ---- Plans ----

struct pi_string {
  uint32_t offset, length;
};
struct pi_list {
  uint32_t offset, count;
};
struct pi_plan_header {
  uint32_t magic;    // PI_PLAN_MAGIC
  uint16_t version;  // PI_VERSION
  uint16_t kind;     // PI_SANDBOX, PI_START or PI_EXEC
  uint32_t size;     // of the whole blob
  uint32_t zero;
};

enum pi_sandbox_flag {
  PI_NEW_NETWORK = 1,
  PI_NEW_IPC = 2,
  PI_NEW_UTS = 4,
  PI_SHARED_PID = 8,      // a new PID namespace that all containers share, under a process 1 without rights
  PI_SET_OOM_SCORE = 16,  // oom_score_adj counts
};
struct pi_sysctl {
  struct pi_string path;  // below /proc/sys, with slashes
  struct pi_string value;
};
struct pi_sandbox_plan {
  struct pi_plan_header header;
  uint32_t flags;
  int32_t oom_score_adj;
  uint32_t exits;              // descriptor of the directory for exit records
  uint32_t zero;
  struct pi_string hostname;   // empty: not set
  struct pi_string domainname;
  struct pi_list cgroups;      // uint32_t: descriptors of cgroup.procs files to join, each by writing "0"
  struct pi_list sysctls;      // struct pi_sysctl
};

enum pi_process_flag {
  PI_NO_NEW_PRIVILEGES = 1,
  PI_TERMINAL = 2,
  PI_PROCESS_OOM_SCORE = 4,  // oom_score_adj counts
};
struct pi_rlimit {
  uint32_t resource;  // RLIMIT_...
  uint32_t zero;
  uint64_t soft, hard;
};
struct pi_process {
  uint32_t flags;
  uint32_t uid, gid;
  uint32_t umask;
  int32_t oom_score_adj;
  uint16_t rows, columns;        // of the terminal; 0: not set
  struct pi_list arguments;      // struct pi_string, at least one
  struct pi_list environment;    // struct pi_string, NAME=value
  struct pi_string directory;    // absolute; made if missing
  struct pi_list groups;         // uint32_t, additional
  struct pi_list rlimits;        // struct pi_rlimit
  struct pi_list seccomp;        // bytes of struct sock_filter; empty: none
  struct pi_list cgroups;        // uint32_t descriptors, as above
  uint64_t bounding, permitted, effective, inheritable, ambient;  // bit n is capability n
  uint32_t standard[3];          // descriptors for 0, 1, 2, or PI_NO_DESCRIPTOR. Without a terminal:
                                 // container: 0 defaults to /dev/null, 1 and 2 to the log; exec: to /dev/null
  uint32_t cgroup;               // descriptor of a cgroup v2 directory the process is born in, or PI_NO_DESCRIPTOR
};

enum pi_container_flag {
  PI_NEW_PID = 1,           // else podinit's own: the shared one or the host's
  PI_NEW_CGROUP = 2,
  PI_READ_ONLY_ROOT = 4,
  PI_WRITABLE_SYSTEM = 8,   // /sys and /sys/fs/cgroup are writable (privileged)
  PI_CGROUP_UNIFIED = 16,   // /sys/fs/cgroup is a cgroup2 mount; else a tmpfs with one mount for each controller
};
enum pi_mount_kind { PI_DIRECTORY = 0, PI_FILE = 1 };
struct pi_mount {
  uint32_t mount;  // descriptor of a detached mount
  uint32_t kind;
  struct pi_string target;
};
struct pi_device {
  struct pi_string path;  // below /dev, such as "fuse" or "net/tun"
  uint32_t type;          // S_IFCHR or S_IFBLK
  uint32_t mode;          // permission bits
  uint32_t major, minor;
  uint32_t uid, gid;
};
struct pi_container_plan {
  struct pi_plan_header header;
  char name[PI_NAME_SIZE];
  uint32_t attempt;
  uint32_t flags;
  uint32_t root;               // descriptor of a detached mount
  uint32_t shared_memory;      // descriptor of a detached mount for /dev/shm, or PI_NO_DESCRIPTOR: a new tmpfs
  uint64_t shared_memory_size; // bytes, of the new one
  uint32_t log;                // descriptor of the log directory, or PI_NO_DESCRIPTOR: output is discarded
  uint32_t log_files;          // most files kept, the current one included; at least 1
  uint64_t log_size;           // bytes at which a log file is rotated
  struct pi_list mounts;       // struct pi_mount, in this order
  struct pi_list devices;      // struct pi_device, beyond the standard ones
  struct pi_list masked;       // struct pi_string: absolute paths
  struct pi_list read_only;    // struct pi_string: absolute paths
  struct pi_list controllers;  // struct pi_string: "memory", "cpu,cpuacct", "name=systemd", "unified"
  struct pi_process process;
};
struct pi_exec_plan {
  struct pi_plan_header header;
  char name[PI_NAME_SIZE];  // of the running container
  struct pi_process process;
};

/// What was being done when it failed.
enum pi_step {
  PI_STEP_PLAN = 1,         // the plan or request is not acceptable; the subject says why
  PI_STEP_CONTAINER = 2,    // no such container or exec (ENOENT, ESRCH), or it is in the wrong state (EBUSY, EEXIST)
  PI_STEP_CLONE = 3,
  PI_STEP_CGROUP = 4,
  PI_STEP_NAMESPACE = 5,
  PI_STEP_HOSTNAME = 6,
  PI_STEP_SYSCTL = 7,
  PI_STEP_OOM_SCORE = 8,
  PI_STEP_ROOT = 9,
  PI_STEP_MOUNT = 10,
  PI_STEP_DEVICE = 11,
  PI_STEP_MASK = 12,
  PI_STEP_READ_ONLY = 13,
  PI_STEP_PIVOT = 14,
  PI_STEP_DIRECTORY = 15,
  PI_STEP_RLIMIT = 16,
  PI_STEP_TERMINAL = 17,
  PI_STEP_STANDARD = 18,
  PI_STEP_USER = 19,
  PI_STEP_CAPABILITY = 20,
  PI_STEP_NO_NEW_PRIVILEGES = 21,
  PI_STEP_SECCOMP = 22,
  PI_STEP_FIND = 23,        // the command was not found in $PATH or is not an executable file
  PI_STEP_EXECUTE = 24,     // execve(2)
  PI_STEP_LOG = 25,
  PI_STEP_SESSION = 26,
  PI_STEP_NETWORK = 27,
  PI_STEP_MEMORY = 28,
  PI_STEP_DIED = 29,        // the process ended before it executed the command
};

#define PI_CHECK_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
PI_CHECK_SIZE(struct pi_header, 24);
PI_CHECK_SIZE(struct pi_started, 24);
PI_CHECK_SIZE(struct pi_container_status, 104);
PI_CHECK_SIZE(struct pi_sandbox_plan, 64);
PI_CHECK_SIZE(struct pi_process, 136);
PI_CHECK_SIZE(struct pi_container_plan, 296);
PI_CHECK_SIZE(struct pi_exec_plan, 216);
