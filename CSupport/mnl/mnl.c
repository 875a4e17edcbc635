// The part of libmnl that Netlink, NFTables and libnftnl call, for the static link of swiftlet-cni: Debian has libmnl as
// a shared library only. Netlink's format (RFC 3549, linux/netlink.h) under libmnl's names and with libmnl's results; every
// other program of Swiftlet links libmnl itself. A function that is missing here shows as an undefined symbol in the link.
#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>

// Messages.

size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr *message) { return message->nlmsg_len - MNL_NLMSG_HDRLEN; }

void *mnl_nlmsg_get_payload(const struct nlmsghdr *message) { return (char *)message + MNL_NLMSG_HDRLEN; }

void *mnl_nlmsg_get_payload_offset(const struct nlmsghdr *message, size_t offset) {
  return (char *)message + MNL_NLMSG_HDRLEN + MNL_ALIGN(offset);
}

void *mnl_nlmsg_get_payload_tail(const struct nlmsghdr *message) {
  return (char *)message + MNL_ALIGN(message->nlmsg_len);
}

struct nlmsghdr *mnl_nlmsg_put_header(void *buffer) {
  struct nlmsghdr *message = buffer;
  memset(message, 0, MNL_NLMSG_HDRLEN);
  message->nlmsg_len = MNL_NLMSG_HDRLEN;
  return message;
}

void *mnl_nlmsg_put_extra_header(struct nlmsghdr *message, size_t size) {
  void *header = (char *)message + message->nlmsg_len;
  memset(header, 0, MNL_ALIGN(size));
  message->nlmsg_len += MNL_ALIGN(size);
  return header;
}

bool mnl_nlmsg_ok(const struct nlmsghdr *message, int length) {
  return length >= (int)sizeof(struct nlmsghdr) && message->nlmsg_len >= sizeof(struct nlmsghdr) &&
         (int)message->nlmsg_len <= length;
}

struct nlmsghdr *mnl_nlmsg_next(const struct nlmsghdr *message, int *length) {
  *length -= MNL_ALIGN(message->nlmsg_len);
  return (struct nlmsghdr *)((char *)message + MNL_ALIGN(message->nlmsg_len));
}

// Attributes, read.

uint16_t mnl_attr_get_type(const struct nlattr *attribute) { return attribute->nla_type & NLA_TYPE_MASK; }

uint16_t mnl_attr_get_len(const struct nlattr *attribute) { return attribute->nla_len; }

uint16_t mnl_attr_get_payload_len(const struct nlattr *attribute) { return attribute->nla_len - MNL_ATTR_HDRLEN; }

void *mnl_attr_get_payload(const struct nlattr *attribute) { return (char *)attribute + MNL_ATTR_HDRLEN; }

bool mnl_attr_ok(const struct nlattr *attribute, int length) {
  return length >= (int)sizeof(struct nlattr) && attribute->nla_len >= sizeof(struct nlattr) &&
         (int)attribute->nla_len <= length;
}

struct nlattr *mnl_attr_next(const struct nlattr *attribute) {
  return (struct nlattr *)((char *)attribute + MNL_ALIGN(attribute->nla_len));
}

int mnl_attr_type_valid(const struct nlattr *attribute, uint16_t max) {
  if (mnl_attr_get_type(attribute) <= max) return 1;
  return errno = EOPNOTSUPP, -1;
}

static int check_payload(const struct nlattr *attribute, enum mnl_attr_data_type type, size_t expected) {
  uint16_t length = mnl_attr_get_payload_len(attribute);
  const char *payload = mnl_attr_get_payload(attribute);
  if (length < expected) return errno = ERANGE, -1;
  switch (type) {
  case MNL_TYPE_FLAG:
    if (length > 0) return errno = ERANGE, -1;
    break;
  case MNL_TYPE_NUL_STRING:
    if (length == 0 || payload[length - 1] != '\0') return errno = length == 0 ? ERANGE : EINVAL, -1;
    break;
  case MNL_TYPE_STRING:
    if (length == 0) return errno = ERANGE, -1;
    break;
  case MNL_TYPE_NESTED:
    if (length > 0 && length < MNL_ATTR_HDRLEN) return errno = ERANGE, -1;
    break;
  default:
    if (expected > 0 && length > expected) return errno = ERANGE, -1;
  }
  return 0;
}

int mnl_attr_validate(const struct nlattr *attribute, enum mnl_attr_data_type type) {
  size_t expected = 0;
  switch (type) {
  case MNL_TYPE_U8: expected = 1; break;
  case MNL_TYPE_U16: expected = 2; break;
  case MNL_TYPE_U32: expected = 4; break;
  case MNL_TYPE_U64:
  case MNL_TYPE_MSECS: expected = 8; break;
  default:
    if (type >= MNL_TYPE_MAX) return errno = EINVAL, -1;
  }
  return check_payload(attribute, type, expected);
}

int mnl_attr_validate2(const struct nlattr *attribute, enum mnl_attr_data_type type, size_t expected) {
  if (type >= MNL_TYPE_MAX) return errno = EINVAL, -1;
  return check_payload(attribute, type, expected);
}

static int parse(const struct nlattr *first, const char *end, mnl_attr_cb_t callback, void *data) {
  int result = MNL_CB_OK;
  for (const struct nlattr *attribute = first; mnl_attr_ok(attribute, end - (const char *)attribute);
       attribute = mnl_attr_next(attribute))
    if ((result = callback(attribute, data)) <= MNL_CB_STOP) break;
  return result;
}

