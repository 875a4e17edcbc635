#define _GNU_SOURCE
#include "CArchive.h"

#include <locale.h>

void *ca_enter_utf8(void) {
  locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  return utf8 == (locale_t)0 ? NULL : (void *)uselocale(utf8);
}

void ca_leave_utf8(void *before) {
  if (before == NULL) return;
  locale_t utf8 = uselocale((locale_t)before);
  if (utf8 != LC_GLOBAL_LOCALE && utf8 != (locale_t)before) freelocale(utf8);
}

void ca_set_error(struct archive *archive, int number, const unsigned char *message) {
  archive_set_error(archive, number, "%s", (const char *)message);
}
