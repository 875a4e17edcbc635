// libarchive, and what its use from Swift needs. Linked statically with only the readers that image layers need: the
// shared library drags libxml2, ICU and nettle into every start of the program (1.6 ms here).
#pragma once
#include <archive.h>
#include <archive_entry.h>

/// Makes UTF-8 the calling thread's character set (uselocale(3)), so that libarchive hands names of pax headers through
/// as they are. What was before, for ca_leave_utf8; NULL when there is no such locale.
void *ca_enter_utf8(void);
void ca_leave_utf8(void *before);

/// archive_set_error(3) of a plain message; its own printf arguments cannot be passed from Swift.
void ca_set_error(struct archive *archive, int number, const unsigned char *message);
