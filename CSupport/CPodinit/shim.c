// The protocol is a header only; a C target needs a source file.
#include "podinit_protocol.h"
