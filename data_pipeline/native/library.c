/* The library's own description. */
#include "library.h"

/* Raised whenever the arguments of any function change; the loader refuses another number. */
int32_t headwater_abi(void) { return 2; }