int mnl_attr_parse(const struct nlmsghdr *message, unsigned int offset, mnl_attr_cb_t callback, void *data) {
  return parse(mnl_nlmsg_get_payload_offset(message, offset), mnl_nlmsg_get_payload_tail(message), callback, data);
}

int mnl_attr_parse_nested(const struct nlattr *nested, mnl_attr_cb_t callback, void *data) {
  const char *payload = mnl_attr_get_payload(nested);
  return parse((const struct nlattr *)payload, payload + mnl_attr_get_payload_len(nested), callback, data);
}

uint8_t mnl_attr_get_u8(const struct nlattr *attribute) { return *(uint8_t *)mnl_attr_get_payload(attribute); }

uint16_t mnl_attr_get_u16(const struct nlattr *attribute) { return *(uint16_t *)mnl_attr_get_payload(attribute); }

uint32_t mnl_attr_get_u32(const struct nlattr *attribute) { return *(uint32_t *)mnl_attr_get_payload(attribute); }

uint64_t mnl_attr_get_u64(const struct nlattr *attribute) {
  uint64_t value;  // Aligned to 4 bytes only.
  memcpy(&value, mnl_attr_get_payload(attribute), sizeof value);
  return value;
}

const char *mnl_attr_get_str(const struct nlattr *attribute) { return mnl_attr_get_payload(attribute); }

// Attributes, written.

void mnl_attr_put(struct nlmsghdr *message, uint16_t type, size_t length, const void *data) {
  struct nlattr *attribute = mnl_nlmsg_get_payload_tail(message);
  attribute->nla_type = type;
  attribute->nla_len = MNL_ATTR_HDRLEN + length;
  char *payload = mnl_attr_get_payload(attribute);
  memcpy(payload, data, length);
  memset(payload + length, 0, MNL_ALIGN(length) - length);
  message->nlmsg_len += MNL_ATTR_HDRLEN + MNL_ALIGN(length);
}

void mnl_attr_put_u8(struct nlmsghdr *message, uint16_t type, uint8_t value) { mnl_attr_put(message, type, 1, &value); }

void mnl_attr_put_u16(struct nlmsghdr *message, uint16_t type, uint16_t value) {
  mnl_attr_put(message, type, 2, &value);
}

void mnl_attr_put_u32(struct nlmsghdr *message, uint16_t type, uint32_t value) {
  mnl_attr_put(message, type, 4, &value);
}

void mnl_attr_put_u64(struct nlmsghdr *message, uint16_t type, uint64_t value) {
  mnl_attr_put(message, type, 8, &value);
}

void mnl_attr_put_str(struct nlmsghdr *message, uint16_t type, const char *text) {
  mnl_attr_put(message, type, strlen(text), text);
}

void mnl_attr_put_strz(struct nlmsghdr *message, uint16_t type, const char *text) {
  mnl_attr_put(message, type, strlen(text) + 1, text);
}

// Attributes, written where there is room for them.

static bool fits(const struct nlmsghdr *message, size_t size, size_t length) {
  return message->nlmsg_len + MNL_ATTR_HDRLEN + MNL_ALIGN(length) <= size;
}

bool mnl_attr_put_check(
    struct nlmsghdr *message, size_t size, uint16_t type, size_t length, const void *data) {
  if (!fits(message, size, length)) return false;
  mnl_attr_put(message, type, length, data);
  return true;
}

bool mnl_attr_put_u8_check(struct nlmsghdr *message, size_t size, uint16_t type, uint8_t value) {
  return mnl_attr_put_check(message, size, type, 1, &value);
}

bool mnl_attr_put_u16_check(struct nlmsghdr *message, size_t size, uint16_t type, uint16_t value) {
  return mnl_attr_put_check(message, size, type, 2, &value);
}

bool mnl_attr_put_u32_check(struct nlmsghdr *message, size_t size, uint16_t type, uint32_t value) {
  return mnl_attr_put_check(message, size, type, 4, &value);
}

bool mnl_attr_put_u64_check(struct nlmsghdr *message, size_t size, uint16_t type, uint64_t value) {
  return mnl_attr_put_check(message, size, type, 8, &value);
}

bool mnl_attr_put_strz_check(struct nlmsghdr *message, size_t size, uint16_t type, const char *text) {
  return mnl_attr_put_check(message, size, type, strlen(text) + 1, text);
}

// Nests.

struct nlattr *mnl_attr_nest_start(struct nlmsghdr *message, uint16_t type) {
  struct nlattr *start = mnl_nlmsg_get_payload_tail(message);
  start->nla_type = NLA_F_NESTED | type;
  start->nla_len = MNL_ATTR_HDRLEN;
  message->nlmsg_len += MNL_ATTR_HDRLEN;
  return start;
}

struct nlattr *mnl_attr_nest_start_check(struct nlmsghdr *message, size_t size, uint16_t type) {
  return fits(message, size, 0) ? mnl_attr_nest_start(message, type) : NULL;
}

void mnl_attr_nest_end(struct nlmsghdr *message, struct nlattr *start) {
  start->nla_len = (char *)mnl_nlmsg_get_payload_tail(message) - (char *)start;
}

void mnl_attr_nest_cancel(struct nlmsghdr *message, struct nlattr *start) {
  message->nlmsg_len -= (char *)mnl_nlmsg_get_payload_tail(message) - (char *)start;
}
